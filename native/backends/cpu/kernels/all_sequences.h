// The kernel texts of the second table (sequence_kernels.h).
#pragma once

#include <math.h>

#include "cpu/kernels/vector_math.h"

#include "cpu/kernels/register_tile.h"

#include "cpu/kernels/attention.h"
#include "cpu/kernels/lane_products.h"
#include "cpu/kernels/layout.h"
// after the tiles
#include "cpu/kernels/recurrent.h"

namespace SELFCOMPRESS_ISA_NAMESPACE {

const SequenceKernels sequenceKernels = {
    laneProducts, scaleVectors, scaleLanes,   softmax,  softmaxGradient,   rotate,    copyRun,       takePlane,
    givePlane,    sumPlanes,    addBias,      sumPlane, broadcastProducts, lstmUnits, lstmUnitsBack, gruGates,
    gruUnits,     gruUnitsBack, gruResetBack,
};

}  // namespace SELFCOMPRESS_ISA_NAMESPACE
