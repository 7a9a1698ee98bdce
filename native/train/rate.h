// The size penalty `rate` (ops/rate.h) of every layer that compresses, as operations at the start of a step.
#pragma once

#include "graph/channel_analysis.h"
#include "graph/emitter.h"

namespace selfcompress {

// The layer's part of Rate lies in layerBits[i] afterwards; what its quantizer reads where the emitter's rate(i)
// points.
void emitRate(Emitter&, const NetworkDescription&, const ChannelAnalysis&, const NetworkOptions&,
              double originalWeights, float* layerBits);

}  // namespace selfcompress
