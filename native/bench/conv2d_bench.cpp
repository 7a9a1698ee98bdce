// Speed of the three convolutions on given shapes: one JSON line a shape, GFLOP/s of the direct algorithm, median of
// runs. usage: conv2d_bench [threads] [batch]     the instruction set comes from SELFCOMPRESS_ISA
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "selfcompress/backend.h"

using namespace selfcompress;

namespace {

double medianMilliseconds(const std::function<void()>& run, double seconds) {
  using Clock = std::chrono::steady_clock;
  run();
  std::vector<double> times;
  auto start = Clock::now();
  while (times.size() < 3 || std::chrono::duration<double>(Clock::now() - start).count() < seconds) {
    auto t = Clock::now();
    run();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - t).count());
  }
  std::nth_element(times.begin(), times.begin() + std::ptrdiff_t(times.size() / 2), times.end());
  return times[times.size() / 2];
}

float* randomBuffer(Backend& backend, std::int64_t count) {
  auto* data = static_cast<float*>(backend.allocate(std::size_t(count) * sizeof(float)));
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < count; i++) {
    state = state * 1664525u + 1013904223u;
    data[i] = float(state >> 8) * 0x1p-23f - 1;
  }
  return data;
}

void bench(Backend& backend, int in, int out, int size, int kernel, int batch, int threads) {
  Conv2dGeometry g{
      in, out, size, size, kernel, kernel, 1, 1, kernel == 5 ? 0 : kernel / 2, kernel == 5 ? 0 : kernel / 2};
  float *x = randomBuffer(backend, laneElements(g.input(), batch)),
        *dx = randomBuffer(backend, laneElements(g.input(), batch)), *w = randomBuffer(backend, g.weights()),
        *dw = randomBuffer(backend, g.weights()), *y = randomBuffer(backend, laneElements(g.output(), batch));
  void* workspace = backend.allocate(backend.conv2dWorkspace(g, batch));
  double ms[3] = {medianMilliseconds(
                      [&] {
                        backend.run(Conv2dForward{g, batch, x, w, nullptr, false, {}, {}, nullptr, y, workspace});
                      },
                      0.4),
                  medianMilliseconds(
                      [&] {
                        backend.run(Conv2dGradInput{g, batch, y, w, {}, {}, nullptr, false, dx, workspace});
                      },
                      0.4),
                  medianMilliseconds(
                      [&] {
                        backend.run(Conv2dGradWeight{g, batch, x, y, {}, {}, dw, nullptr, workspace});
                      },
                      0.4)};
  double flop = 2.0 * batch * double(g.weights()) * g.output().pixels();
  std::printf(
      "{\"in\": %d, \"out\": %d, \"size\": %d, \"kernel\": %d, \"batch\": %d, \"threads\": %d, \"forwardMs\": %.3f, "
      "\"gradDataMs\": %.3f, \"gradWeightMs\": %.3f, \"forwardGFLOPs\": %.1f, \"gradDataGFLOPs\": %.1f, "
      "\"gradWeightGFLOPs\": %.1f}\n",
      in, out, size, kernel, batch, threads, ms[0], ms[1], ms[2], flop / ms[0] / 1e6, flop / ms[1] / 1e6,
      flop / ms[2] / 1e6);
  std::fflush(stdout);
  for (void* p : {static_cast<void*>(x), static_cast<void*>(dx), static_cast<void*>(w), static_cast<void*>(dw),
                  static_cast<void*>(y), workspace})
    backend.release(p);
}

}  // namespace

int main(int argc, char** argv) {
  int threads = argc > 1 ? std::atoi(argv[1]) : 2, batch = argc > 2 ? std::atoi(argv[2]) : 128;
  cpu::setThreads(threads);
  auto backend = cpu::makeBackend(cpu::chooseIsa());
  constexpr int shapes[][4] = {{3, 64, 32, 3},   {64, 64, 32, 3},  {64, 128, 32, 3}, {128, 128, 16, 3},
                               {256, 256, 8, 3}, {512, 512, 4, 3}, {64, 64, 32, 1},  {256, 256, 8, 1},
                               {1, 32, 28, 5},   {32, 32, 24, 5},  {64, 64, 8, 3}};
  for (auto& s : shapes) bench(*backend, s[0], s[1], s[2], s[3], batch, threads);
}
