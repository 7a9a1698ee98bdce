// Model files between JavaScript and native/export: metadata as objects.
#pragma once

#include "export/model_file.h"
#include "node/arguments.h"

namespace selfcompress::node {

// { key: string | number | boolean | number[] | string[] }
Napi::Value toValue(Napi::Env, const model::FieldValue&);
model::Metadata readMetadata(const Napi::Value&, const std::string& path);
Napi::Value toUint8Array(Napi::Env, const model::Bytes&);

}  // namespace selfcompress::node
