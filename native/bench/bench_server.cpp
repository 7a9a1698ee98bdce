// One operation at a time, on request: scripts/bench/ asks it and a peer in turn, so that both are timed in the same
// minute. Reads lines of words from standard input, answers each with the seconds of one run on standard output.
//
//     threads N
//     conv forward|gradInput|gradWeight IN OUT SIZE KERNEL PADDING BATCH [LIVE_IN LIVE_OUT]
//     depthwise forward|gradInput|gradWeight CHANNELS SIZE KERNEL PADDING BATCH
//     quantize forward|backward CHANNELS PER_CHANNEL
//     layer NAME CHANNELS POSITIONS BATCH    an operation of bench/layers.h
//     attention forward|backward HEADS HEAD_SIZE POSITIONS BATCH
//     copy FLOATS            seconds of reading and writing them once, by all threads, past the caches
//     peak                   seconds of 1e9 multiply-adds on each thread, in registers
//
//     bench_server [cpu fp32|bf16]     the processor; the instruction set comes from SELFCOMPRESS_ISA
//     bench_server cuda fp32|tf32|bf16 the first CUDA device: conv, quantize and layer
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "bench/layers.h"
#include "cpu/kernels.h"
#include "cpu/threads.h"
#include "cuda/loader.h"
#include "selfcompress/backend.h"

using namespace selfcompress;

namespace {

// Seconds of one run, of enough runs to take 60 ms. A device gets several at a time, and is waited for after them.
double secondsOf(Backend& backend, const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  const int atOnce = backend.readsHostMemory() ? 1 : 20;
  run();
  backend.synchronize();
  auto start = Clock::now();
  for (int runs = atOnce;; runs += atOnce) {
    for (int i = 0; i < atOnce; i++) run();
    backend.synchronize();
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (seconds > 0.06) return seconds / runs;
  }
}

class Memory {
 public:
  explicit Memory(Backend& backend) : backend_(backend) {}
  ~Memory() {
    for (void* p : owned_) backend_.release(p);
  }
  float* random(std::int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    std::uint32_t state = 1;
    for (float& value : values) {
      state = state * 1664525u + 1013904223u;
      value = float(state >> 8) * 0x1p-23f - 1;
    }
    return copy(values);
  }
  template <class T>
  T* copy(const std::vector<T>& values) {
    auto* data = static_cast<T*>(bytes(values.size() * sizeof(T)));
    backend_.upload(data, values.data(), values.size() * sizeof(T));
    return data;
  }
  void* bytes(std::size_t count) {
    owned_.push_back(backend_.allocate(count));
    return owned_.back();
  }
  // The first `live` of every channel in even steps, as an operation wants them.
  ChannelList list(int channels, int live) {
    std::vector<std::int32_t> list(static_cast<std::size_t>(channels));
    for (int i = 0; i < live; i++) list[std::size_t(i)] = int(std::int64_t(i) * channels / live);
    std::int32_t *index = copy(list), *count = copy(std::vector<std::int32_t>{live});
    return {index, count};
  }

 private:
  Backend& backend_;
  std::vector<void*> owned_;
};

double timeConv(Backend& backend, std::istream& words, bool depthwise) {
  std::string which;
  int in, out, size, kernel, padding, batch;
  words >> which >> in;
  if (depthwise) out = in;
  else words >> out;
  words >> size >> kernel >> padding >> batch;
  if (!words) throw std::runtime_error("expected PASS IN OUT SIZE KERNEL PADDING BATCH, or one number of channels");
  int liveIn = in, liveOut = out;
  words >> liveIn >> liveOut;
  Conv2dGeometry g;
  g.inChannels = in, g.outChannels = out, g.height = g.width = size;
  g.kernelHeight = g.kernelWidth = kernel, g.padH = g.padW = padding;
  if (depthwise) g.groups = in;
  Memory memory(backend);
  float *x = memory.random(laneElements(g.input(), batch)), *y = memory.random(laneElements(g.output(), batch)),
        *w = memory.random(g.weights());
  void* workspace = memory.bytes(backend.conv2dWorkspace(g, batch));
  ChannelList ins, outs;
  if (liveIn < in || liveOut < out) ins = memory.list(in, liveIn), outs = memory.list(out, liveOut);
  if (which == "forward") {
    Conv2dForward a{g, batch, x, w, nullptr, false, ins, outs, nullptr, y, workspace};
    return secondsOf(backend, [&] { backend.run(a); });
  }
  if (which == "gradInput") {
    Conv2dGradInput a{g, batch, y, w, ins, outs, nullptr, false, x, workspace};
    return secondsOf(backend, [&] { backend.run(a); });
  }
  if (which != "gradWeight") throw std::runtime_error("conv: expected forward, gradInput or gradWeight");
  Conv2dGradWeight a{g, batch, x, y, ins, outs, w, nullptr, workspace};
  return secondsOf(backend, [&] { backend.run(a); });
}

double timeQuantize(Backend& backend, std::istream& words) {
  std::string which;
  int channels = 0, perChannel = 0;
  words >> which >> channels >> perChannel;
  if (!words) throw std::runtime_error("quantize: expected forward|backward CHANNELS PER_CHANNEL");
  Memory memory(backend);
  std::int64_t count = std::int64_t(channels) * perChannel;
  float *w = memory.random(count), *q = memory.random(count),
        *b = memory.copy(std::vector<float>(std::size_t(channels), 4.0f)),
        *e = memory.copy(std::vector<float>(std::size_t(channels), -3.0f)), *gradB = memory.random(channels),
        *gradE = memory.random(channels), *penalty = memory.random(channels);
  if (which == "forward") {
    QuantizeForward a{channels, perChannel, w, b, e, q};
    return secondsOf(backend, [&] { backend.run(a); });
  }
  float* gradW = memory.random(count);
  QuantizeBackward a{channels, perChannel, w, b, e, q, penalty, gradW, gradB, gradE};
  return secondsOf(backend, [&] { backend.run(a); });
}

double timeAttention(Backend& backend, std::istream& words) {
  std::string which;
  int heads = 0, size = 0, positions = 0, batch = 0;
  words >> which >> heads >> size >> positions >> batch;
  if (!words) throw std::runtime_error("attention: expected forward|backward HEADS HEAD_SIZE POSITIONS BATCH");
  const int channels = heads * size;
  AttentionGeometry g{channels, channels, channels, channels, positions, positions, 0.1f, false};
  Memory memory(backend);
  std::vector<std::int32_t> first;
  for (int h = 0; h < heads; h++) first.push_back(h * size);
  std::int32_t *start = memory.copy(first), *sizes = memory.copy(std::vector<std::int32_t>(std::size_t(heads), size));
  AttentionHeads all{heads, heads, start, start, start, sizes, start, sizes};
  const std::int64_t count = laneElements(g.query(), batch);
  float *q = memory.random(count), *k = memory.random(count), *v = memory.random(count), *y = memory.random(count);
  if (which == "forward") {
    AttentionForward a{g, all, batch, q, k, v, {}, y};
    return secondsOf(backend, [&] { backend.run(a); });
  }
  if (which != "backward") throw std::runtime_error("attention: expected forward or backward");
  float *dq = memory.random(count), *dk = memory.random(count), *dv = memory.random(count);
  AttentionBackward a{g, all, batch, q, k, v, y, {}, dq, dk, dv};
  return secondsOf(backend, [&] { backend.run(a); });
}

// Copies 64 Ki floats, past the caches where the processor can.
void copyPart(const float* from, float* to, std::int64_t count) {
#if defined(__SSE2__)
  std::int64_t i = 0;
  for (; i + 4 <= count; i += 4) _mm_stream_ps(to + i, _mm_load_ps(from + i));
  for (; i < count; i++) to[i] = from[i];
#else
  std::memcpy(to, from, std::size_t(count) * sizeof(float));
#endif
}

double timeCopy(Backend& backend, std::istream& words) {
  std::int64_t count = 0;
  words >> count;
  Memory memory(backend);
  float *from = memory.random(count), *to = memory.random(count);
  constexpr std::int64_t kPart = 1 << 16;
  return secondsOf(backend, [&] {
    cpu::parallelFor((count + kPart - 1) / kPart, [&](std::int64_t i) {
      copyPart(from + i * kPart, to + i * kPart, std::min(kPart, count - i * kPart));
    });
  });
}

// The convolution's register tile on operands that stay in the first-level cache: no better can be had from it.
double timePeak(Backend& backend) {
  const cpu::Kernels& kernels = cpu::kernelsOf(cpu::chooseIsa());
  Memory memory(backend);
  constexpr int kEntries = 100, kPositions = 6;
  float *source = memory.random(kEntries * kPositions * kLanes), *panel = memory.random(kEntries * kernels.tileOuts);
  std::vector<float*> targets;
  for (int t = 0; t < cpu::threads(); t++) targets.push_back(memory.random(kernels.tileOuts * kPositions * kLanes));
  std::vector<cpu::ConvEntry> entries;
  std::vector<cpu::ConvPosition> positions;
  std::int64_t offsets[16];
  for (int i = 0; i < kEntries; i++) entries.push_back({i * kPositions * kLanes, i});
  for (int i = 0; i < kPositions; i++) positions.push_back({i * kLanes, i * kLanes});
  for (int o = 0; o < 16; o++) offsets[o] = o * kPositions * kLanes;
  double perCall = double(kEntries) * kPositions * kLanes * kernels.tileOuts;
  auto calls = std::int64_t(1e9 / perCall);
  return secondsOf(backend, [&] {
    cpu::parallelFor(cpu::threads(), [&](std::int64_t t) {
      cpu::ConvTiles tiles;
      tiles.source = source, tiles.panel = panel, tiles.entries = entries.data(), tiles.entryCount = kEntries;
      tiles.positions = positions.data(), tiles.positionCount = kPositions, tiles.outs = kernels.tileOuts;
      tiles.outOffset = offsets, tiles.target = targets[std::size_t(t)];
      for (std::int64_t i = 0; i < calls; i++) kernels.convTiles(tiles);
    });
  });
}

double timeLayer(Backend& backend, std::istream& words) {
  std::string name;
  int channels = 0, positions = 0, batch = 0;
  words >> name >> channels >> positions >> batch;
  if (!words) throw std::runtime_error("layer: expected NAME CHANNELS POSITIONS BATCH");
  Memory memory(backend);
  return secondsOf(backend, bench::layerRun(backend, memory, name, channels, positions, batch));
}

std::unique_ptr<Backend> backendOf(int count, char** words) {
  if (count == 1) return cpu::makeBackend(cpu::chooseIsa());
  const std::string device = count == 3 ? words[1] : "", precision = count == 3 ? words[2] : "";
  for (Precision p : {Precision::kFloat32, Precision::kTf32, Precision::kBfloat16}) {
    if (precision != precisionName(p)) continue;
    if (device == "cpu") return cpu::makeBackend(cpu::chooseIsa(), p);
    if (device == "cuda") return cuda::loadBackend({-1, 0, p});
  }
  throw std::runtime_error("expected nothing, cpu fp32|bf16, or cuda fp32|tf32|bf16");
}

// The seconds of what a line asks for.
double answer(Backend& backend, const std::string& line) {
  std::istringstream words(line);
  std::string work;
  words >> work;
  if (!backend.readsHostMemory() && work != "conv" && work != "quantize" && work != "layer")
    throw std::runtime_error(work + ": only on the processor");
  if (work == "conv" || work == "depthwise") return timeConv(backend, words, work == "depthwise");
  if (work == "quantize") return timeQuantize(backend, words);
  if (work == "layer") return timeLayer(backend, words);
  if (work == "attention") return timeAttention(backend, words);
  if (work == "copy") return timeCopy(backend, words);
  if (work == "peak") return timePeak(backend);
  if (work != "threads") throw std::runtime_error("unknown work: " + work);
  int count = 1;
  words >> count;
  cpu::setThreads(count);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  try {
    auto backend = backendOf(count, words);
    for (std::string line; std::getline(std::cin, line);) {
      std::printf("%.9f\n", answer(*backend, line));
      std::fflush(stdout);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
