// libFuzzer: any bytes as a model file. The magic, the version and the checksum are set right, so that what lies behind
// them is reached. The first byte chooses: 0 to 2 take the rest as edits (place, new byte) of one of three sample
// files, 3 takes it as the file.
//   cmake -S . -B build/fuzz -DSELFCOMPRESS_FUZZ=ON -DCMAKE_CXX_COMPILER=clang++ && cmake --build build/fuzz --target
//   model_fuzz build/fuzz/model_fuzz -max_total_time=600 -max_len=2048
#include "test/model_support.h"

using namespace model_test;

namespace {

Bytes fileOf(const std::uint8_t* data, std::size_t size) {
  static const Bytes samples[] = {sampleFile(kSampleWays[0]), sampleFile(kSampleWays[1]), sampleFile(kSampleWays[2])};
  const std::size_t which = data[0] & 3;
  Bytes file;
  if (which < 3) {
    file = samples[which];
    for (std::size_t i = 1; i + 3 <= size; i += 3)
      file[std::size_t(data[i] | data[i + 1] << 8) % file.size()] = data[i + 2];
  } else {
    file.assign(data + 1, data + size);
    file.resize(std::max(file.size(), kHeaderBytes));
  }
  std::copy(kMagic, kMagic + sizeof(kMagic), file.begin());
  selfcompress::storeLittle(file.data() + sizeof(kMagic), kVersion);
  fixChecksum(file);
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Limits limits;
  limits.weights = 1 << 16;
  const Bytes file = fileOf(data, size);
  try {
    if (!isStable(file, limits)) std::abort();
  } catch (const ModelFileError&) {
  }
  return 0;
}
