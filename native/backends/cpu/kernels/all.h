// The kernel texts, and the table that isa.cpp picks from.
#pragma once

#include <math.h>

#include "cpu/kernels/vector_math.h"

#include "cpu/kernels/register_tile.h"

#include "cpu/kernels/pairs.h"

#include "cpu/kernels/batch.h"
#include "cpu/kernels/plane_offset.h"
// after the planes
#include "cpu/kernels/conv2d.h"
#include "cpu/kernels/depthwise.h"
#include "cpu/kernels/elementwise.h"
#include "cpu/kernels/loss.h"
#include "cpu/kernels/moments.h"
#include "cpu/kernels/optimizer.h"
#include "cpu/kernels/pooling.h"
#include "cpu/kernels/products.h"
#include "cpu/kernels/quantize.h"
#include "cpu/kernels/vector_functions.h"
// after the functions of vectors
#include "cpu/kernels/activation_functions.h"
// after the activations
#include "cpu/kernels/norm.h"
// after the quantizer
#include "cpu/kernels/panel.h"
#include "cpu/kernels/winograd.h"

#include "cpu/kernels/winograd_filters.h"
#include "cpu/kernels/winograd_input.h"
#include "cpu/kernels/winograd_output.h"
#include "cpu/kernels/winograd_weight.h"

namespace SELFCOMPRESS_ISA_NAMESPACE {

const Kernels kernels = {
    kTileO,
    kTileP == 1,
    kTileO3 < kTileO1 ? kTileO1 : kTileO3,
    kTileO5,
    kTileO1,
    kTileS1,
    packColumns,
    packRows,
    convTiles,
    depthwise,
    depthwiseGrad,
    weightTile,
    sumLanes,
    products,
    winogradInput,
    winogradGrad,
    winogradOutput,
    winogradPack,
    winogradFilter,
    transposeLanes,
    copyVectors,
    addVectors,
    planeSum,
    quantizeForward,
    quantizeBackward,
    quantizeBackwardRate,
    countCodes,
    moments,
    batchNormForward,
    batchNormBackward,
    poolForward,
    poolBackward,
    add,
    copyChannels,
    gatherImages,
    crossEntropy,
    meanSquaredError,
    optimizerStep,
    averageParameters,
    sumOfSquares,
    {productsPairs, winogradInputPairs, winogradGradPairs, winogradPackPairs, transposeLanesPairs, copyVectorsPairs},
};

}  // namespace SELFCOMPRESS_ISA_NAMESPACE
