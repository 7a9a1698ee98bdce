// Functions of the engine, taken when the addon is loaded: what a value is, is asked of them and not of its properties,
// which users can define as they like.
#pragma once

#include <napi.h>

#include <string>

namespace selfcompress::node {

class Intrinsics {
 public:
  explicit Intrinsics(Napi::Env);
  // Whether the memory of an ArrayBuffer or SharedArrayBuffer can change its size. Runs no user code.
  bool canChangeSize(const Napi::Value& buffer) const;
  // "Object", "Map", "Promise", ...: Object.prototype.toString without its brackets. May run user code, and throw.
  std::string tag(const Napi::Value& object) const;

 private:
  Napi::FunctionReference resizable_, growable_, toString_;  // the first two are empty where the engine has none
};

}  // namespace selfcompress::node
