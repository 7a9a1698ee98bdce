// From the JavaScript objects of binding.d.ts to the structs of graph/description.h.
#pragma once

#include "graph/description.h"
#include "node/arguments.h"
#include "selfcompress/ops/batch.h"

namespace selfcompress::node {

NetworkDescription readDescription(const Napi::Value&, const std::string& path);
// All but what device.h reads.
NetworkOptions readOptions(const Napi::Value&, const std::string& path);
Augmentation readAugmentation(const Fields& settings);

}  // namespace selfcompress::node
