// From the JavaScript objects of binding.d.ts to the structs of graph/description.h.
#pragma once

#include "graph/description.h"
#include "node/arguments.h"
#include "selfcompress/ops/batch.h"

namespace selfcompress::node {

// A node of this operator whose fields, those named here, are given beside other arguments; for the raw operations.
NodeDescription readRawNode(const Fields&, const Operator&, std::initializer_list<const char*> fields);

NetworkDescription readDescription(const Napi::Value&, const std::string& path);
// The way back: every field of every node, defaults too.
Napi::Value toDescription(Napi::Env, const NetworkDescription&);
// [channels, positions...]
Napi::Value toAxes(Napi::Env, const Axes&);
// The table of operators as data: OperatorInfo[] of binding.d.ts.
Napi::Value toOperators(Napi::Env);
// All but what device.h reads.
NetworkOptions readOptions(const Napi::Value&, const std::string& path);
Augmentation readAugmentation(const Fields& settings);

}  // namespace selfcompress::node
