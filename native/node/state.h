// Tensors by name, between JavaScript objects of Float32Arrays and native memory.
#pragma once

#include "node/arguments.h"
#include "train/prune.h"

namespace selfcompress::node {

// The arrays of a plain object, in place: to be used after arrays.verify(), by queued work with arrays.keepAlive().
StateView readState(const Napi::Value&, const std::string& path, TypedArrays& arrays);
// JavaScript takes the memory over, without a copy where it can.
Napi::Value toState(Napi::Env, State&&);

}  // namespace selfcompress::node
