// The claim of the convolutions' comments that shared memory is used without bank conflicts, checked on the model of a
// device: what each thread touches, 16 bytes at a time, put together again into the accesses of a quarter of a warp,
// which is what the hardware serves at once. A bank may be met by several threads at one address, not at two.
#include "test/conv2d_cases.h"

#if defined(SELFCOMPRESS_CUDA_HOST)
#include <map>
#include <set>

using namespace test;

namespace {

struct ThreadOfBlock {
  unsigned x, y, z, thread;
  auto operator<=>(const ThreadOfBlock&) const = default;
};
std::map<ThreadOfBlock, std::vector<std::size_t>> trace;  // offsets of the 16-byte accesses, in order

void note(std::size_t offset, std::size_t bytes) {
  if (bytes == 16) trace[{blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x}].push_back(offset);
}

struct Count {
  long accesses = 0, conflicts = 0;  // of quarters of warps
  bool aligned = true;               // every thread of a quarter makes equally many
};
Count countTrace() {
  Count count;
  for (const auto& [who, first] : trace) {
    if (who.thread % 8 != 0) continue;
    for (std::size_t i = 0; i < first.size(); i++) {
      std::map<std::size_t, std::set<std::size_t>> byBanks;  // the four banks of 16 bytes -> addresses
      for (unsigned lane = 0; lane < 8; lane++) {
        const std::vector<std::size_t>& own = trace[{who.x, who.y, who.z, who.thread + lane}];
        count.aligned = count.aligned && own.size() == first.size();
        if (i < own.size()) byBanks[own[i] / 16 % 8].insert(own[i]);
      }
      count.accesses++;
      for (const auto& [banks, addresses] : byBanks) count.conflicts += long(addresses.size()) - 1;
    }
  }
  return count;
}

// Launches of one operation follow each other in the trace of a block, so the trace is cut where there is only one
// kernel that uses shared memory by 16 bytes: in each of the three operations.
Count countOf(Backend& backend, const Case& c, Which which) {
  trace.clear();
  cuda::host::sharedTrace = note;
  runCase(backend, c, which);
  cuda::host::sharedTrace = nullptr;
  return countTrace();
}

Case denseCase(int channels) {
  Case c = makeCase(5);
  Random random(9);
  c.geometry = {channels, channels, 3, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1};
  c.batch = 20;
  drawValues(random, c);
  c.lists = false;
  return c;
}

}  // namespace

TEST_CASE("convolutions meet no bank of shared memory twice") {
  for (Precision precision : {Precision::kFloat32, Precision::kTf32, Precision::kBfloat16})
    for (auto& backend : testedBackends(precision))
      for (int channels : {37, 130})
        for (Which which : {kForward, kGradInput, kGradWeight}) {
          INFO(backend->name() << ", " << channels << " channels, operation " << int(which));
          Count count = countOf(*backend, denseCase(channels), which);
          CHECK(count.aligned);
          CHECK(count.accesses > 1000);
          CHECK(count.conflicts == 0);
        }
}

namespace {
// Eight threads store and load 16 bytes in rows of `stride` floats.
__global__ void columns(float* out, int stride) {
  auto rows = cuda::sharedArray<float>(0, 8 * stride);
  int row = int(threadIdx.x) % 8 * stride;
  rows.store4(row, {1, 2, 3, 4});
  cuda::global(out).store4(int(threadIdx.x) * 4, rows.load4(row));
}
}  // namespace

TEST_CASE("a layout with bank conflicts is noticed") {
  cuda::Stream stream{cuda::StreamOptions{}};
  float* out = static_cast<float*>(stream.allocate(8 * 16));
  for (auto [stride, conflicts] : {std::pair{32, 7}, {16, 6}, {36, 0}}) {
    trace.clear();
    cuda::host::sharedTrace = note;
    cuda::launch(stream, "planted", columns, dim3(1), dim3(8), std::size_t(8 * stride * 4), out, stride);
    stream.synchronize();
    cuda::host::sharedTrace = nullptr;
    CHECK(countTrace().accesses == 2);
    CHECK(countTrace().conflicts == 2 * conflicts);
  }
  stream.release(out);
}
#endif
