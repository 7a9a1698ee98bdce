// What a loaded model takes of the heap, with weights that stay packed.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "engine/model.h"
#include "export/model_file.h"
#include "test/engine_check.h"

namespace {
std::atomic<std::int64_t> live{0};

// The length lies before the memory, which begins `align` bytes behind what was allocated.
void* take(std::size_t bytes, std::size_t align) {
  auto* whole = static_cast<char*>(std::aligned_alloc(align, (bytes + 2 * align - 1) / align * align));
  if (!whole) throw std::bad_alloc();
  *reinterpret_cast<std::size_t*>(whole) = bytes;
  live += std::int64_t(bytes);
  return whole + align;
}
void giveBack(void* memory, std::size_t align) {
  if (!memory) return;
  char* const whole = static_cast<char*>(memory) - align;
  live -= std::int64_t(*reinterpret_cast<std::size_t*>(whole));
  std::free(whole);
}
}  // namespace

void* operator new(std::size_t bytes) { return take(bytes, 16); }
void* operator new(std::size_t bytes, std::align_val_t align) { return take(bytes, std::size_t(align)); }
// Of those that a standard library's own would call the ones above, but a sanitizer's would not.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return take(bytes, 16);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new(std::size_t bytes, std::align_val_t align, const std::nothrow_t&) noexcept {
  try {
    return take(bytes, std::size_t(align));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory) noexcept { giveBack(memory, 16); }
void operator delete(void* memory, std::size_t) noexcept { giveBack(memory, 16); }
void operator delete(void* memory, std::align_val_t align) noexcept { giveBack(memory, std::size_t(align)); }
void operator delete(void* memory, std::size_t, std::align_val_t align) noexcept {
  giveBack(memory, std::size_t(align));
}

using namespace selfcompress;
using namespace test;

namespace {

struct Case {
  const char* name;
  NetworkDescription network;
};

std::vector<Case> cases() {
  return {
      {"convolutions of 5 and 3 places",
       {Axes::image(1, 28, 28),
        {conv("c1", "input", 32, 5), conv("c2", "c1", 32, 5), pool("maxPool", "p1", "c2"), conv("c3", "p1", 64, 3),
         conv("c4", "c3", 64, 3), pool("maxPool", "p2", "c4"), linear("out", "p2", 10)},
        "out"}},
      {"many channels, few pixels",
       {Axes::image(3, 8, 8),
        {conv("c1", "input", 192, 3, 1), conv("c2", "c1", 192, 3, 1), conv("c3", "c2", 192, 1),
         linear("out", "c3", 10)},
        "out"}},
      {"depthwise",
       {Axes::image(3, 16, 16),
        {conv("c1", "input", 48, 3, 1), conv("c2", "c1", 48, 3, 1, true, 48), conv("c3", "c2", 96, 1),
         linear("out", "c3", 10)},
        "out"}},
      {"linear layers",
       {Axes::vector(784), {linear("l1", "input", 300), linear("l2", "l1", 100), linear("out", "l2", 10)}, "out"}},
  };
}

// Bytes that the model holds after predictions at so many images.
std::int64_t heapOf(const model::Bytes& file, const engine::Kernels& kernels, std::size_t count,
                    engine::Memory& memory) {
  engine::Options options;
  options.keepPanels = false;
  const std::int64_t before = live;
  const engine::Model model(file, options, kernels);
  {
    const std::vector<float> images(count * std::size_t(model.input().elements()), 0.5f);
    std::vector<float> result(count * std::size_t(model.output().elements()));
    model.predict(images.data(), count, result.data());
  }
  memory = model.memory();
  return live - before;
}

}  // namespace

TEST_CASE("a loaded model takes at most 1.2 times its codes, scales and activations") {
  for (const Case& c : cases()) {
    auto network = referenceNetwork(c.network);
    network->loadState(randomState(*network, 1, 4.0f));
    const model::Bytes file = encodeModelFile(network->description(), network->parameterState(), {});
    for (const engine::Kernels* kernels : engine::supportedKernels()) {
      CAPTURE(c.name);
      CAPTURE(kernels->isa);
      const engine::Model unpacked(file, {}, *kernels);
      engine::Memory memory;
      const std::int64_t heap = heapOf(file, *kernels, 1, memory);
      const double needed = double(unpacked.memory().weightBytes + unpacked.memory().activationBytes);
      MESSAGE(std::string(c.name) << ", " << std::string(kernels->isa) << ": " << heap << " bytes, "
                                  << double(heap) / needed << " of " << unpacked.memory().weightBytes << " + "
                                  << unpacked.memory().activationBytes);
      CHECK(double(heap) <= 1.2 * needed);
      // What it says of itself is what it has, but for its description.
      CHECK(double(heap) <= double(memory.weightBytes + memory.panelBytes + memory.activationBytes) + 24e3);
    }
  }
}
