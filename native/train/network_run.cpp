// Running what was compiled: training steps, evaluation, prediction, gradients.
#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "train/network.h"

namespace selfcompress {
namespace {

StepScalars scalarsOf(const StepSettings& s) {
  StepScalars scalars;
  scalars.step = s.step;
  scalars.counter = {s.seed, std::uint64_t(s.step)};
  scalars.learningRate = s.learningRate;
  scalars.bitDepthLearningRate = s.bitDepthLearningRate;
  scalars.exponentLearningRate = s.exponentLearningRate;
  scalars.gamma = s.gamma;
  return scalars;
}

// Positions that all do not count have no loss.
double meanOf(const LossResult& loss) { return loss.weightSum > 0 ? loss.lossSum / loss.weightSum : 0; }

}  // namespace

void Network::settle() noexcept {
  try {
    backend_->synchronize();
  } catch (const std::exception&) {  // an error of the device, which the next call meets as well
  }
}

void Network::requireIdle() const {
  if (inFlightCount_) throw std::logic_error("Expected no step under way but some were begun and not finished");
}

// The batch and the numbers of the step on their way to where the operations find them.
BatchMemory Network::putBatch(int slot, const DataSet& data, const std::int32_t* indices, int count,
                              const StepSettings& settings, const float* targets) {
  StepScalars scalars = scalarsOf(settings);
  BatchMemory batch = input_->put(slot, data, indices, count, &scalars, targets);
  if (input_->staged()) backend_->useStaged(slot);
  else backend_->upload(scalars_, &scalars, sizeof scalars);
  return batch;
}

void Network::beginStep(const DataSet& data, const std::int32_t* indices, int count, const StepSettings& settings,
                        Network* teacher) {
  if (inFlightCount_ >= inFlight_.size())
    throw std::logic_error("Expected at most " + std::to_string(kStagingSlots) + " steps under way");
  const float* targets = teacher ? teacher->outputs(data, indices, count, settings).data() : nullptr;
  int slot = nextSlot();
  try {
    BatchMemory batch = putBatch(slot, data, indices, count, settings, targets);
    StepKey key{slot, count, batch.bytes != nullptr, batch.targets != nullptr, settings.augmentation};
    auto operations = [&] {
      if (batch.numbers) backend_->copy(scalars_, batch.numbers, sizeof(StepScalars));
      train_.program.run(*backend_, 0, train_.program.size(), count, batch, settings.augmentation);
    };
    recordings_->run(key, std::ref(operations));  // by reference: a step allocates nothing
    backend_->fetch(results_[std::size_t(slot)], scalars_, resultBytes_);
    backend_->finish(slot);
  } catch (...) {
    settle();  // the slot will be used again, and next
    slot_ = (slot_ + kStagingSlots - 1) % kStagingSlots;
    throw;
  }
  examples_[std::size_t(slot)] = count;
  inFlight_[inFlightCount_++] = slot;
}

// Of one output what its loss says; of several the weighted sum of their means, over so many examples.
StepResult Network::resultOf(const StepScalars& scalars, int examples) const {
  const LossResult& first = scalars.losses[0];
  StepResult result{meanOf(first), first.weightSum, first.correct, first.count, 0, scalars.gradientNorm, {}};
  if (terms_[0].whole) return result;
  result.loss = 0, result.weight = examples, result.correct = 0, result.count = 0;
  for (std::size_t i = 0; i < terms_.size(); i++) {
    const LossResult& loss = scalars.losses[i];
    const bool classes = terms_[i].isCrossEntropy();
    result.outputs.push_back({meanOf(loss), loss.weightSum, loss.correct, loss.count, loss.topFive});
    result.loss += double(terms_[i].weight) * meanOf(loss);
    if (classes) result.correct += loss.correct, result.count += loss.count;
  }
  return result;
}

StepResult Network::finishStep() {
  if (!inFlightCount_) throw std::logic_error("Expected a step under way but none was begun");
  int slot = inFlight_[0];
  std::move(inFlight_.begin() + 1, inFlight_.end(), inFlight_.begin());
  inFlightCount_--;
  backend_->waitFor(slot);
  StepScalars scalars;
  std::memcpy(&scalars, results_[std::size_t(slot)], sizeof scalars);
  StepResult result = resultOf(scalars, examples_[std::size_t(slot)]);
  for (std::size_t i = 0; i < description_.nodes.size(); i++) {
    float bits;
    std::memcpy(&bits, results_[std::size_t(slot)] + sizeof scalars + i * sizeof bits, sizeof bits);
    result.bitsPerWeight += bits;
  }
  return result;
}

StepResult Network::trainStep(const DataSet& data, const std::int32_t* indices, int count, const StepSettings& settings,
                              Network* teacher) {
  requireIdle();
  beginStep(data, indices, count, settings, teacher);
  return finishStep();
}

const std::vector<float>& Network::outputs(const DataSet& data, const std::int32_t* indices, int count,
                                           const StepSettings& settings) {
  requireIdle();
  Program& program = evaluate_.program;
  const int slot = nextSlot();
  const BatchMemory batch = putBatch(slot, data, indices, count, settings);
  if (batch.numbers) backend_->copy(scalars_, batch.numbers, sizeof(StepScalars));
  program.run(*backend_, 0, program.end(Mark::kForward), count, batch, settings.augmentation);
  const Shape out = topology_.shapes[std::size_t(topology_.output)];
  float* plain = program.at(evaluate_.plain);
  backend_->run(FromLanes{out, count, program.at(evaluate_.output), plain});
  outputs_.resize(std::size_t(options_.batchSize) * std::size_t(out.elements()));
  backend_->download(outputs_.data(), plain, std::size_t(count) * std::size_t(out.elements()) * sizeof(float));
  backend_->finish(slot);
  return outputs_;
}

std::map<std::string, std::vector<float>> Network::gradients(const DataSet& data, const std::int32_t* indices,
                                                             int count, const StepSettings& settings) {
  requireIdle();
  State statistics;  // a forward pass in training mode moves the running statistics: put them back
  std::map<std::string, std::vector<float>> result;
  auto read = [&](const float* memory, std::int64_t n) {
    std::vector<float> values(static_cast<std::size_t>(n));
    backend_->download(values.data(), memory, values.size() * sizeof(float));
    return values;
  };
  for (const Parameter& p : parameters_->all())
    if (!p.gradient) statistics[p.name] = read(p.value, p.count);
  BatchMemory batch = putBatch(nextSlot(), data, indices, count, settings);
  if (batch.numbers) backend_->copy(scalars_, batch.numbers, sizeof(StepScalars));
  train_.program.run(*backend_, 0, train_.program.end(Mark::kBackward), count, batch, settings.augmentation);
  backend_->synchronize();
  for (const Parameter& p : parameters_->all())
    if (p.gradient) result[p.name] = read(p.gradient, p.count);
  for (const auto& [name, values] : statistics)  // not by loadState, which would set their averages as well
    backend_->upload(parameters_->tensor(name).memory, values.data(), values.size() * sizeof(float));
  return result;
}

EvaluationResult Network::evaluate(const DataSet& data, const std::int32_t* indices, std::size_t count) {
  requireIdle();
  StepScalars scalars;
  backend_->upload(scalars_, &scalars, sizeof scalars);
  Program& program = evaluate_.program;
  program.run(*backend_, 0, program.end(Mark::kStates), 0, {}, {});
  std::array<bool, kStagingSlots> used{};
  for (std::size_t first = 0; first < count; first += std::size_t(options_.batchSize)) {
    int size = int(std::min(count - first, std::size_t(options_.batchSize)));
    int slot = nextSlot();
    if (std::exchange(used[std::size_t(slot)], true)) backend_->waitFor(slot);
    BatchMemory batch = input_->put(slot, data, indices + first, size, nullptr);
    backend_->useStaged(slot);
    program.run(*backend_, program.end(Mark::kStates), program.end(Mark::kLoss), size, batch, {});
    backend_->finish(slot);
  }
  backend_->synchronize();
  backend_->download(&scalars, scalars_, sizeof scalars);
  StepResult result = resultOf(scalars, int(count));
  std::int64_t topFive = 0;
  for (const LossResult& loss : scalars.losses) topFive += loss.topFive;  // those that no term has are zero
  return {result.loss, result.correct, result.count, topFive, std::move(result.outputs)};
}

std::vector<float> Network::predict(const float* images, std::size_t count) {
  const Shape in = topology_.shapes[0];
  const auto elements = std::size_t(in.elements());
  Program& program = evaluate_.program;
  return predictBatches(count, [&](std::size_t first, int batch) {
    float* plain = program.at(evaluate_.plain);
    backend_->upload(plain, images + first * elements, std::size_t(batch) * elements * sizeof(float));
    backend_->run(ToLanes{in, batch, plain, program.at(evaluate_.image)});
    return BatchMemory{};
  });
}

std::vector<float> Network::predict(const std::int32_t* tokens, std::size_t count) {
  const auto positions = std::size_t(topology_.axes[0].positionCount());
  return predictBatches(count, [&](std::size_t first, int batch) {
    return input_->putTokens(nextSlot(), tokens + first * positions, batch);
  });
}

// `put` brings a batch to where the forward pass finds it.
std::vector<float> Network::predictBatches(std::size_t count, const std::function<BatchMemory(std::size_t, int)>& put) {
  requireIdle();
  const Shape out = topology_.shapes[std::size_t(topology_.output)];
  const auto outElements = std::size_t(out.elements());
  std::vector<float> result(count * outElements);
  Program& program = evaluate_.program;
  program.run(*backend_, 0, program.end(Mark::kStates), 0, {}, {});
  for (std::size_t first = 0; first < count; first += std::size_t(options_.batchSize)) {
    const int batch = int(std::min(count - first, std::size_t(options_.batchSize)));
    const BatchMemory memory = put(first, batch);
    program.run(*backend_, program.end(Mark::kInput), program.end(Mark::kForward), batch, memory, {});
    float* plain = program.at(evaluate_.plain);
    backend_->run(FromLanes{out, batch, program.at(evaluate_.output), plain});
    backend_->download(result.data() + first * outElements, plain, std::size_t(batch) * outElements * sizeof(float));
  }
  return result;
}

}  // namespace selfcompress
