#include "node/device.h"

#include "cuda/loader.h"

namespace selfcompress::node {
namespace {

constexpr double kMostMemory = 1e15;

// "cuda:12" -> 12; -1 for anything else.
int indexOf(const std::string& text) {
  constexpr const char* prefix = "cuda:";
  if (text.rfind(prefix, 0) != 0 || text.size() < 6 || text.size() > 8) return -1;
  int index = 0;
  for (char c : text.substr(5)) {
    if (c < '0' || c > '9') return -1;
    index = 10 * index + (c - '0');
  }
  return index;
}

std::unique_ptr<Backend> makeCpuBackend(Napi::Env env, const DeviceOptions& options, const std::string& path) {
  if (options.precision == Precision::kTf32)
    throwRange(env, "a precision of the CPU (\"tf32\" is of CUDA's tensor cores)", path + ".precision", "\"tf32\"");
  return cpu::makeBackend(cpu::chooseIsa(), options.precision);
}

}  // namespace

DeviceOptions readDevice(const Napi::Value& value, const std::string& path) {
  Fields f(value, path);
  DeviceOptions options;
  if (f.has("device")) {
    Napi::Value device = f.get("device");
    std::string text = device.IsString() ? device.As<Napi::String>().Utf8Value() : "";
    options.text = text;
    options.index = indexOf(text);
    if (options.index >= 0 || text == "cuda") options.kind = DeviceOptions::Kind::kCuda;
    else if (text == "cpu") options.kind = DeviceOptions::Kind::kCpu;
    else if (text != "auto")
      throwType(f.env(), "one of \"auto\", \"cpu\", \"cuda\", \"cuda:0\", \"cuda:1\", ...", f.path("device"),
                received(device));
  }
  constexpr Precision precisions[] = {Precision::kFloat32, Precision::kTf32, Precision::kBfloat16};
  options.precision = precisions[f.choice("precision", {"fp32", "tf32", "bf16"}, 0)];
  options.memoryLimit = std::size_t(f.number("memoryLimit", 0, kMostMemory, 0));
  return options;
}

std::unique_ptr<Backend> makeBackend(Napi::Env env, const DeviceOptions& options, const std::string& path) {
  if (options.kind == DeviceOptions::Kind::kCpu) return makeCpuBackend(env, options, path);
  cuda::Availability cuda = cuda::availability();
  if (!cuda.available()) {
    if (options.kind == DeviceOptions::Kind::kAuto) return makeCpuBackend(env, options, path);
    throw makeError<Napi::Error>(
        env, kDeviceError,
        "Expected an available device for " + path + ".device but received \"" + options.text + "\": " + cuda.reason);
  }
  if (options.index >= int(cuda.devices.size()))
    throwRange(env, "\"cuda:0\" to \"cuda:" + std::to_string(cuda.devices.size() - 1) + "\"", path + ".device",
               "\"" + options.text + "\"");
  return cuda::loadBackend({options.index, options.memoryLimit, options.precision});
}

Napi::Object cudaInfo(Napi::Env env) {
  cuda::Availability cuda = cuda::availability();
  Napi::Object result = Napi::Object::New(env);
  Napi::Array devices = Napi::Array::New(env);
  for (const cuda::LoadedDevice& d : cuda.devices) {
    Napi::Object device = Napi::Object::New(env);
    device.Set("name", d.name);
    device.Set("computeCapability",
               std::to_string(d.computeCapability / 10) + "." + std::to_string(d.computeCapability % 10));
    device.Set("memoryBytes", double(d.memoryBytes));
    devices.Set(devices.Length(), device);
  }
  result.Set("available", cuda.available());
  result.Set("reason", cuda.reason);
  result.Set("missing", cuda.missing.empty() ? env.Null() : Napi::Value(Napi::String::New(env, cuda.missing)));
  result.Set("library", cuda.library);
  result.Set("devices", devices);
  return result;
}

}  // namespace selfcompress::node
