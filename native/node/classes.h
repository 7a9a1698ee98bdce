// JavaScript classes over C++ objects. Every method checks that its receiver really is one: calling a method of one
// class on an object of another must be a TypeError, never a reinterpretation of memory.
#pragma once

#include "node/addon.h"
#include "node/arguments.h"

namespace selfcompress::node {

// `T` has `static constexpr napi_type_tag kTag` and `static constexpr const char* kClass`.
template <class T>
std::shared_ptr<T>* receiver(const Napi::Value& value) {
  bool matches = false;
  if (value.IsObject() && napi_check_object_type_tag(value.Env(), value, &T::kTag, &matches) == napi_ok && matches) {
    void* object = nullptr;
    if (napi_unwrap(value.Env(), value, &object) == napi_ok) return static_cast<std::shared_ptr<T>*>(object);
  }
  return nullptr;
}

template <class T>
std::shared_ptr<T> unwrap(const Napi::Value& value, const std::string& argument) {
  auto* object = receiver<T>(value);
  if (!object) throwType(value.Env(), std::string("a ") + T::kClass, argument, received(value));
  return *object;
}

// Bytes of native memory that the collector counts for an object of JavaScript; on the JavaScript thread.
class ExternalMemory {
 public:
  void set(napi_env env, std::int64_t bytes) {
    if (!live_ || bytes == bytes_) return;
    std::int64_t ignored;
    napi_adjust_external_memory(env, bytes - bytes_, &ignored);
    bytes_ = bytes;
  }
  void end(napi_env env) { set(env, 0), live_ = false; }

 private:
  std::int64_t bytes_ = 0;
  bool live_ = true;
};

// In a constructor: makes `this` the owner of `object`. `bytes` tells the collector what it is worth; what is returned
// may say so anew. An object that is collected ends on the stream's thread: giving back its memory takes time.
template <class T>
std::shared_ptr<ExternalMemory> wrap(const Napi::CallbackInfo& info, std::shared_ptr<T> object, std::int64_t bytes) {
  struct Owned {
    std::shared_ptr<T> object;  // first: `receiver` reads it through the same address
    std::shared_ptr<ExternalMemory> external = std::make_shared<ExternalMemory>();
  };
  napi_env env = info.Env();
  auto owned = std::make_unique<Owned>(Owned{std::move(object)});
  napi_finalize finalize = [](napi_env finalEnv, void* data, void*) {
    std::unique_ptr<Owned> dead(static_cast<Owned*>(data));
    dead->external->end(finalEnv);
    if (auto* addon = Napi::Env(finalEnv).GetInstanceData<AddonData>()) addon->stream.discard(std::move(dead->object));
  };
  if (napi_type_tag_object(env, info.This(), &T::kTag) != napi_ok ||
      napi_wrap(env, info.This(), owned.get(), finalize, nullptr, nullptr) != napi_ok)
    throwType(info.Env(), std::string("a new object for the constructor of ") + T::kClass, "this",
              received(info.This()));
  std::shared_ptr<ExternalMemory> external = owned.release()->external;
  external->set(env, bytes);
  return external;
}

struct ClassMethod {
  const char* name;
  napi_callback call;
};
template <Method method>
ClassMethod classMethod(const char* name) {
  return {name, callback<method>};
}

// Methods are plain functions of the prototype: the engine would refuse another receiver with words of its own before
// `unwrap` could.
template <class T, Method constructor>
void exportClass(Napi::Object exports, const std::vector<ClassMethod>& methods) {
  Napi::Env env = exports.Env();
  napi_value result;
  napi_callback construct = [](napi_env env, napi_callback_info raw) {
    return guarded(env, [&]() -> napi_value {
      Napi::CallbackInfo info(env, raw);
      if (!info.IsConstructCall()) throwType(env, "new", std::string("the call of ") + T::kClass, "a call without it");
      return constructor(info);
    });
  };
  if (napi_define_class(env, T::kClass, NAPI_AUTO_LENGTH, construct, nullptr, 0, nullptr, &result) != napi_ok)
    throw Napi::Error::New(env);
  Napi::Object prototype = Napi::Value(env, result).As<Napi::Object>().Get("prototype").As<Napi::Object>();
  for (const ClassMethod& method : methods) {
    napi_value function;
    if (napi_create_function(env, method.name, NAPI_AUTO_LENGTH, method.call, nullptr, &function) != napi_ok)
      throw Napi::Error::New(env);
    prototype.DefineProperty(
        Napi::PropertyDescriptor::Value(method.name, Napi::Value(env, function), napi_default_method));
  }
  exports.Set(T::kClass, Napi::Value(env, result));
}

inline void defineReadOnly(Napi::Object object, const char* name, Napi::Value value) {
  object.DefineProperty(Napi::PropertyDescriptor::Value(name, value, napi_enumerable));
}

// A property of a result, whatever setters the user's prototypes have.
inline void setOwn(Napi::Object object, const std::string& name, Napi::Value value) {
  object.DefineProperty(
      Napi::PropertyDescriptor::Value(Napi::String::New(object.Env(), name), value,
                                      napi_property_attributes(napi_writable | napi_enumerable | napi_configurable)));
}

}  // namespace selfcompress::node
