#include "node/state.h"

#include <cstring>

#include "node/classes.h"

namespace selfcompress::node {

StateView readState(const Napi::Value& value, const std::string& path, TypedArrays& arrays) {
  const Fields fields = Fields::plain(value, path);
  StateView state;
  for (const std::string& name : fields.ownNames()) {
    const float* data = arrays.floats(fields, name, -1, TypedArrays::Access::kRead);
    state[name] = {data, arrays.lengthOf(name)};
  }
  return state;
}

namespace {

// Memory of the collector's from here on.
Napi::ArrayBuffer adopt(Napi::Env env, std::unique_ptr<std::vector<float>> block) {
  const std::size_t bytes = block->size() * sizeof(float);
  napi_value buffer;
  napi_finalize free = [](napi_env, void*, void* hint) { delete static_cast<std::vector<float>*>(hint); };
  if (bytes && napi_create_external_arraybuffer(env, block->data(), bytes, free, block.get(), &buffer) == napi_ok) {
    block.release();
    return Napi::ArrayBuffer(env, buffer);
  }
  // An engine that takes no memory of others.
  Napi::ArrayBuffer copy = Napi::ArrayBuffer::New(env, bytes);
  if (bytes) std::memcpy(copy.Data(), block->data(), bytes);
  return copy;
}

}  // namespace

Napi::Value toState(Napi::Env env, State&& state) {
  Napi::Object object = Napi::Object::New(env);
  for (auto& [name, values] : state) {
    const std::size_t count = values.size();
    Napi::ArrayBuffer memory = adopt(env, std::make_unique<std::vector<float>>(std::move(values)));
    setOwn(object, name, Napi::Float32Array::New(env, count, memory, 0));
  }
  return object;
}

}  // namespace selfcompress::node
