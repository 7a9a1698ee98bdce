#include "engine/integer/model.h"

#include <algorithm>
#include <atomic>

namespace selfcompress::engine::integer {
namespace {

// Both inputs have the output's shape, and the shift is one that 32 bits can do.
bool isPlainSum(const sc_binary& g) {
  const bool small = g.scale.shift <= 32;
  const bool same = std::equal(g.step_a, g.step_a + 3, g.step_b);
  return small && same && g.step_a[2] == (g.channels > 1) && g.step_a[1] == (g.height * g.width > 1 ? g.channels : 0);
}

void largestOf(const sc_pool& p, const std::uint8_t* input, std::uint8_t* output, const CodeKernels& kernels) {
  for (int oy = 0; oy < p.out_height; oy++)
    for (int ox = 0; ox < p.out_width; ox++, output += p.channels) {
      std::int32_t top, bottom, left, right;
      sc_pool_bounds(oy * p.stride_height - p.pad_height, p.kernel_height, p.height, &top, &bottom);
      sc_pool_bounds(ox * p.stride_width - p.pad_width, p.kernel_width, p.width, &left, &right);
      const std::int64_t row = std::int64_t(p.width) * p.channels;
      kernels.largest(input + top * row + std::int64_t(left) * p.channels, bottom - top, right - left, row, p.channels,
                      output);
    }
}

void runScalar(const Step& s, const std::uint8_t* const* inputs, std::uint8_t* output) {
  switch (s.kind) {
    case StepKind::kConv:
      for (std::size_t o = 0; o < s.channels.size(); o++)
        sc_conv_channel(&s.conv, inputs[0], s.weights.data() + o * s.perChannel(), s.channels[o], std::int32_t(o),
                        output);
      break;
    case StepKind::kMaxPool:
      sc_max_pool(&s.pool, inputs[0], output);
      break;
    case StepKind::kAveragePool:
      sc_average_pool(&s.pool, s.scales.data(), inputs[0], output);
      break;
    case StepKind::kAdd:
      sc_add(&s.binary, inputs[0], inputs[1], output);
      break;
    case StepKind::kMultiply:
      sc_multiply(&s.binary, inputs[0], inputs[1], output);
      break;
    case StepKind::kCopy:
      sc_copy_through(&s.copy, s.table.data(), inputs[0], output);
      break;
  }
}

}  // namespace

Model::Model(model::ByteSpan bytes, const model::Limits& limits, const CodeKernels* kernels) : kernels_(kernels) {
  const model::ModelReader reader(bytes, limits);
  program_ = makeProgram(reader);
  metadata_ = reader.metadata();
  layers_.resize(program_.steps.size());
  for (std::size_t s = 0; kernels && s < layers_.size(); s++) {
    Step& step = program_.steps[s];
    if (step.kind != StepKind::kConv || !Layer::covers(step.conv)) continue;
    layers_[s] = std::make_unique<Layer>(step, *kernels);
    scratch_ = std::max(scratch_, layers_[s]->scratchBytes());
    step.weights = {}, step.channels = {};
  }
}

std::size_t Model::weightBytes() const {
  std::size_t bytes = 0;
  for (std::size_t s = 0; s < layers_.size(); s++) {
    const Step& step = program_.steps[s];
    bytes += step.weights.size() + step.channels.size() * sizeof(sc_channel) + (layers_[s] ? layers_[s]->bytes() : 0);
  }
  return bytes;
}

std::unique_ptr<Model::Arena> Model::take() const {
  std::lock_guard lock(mutex_);
  if (idle_.empty()) {
    auto arena = std::make_unique<Arena>();
    arena->memory.resize(std::size_t(activationBytes()));
    arena->input.resize(std::size_t(program_.input.elements()));
    arena->output.resize(std::size_t(program_.output.elements()));
    return arena;
  }
  std::unique_ptr<Arena> arena = std::move(idle_.back());
  idle_.pop_back();
  return arena;
}

void Model::giveBack(std::unique_ptr<Arena> arena) const {
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(arena));
}

void Model::runStep(std::size_t s, Arena& arena, const Parallel& parallel) const {
  const Step& step = program_.steps[s];
  auto at = [&](int v) { return arena.memory.data() + program_.values[std::size_t(v)].offset; };
  const std::uint8_t* inputs[2] = {};
  for (std::size_t k = 0; k < step.inputs.size() && k < 2; k++) inputs[k] = at(step.inputs[k]);
  std::uint8_t* const output = at(step.output);
  if (layers_[s]) return layers_[s]->run(inputs[0], output, arena.memory.data() + scratchOffset(), parallel);
  if (kernels_ && step.kind == StepKind::kMaxPool) return largestOf(step.pool, inputs[0], output, *kernels_);
  if (kernels_ && step.kind == StepKind::kAdd && isPlainSum(step.binary)) {
    const sc_binary& g = step.binary;
    return kernels_->add({inputs[0], inputs[1], std::int64_t(g.height) * g.width * g.channels, g.zero_a, g.zero_b,
                          g.factor_a, g.factor_b, g.scale.shift, g.out_zero, g.low, g.high, output});
  }
  runScalar(step, inputs, output);
}

void Model::runIn(Arena& arena, const std::uint8_t* input, std::uint8_t* output, const Parallel& parallel) const {
  const Shape in = program_.values[0].shape, out = program_.values[std::size_t(program_.result)].shape;
  std::uint8_t* const first = arena.memory.data() + program_.values[0].offset;
  for (std::int64_t p = 0; p < in.pixels(); p++)
    for (std::int64_t c = 0; c < in.channels; c++) first[p * in.channels + c] = input[c * in.pixels() + p];
  for (std::size_t s = 0; s < program_.steps.size(); s++) runStep(s, arena, parallel);
  const std::uint8_t* const last = arena.memory.data() + program_.values[std::size_t(program_.result)].offset;
  for (std::int64_t p = 0; p < out.pixels(); p++)
    for (std::int64_t c = 0; c < out.channels; c++) output[c * out.pixels() + p] = last[p * out.channels + c];
}

void Model::run(const std::uint8_t* input, std::uint8_t* output, const Parallel& parallel) const {
  std::unique_ptr<Arena> arena = take();
  runIn(*arena, input, output, parallel);
  giveBack(std::move(arena));
}

void Model::predict(const float* images, std::size_t count, float* result, const Parallel& parallel) const {
  const std::size_t in = std::size_t(program_.input.elements()), out = std::size_t(program_.output.elements());
  const CodeScale from = program_.values[0].code, to = program_.values[std::size_t(program_.result)].code;
  auto one = [&](Arena& arena, std::size_t i, const Parallel& inside) {
    const float* image = images + i * in;
    if (kernels_) kernels_->quantize(image, std::int64_t(in), from.scale, from.zero, arena.input.data());
    else
      for (std::size_t k = 0; k < in; k++) arena.input[k] = sc_quantize(image[k], from.scale, from.zero);
    runIn(arena, arena.input.data(), arena.output.data(), inside);
    for (std::size_t k = 0; k < out; k++) result[i * out + k] = sc_value(arena.output[k], to.scale, to.zero);
  };
  std::atomic<std::size_t> next{0};
  auto work = [&](const Parallel& inside) {
    std::unique_ptr<Arena> arena = take();
    for (std::size_t i = next++; i < count; i = next++) one(*arena, i, inside);
    giveBack(std::move(arena));
  };
  // One image: its layers share the threads. Several: each thread takes whole images.
  if (count < 2) return work(parallel);
  const std::size_t workers = std::min<std::size_t>(std::size_t(std::max(parallel.threads, 1)), count);
  parallel.run(std::int64_t(workers), [&](std::int64_t) { work({}); });
}

}  // namespace selfcompress::engine::integer
