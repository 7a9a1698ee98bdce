// The kernel texts of the operations between convolutions, and their table (layer_kernels.h).
#pragma once

#include <math.h>

#include "cpu/kernels/vector_math.h"

#include "cpu/kernels/plane_offset.h"
#include "cpu/kernels/strips.h"
#include "cpu/kernels/vector_functions.h"
// after the functions of vectors
#include "cpu/kernels/activation_functions.h"
// after these too
#include "cpu/kernels/activation.h"
#include "cpu/kernels/binary.h"
#include "cpu/kernels/group_norm.h"
#include "cpu/kernels/layer_norm.h"
#include "cpu/kernels/position_loss.h"
#include "cpu/kernels/quantize.h"
#include "cpu/kernels/soft_loss.h"
#include "cpu/kernels/softmax.h"
// after the quantizer
#include "cpu/kernels/embedding.h"

namespace SELFCOMPRESS_ISA_NAMESPACE {

const LayerKernels layerKernels = {
    activationForward, activationBackward, fillPlane,
    preluForward,      preluBackward,      dropout,
    binaryForward,     binaryGradient,     binaryPlaneSum,
    binaryPositionSum, softmaxForward,     softmaxBackward,
    layerNormForward,  layerNormBackward,  sumOfVectors,
    groupNormForward,  groupNormBackward,  embeddingForward,
    embeddingBackward, elementLoss,        positionCrossEntropy,
    softCrossEntropy,
};

}  // namespace SELFCOMPRESS_ISA_NAMESPACE
