// What the classes Model and Decoder share.
#pragma once

#include <napi.h>

#include "engine/model.h"

namespace selfcompress::node {

// The pool of threads that training uses too.
engine::Parallel enginePool();

// A promise of a Decoder of the file.
Napi::Value makeDecoder(Napi::Env, std::shared_ptr<const model::Bytes>, const engine::Options&);

}  // namespace selfcompress::node
