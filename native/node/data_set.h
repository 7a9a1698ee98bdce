#pragma once

#include "node/classes.h"

namespace selfcompress::node {

struct DataSetObject {
  static constexpr napi_type_tag kTag{0x8f0c2f1be0a94d61, 0x9a55d1c47e3b2a01};
  static constexpr const char* kClass = "DataSet";
  DataSet data;
};

// RangeError for a token that is not in 0..vocabulary-1.
void checkTokens(Napi::Env, const std::string& path, const std::vector<std::int32_t>& tokens, int vocabulary);

}  // namespace selfcompress::node
