// Entry point of the addon, and what it says of itself and of the machine.
#include "node/addon.h"

#include "node/arguments.h"
#include "node/device.h"

namespace selfcompress::node {
namespace {

const char* compilerName() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#elif defined(_MSC_VER)
  return "msvc";
#else
  return "unknown";
#endif
}

Napi::Value info(const Napi::CallbackInfo& call) {
  Napi::Env env = call.Env();
  Napi::Object result = Napi::Object::New(env);
  Napi::Array isas = Napi::Array::New(env);
  for (cpu::Isa isa : {cpu::Isa::kScalar, cpu::Isa::kAvx2, cpu::Isa::kAvx512, cpu::Isa::kNeon})
    if (cpu::isaSupported(isa)) isas.Set(isas.Length(), cpu::isaName(isa));
  result.Set("version", SELFCOMPRESS_VERSION);
  result.Set("isa", cpu::isaName(cpu::chooseIsa()));
  result.Set("isas", isas);
  result.Set("bf16", cpu::bf16IsNative(cpu::chooseIsa()) ? "native" : "emulated");
  result.Set("threads", cpu::threads());
  result.Set("cuda", cudaInfo(env));
  result.Set("compiler", compilerName());
  result.Set("napi", NAPI_VERSION);
  return result;
}

Napi::Value setThreads(const Napi::CallbackInfo& call) {
  cpu::setThreads(integerFrom(call[0], "count", 1, 1024));
  return call.Env().Undefined();
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  guarded(env, [&]() -> napi_value {
    env.SetInstanceData(new AddonData(env));
    exportInfo(exports);
    exportDataSet(exports);
    exportNetwork(exports);
    exportModelFile(exports);
    exportEngine(exports);
    exportDecoder(exports);
    exportCSource(exports);
    exportSqueeze(exports);
    exportRawQuantize(exports);
    exportRawConv2d(exports);
    exportRawImages(exports);
    exportRawMatmul(exports);
    exportRawElements(exports);
    exportRawTraining(exports);
    return nullptr;
  });
  return exports;
}

}  // namespace

void exportInfo(Napi::Object exports) {
  exportFunction<info>(exports, "info");
  exportFunction<setThreads>(exports, "setThreads");
}

NODE_API_MODULE(selfcompress, init)

}  // namespace selfcompress::node
