// From the JavaScript objects of binding.d.ts to the structs of graph/description.h.
#pragma once

#include "graph/description.h"
#include "node/arguments.h"
#include "selfcompress/ops/batch.h"

namespace selfcompress::node {

NetworkDescription readDescription(const Napi::Value&, const std::string& path);
// Throws an Error when `device` asks for one that is not there.
NetworkOptions readOptions(const Napi::Value&, const std::string& path);
Augmentation readAugmentation(const Fields& settings);

}  // namespace selfcompress::node
