// Per-channel bookkeeping (ops/elementwise.h, ops/optimizer.h): a few operations on arrays as long as a layer has
// channels. Backends that run on the host call these; there is nothing in them to speed up.
#pragma once

#include "selfcompress/backend.h"

namespace selfcompress {

void stateFromBits(const StateFromBits&);
void stateThroughNorm(const StateThroughNorm&);
void stateOfSum(const StateOfSum&);
void stateOfProduct(const StateOfProduct&);
void stateThroughActivation(const StateThroughActivation&);
void stateThroughLayerNorm(const StateThroughLayerNorm&);
void stateCopy(const StateCopy&);
void stateJoin(const StateJoin&);
void listChannels(const ListChannels&);
void clipScale(const ClipScale&);
void clampBitDepth(const ClampBitDepth&);
void keepFamilies(const KeepFamilies&);
void rangeGradients(const RangeGradients&);
void keepRange(const KeepRange&);
void decayDead(const DecayDead&);

}  // namespace selfcompress
