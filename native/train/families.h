// Families of layers whose channels are tied: what may not be emptied (KeepFamilies, ops/optimizer.h).
#pragma once

#include "graph/channel_analysis.h"
#include "graph/emitter.h"

namespace selfcompress {

// One class of channels of a family: it lives when all members of one of its sets do; members are indices into the bit
// depths of all layers.
using FamilyClass = std::vector<std::vector<std::int32_t>>;
using Family = std::vector<FamilyClass>;

// For every tensor whose channels could all die: its classes. Classes that are alive whatever the bit depths are make a
// family that needs no watching.
std::vector<Family> familiesOf(const NetworkDescription&, const Topology&, const ChannelAnalysis&, const Parameters&);

void emitFamilies(Emitter&, const std::vector<Family>&, const float* before);

}  // namespace selfcompress
