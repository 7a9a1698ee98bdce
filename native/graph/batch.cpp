#include "graph/batch.h"

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

BatchInput::BatchInput(Backend& backend, DeviceMemory& device, Shape image, std::int64_t targets, int batchSize)
    : backend_(backend), device_(device), shape_(image), targets_(targets), batchSize_(batchSize) {
  indices_ = device.allocate<std::int32_t>(std::size_t(batchSize));
  if (!staged()) {
    labels_ = device.allocate<std::int32_t>(std::size_t(batchSize));
    return;
  }
  std::vector<std::int32_t> ascending(static_cast<std::size_t>(batchSize));
  std::iota(ascending.begin(), ascending.end(), 0);
  backend.upload(indices_, ascending.data(), ascending.size() * sizeof(std::int32_t));
  labelsAt_ = aligned(sizeof(StepScalars));
  meanAt_ = labelsAt_ + aligned(std::size_t(batchSize) * sizeof(std::int32_t));
  invStdAt_ = meanAt_ + aligned(std::size_t(image.channels) * sizeof(float));
  headBytes_ = invStdAt_ + aligned(std::size_t(image.channels) * sizeof(float));
  for (Slot& slot : slots_) {
    slot.device = device.allocate<std::byte>(headBytes_);
    slot.staging = device.allocateStaging<std::byte>(headBytes_);
  }
}

BatchMemory BatchInput::put(int slot, const DataSet& data, const std::int32_t* indices, int count,
                            const StepScalars* numbers) {
  if (!staged()) return putDirectly(data, indices, count);
  stageHead(slot, data, indices, count, numbers);
  if (targets_ && !data.targets.empty()) stageTargets(slot, data, indices, count);
  stageImages(slot, data, indices, count);
  const Slot& s = slots_[std::size_t(slot)];
  BatchMemory memory;
  if (data.bytes.empty()) memory.floats = reinterpret_cast<float*>(s.images[1]);
  else memory.bytes = reinterpret_cast<std::uint8_t*>(s.images[0]);
  memory.indices = indices_;
  memory.labels = reinterpret_cast<std::int32_t*>(s.device + labelsAt_);
  memory.targets = s.targets;
  memory.mean = reinterpret_cast<float*>(s.device + meanAt_);
  memory.invStd = reinterpret_cast<float*>(s.device + invStdAt_);
  memory.numbers = s.device;
  return memory;
}

BatchMemory BatchInput::putDirectly(const DataSet& data, const std::int32_t* indices, int count) {
  backend_.upload(indices_, indices, std::size_t(count) * sizeof(std::int32_t));
  if (!data.labels.empty()) {
    hostLabels_.resize(std::size_t(batchSize_));
    for (int i = 0; i < count; i++) hostLabels_[std::size_t(i)] = data.labels[std::size_t(indices[i])];
    backend_.upload(labels_, hostLabels_.data(), std::size_t(count) * sizeof(std::int32_t));
  }
  BatchMemory memory;
  if (data.bytes.empty()) memory.floats = data.floats.data();
  else memory.bytes = data.bytes.data();
  memory.indices = indices_;
  memory.labels = labels_;
  memory.targets = data.targets.empty() ? nullptr : data.targets.data();
  memory.mean = data.mean.data(), memory.invStd = data.invStd.data();
  return memory;
}

void BatchInput::stageHead(int slot, const DataSet& data, const std::int32_t* indices, int count,
                           const StepScalars* numbers) {
  Slot& s = slots_[std::size_t(slot)];
  if (numbers) std::memcpy(s.staging, numbers, sizeof *numbers);
  if (!data.labels.empty()) gatherRows(s.staging + labelsAt_, data.labels.data(), sizeof(std::int32_t), indices, count);
  std::memcpy(s.staging + meanAt_, data.mean.data(), data.mean.size() * sizeof(float));
  std::memcpy(s.staging + invStdAt_, data.invStd.data(), data.invStd.size() * sizeof(float));
  backend_.stage(slot, s.device, s.staging, headBytes_);
}

void BatchInput::stageTargets(int slot, const DataSet& data, const std::int32_t* indices, int count) {
  Slot& s = slots_[std::size_t(slot)];
  std::size_t most = std::size_t(targets_) * std::size_t(batchSize_), row = std::size_t(targets_) * sizeof(float);
  if (!s.targets) s.targets = device_.allocate<float>(most);
  if (!s.stagingTargets) s.stagingTargets = device_.allocateStaging<float>(most);
  gatherRows(reinterpret_cast<std::byte*>(s.stagingTargets), data.targets.data(), row, indices, count);
  backend_.stage(slot, s.targets, s.stagingTargets, row * std::size_t(count));
}

void BatchInput::stageImages(int slot, const DataSet& data, const std::int32_t* indices, int count) {
  Slot& s = slots_[std::size_t(slot)];
  bool isFloat = data.bytes.empty();
  std::size_t row = std::size_t(shape_.elements()) * (isFloat ? sizeof(float) : 1);
  if (!s.images[isFloat]) s.images[isFloat] = device_.allocate<std::byte>(row * std::size_t(batchSize_));
  if (!s.stagingImages[isFloat])
    s.stagingImages[isFloat] = device_.allocateStaging<std::byte>(row * std::size_t(batchSize_));
  const void* from = isFloat ? static_cast<const void*>(data.floats.data()) : data.bytes.data();
  gatherRows(s.stagingImages[isFloat], from, row, indices, count);
  backend_.stage(slot, s.images[isFloat], s.stagingImages[isFloat], row * std::size_t(count));
}

}  // namespace selfcompress
