#include "graph/batch.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace selfcompress {
namespace {

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Rows `indices` of [rows][rowBytes], one after another.
void gatherRows(std::byte* to, const void* from, std::size_t rowBytes, const std::int32_t* indices, int count) {
  for (int i = 0; i < count; i++)
    std::memcpy(to + std::size_t(i) * rowBytes,
                static_cast<const std::byte*>(from) + std::size_t(indices[i]) * rowBytes, rowBytes);
}

}  // namespace

int ExampleLayout::labelCount() const { return std::accumulate(labels.begin(), labels.end(), 0); }

BatchInput::BatchInput(Backend& backend, DeviceMemory& device, const ExampleLayout& layout, int batchSize)
    : backend_(backend), device_(device), layout_(layout), batchSize_(batchSize) {
  const std::size_t batch = std::size_t(batchSize), labels = batch * std::size_t(std::max(layout.labelCount(), 1)),
                    tokens = layout.tokens ? batch * std::size_t(layout.shape.pixels()) : 0;
  indices_ = device.allocate<std::int32_t>(batch);
  ascending_ = staged() ? indices_ : device.allocate<std::int32_t>(batch);
  hostAscending_.resize(batch);
  std::iota(hostAscending_.begin(), hostAscending_.end(), 0);
  backend.upload(ascending_, hostAscending_.data(), batch * sizeof(std::int32_t));
  if (!staged()) {
    labels_ = device.allocate<std::int32_t>(labels);
    if (tokens) tokens_ = device.allocate<std::int32_t>(tokens);
    hostLabels_.resize(labels), hostTokens_.resize(tokens);
    return;
  }
  labelsAt_ = aligned(sizeof(StepScalars));
  tokensAt_ = labelsAt_ + aligned(labels * sizeof(std::int32_t));
  meanAt_ = tokensAt_ + aligned(tokens * sizeof(std::int32_t));
  invStdAt_ = meanAt_ + aligned(std::size_t(layout.shape.channels) * sizeof(float));
  headBytes_ = invStdAt_ + aligned(std::size_t(layout.shape.channels) * sizeof(float));
  for (Slot& slot : slots_) {
    slot.device = device.allocate<std::byte>(headBytes_);
    slot.staging = device.allocateStaging<std::byte>(headBytes_);
  }
}

BatchMemory BatchInput::put(int slot, const DataSet& data, const std::int32_t* indices, int count,
                            const StepScalars* numbers, const float* targets) {
  if (!staged()) return putDirectly(data, indices, count, targets);
  stageHead(slot, data, indices, count, numbers);
  if (layout_.targets && targets) stageTargets(slot, targets, hostAscending_.data(), count);
  else if (layout_.targets && data.features == layout_.targets) stageTargets(slot, data.targets.data(), indices, count);
  if (!layout_.tokens) stageImages(slot, data, indices, count);
  const Slot& s = slots_[std::size_t(slot)];
  BatchMemory memory;
  if (layout_.tokens) memory.tokens = reinterpret_cast<std::int32_t*>(s.device + tokensAt_);
  else if (data.bytes.empty()) memory.floats = reinterpret_cast<float*>(s.images[1]);
  else memory.bytes = reinterpret_cast<std::uint8_t*>(s.images[0]);
  memory.indices = indices_, memory.targetIndices = ascending_;
  memory.labels = reinterpret_cast<std::int32_t*>(s.device + labelsAt_);
  memory.targets = s.targets;
  memory.mean = reinterpret_cast<float*>(s.device + meanAt_);
  memory.invStd = reinterpret_cast<float*>(s.device + invStdAt_);
  memory.numbers = s.device;
  return memory;
}

BatchMemory BatchInput::putTokens(int slot, const std::int32_t* tokens, int count) {
  const std::size_t bytes = std::size_t(count) * std::size_t(layout_.shape.pixels()) * sizeof(std::int32_t);
  BatchMemory memory;
  if (!staged()) {
    backend_.upload(tokens_, tokens, bytes);
    memory.tokens = tokens_;
    return memory;
  }
  auto* device = reinterpret_cast<std::int32_t*>(slots_[std::size_t(slot)].device + tokensAt_);
  backend_.upload(device, tokens, bytes);
  memory.tokens = device;
  return memory;
}

void BatchInput::gatherIntegers(const DataSet& data, const std::int32_t* indices, int count, std::int32_t* labels,
                                std::int32_t* tokens) const {
  const std::size_t length = std::size_t(layout_.shape.pixels());
  // A teacher may have a loss of labels that these data do not have: nobody reads them then.
  const bool takes = data.hasLabels() && data.labelsPerExample == layout_.labelCount();
  for (int i = 0; i < count; i++) {
    const std::int32_t* own = takes ? data.labelsOf(indices[i]) : nullptr;
    std::int32_t* to = labels;
    for (std::size_t k = 0; own && k < layout_.labels.size(); k++) {
      const std::ptrdiff_t size = layout_.labels[k];
      std::copy_n(own, size, to + i * size);
      own += size, to += batchSize_ * size;
    }
    if (layout_.tokens) std::copy_n(data.tokensOf(indices[i]), length, tokens + std::size_t(i) * length);
  }
}

BatchMemory BatchInput::putDirectly(const DataSet& data, const std::int32_t* indices, int count, const float* targets) {
  backend_.upload(indices_, indices, std::size_t(count) * sizeof(std::int32_t));
  gatherIntegers(data, indices, count, hostLabels_.data(), hostTokens_.data());
  if (data.hasLabels())
    backend_.upload(
        labels_, hostLabels_.data(),
        (layout_.labels.size() > 1 ? hostLabels_.size() : std::size_t(count) * std::size_t(layout_.labelCount())) *
            sizeof(std::int32_t));
  BatchMemory memory;
  if (layout_.tokens) memory = putTokens(0, hostTokens_.data(), count);
  else if (data.bytes.empty()) memory.floats = data.floats.data();
  else memory.bytes = data.bytes.data();
  memory.indices = indices_;
  memory.labels = labels_;
  memory.targets = targets ? targets : data.targets.empty() ? nullptr : data.targets.data();
  memory.targetIndices = targets ? ascending_ : indices_;
  memory.mean = data.mean.data(), memory.invStd = data.invStd.data();
  return memory;
}

void BatchInput::stageHead(int slot, const DataSet& data, const std::int32_t* indices, int count,
                           const StepScalars* numbers) {
  Slot& s = slots_[std::size_t(slot)];
  if (numbers) std::memcpy(s.staging, numbers, sizeof *numbers);
  gatherIntegers(data, indices, count, reinterpret_cast<std::int32_t*>(s.staging + labelsAt_),
                 reinterpret_cast<std::int32_t*>(s.staging + tokensAt_));
  if (!data.mean.empty()) std::memcpy(s.staging + meanAt_, data.mean.data(), data.mean.size() * sizeof(float));
  if (!data.invStd.empty()) std::memcpy(s.staging + invStdAt_, data.invStd.data(), data.invStd.size() * sizeof(float));
  backend_.stage(slot, s.device, s.staging, headBytes_);
}

void BatchInput::stageTargets(int slot, const float* targets, const std::int32_t* indices, int count) {
  Slot& s = slots_[std::size_t(slot)];
  std::size_t most = std::size_t(layout_.targets) * std::size_t(batchSize_),
              row = std::size_t(layout_.targets) * sizeof(float);
  if (!s.targets) s.targets = device_.allocate<float>(most);
  if (!s.stagingTargets) s.stagingTargets = device_.allocateStaging<float>(most);
  gatherRows(reinterpret_cast<std::byte*>(s.stagingTargets), targets, row, indices, count);
  backend_.stage(slot, s.targets, s.stagingTargets, row * std::size_t(count));
}

void BatchInput::stageImages(int slot, const DataSet& data, const std::int32_t* indices, int count) {
  Slot& s = slots_[std::size_t(slot)];
  bool isFloat = data.bytes.empty();
  std::size_t row = std::size_t(layout_.shape.elements()) * (isFloat ? sizeof(float) : 1);
  if (!s.images[isFloat]) s.images[isFloat] = device_.allocate<std::byte>(row * std::size_t(batchSize_));
  if (!s.stagingImages[isFloat])
    s.stagingImages[isFloat] = device_.allocateStaging<std::byte>(row * std::size_t(batchSize_));
  const void* from = isFloat ? static_cast<const void*>(data.floats.data()) : data.bytes.data();
  gatherRows(s.stagingImages[isFloat], from, row, indices, count);
  backend_.stage(slot, s.images[isFloat], s.stagingImages[isFloat], row * std::size_t(count));
}

}  // namespace selfcompress
