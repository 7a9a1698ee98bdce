// The size penalty of every layer with weights, as operations at the start of a step.
#pragma once

#include "graph/channel_analysis.h"
#include "graph/emitter.h"

namespace selfcompress {

// With the penalty `rate`, Rate takes the place of Q, but for plain layers.
// Q of layer i lies in layerBits[i] afterwards; gamma * dQ/db where the emitter's penalty(i) points.
void emitPenalty(Emitter&, const NetworkDescription&, const ChannelAnalysis&, const NetworkOptions&,
                 double originalWeights, float* layerBits);

}  // namespace selfcompress
