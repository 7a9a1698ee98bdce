#include "engine/integer/layer.h"

#include <algorithm>
#include <cstring>

namespace selfcompress::engine::integer {
namespace {

// Elements behind the padded image that kernels may read: a vector of channels, or a group's rest.
constexpr std::int64_t kBehind = 64;
// Multiplications of a layer below which threads take longer to begin than it takes.
constexpr std::int64_t kWorthThreads = 1 << 20;

int roundUp(int count, int to) { return (count + to - 1) / to * to; }

// Rows or columns that windows reach, those above the image among them.
std::int64_t reached(int outputs, int stride, int kernel, int dilation) {
  return std::int64_t(outputs - 1) * stride + std::int64_t(kernel - 1) * dilation + 1;
}

std::int64_t paddedPixels(const sc_conv& c) {
  return reached(c.out_height, c.stride_height, c.kernel_height, c.dilation_height) *
         reached(c.out_width, c.stride_width, c.kernel_width, c.dilation_width);
}

}  // namespace

bool Layer::covers(const sc_conv& c) {
  return paddedPixels(c) <= 4 * std::int64_t(c.height) * c.width + (1 << 12) &&
         paddedPixels(c) * c.channels <= INT32_MAX / 4;
}

Layer::Layer(const Step& step, const CodeKernels& kernels) : c_(step.conv), kernels_(kernels) {
  depthwise_ = c_.groups == c_.channels && c_.groups == c_.out_channels && c_.groups > 1;
  elementBytes_ = kernels.element == Element::kDifference ? 2 : 1;
  paddedHeight_ = int(reached(c_.out_height, c_.stride_height, c_.kernel_height, c_.dilation_height));
  paddedWidth_ = int(reached(c_.out_width, c_.stride_width, c_.kernel_width, c_.dilation_width));
  setRuns();
  groupChannels_ = roundUp(depthwise_ ? c_.channels : c_.out_channels / c_.groups, kernels.width);
  pack(step);
  setRescaling(step);
}

// Where the elements of a window begin: places that are neighbours in memory are one run.
void Layer::setRuns() {
  const int depth = c_.channels / c_.groups;
  runLength_ = depth;
  for (int i = 0; i < c_.kernel_height; i++)
    for (int j = 0; j < c_.kernel_width; j++)
      runs_.push_back((std::int64_t(i) * c_.dilation_height * paddedWidth_ + std::int64_t(j) * c_.dilation_width) *
                      c_.channels);
  const int group = kernels_.group;
  if (depthwise_) {
    while (runs_.size() % std::size_t(group)) runs_.push_back(runs_[0]);
    return;
  }
  // Rows of a kernel, and rows of rows where it is as wide as the padded image.
  auto merge = [&](int count) {
    for (std::size_t r = 0; r < runs_.size(); r++)
      if (r % std::size_t(count) && runs_[r] != runs_[r - 1] + runLength_) return;
    std::vector<std::int64_t> merged;
    for (std::size_t r = 0; r < runs_.size(); r += std::size_t(count)) merged.push_back(runs_[r]);
    runs_ = std::move(merged), runLength_ *= count;
  };
  merge(c_.kernel_width);
  merge(int(runs_.size()));
  runGroups_ = (runLength_ + group - 1) / group;
}

// Element `k` of the weights of output channel `o`, in the order of its runs, to its place in the panel.
void Layer::pack(const Step& step) {
  const std::int64_t row = std::int64_t(step.perChannel());
  const int group = kernels_.group, width = kernels_.width;
  const std::int64_t terms = depthwise_ ? std::int64_t(runs_.size()) : std::int64_t(runs_.size()) * runGroups_ * group;
  groupPanel_ = terms * groupChannels_;
  const std::int64_t panels = depthwise_ ? 1 : c_.groups;
  panel_.assign(std::size_t(panels * groupPanel_ * elementBytes_), 0);
  auto put = [&](std::int64_t at, std::int8_t weight) {
    const std::int16_t wide = weight;
    if (elementBytes_ == 1) std::memcpy(&panel_[std::size_t(at)], &weight, 1);
    else std::memcpy(&panel_[std::size_t(2 * at)], &wide, 2);
  };
  const int perGroup = depthwise_ ? c_.channels : c_.out_channels / c_.groups;
  for (int o = 0; o < c_.out_channels; o++) {
    const int g = o / perGroup, channel = o % perGroup;
    const int tile = channel / (kernels_.tileVectors * width), first = tile * kernels_.tileVectors * width;
    const std::int64_t tileWidth = std::min<std::int64_t>(kernels_.tileVectors * width, groupChannels_ - first);
    for (std::int64_t k = 0; k < row; k++) {
      const std::int64_t term = depthwise_ ? k : k / runLength_ * runGroups_ * group + k % runLength_;
      const std::int64_t at = depthwise_ ? (term / group * groupChannels_ + channel) * group + term % group
                                         : g * groupPanel_ + first * terms +
                                               (term / group * tileWidth + channel - first) * group + term % group;
      put(at, step.weights[std::size_t(o * row + k)]);
    }
  }
}

void Layer::setRescaling(const Step& step) {
  const std::int64_t row = std::int64_t(step.perChannel());
  const int perGroup = depthwise_ ? c_.channels : c_.out_channels / c_.groups;
  const std::size_t size = std::size_t(groupChannels_) * std::size_t(depthwise_ ? 1 : c_.groups);
  start_.assign(size, 0), multiplier_.assign(size, 0), shift_.assign(size, 0);
  const std::int64_t offset = kernels_.element == Element::kCode      ? -c_.in_zero
                              : kernels_.element == Element::kShifted ? 128 - c_.in_zero
                                                                      : 0;
  for (int o = 0; o < c_.out_channels; o++) {
    std::int64_t weights = 0;
    for (std::int64_t k = 0; k < row; k++) weights += step.weights[std::size_t(o * row + k)];
    const std::size_t at = std::size_t(o / perGroup * groupChannels_ + o % perGroup);
    const sc_channel& channel = step.channels[std::size_t(o)];
    start_[at] = std::int32_t(std::uint32_t(std::uint64_t(channel.bias + offset * weights)));
    multiplier_[at] = channel.scale.multiplier, shift_[at] = channel.scale.shift - 33;
    anyShift_ = anyShift_ || shift_[at] < 0;
  }
}

std::size_t Layer::bytes() const { return panel_.size() + 3 * start_.size() * sizeof(std::int32_t); }

std::int64_t Layer::scratchBytes() const { return (paddedPixels(c_) * c_.channels + kBehind) * elementBytes_; }

void Layer::run(const std::uint8_t* input, std::uint8_t* output, std::uint8_t* scratch,
                const Parallel& parallel) const {
  kernels_.pad({input, c_.height, c_.width, c_.channels, c_.pad_height, c_.pad_width, paddedHeight_, paddedWidth_,
                c_.in_zero, scratch});
  std::memset(scratch + scratchBytes() - kBehind * elementBytes_, 0, std::size_t(kBehind * elementBytes_));
  const std::int64_t work = std::int64_t(c_.out_height) * c_.out_width * std::int64_t(panel_.size());
  const int threads = work < kWorthThreads ? 1 : parallel.threads;
  // Where a row begins at the pixel behind the last one of the row above, all rows are one.
  if (threads == 1 && c_.stride_height * paddedWidth_ == c_.stride_width * c_.out_width)
    return runRow(scratch, output, 0, c_.out_height * c_.out_width);
  const int tasks = std::min(c_.out_height, 4 * threads);
  (threads == 1 ? Parallel{} : parallel).run(threads == 1 ? 1 : tasks, [&](std::int64_t task) {
    const int count = threads == 1 ? 1 : tasks;
    const int from = int(c_.out_height * task / count), to = int(c_.out_height * (task + 1) / count);
    for (int row = from; row < to; row++) runRow(scratch, output, row, c_.out_width);
  });
}

void Layer::runRow(const std::uint8_t* elements, std::uint8_t* output, int row, int pixels) const {
  const std::int64_t first = std::int64_t(row) * c_.stride_height * paddedWidth_ * c_.channels;
  std::uint8_t* to = output + std::int64_t(row) * c_.out_width * c_.out_channels;
  const std::int64_t pixelStep = std::int64_t(c_.stride_width) * c_.channels;
  const Rescaling all{start_.data(), multiplier_.data(), shift_.data(), anyShift_, c_.out_zero, c_.low, c_.high};
  if (depthwise_)
    return kernels_.depthwiseRow({elements + first * elementBytes_, pixelStep, runs_.data(), int(runs_.size()),
                                  panel_.data(), to, c_.out_channels, pixels, c_.out_channels, all});
  const int depth = c_.channels / c_.groups, perGroup = c_.out_channels / c_.groups;
  for (int g = 0; g < c_.groups; g++) {
    Rescaling part = all;
    part.start += g * groupChannels_, part.multiplier += g * groupChannels_, part.shift += g * groupChannels_;
    kernels_.codeRow({elements + (first + std::int64_t(g) * depth) * elementBytes_, pixelStep, runs_.data(),
                      int(runs_.size()), runGroups_, panel_.data() + g * groupPanel_ * elementBytes_, to + g * perGroup,
                      c_.out_channels, pixels, perGroup, part});
  }
}

}  // namespace selfcompress::engine::integer
