// The model of CUDA's execution catches what it is there to catch: each kernel here has one planted mistake, or none.
#include "test/support.h"
#if defined(SELFCOMPRESS_CUDA_HOST)
#include "cuda/kernels.h"
#include "cuda/ptx.h"
#include "cuda/runtime.h"
#include "test/support.h"

using namespace test;
using namespace selfcompress::cuda;

namespace {

// What went wrong when `kernel` ran on one block of `threads` threads, or "".
template <class... Parameters, class... Arguments>
std::string faultOf(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t sharedBytes,
                    const Arguments&... arguments) {
  Stream stream(StreamOptions{});
  try {
    launch(stream, "planted", kernel, grid, block, sharedBytes, arguments...);
    stream.synchronize();
  } catch (const host::KernelFault& fault) {
    return fault.what();
  }
  return "";
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Device memory for a test that wants no stream.
template <class T>
struct Device {
  explicit Device(std::vector<T> values) : count(values.size()) {
    data = static_cast<T*>(host::allocateDevice(count * sizeof(T), true));
    std::memcpy(data, values.data(), count * sizeof(T));
  }
  ~Device() { host::releaseDevice(data); }
  std::vector<T> values() const { return std::vector<T>(data, data + count); }
  T* data;
  std::size_t count;
};

// Reverses a block's numbers through shared memory.
template <bool kBarrier>
__global__ void reverseKernel(const float* in, float* out) {
  Shared<float> s = sharedArray<float>(0, int(blockDim.x));
  int t = int(threadIdx.x);
  s[t] = global(in)[t];
  if (kBarrier) __syncthreads();
  global(out)[t] = s[int(blockDim.x) - 1 - t];
}

// Sums neighbours in place: without the second barrier a thread may overwrite what its neighbour still has to read.
template <bool kBarrier>
__global__ void neighbourKernel(float* values) {
  Shared<float> s = sharedArray<float>(0, int(blockDim.x));
  int t = int(threadIdx.x);
  s[t] = global(values)[t];
  __syncthreads();
  float sum = s[t] + s[(t + 1) % int(blockDim.x)];
  if (kBarrier) __syncthreads();
  s[t] = sum;
  __syncthreads();
  global(values)[t] = s[t];
}

__global__ void readGlobalKernel(const float* in, float* out, int index) { global(out)[0] = global(in)[index]; }
__global__ void writeGlobalKernel(float* out, int index) { global(out)[index] = 1; }
__global__ void load4Kernel(const float* in, float* out, int index) { global(out)[0] = global(in).load4(index).x; }
__global__ void writeSharedKernel(int index) { sharedArray<float>(0, 8)[index] = 1; }
__global__ void beyondLaunchKernel() { sharedArray<float>(0, 64)[0] = 1; }
__global__ void unwrittenKernel(float* out) {
  Shared<float> s = sharedArray<float>(0, 2);
  s[0] = 1;
  global(out)[0] = s[0] + s[1];
}

__global__ void divergentKernel() {
  if (threadIdx.x < 32) __syncthreads();
  else __syncthreads();
}
__global__ void skippedBarrierKernel() {
  if (threadIdx.x != 5) __syncthreads();
}
__global__ void returnedLaneKernel(int* out) {
  if (threadIdx.x == 7) return;
  int sum = __shfl_xor_sync(0xffffffffu, 1, 1);
  if (threadIdx.x == 0) global(out)[0] = sum;
}
__global__ void foreignMaskKernel(int* out) {
  if (threadIdx.x < 16) {
    int value = __shfl_xor_sync(0xffffu, int(threadIdx.x), 1);
    global(out)[threadIdx.x] = value;
  } else {
    int value = __shfl_xor_sync(0xff00ff00u, int(threadIdx.x), 1);
    global(out)[threadIdx.x] = value;
  }
}

__global__ void atomicKernel(int* exact) { atomicAdd(global(exact).at(0), int(threadIdx.x)); }
__global__ void floatAtomicKernel(float* sum) { atomicAdd(global(sum).at(0), 0.1f * float(threadIdx.x)); }
__global__ void blocksKernel(float* out) { global(out)[0] = float(blockIdx.x); }
__global__ void neighbourBlockKernel(float* values) {
  if (threadIdx.x == 0) global(values)[blockIdx.x] = 1;
  __syncthreads();
  float other = global(values)[(blockIdx.x + 1) % gridDim.x];
  if (threadIdx.x == 1) global(values)[gridDim.x + blockIdx.x] = other;
}

// Two stages of 16-byte copies, as a convolution's loader does it. kPending: groups that the wait leaves under way.
template <int kPending, bool kBarrier>
__global__ void pipelineKernel(const float* in, float* out, int stages) {
  int t = int(threadIdx.x), perStage = int(blockDim.x) * 4;
  Shared<float> s = sharedArray<float>(0, 2 * perStage);
  auto load = [&](int stage) {
    if (stage < stages)
      cpAsync16(s.at(stage % 2 * perStage + 4 * t, 4), global(in).at(stage * perStage + 4 * t, 4), t % 3 != 2);
    cpAsyncCommit();
  };
  load(0);
  float sum = 0;
  for (int stage = 0; stage < stages; stage++) {
    load(stage + 1);
    cpAsyncWait<kPending>();
    __syncthreads();
    sum += s[stage % 2 * perStage + (4 * t + 4) % perStage];
    if (kBarrier) __syncthreads();
  }
  global(out)[t] = sum;
}

// C = A * B for 16x8 and 8x8 by one warp. kSwapped: fragments of A as a common misreading of the manual has them.
template <bool kSwapped>
__global__ void mmaKernel(const float* a, const float* b, float* c) {
  int lane = int(threadIdx.x), group = lane / 4, t = lane % 4;
  Global<const float> ga = global(a), gb = global(b);
  int second = kSwapped ? 2 : 1, third = kSwapped ? 1 : 2;
  std::uint32_t fa[4], fb[2];
  fa[0] = toTf32(ga[group * 8 + t]);
  fa[second] = toTf32(ga[(group + 8) * 8 + t]);
  fa[third] = toTf32(ga[group * 8 + t + 4]);
  fa[3] = toTf32(ga[(group + 8) * 8 + t + 4]);
  fb[0] = toTf32(gb[t * 8 + group]), fb[1] = toTf32(gb[(t + 4) * 8 + group]);
  float d[4] = {};
  mmaTf32(d, fa, fb);
  for (int i = 0; i < 4; i++) global(c)[(group + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
}
__global__ void mmaBf16Kernel(const float* a, const float* b, float* c) {  // 16x16 and 16x8
  int lane = int(threadIdx.x), group = lane / 4, t = lane % 4;
  Global<const float> ga = global(a), gb = global(b);
  std::uint32_t fa[4], fb[2];
  for (int i = 0; i < 4; i++) {
    int row = group + i % 2 * 8, column = 2 * t + i / 2 * 8;
    fa[i] = packBf16(ga[row * 16 + column], ga[row * 16 + column + 1]);
  }
  for (int i = 0; i < 2; i++) {
    int row = 2 * t + i * 8;
    fb[i] = packBf16(gb[row * 8 + group], gb[(row + 1) * 8 + group]);
  }
  float d[4] = {};
  mmaBf16(d, fa, fb);
  for (int i = 0; i < 4; i++) global(c)[(group + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
}
__global__ void halfWarpMmaKernel(float* out) {
  float d[4] = {};
  std::uint32_t a[4] = {}, b[2] = {};
  if (threadIdx.x < 16) mmaTf32(d, a, b);
  global(out)[threadIdx.x] = d[0];
}

template <int kWidth>
__global__ void shuffleKernel(int* out) {
  int t = int(threadIdx.x);
  int down = __shfl_down_sync(0xffffffffu, t, 3, kWidth);
  int from = __shfl_sync(0xffffffffu, t, 5, kWidth);
  unsigned odd = __ballot_sync(0xffffffffu, t % 2);
  int any = __any_sync(0xffffffffu, t == 40);
  int anywhere = __syncthreads_or(t == 40), nowhere = __syncthreads_or(t == 99);
  Global<int> g = global(out) + t * 6;
  g[0] = down, g[1] = from, g[2] = int(odd), g[3] = any, g[4] = anywhere, g[5] = nowhere;
}

std::vector<float> ramp(int count) {
  std::vector<float> values;
  for (int i = 0; i < count; i++) values.push_back(float(i + 1));
  return values;
}

// Runs `body` with several seeds; how often it returned true.
template <class Body>
int timesTrue(int runs, Body body) {
  host::Settings before = host::settings();
  int times = 0;
  for (int seed = 1; seed <= runs; seed++) {
    host::settings() = before;
    host::settings().seed = std::uint64_t(seed);
    host::settings().races = before.races;
    times += body();
  }
  host::settings() = before;
  return times;
}

}  // namespace

TEST_CASE("a missing barrier is a fault, and without the detector a changed result") {
  Device<float> in(ramp(128)), out(ramp(128));
  std::vector<float> expected = ramp(128);
  std::reverse(expected.begin(), expected.end());
  CHECK(faultOf(reverseKernel<true>, 1, 128, 512, in.data, out.data) == "");
  CHECK(out.values() == expected);
  std::string fault = faultOf(reverseKernel<false>, 1, 128, 512, in.data, out.data);
  CHECK((has(fault, "race") || has(fault, "nobody has written")));
  CHECK(has(fault, "planted, block (0,0,0), thread ("));

  std::vector<float> sums;
  for (int i = 0; i < 128; i++) sums.push_back(float(i + 1 + (i + 1) % 128 + 1));
  CHECK(timesTrue(10, [&] {
          Device<float> values(ramp(128));
          return faultOf(neighbourKernel<true>, 1, 128, 512, values.data) == "" && values.values() == sums;
        }) == 10);
  CHECK(timesTrue(10, [&] {
          Device<float> values(ramp(128));
          return has(faultOf(neighbourKernel<false>, 1, 128, 512, values.data), "race");
        }) == 10);
  int changed = timesTrue(10, [&] {
    host::settings().races = false;
    Device<float> values(ramp(128));
    return faultOf(neighbourKernel<false>, 1, 128, 512, values.data) == "" && values.values() != sums;
  });
  host::settings().races = true;
  CHECK(changed >= 8);
}

TEST_CASE("accesses outside of memory name the operation, the thread, the index and the size") {
  Device<float> in(ramp(8)), out(ramp(8));
  CHECK(faultOf(readGlobalKernel, 1, 1, 0, in.data, out.data, 7) == "");
  CHECK(faultOf(readGlobalKernel, 1, 1, 0, in.data, out.data, 8) ==
        "planted, block (0,0,0), thread (0,0,0): element 8 of global memory of 8 elements of 4 bytes");
  CHECK(
      has(faultOf(readGlobalKernel, 1, 1, 0, in.data + 2, out.data, -3), "element -3 from element 2 of global memory"));
  CHECK(has(faultOf(writeGlobalKernel, dim3(1, 2), dim3(1, 1, 2), 0, out.data, 1 << 30), "element 1073741824"));
  CHECK(has(faultOf(load4Kernel, 1, 1, 0, in.data, out.data, 5), "elements 5 to 8"));
  CHECK(has(faultOf(load4Kernel, 1, 1, 0, in.data, out.data, 2), "not at a multiple of 16 bytes"));
  CHECK(faultOf(writeSharedKernel, 1, 1, 32, 7) == "");
  CHECK(has(faultOf(writeSharedKernel, 1, 1, 32, 8), "element 8 of a shared array of 8 elements of 4 bytes"));
  CHECK(has(faultOf(beyondLaunchKernel, 1, 1, 128), "the launch asked for 128 bytes"));
  CHECK(has(faultOf(unwrittenKernel, 1, 1, 8, out.data), "reads shared memory that nobody has written"));
}

TEST_CASE("host memory and released memory are faults") {
  Device<float> out(ramp(8));
  std::vector<float> plain = ramp(8);
  CHECK_THROWS_AS(faultOf(readGlobalKernel, 1, 1, 0, plain.data(), out.data, 0), Error);  // seen at the launch
  auto* gone = static_cast<float*>(host::allocateDevice(64, true));
  host::releaseDevice(gone);
  CHECK(has(faultOf(readGlobalKernel, 1, 1, 0, gone, out.data, 0), "released"));
  CHECK_THROWS_AS(host::releaseDevice(gone), host::KernelFault);
  auto* guarded = static_cast<float*>(host::allocateDevice(64, true));
  guarded[16] = 1;
  CHECK_THROWS_AS(host::releaseDevice(guarded), host::KernelFault);
}

TEST_CASE("collective operations need all who take part") {
  Device<int> out(std::vector<int>(64 * 6));
  CHECK(has(faultOf(divergentKernel, 1, 64, 0), "while other threads wait at __syncthreads"));
  std::string skipped = faultOf(skippedBarrierKernel, 1, 64, 0);
  CHECK((has(skipped, "returned while") || has(skipped, "have returned")));
  std::string lane = faultOf(returnedLaneKernel, 1, 32, 0, out.data);
  CHECK((has(lane, "waits for a lane that has returned") || has(lane, "returned while lane")));
  CHECK(has(faultOf(foreignMaskKernel, 1, 32, 0, out.data), "mask"));
  Device<float> d(ramp(32));
  std::string half = faultOf(halfWarpMmaKernel, 1, 32, 0, d.data);
  CHECK(has(half, "mmaTf32"));
  CHECK(faultOf(shuffleKernel<16>, 1, 64, 0, out.data) == "");
  auto v = out.values();
  for (int t = 0; t < 64; t++) {
    int lane = t % 32, first = lane / 16 * 16, base = t - lane;
    CHECK(v[std::size_t(t) * 6] == (lane + 3 < first + 16 ? t + 3 : t));
    CHECK(v[std::size_t(t) * 6 + 1] == base + first + 5);
    CHECK(v[std::size_t(t) * 6 + 2] == int(0xaaaaaaaau));
    CHECK(v[std::size_t(t) * 6 + 3] == (t >= 32));
    CHECK(v[std::size_t(t) * 6 + 4] == 1);
    CHECK(v[std::size_t(t) * 6 + 5] == 0);
  }
}

TEST_CASE("atomic sums: whole numbers are fine, floating-point sums whose order may change are not") {
  Device<int> whole(std::vector<int>(1));
  CHECK(faultOf(atomicKernel, 3, 64, 0, whole.data) == "");
  CHECK(whole.values()[0] == 3 * 63 * 64 / 2);
  Device<float> real(std::vector<float>(1));
  CHECK(has(faultOf(floatAtomicKernel, 1, 2, 0, real.data), "by an order that may change"));
  CHECK(faultOf(floatAtomicKernel, 1, 1, 0, real.data) == "");
}

TEST_CASE("blocks of one launch may not touch the same word") {
  Device<float> out(ramp(8));
  CHECK(faultOf(blocksKernel, 1, 1, 0, out.data) == "");
  CHECK(has(faultOf(blocksKernel, 2, 1, 0, out.data), "race: writes a word of global memory that block number"));
  CHECK(has(faultOf(neighbourBlockKernel, 4, 2, 0, out.data), "race"));
}

TEST_CASE("asynchronous copies arrive when they are waited for") {
  int threads = 32, stages = 5;
  Device<float> in(ramp(threads * 4 * stages)), out(ramp(threads));
  CHECK(faultOf(pipelineKernel<1, true>, 1, threads, 2 * threads * 16, in.data, out.data, stages) == "");
  for (int t = 0; t < threads; t++) {
    float expected = 0;
    int from = (t + 1) % threads;
    if (from % 3 != 2)
      for (int s = 0; s < stages; s++) expected += float(s * threads * 4 + from * 4 + 1);
    CHECK(out.values()[std::size_t(t)] == expected);
  }
  // The wait that covers one stage less than is read.
  CHECK(
      has(faultOf(pipelineKernel<2, true>, 1, threads, 2 * threads * 16, in.data, out.data, stages), "not waited for"));
  // The next copy into a buffer that others still read.
  std::string early = faultOf(pipelineKernel<1, false>, 1, threads, 2 * threads * 16, in.data, out.data, stages);
  CHECK((has(early, "race") || has(early, "not waited for")));
}

TEST_CASE("fragments of tensor cores") {
  Random random(3);
  auto a = random.reals(16 * 16), b = random.reals(16 * 8);
  Device<float> da(a), db(b), dc(std::vector<float>(16 * 8));
  auto product = [&](int depth) {
    std::vector<float> c(16 * 8);
    for (int i = 0; i < 16; i++)
      for (int j = 0; j < 8; j++)
        for (int k = 0; k < depth; k++)
          c[std::size_t(i * 8 + j)] += a[std::size_t(i * depth + k)] * b[std::size_t(k * 8 + j)];
    return c;
  };
  CHECK(faultOf(mmaKernel<false>, 1, 32, 0, da.data, db.data, dc.data) == "");
  CHECK(difference(dc.values(), product(8)) < 2e-3);
  CHECK(difference(dc.values(), product(8)) > 1e-6);  // operands are rounded
  CHECK(faultOf(mmaKernel<true>, 1, 32, 0, da.data, db.data, dc.data) == "");
  CHECK(difference(dc.values(), product(8)) > 0.1);  // the wrong layout
  CHECK(faultOf(mmaBf16Kernel, 1, 32, 0, da.data, db.data, dc.data) == "");
  CHECK(difference(dc.values(), product(16)) < 2e-2);
  CHECK(toTf32(1.0f + 0x1p-11f) == std::bit_cast<std::uint32_t>(1.0f + 0x1p-10f));  // ties away
  CHECK(packBf16(1.0f + 0x1p-8f, 1.0f + 3 * 0x1p-8f) == 0x3f823f80u);               // ties to even
}
#endif
