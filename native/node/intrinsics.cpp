#include "node/intrinsics.h"

namespace selfcompress::node {
namespace {

// The getter of `constructor.prototype[property]`; empty where there is none.
Napi::FunctionReference getterOf(Napi::Env env, const char* constructor, const char* property) {
  Napi::Value found = env.Global().Get(constructor);
  if (!found.IsFunction()) return {};
  Napi::Value prototype = found.As<Napi::Object>().Get("prototype");
  Napi::Function describe =
      env.Global().Get("Object").As<Napi::Object>().Get("getOwnPropertyDescriptor").As<Napi::Function>();
  Napi::Value descriptor = describe.Call({prototype, Napi::String::New(env, property)});
  if (!descriptor.IsObject()) return {};
  Napi::Value getter = descriptor.As<Napi::Object>().Get("get");
  return getter.IsFunction() ? Napi::Persistent(getter.As<Napi::Function>()) : Napi::FunctionReference();
}

}  // namespace

Intrinsics::Intrinsics(Napi::Env env)
    : resizable_(getterOf(env, "ArrayBuffer", "resizable")), growable_(getterOf(env, "SharedArrayBuffer", "growable")) {
  Napi::Object prototype = env.Global().Get("Object").As<Napi::Object>().Get("prototype").As<Napi::Object>();
  toString_ = Napi::Persistent(prototype.Get("toString").As<Napi::Function>());
}

bool Intrinsics::canChangeSize(const Napi::Value& buffer) const {
  const Napi::FunctionReference& getter = buffer.IsArrayBuffer() ? resizable_ : growable_;
  if (getter.IsEmpty()) return false;
  Napi::Value flag = getter.Call(buffer, std::initializer_list<napi_value>{});
  return !flag.IsBoolean() || flag.As<Napi::Boolean>().Value();
}

std::string Intrinsics::tag(const Napi::Value& object) const {
  Napi::Value text = toString_.Call(object, std::initializer_list<napi_value>{});
  std::string tag = text.IsString() ? text.As<Napi::String>().Utf8Value() : "";
  constexpr std::size_t before = sizeof "[object " - 1;
  return tag.size() > before + 1 ? tag.substr(before, tag.size() - before - 1) : "";
}

}  // namespace selfcompress::node
