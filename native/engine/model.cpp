#include "engine/model.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string_view>

#include "engine/plan.h"
#include "model/error.h"

namespace selfcompress::engine {
namespace {

struct Release {
  void operator()(float* memory) const { ::operator delete(memory, std::align_val_t(64)); }
};
using Floats = std::unique_ptr<float, Release>;

Floats allocate(std::int64_t count) {
  return Floats(static_cast<float*>(::operator new(std::size_t(count) * sizeof(float) + 64, std::align_val_t(64))));
}

}  // namespace

// A multiplication of vectors along images costs this much more than one along channels: its operands come from farther
// away. Measured on the notebook network with 32 and with 16 channels, AVX-512.
constexpr double kImagesPenalty = 1.2;

// Memory of one block under way.
struct Arena {
  Floats memory[2];
};

struct Model::Impl {
  Plan plan;
  const Kernels& kernels;
  model::Metadata metadata;
  bool imagesFit = true;    // the memory of 16 images is within the limit
  double blockIsWorth = 1;  // images from which a block of 16 takes less time than one by one
  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<Arena>> idle;

  Impl(Plan made, const Kernels& k, const model::Metadata& m) : plan(std::move(made)), kernels(k), metadata(m) {}

  std::uint64_t bytes(Layout layout) const {
    return std::uint64_t(plan.floats[std::size_t(layout)] + plan.scratch[std::size_t(layout)]) * sizeof(float);
  }

  std::unique_ptr<Arena> take() const {
    std::lock_guard lock(mutex);
    if (idle.empty()) return std::make_unique<Arena>();
    std::unique_ptr<Arena> arena = std::move(idle.back());
    idle.pop_back();
    return arena;
  }
  void giveBack(std::unique_ptr<Arena> arena) const {
    std::lock_guard lock(mutex);
    idle.push_back(std::move(arena));
  }

  void runBlock(Arena& arena, Layout layout, const float* images, int count, float* result,
                const Parallel& parallel) const;
};

namespace {

// [count][channels][positions] to a block's layout and back. Images that are not there are zeros.
void enter(Layout layout, const Axes& axes, const float* images, int count, float* to, const Parallel& parallel) {
  const std::int64_t positions = axes.positionCount(), channels = axes.channels, elements = axes.elements();
  if (layout == Layout::kNhwc) {
    for (std::int64_t c = 0; c < channels; c++)
      for (std::int64_t p = 0; p < positions; p++) to[p * channels + c] = images[c * positions + p];
    return;
  }
  parallel.ranges(elements, elements < kWorthSharing.inputs ? 1 : parallel.threads,
                  [&](std::int64_t i, std::int64_t last) {
                    for (; i < last; i++)
                      for (int n = 0; n < kBlock; n++) to[i * kBlock + n] = n < count ? images[n * elements + i] : 0.0f;
                  });
}

void checkTokens(const float* tokens, std::int64_t count, int vocabulary) {
  for (std::int64_t i = 0; i < count; i++)
    if (!(tokens[i] >= 0 && tokens[i] < float(vocabulary) && tokens[i] == std::floor(tokens[i])))
      throw std::out_of_range("Expected a whole number below " + std::to_string(vocabulary) + " for token " +
                              std::to_string(i) + " but received " + std::to_string(tokens[i]));
}

void leave(Layout layout, const Axes& axes, const float* from, int count, float* result) {
  const std::int64_t positions = axes.positionCount(), channels = axes.channels, elements = axes.elements();
  if (layout == Layout::kNhwc) {
    for (std::int64_t c = 0; c < channels; c++)
      for (std::int64_t p = 0; p < positions; p++) result[c * positions + p] = from[p * channels + c];
    return;
  }
  for (int n = 0; n < count; n++)
    for (std::int64_t i = 0; i < elements; i++) result[n * elements + i] = from[i * kBlock + n];
}

}  // namespace

void Model::Impl::runBlock(Arena& arena, Layout layout, const float* images, int count, float* result,
                           const Parallel& parallel) const {
  const std::size_t which = std::size_t(layout);
  if (!arena.memory[which]) arena.memory[which] = allocate(plan.floats[which] + plan.scratch[which]);
  float* const memory = arena.memory[which].get();
  auto valueAt = [&](int v) { return memory + plan.offsets[which][std::size_t(v)]; };
  enter(layout, plan.axes[0], images, count, valueAt(0), parallel);
  std::vector<const float*> inputs;
  for (const PlannedStep& step : plan.steps) {
    inputs.clear();
    for (int v : step.inputs) inputs.push_back(valueAt(v));
    step.step->run({layout, kernels, parallel, inputs, valueAt(step.output), memory + plan.floats[which]});
  }
  leave(layout, plan.axes[std::size_t(plan.result)], valueAt(plan.result), count, result);
}

Model::Model(model::ByteSpan bytes, const Options& options, const Kernels& kernels) {
  const model::ModelReader reader(bytes, options.limits);
  impl_ = std::make_unique<Impl>(makePlan(reader, kernels, options.keepPanels), kernels, reader.metadata());
  if (impl_->bytes(Layout::kNhwc) > options.activationBytes)
    model::fail("at most " + std::to_string(options.activationBytes) + " bytes of activations", "the network",
                std::to_string(impl_->bytes(Layout::kNhwc)));
  impl_->imagesFit = impl_->bytes(Layout::kLanes) <= options.activationBytes;
  double single = 0, block = 0;
  for (const PlannedStep& step : impl_->plan.steps)
    single += step.step->cost(Layout::kNhwc, kernels), block += step.step->cost(Layout::kLanes, kernels);
  if (single > 0) impl_->blockIsWorth = std::max(1.0, block * kImagesPenalty / single);
}

Model::~Model() = default;

const Axes& Model::input() const { return impl_->plan.axes[0]; }
const Axes& Model::output() const { return impl_->plan.axes[std::size_t(impl_->plan.result)]; }
const model::Metadata& Model::metadata() const { return impl_->metadata; }
const char* Model::isa() const { return impl_->kernels.isa; }
int Model::vocabulary() const { return impl_->plan.vocabulary; }

Memory Model::memory() const {
  Memory memory;
  for (const PlannedStep& step : impl_->plan.steps)
    memory.weightBytes += step.step->weightBytes(), memory.panelBytes += step.step->panelBytes();
  memory.activationBytes = std::size_t(impl_->bytes(Layout::kNhwc));
  return memory;
}

void Model::predict(const float* images, std::size_t count, float* result, const Parallel& parallel) const {
  const Impl& m = *impl_;
  const std::int64_t in = input().elements(), out = output().elements();
  if (m.plan.vocabulary) checkTokens(images, std::int64_t(count) * in, m.plan.vocabulary);
  // Blocks of 16, then the rest as a block or one by one.
  const bool inBlocksAtAll = m.imagesFit && m.blockIsWorth <= kBlock;
  std::size_t blocks = inBlocksAtAll ? count / kBlock : 0;
  if (inBlocksAtAll && double(count % kBlock) >= m.blockIsWorth) blocks++;
  const std::size_t inBlocks = std::min(count, blocks * kBlock), singles = count - inBlocks, parts = blocks + singles;
  auto part = [&](Arena& arena, std::size_t i, const Parallel& inside) {
    const Layout layout = i < blocks ? Layout::kLanes : Layout::kNhwc;
    const std::size_t first = i < blocks ? i * kBlock : inBlocks + (i - blocks);
    const std::size_t images_ = i < blocks ? std::min<std::size_t>(kBlock, count - first) : 1;
    m.runBlock(arena, layout, images + std::int64_t(first) * in, int(images_), result + std::int64_t(first) * out,
               inside);
  };
  auto work = [&](std::atomic<std::size_t>& next, const Parallel& inside) {
    std::unique_ptr<Arena> arena = m.take();
    for (std::size_t i = next++; i < parts; i = next++) part(*arena, i, inside);
    m.giveBack(std::move(arena));
  };
  std::atomic<std::size_t> next{0};
  const std::size_t workers = std::min<std::size_t>(std::size_t(std::max(parallel.threads, 1)), parts);
  // One part: its layers share the threads. Several: each thread takes whole parts.
  if (parts < 2) return work(next, parallel);
  parallel.run(std::int64_t(workers), [&](std::int64_t) { work(next, {}); });
}

}  // namespace selfcompress::engine
