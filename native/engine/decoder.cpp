#include "engine/decoder.h"

#include <algorithm>
#include <stdexcept>

#include "engine/plan.h"
#include "model/error.h"

namespace selfcompress::engine {

struct Decoder::Impl {
  Plan plan;
  const Kernels& kernels;
  std::vector<float> values, scratch, state;
  std::vector<std::int64_t> states;  // where each step's begins
  int position = 0;

  Impl(Plan made, const Kernels& k) : plan(std::move(made)), kernels(k) {
    std::int64_t floats = 0;
    for (const PlannedStep& step : plan.steps) states.push_back(floats), floats += step.step->stateFloats();
    stateFloats = floats;
  }

  static constexpr std::size_t kLayout = std::size_t(Layout::kNhwc);
  std::int64_t stateFloats = 0;
  std::uint64_t bytes() const {
    return std::uint64_t(plan.floats[kLayout] + plan.scratch[kLayout] + stateFloats) * sizeof(float);
  }
  void allocate() {
    values.resize(std::size_t(plan.floats[kLayout]));
    scratch.resize(std::size_t(plan.scratch[kLayout]) + 16);
    state.resize(std::size_t(stateFloats));
  }
  float* at(int v) { return values.data() + plan.offsets[kLayout][std::size_t(v)]; }

  void step(std::int32_t token, const Parallel& parallel) {
    at(0)[0] = float(token);
    std::vector<const float*> inputs;
    for (std::size_t s = 0; s < plan.steps.size(); s++) {
      const PlannedStep& planned = plan.steps[s];
      inputs.clear();
      for (int v : planned.inputs) inputs.push_back(at(v));
      float* const own = planned.step->stateFloats() ? state.data() + states[s] : nullptr;
      planned.step->run({Layout::kNhwc, kernels, parallel, inputs, at(planned.output), scratch.data(), position, own});
    }
    position++;
  }
};

Decoder::Decoder(model::ByteSpan bytes, const Options& options, const Kernels& kernels) {
  const model::ModelReader reader(bytes, options.limits);
  impl_ = std::make_unique<Impl>(makePlanByPosition(reader, kernels, options.keepPanels), kernels);
  if (!impl_->plan.vocabulary) model::fail("a network of tokens", "the file", "one of numbers");
  if (impl_->bytes() > options.activationBytes)
    model::fail("at most " + std::to_string(options.activationBytes) + " bytes of activations", "the network",
                std::to_string(impl_->bytes()));
  impl_->allocate();
}

Decoder::~Decoder() = default;

int Decoder::length() const { return impl_->plan.window; }
int Decoder::outputs() const { return impl_->plan.axes[std::size_t(impl_->plan.result)].channels; }
int Decoder::position() const { return impl_->position; }

Memory Decoder::memory() const {
  Memory memory;
  for (const PlannedStep& step : impl_->plan.steps)
    memory.weightBytes += step.step->weightBytes(), memory.panelBytes += step.step->panelBytes();
  memory.activationBytes = std::size_t(impl_->bytes());
  return memory;
}

void Decoder::reset() {
  impl_->position = 0;
  std::fill(impl_->state.begin(), impl_->state.end(), 0.0f);
}

void Decoder::next(const std::int32_t* tokens, std::size_t count, float* result, const Parallel& parallel) {
  Impl& m = *impl_;
  const std::size_t left = std::size_t(m.plan.window - m.position);
  if (count < 1 || count > left)
    throw std::out_of_range("Expected 1 to " + std::to_string(left) +
                            " tokens, those of the window that are left, but received " + std::to_string(count));
  for (std::size_t i = 0; i < count; i++)
    if (tokens[i] < 0 || tokens[i] >= m.plan.vocabulary)
      throw std::out_of_range("Expected a whole number below " + std::to_string(m.plan.vocabulary) + " for token " +
                              std::to_string(i) + " but received " + std::to_string(tokens[i]));
  for (std::size_t i = 0; i < count; i++) m.step(tokens[i], parallel);
  std::copy_n(m.at(m.plan.result), outputs(), result);
}

}  // namespace selfcompress::engine
