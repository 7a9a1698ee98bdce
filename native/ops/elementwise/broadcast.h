// Element-wise arithmetic of two tensors of which one may be smaller: it has all channels of the other or one, and all
// positions or one (ops/binary.h).
#pragma once

#include "ops/op.h"
#include "selfcompress/ops/binary.h"

namespace selfcompress {

// Which input is the whole tensor (0 or 1), and how the other meets it.
struct Broadcast {
  int whole = 0;
  Operand operand;
};
// commutes: the smaller one may stand first. Throws DescriptionError for shapes that do not meet.
Broadcast broadcastOf(const NodeContext&, bool commutes);

void emitBinaryForward(Emitter&, int node, Binary);
void emitBinaryBackward(Emitter&, int node, Binary);

inline bool commutes(Binary kind) { return kind == Binary::kAdd || kind == Binary::kMultiply; }

// An entry of the table with all but its rule for constants.
template <Binary kind>
Operator binaryOperator(const char* name, ChannelRule (*channels)(const NodeContext&)) {
  Operator op;
  op.kind = name;
  op.leastInputs = op.mostInputs = 2;
  op.infer = [](const NodeContext& c) { return c.inputs[std::size_t(broadcastOf(c, commutes(kind)).whole)]; };
  op.channels = channels;
  op.forward = [](Emitter& e, int i) { emitBinaryForward(e, i, kind); };
  op.backward = [](Emitter& e, int i) { emitBinaryBackward(e, i, kind); };
  return op;
}

}  // namespace selfcompress
