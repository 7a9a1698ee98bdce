#pragma once

#include "node/classes.h"

namespace selfcompress::node {

struct DataSetObject {
  static constexpr napi_type_tag kTag{0x8f0c2f1be0a94d61, 0x9a55d1c47e3b2a01};
  static constexpr const char* kClass = "DataSet";
  DataSet data;
  std::vector<double> mean, deviation;  // of the images as given, per channel
  std::vector<float> largest;           // magnitude of the images' values so far, per channel
  std::int64_t filled = 0;              // examples that are there; below data.count as long as append() has to add some
};

// RangeError for a set whose examples are not all there.
void checkComplete(Napi::Env, const std::string& path, const DataSetObject&);

// RangeError for a token that is not in 0..vocabulary-1, those before `from` left out.
void checkTokens(Napi::Env, const std::string& path, const std::vector<std::int32_t>& tokens, int vocabulary,
                 std::size_t from = 0);

}  // namespace selfcompress::node
