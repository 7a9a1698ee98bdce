// libFuzzer: any bytes as a model file that the engine runs: floats, integers by every instruction set (which have to
// agree to the bit), and one token after another. The first byte chooses: below 12, a file of the repository whose head
// is not coded, with the rest as edits (place, new byte); else the rest is the file behind its header, checksum set
// right.
//   cmake -S . -B build/fuzz -DSELFCOMPRESS_FUZZ=ON -DCMAKE_CXX_COMPILER=clang++ && cmake --build build/fuzz --target
//   engine_fuzz && build/fuzz/engine_fuzz -runs=1000000 -max_len=2048
#include <fstream>
#include <iterator>

#include "engine/decoder.h"
#include "engine/integer/model.h"
#include "test/model_support.h"

using namespace model_test;
using namespace selfcompress;

namespace {

constexpr std::int64_t kMostNumbers = 1 << 16;  // of an input or output that is run

// test/vectors: convolutions of every form, norms, functions, pools, with ranges.
std::vector<Bytes> readSamples() {
  std::vector<Bytes> samples;
  for (const char* name : {"test/vectors/image.scnn", "test/vectors/rich.scnn", "docs/digits.scnn"}) {
    std::ifstream file(std::string(SELFCOMPRESS_SOURCE) + "/" + name, std::ios::binary);
    const Bytes bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const ModelReader reader(bytes);
    WriteOptions options = reader.options();
    options.codeHead = false;
    samples.push_back(rewritten(reader, options));
  }
  return samples;
}

Bytes fileOf(const std::uint8_t* data, std::size_t size) {
  static const std::vector<Bytes> samples = readSamples();
  Bytes file;
  if (data[0] < 12) {
    file = samples[data[0] % samples.size()];
    for (std::size_t i = 1; i + 3 <= size; i += 3)
      file[std::size_t(data[i] | data[i + 1] << 8) % file.size()] = data[i + 2];
  } else {
    file.assign(kHeaderBytes, 0);
    file.insert(file.end(), data + 1, data + size);
  }
  std::copy(kMagic, kMagic + sizeof(kMagic), file.begin());
  storeLittle(file.data() + sizeof(kMagic), kVersion);
  fixChecksum(file);
  return file;
}

std::vector<float> numbers(std::int64_t count) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; i++) values.push_back(float(i % 23 - 11) / 7);
  return values;
}

template <class Run>
void attempt(Run run) {
  try {
    run();
  } catch (const ModelFileError&) {
  } catch (const std::out_of_range&) {  // tokens
  }
}

void runFloats(const Bytes& file, const engine::Options& options) {
  const engine::Model model(file, options);
  const std::int64_t in = model.input().elements(), out = model.output().elements();
  if (std::max(in, out) > kMostNumbers) return;
  std::vector<float> images = numbers(3 * in), result(std::size_t(3 * out));
  if (model.vocabulary()) std::fill(images.begin(), images.end(), 0.0f);
  model.predict(images.data(), 3, result.data());
}

void runIntegers(const Bytes& file, const engine::Options& options) {
  std::vector<std::uint8_t> expected;
  for (const engine::integer::CodeKernels* kernels : engine::integer::supportedCodeKernels()) {
    const engine::integer::Model model(file, options.limits, kernels);
    const std::int64_t in = model.program().input.elements(), out = model.program().output.elements();
    if (std::max({in, out, model.activationBytes()}) > 16 * kMostNumbers) return;
    std::vector<std::uint8_t> input, output(static_cast<std::size_t>(out));
    for (std::int64_t i = 0; i < in; i++) input.push_back(std::uint8_t(37 * i + 5));
    model.run(input.data(), output.data());
    if (!kernels) expected = output;
    else if (output != expected) std::abort();
  }
}

void runDecoder(const Bytes& file, const engine::Options& options) {
  engine::Decoder decoder(file, options);
  if (decoder.outputs() > kMostNumbers) return;
  std::vector<float> result(static_cast<std::size_t>(decoder.outputs()));
  const std::int32_t token = 0;
  for (int i = 0; i < 3; i++) decoder.next(&token, 1, result.data());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  engine::Options options;
  options.limits.weights = 1 << 14;
  options.activationBytes = 1 << 22;
  const Bytes file = fileOf(data, size);
  attempt([&] { runFloats(file, options); });
  attempt([&] { runIntegers(file, options); });
  attempt([&] { runDecoder(file, options); });
  return 0;
}
