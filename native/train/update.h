// The end of a step: clipping, optimizer, limits of the bit depths, families that may not be emptied, decay of what
// dead channels leave.
#pragma once

#include "graph/channel_analysis.h"
#include "graph/emitter.h"

namespace selfcompress {

void emitUpdate(Emitter&, const NetworkDescription&, const Topology&, const ChannelAnalysis&, const NetworkOptions&);

}  // namespace selfcompress
