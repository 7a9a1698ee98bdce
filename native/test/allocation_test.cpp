// A training step allocates nothing: what it needs is planned and kept when the network is made and in its first steps.
#include <atomic>
#include <cstdlib>
#include <new>

#include "test/networks.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // it sees through the operators below where they are inlined
#endif

namespace {
std::atomic<long> allocations{0};
}

// Every allocation of this program, of all its threads.
void* operator new(std::size_t bytes) {
  allocations++;
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  allocations++;
  return std::malloc(bytes ? bytes : 1);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  allocations++;
  std::size_t unit = std::size_t(alignment);
#if defined(_MSC_VER)
  void* memory = _aligned_malloc(bytes, unit);
#else
  void* memory = std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
#endif
  if (!memory) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept {
#if defined(_MSC_VER)
  _aligned_free(memory);
#else
  std::free(memory);
#endif
}
void operator delete(void* memory, std::size_t, std::align_val_t alignment) noexcept {
  operator delete(memory, alignment);
}

using namespace test;

TEST_CASE("a training step allocates nothing") {
  for (int threads : {1, 3}) {
    CAPTURE(threads);
    cpu::setThreads(threads);
    for (Precision precision : {Precision::kFloat32, Precision::kBfloat16}) {
      // Wide enough that the fast convolutions take part.
      NetworkDescription wide{Axes::image(3, 12, 12),
                              {conv("c1", "input", 20, 5), simple("relu", "r1", {"c1"}), conv("c2", "r1", 24, 3, 1),
                               simple("batchNorm", "norm", {"c2"}), pool("maxPool", "pool", "norm"),
                               conv("c3", "pool", 20, 3, 1), linear("out", "c3", 4)},
                              "out"};
      for (const NetworkDescription& description : {wide, richNetwork(false)}) {
        NetworkOptions options;
        options.batchSize = 40;
        options.optimizer.maxGradientNorm = 1;
        Network network(cpu::makeBackend(cpu::chooseIsa(), precision), description, options);
        network.loadState(randomState(network, 3, 5));
        DataSet data = randomData(description.input.folded(), 60, 4);
        std::vector<std::int32_t> indices = firstIndices(40);
        int step = 1;
        for (; step <= 3; step++) network.trainStep(data, indices.data(), 40, settings(step));
        int allocating = 0;
        for (int i = 0; i < 10; i++) {
          long before = allocations;
          network.trainStep(data, indices.data(), 40, settings(++step));
          allocating += allocations > before;
        }
        CHECK(allocating == 0);
      }
    }
  }
}
