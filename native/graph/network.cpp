#include "graph/network.h"

#include <algorithm>

namespace selfcompress {

Network::Network(std::unique_ptr<Backend> backend, const NetworkDescription& description, const NetworkOptions& options)
    : backend_(std::move(backend)),
      description_(description),
      options_(options),
      topology_(inferShapes(description_, options.batchSize)),
      device_(*backend_) {
  std::int64_t features = topology_.shapes[std::size_t(topology_.output)].elements();
  if (features > INT32_MAX)
    throw DescriptionError("Expected at most 2^31 - 1 features for network.output but received " +
                           std::to_string(features));
  parameters_ = std::make_unique<Parameters>(description_, topology_, options_.optimizer.moments(), device_);
  parameterBytes_ = device_.bytes();
  // One piece, so that the result of a step is one copy.
  resultBytes_ = sizeof(StepScalars) + description_.nodes.size() * sizeof(float);
  scalars_ = reinterpret_cast<StepScalars*>(device_.allocate<std::byte>(resultBytes_));
  layerBits_ = reinterpret_cast<float*>(scalars_ + 1);
  for (std::byte*& result : results_) result = device_.allocateStaging<std::byte>(resultBytes_);
  input_ = std::make_unique<BatchInput>(*backend_, device_, topology_.shapes[0],
                                        options_.loss == Loss::kMeanSquaredError ? features : 0, options_.batchSize);
  recordings_ = std::make_unique<RecordedSteps>(*backend_, options_.recordSteps);
  compileTraining();
  compileEvaluation();
  arena_ = device_.allocate<std::byte>(
      std::max(train_.program.memory().arenaBytes(), evaluate_.program.memory().arenaBytes()));
}

Network::~Network() {
  if (!inFlight_.empty()) settle();
}

void Network::compileTraining() {
  Compiler compiler(description_, options_, topology_, *parameters_, *backend_, device_, scalars_, layerBits_,
                    train_.program, Compiler::Mode::kTrain);
  Program& program = train_.program;
  compiler.compileStates();
  train_.states = program.size();
  compiler.compileInput();
  train_.input = program.size();
  compiler.compileForward();
  train_.forward = program.size();
  compiler.compileLoss();
  train_.loss = program.size();
  compiler.compileBackward();
  train_.backward = program.size();
  compiler.compileUpdate();
  program.place(options_.shareMemory);
}

void Network::compileEvaluation() {
  Compiler compiler(description_, options_, topology_, *parameters_, *backend_, device_, scalars_, layerBits_,
                    evaluate_.program, Compiler::Mode::kEvaluate);
  Program& program = evaluate_.program;
  compiler.compileStates();
  evaluate_.states = program.size();
  compiler.compileInput();
  evaluate_.input = program.size();
  compiler.compileForward();
  evaluate_.forward = program.size();
  compiler.compileLoss();
  evaluate_.loss = program.size();
  evaluate_.image = compiler.inputBuffer();
  evaluate_.output = compiler.outputBuffer();
  std::int64_t most =
      std::max(topology_.shapes[0].elements(), topology_.shapes[std::size_t(topology_.output)].elements());
  BufferId plain = evaluate_.plain = program.floats(most * options_.batchSize);
  // `predict` moves images and predictions through `plain` outside the program: keep the three apart.
  program.add({plain, evaluate_.image, evaluate_.output}, [](const Execution&) {});
  program.place(options_.shareMemory);
}

MemoryReport Network::memory() const {
  const MemoryPlan &train = train_.program.memory(), &evaluate = evaluate_.program.memory();
  return {parameterBytes_, std::max(train.arenaBytes(), evaluate.arenaBytes()),
          std::max(train.unsharedBytes(), evaluate.unsharedBytes())};
}

void Network::checkBatch(const DataSet& data, const std::int32_t* indices, std::size_t count) const {
  auto text = [](Shape s) {
    return std::to_string(s.channels) + "x" + std::to_string(s.height) + "x" + std::to_string(s.width);
  };
  if (!(data.shape == topology_.shapes[0]))
    throw DescriptionError("Expected images of the network's input shape " + text(topology_.shapes[0]) +
                           " for data but received " + text(data.shape));
  std::int64_t features = topology_.shapes[std::size_t(topology_.output)].elements();
  if (options_.loss == Loss::kCrossEntropy) {
    if (data.labels.empty())
      throw DescriptionError("Expected a data set with labels for data but received one without");
    if (data.classes > features)
      throw DescriptionError("Expected at most " + std::to_string(features) +
                             " classes, the network's outputs, for data but received " + std::to_string(data.classes));
  } else {
    if (data.targets.empty())
      throw DescriptionError("Expected a data set with targets for data but received one without");
    if (data.features != features)
      throw DescriptionError("Expected targets of " + std::to_string(features) + " features for data but received " +
                             std::to_string(data.features));
  }
  for (std::size_t i = 0; i < count; i++)
    if (indices[i] < 0 || indices[i] >= data.count)
      throw DescriptionError("Expected 0 to " + std::to_string(data.count - 1) + " for indices[" + std::to_string(i) +
                             "] but received " + std::to_string(indices[i]));
}

State Network::state() const {
  requireIdle();
  State state;
  for (const std::string& name : parameters_->tensorNames()) {
    Parameters::Tensor tensor = parameters_->tensor(name);
    std::vector<float>& values = state[name];
    values.resize(std::size_t(tensor.count));
    backend_->download(values.data(), tensor.memory, values.size() * sizeof(float));
  }
  return state;
}

void Network::checkState(const std::string& name, std::size_t length) const {
  Parameters::Tensor tensor = parameters_->tensor(name);
  if (!tensor.memory)
    throw DescriptionError("Expected names of this network's tensors for state but received \"" + name + "\"");
  if (std::size_t(tensor.count) != length)
    throw DescriptionError("Expected " + std::to_string(tensor.count) + " elements for state[\"" + name +
                           "\"] but received " + std::to_string(length));
}

void Network::loadState(const State& state) {
  requireIdle();
  for (const auto& [name, values] : state) checkState(name, values.size());
  for (const auto& [name, values] : state)
    backend_->upload(parameters_->tensor(name).memory, values.data(), values.size() * sizeof(float));
}

}  // namespace selfcompress
