// One operation at a time, on request: scripts/bench/ asks it and a peer in turn, so that both are timed in the same
// minute. Reads lines of words from standard input, answers each with the seconds of one run on standard output.
//
//     threads N
//     precision fp32|bf16    of the convolutions that follow
//     conv forward|gradInput|gradWeight IN OUT SIZE KERNEL PADDING BATCH [LIVE_IN LIVE_OUT]
//     depthwise forward|gradInput|gradWeight CHANNELS SIZE KERNEL PADDING BATCH
//     quantize forward|backward CHANNELS PER_CHANNEL
//     copy FLOATS            seconds of reading and writing them once, by all threads, past the caches
//     peak                   seconds of 1e9 multiply-adds on each thread, in registers
//
// The instruction set comes from SELFCOMPRESS_ISA.
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

#include "cpu/kernels.h"
#include "cpu/threads.h"
#include "selfcompress/backend.h"

using namespace selfcompress;

namespace {

// Seconds of one run, of enough runs to take 60 ms.
double secondsOf(const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  run();
  auto start = Clock::now();
  for (int runs = 1;; runs++) {
    run();
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
    auto* data = static_cast<float*>(bytes(std::size_t(count) * sizeof(float)));
    std::uint32_t state = 1;
    for (std::int64_t i = 0; i < count; i++) {
      state = state * 1664525u + 1013904223u;
      data[i] = float(state >> 8) * 0x1p-23f - 1;
    }
    return data;
  }
  void* bytes(std::size_t count) {
    owned_.push_back(backend_.allocate(count));
    return owned_.back();
  }
  // The first `live` of every channel in even steps, as an operation wants them.
  ChannelList list(int channels, int live) {
    auto* index = static_cast<std::int32_t*>(bytes(std::size_t(channels) * sizeof(std::int32_t)));
    auto* count = static_cast<std::int32_t*>(bytes(sizeof(std::int32_t)));
    for (int i = 0; i < live; i++) index[i] = int(std::int64_t(i) * channels / live);
    *count = live;
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
    return secondsOf([&] { backend.run(a); });
  }
  if (which == "gradInput") {
    Conv2dGradInput a{g, batch, y, w, ins, outs, nullptr, false, x, workspace};
    return secondsOf([&] { backend.run(a); });
  }
  if (which != "gradWeight") throw std::runtime_error("conv: expected forward, gradInput or gradWeight");
  Conv2dGradWeight a{g, batch, x, y, ins, outs, w, nullptr, workspace};
  return secondsOf([&] { backend.run(a); });
}

double timeQuantize(Backend& backend, std::istream& words) {
  std::string which;
  int channels = 0, perChannel = 0;
  words >> which >> channels >> perChannel;
  if (!words) throw std::runtime_error("quantize: expected forward|backward CHANNELS PER_CHANNEL");
  Memory memory(backend);
  std::int64_t count = std::int64_t(channels) * perChannel;
  float *w = memory.random(count), *q = memory.random(count), *b = memory.random(channels),
        *e = memory.random(channels), *gradB = memory.random(channels), *gradE = memory.random(channels),
        *penalty = memory.random(channels);
  for (int c = 0; c < channels; c++) b[c] = 4, e[c] = -3;
  if (which == "forward") {
    QuantizeForward a{channels, perChannel, w, b, e, q};
    return secondsOf([&] { backend.run(a); });
  }
  float* gradW = memory.random(count);
  QuantizeBackward a{channels, perChannel, w, b, e, q, penalty, gradW, gradB, gradE};
  return secondsOf([&] { backend.run(a); });
}

// Copies 64 Ki floats, past the caches where the processor can.
void copyPart(const float* from, float* to, std::int64_t count) {
#if defined(__SSE2__)
  std::int64_t i = 0;
  for (; i + 4 <= count; i += 4) _mm_stream_ps(to + i, _mm_load_ps(from + i));
  for (; i < count; i++) to[i] = from[i];
  _mm_sfence();
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
  return secondsOf([&] {
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
  return secondsOf([&] {
    cpu::parallelFor(cpu::threads(), [&](std::int64_t t) {
      cpu::ConvTiles tiles;
      tiles.source = source, tiles.panel = panel, tiles.entries = entries.data(), tiles.entryCount = kEntries;
      tiles.positions = positions.data(), tiles.positionCount = kPositions, tiles.outs = kernels.tileOuts;
      tiles.outOffset = offsets, tiles.target = targets[std::size_t(t)];
      for (std::int64_t i = 0; i < calls; i++) kernels.convTiles(tiles);
    });
  });
}

}  // namespace

int main() {
  auto backend = cpu::makeBackend(cpu::chooseIsa());
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string work;
    words >> work;
    double seconds = 0;
    try {
      if (work == "precision") {
        std::string name;
        words >> name;
        backend = cpu::makeBackend(cpu::chooseIsa(), name == "bf16" ? Precision::kBfloat16 : Precision::kFloat32);
      } else if (work == "threads") {
        int count = 1;
        words >> count;
        cpu::setThreads(count);
      } else if (work == "conv" || work == "depthwise") seconds = timeConv(*backend, words, work == "depthwise");
      else if (work == "quantize") seconds = timeQuantize(*backend, words);
      else if (work == "copy") seconds = timeCopy(*backend, words);
      else if (work == "peak") seconds = timePeak(*backend);
      else throw std::runtime_error("unknown work: " + work);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      return 1;
    }
    std::printf("%.9f\n", seconds);
    std::fflush(stdout);
  }
  return 0;
}
