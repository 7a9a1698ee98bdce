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
  scalars_ = device_.allocate<StepScalars>(1);
  layerBits_ = device_.allocate<float>(description_.nodes.size());
  indices_ = device_.allocate<std::int32_t>(std::size_t(options_.batchSize));
  labels_ = device_.allocate<std::int32_t>(std::size_t(options_.batchSize));
  compileTraining();
  compileEvaluation();
  arena_ = device_.allocate<std::byte>(
      std::max(train_.program.memory().arenaBytes(), evaluate_.program.memory().arenaBytes()));
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
  for (const auto& [name, values] : state) checkState(name, values.size());
  for (const auto& [name, values] : state)
    backend_->upload(parameters_->tensor(name).memory, values.data(), values.size() * sizeof(float));
}

Execution Network::execution(const Plan& plan, int batch) const {
  return {*backend_, arena_, plan.program.memory(), batch, nullptr, indices_, labels_, {}};
}

void Network::uploadBatch(const DataSet& data, const std::int32_t* indices, int count) {
  backend_->upload(indices_, indices, std::size_t(count) * sizeof(std::int32_t));
  if (data.labels.empty()) return;
  std::vector<std::int32_t> labels(static_cast<std::size_t>(count));
  for (int i = 0; i < count; i++) labels[std::size_t(i)] = data.labels[std::size_t(indices[i])];
  backend_->upload(labels_, labels.data(), labels.size() * sizeof(std::int32_t));
}

void Network::uploadScalars(const StepSettings& s) {
  StepScalars scalars;
  scalars.step = s.step;
  scalars.counter = {s.seed, std::uint64_t(s.step)};
  scalars.learningRate = s.learningRate;
  scalars.bitDepthLearningRate = s.bitDepthLearningRate;
  scalars.exponentLearningRate = s.exponentLearningRate;
  scalars.gamma = s.gamma;
  backend_->upload(scalars_, &scalars, sizeof scalars);
}

StepResult Network::readResult() const {
  backend_->synchronize();
  StepScalars scalars;
  std::vector<float> bits(description_.nodes.size());
  backend_->download(&scalars, scalars_, sizeof scalars);
  backend_->download(bits.data(), layerBits_, bits.size() * sizeof(float));
  StepResult result{scalars.loss.lossSum / double(scalars.loss.count), scalars.loss.correct, 0, scalars.gradientNorm};
  for (float b : bits) result.bitsPerWeight += b;
  return result;
}

StepResult Network::trainStep(const DataSet& data, const std::int32_t* indices, int count,
                              const StepSettings& settings) {
  uploadBatch(data, indices, count);
  uploadScalars(settings);
  Execution e = execution(train_, count);
  e.data = &data;
  e.augmentation = settings.augmentation;
  train_.program.run(e, 0, train_.program.size());
  return readResult();
}

std::map<std::string, std::vector<float>> Network::gradients(const DataSet& data, const std::int32_t* indices,
                                                             int count, const StepSettings& settings) {
  State statistics;  // a forward pass in training mode moves the running statistics: put them back
  std::map<std::string, std::vector<float>> result;
  auto read = [&](const float* memory, std::int64_t n) {
    std::vector<float> values(static_cast<std::size_t>(n));
    backend_->download(values.data(), memory, values.size() * sizeof(float));
    return values;
  };
  for (const Parameter& p : parameters_->all())
    if (!p.gradient) statistics[p.name] = read(p.value, p.count);
  uploadBatch(data, indices, count);
  uploadScalars(settings);
  Execution e = execution(train_, count);
  e.data = &data;
  e.augmentation = settings.augmentation;
  train_.program.run(e, 0, train_.backward);
  backend_->synchronize();
  for (const Parameter& p : parameters_->all())
    if (p.gradient) result[p.name] = read(p.gradient, p.count);
  loadState(statistics);
  return result;
}

EvaluationResult Network::evaluate(const DataSet& data, const std::int32_t* indices, std::size_t count) {
  uploadScalars({});
  Execution e = execution(evaluate_, 0);
  e.data = &data;
  evaluate_.program.run(e, 0, evaluate_.states);
  for (std::size_t first = 0; first < count; first += std::size_t(options_.batchSize)) {
    e.batch = int(std::min(count - first, std::size_t(options_.batchSize)));
    uploadBatch(data, indices + first, e.batch);
    evaluate_.program.run(e, evaluate_.states, evaluate_.loss);
    backend_->synchronize();
  }
  StepScalars scalars;
  backend_->download(&scalars, scalars_, sizeof scalars);
  return {count ? scalars.loss.lossSum / double(scalars.loss.count) : 0, scalars.loss.correct, std::int64_t(count)};
}

std::vector<float> Network::predict(const float* images, std::size_t count) {
  Shape in = topology_.shapes[0], out = topology_.shapes[std::size_t(topology_.output)];
  std::vector<float> result(count * std::size_t(out.elements()));
  Execution e = execution(evaluate_, 0);
  evaluate_.program.run(e, 0, evaluate_.states);
  for (std::size_t first = 0; first < count; first += std::size_t(options_.batchSize)) {
    int batch = e.batch = int(std::min(count - first, std::size_t(options_.batchSize)));
    float* plain = e.at(evaluate_.plain);
    backend_->upload(plain, images + first * std::size_t(in.elements()),
                     std::size_t(batch) * std::size_t(in.elements()) * sizeof(float));
    backend_->run(ToLanes{in, batch, plain, e.at(evaluate_.image)});
    evaluate_.program.run(e, evaluate_.input, evaluate_.forward);
    backend_->run(FromLanes{out, batch, e.at(evaluate_.output), plain});
    backend_->synchronize();
    backend_->download(result.data() + first * std::size_t(out.elements()), plain,
                       std::size_t(batch) * std::size_t(out.elements()) * sizeof(float));
  }
  return result;
}

}  // namespace selfcompress
