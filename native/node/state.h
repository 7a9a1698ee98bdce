// Tensors by name, between JavaScript objects of Float32Arrays and native memory.
#pragma once

#include "node/arguments.h"
#include "train/prune.h"

namespace selfcompress::node {

// Copies the arrays of a plain object.
State readState(const Napi::Value&, const std::string& path);
// JavaScript takes the memory over, without a copy where it can.
Napi::Value toState(Napi::Env, State&&);

}  // namespace selfcompress::node
