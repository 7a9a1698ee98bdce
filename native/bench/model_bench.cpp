// Speed and size of the codecs of the model file, on one thread.
//   model_bench            drawn tensors
//   model_bench FILE...    tensors of files: int32 channels, inputs, places, then the codes as int32
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <map>
#include <random>

#include "model/codec.h"

using namespace selfcompress::model;

namespace {

struct Sample {
  std::string name;
  RowShape shape;
  std::vector<std::int32_t> codes;
};

// Of a Laplace distribution of this mean magnitude, rounded; inputs are dead with a probability, codes kept with
// another.
Sample drawn(const std::string& name, RowShape shape, double spread, double dead = 0, double kept = 1) {
  std::mt19937_64 engine(7);
  const auto real = [&] { return double(engine() >> 11) * 0x1p-53; };
  Sample sample{name, shape, {}};
  std::vector<bool> off(std::size_t(shape.inputs));
  for (std::size_t j = 0; j < off.size(); j++) off[j] = real() < dead;
  for (std::int64_t i = 0; i < shape.elements(); i++) {
    const auto magnitude = std::int32_t(std::lround(-std::log(1 - real()) * spread));
    const bool zero = off[std::size_t(i / shape.places % shape.inputs)] || real() >= kept;
    sample.codes.push_back(zero ? 0 : real() < 0.5 ? magnitude : -magnitude);
  }
  return sample;
}

Sample uniform(RowShape shape, int depth) {
  std::mt19937_64 engine(7);
  Sample sample{"uniform, " + std::to_string(depth) + " bits", shape, {}};
  for (std::int64_t i = 0; i < shape.elements(); i++)
    sample.codes.push_back(std::int32_t(engine() >> (64 - depth)) - (1 << (depth - 1)));
  return sample;
}

Sample read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::int32_t axes[3] = {};
  file.read(reinterpret_cast<char*>(axes), sizeof(axes));
  Sample sample{path, {axes[0], axes[1], axes[2]}, {}};
  sample.codes.resize(std::size_t(sample.shape.elements()));
  file.read(reinterpret_cast<char*>(sample.codes.data()), std::streamsize(sample.codes.size() * 4));
  return sample;
}

double entropyBytes(const std::vector<std::int32_t>& codes) {
  std::map<std::int32_t, double> counts;
  for (const auto code : codes) counts[code]++;
  double bits = 0;
  for (const auto& [code, n] : counts) bits -= n * std::log2(n / double(codes.size()));
  return bits / 8;
}

// Fastest of a few runs, in seconds of processor time, so that other programs of the machine take little part in it.
template <class Run>
double seconds(Run run) {
  double best = 1e9, total = 0;
  for (int i = 0; i < 3 || (total < 0.2 && i < 50); i++) {
    const std::clock_t start = std::clock();
    run();
    const double taken = double(std::clock() - start) / CLOCKS_PER_SEC;
    best = std::min(best, taken);
    total += taken;
  }
  return best;
}

void measure(const Sample& sample) {
  const std::vector<float> exponents(std::size_t(sample.shape.channels), -4);
  const double entropy = entropyBytes(sample.codes), millions = double(sample.codes.size()) / 1e6;
  for (const Codec* codec : codecs()) {
    if (codec->content == Content::kFloats) continue;
    const TensorView view{sample.shape, sample.codes.data(), exponents.data(), 1, 0, nullptr};
    Bytes bytes;
    const double encode = seconds([&] { bytes = codec->encode(view); });
    std::vector<std::int32_t> codes(sample.codes.size());
    std::vector<float> back(exponents.size());
    TensorTarget target{sample.shape, codes.data(), back.data(), 1, 0, nullptr};
    const double decode = seconds([&] { codec->decode(bytes, target); });
    if (codes != sample.codes) std::printf("WRONG ");
    std::printf("%-28s %-8s %9zu codes %10.0f entropy %9zu bytes %7.4f  encode %7.1f decode %7.1f M/s\n",
                sample.name.c_str(), codec->name, sample.codes.size(), entropy, bytes.size(),
                double(bytes.size()) / entropy, millions / encode, millions / decode);
  }
}

}  // namespace

int main(int count, char** paths) {
  for (int i = 1; i < count; i++) measure(read(paths[i]));
  if (count > 1) return 0;
  const RowShape convolution{128, 128, 9}, linear{512, 784, 1};
  for (const int depth : {2, 4, 8}) measure(uniform(convolution, depth));
  for (const double spread : {0.3, 1.0, 5.0, 40.0})
    measure(drawn("Laplace " + std::to_string(spread).substr(0, 4), convolution, spread));
  measure(drawn("1 % kept", linear, 1, 0, 0.01));
  measure(drawn("60 % of the inputs dead", linear, 0.4, 0.6));
  measure(drawn("LeNet: 16x6x5x5", {16, 6, 25}, 0.3));
}
