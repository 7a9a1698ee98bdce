#pragma once

#include "node/classes.h"

namespace selfcompress::node {

struct DataSetObject {
  static constexpr napi_type_tag kTag{0x8f0c2f1be0a94d61, 0x9a55d1c47e3b2a01};
  static constexpr const char* kClass = "DataSet";
  DataSet data;
};

}  // namespace selfcompress::node
