#include "train/network.h"

#include "train/layer_rules.h"

#include <algorithm>

#include "base/errors.h"
#include "train/penalty.h"
#include "train/update.h"

namespace selfcompress {

Topology checkNetwork(const Backend& backend, const NetworkDescription& network, const NetworkOptions& options) {
  Topology topology = inferShapes(network, options.batchSize);
  std::int64_t channels = 0;
  for (const Axes& axes : topology.axes) channels += axes.channels;
  if (channels > kMostChannelsInAll)
    failDescription("at most 2^22 channels in all tensors together", "network.nodes", std::to_string(channels));
  if (options.penalty == SizePenalty::kRate && !backend.supports("RateCounts"))
    throw DescriptionError("Expected a device that has it for options.penalty \"rate\" but received " + backend.name());
  if (options.ema > 0 && !backend.supports("AverageParameters"))
    throw DescriptionError("Expected a device that has it for options.ema but received " + backend.name());
  if (options.distillation && !backend.supports("SoftCrossEntropy"))
    throw DescriptionError("Expected a device that has it for options.distillation but received " + backend.name());
  if (options.layerExponents && !backend.supports("TieExponents"))
    throw DescriptionError("Expected a device that has them for options.exponents \"layer\" but received " +
                           backend.name());
  const std::vector<LossTerm> terms = lossTerms(network, topology, options);
  for (std::size_t i = 0; i < terms.size(); i++) {
    const std::vector<float>& weights = terms[i].options.classWeights;
    if (weights.empty() || weights.size() == std::size_t(terms[i].classes)) continue;
    const std::string where = terms[i].whole ? "" : "outputs[" + quoted(network.outputs[i].name) + "].";
    failDescription("a weight for each of " + std::to_string(terms[i].classes) + " classes",
                    "options.loss." + where + "classWeights", "length " + std::to_string(weights.size()));
  }
  layerRules(network, options);  // throws for a name that no node has
  return topology;
}

std::unique_ptr<Parameters> layoutOf(const NetworkDescription& network, const Topology& topology,
                                     const NetworkOptions& options) {
  return std::make_unique<Parameters>(network, topology, options.optimizer.moments(), nullptr,
                                      options.penalty == SizePenalty::kRate, options.ema > 0);
}

Network::Network(std::shared_ptr<Backend> backend, const NetworkDescription& description, const NetworkOptions& options)
    : backend_(std::move(backend)),
      description_(description),
      options_(options),
      topology_(checkNetwork(*backend_, description_, options)),
      terms_(lossTerms(description_, topology_, options_)),
      plans_(fuse(description_, topology_, options_.fuseActivations)),
      device_(*backend_) {
  parameters_ = std::make_unique<Parameters>(description_, topology_, options_.optimizer.moments(), &device_,
                                             options_.penalty == SizePenalty::kRate, options_.ema > 0);
  if (options_.ema > 0) averages_ = std::make_unique<Parameters>(parameters_->ofAverages());
  parameterBytes_ = device_.bytes();
  std::vector<bool> compresses(description_.nodes.size(), false);
  double weights = 0;
  for (const Parameter& p : parameters_->all()) {
    if (p.role == Role::kBitDepth) compresses[std::size_t(p.node)] = true;
    if (p.role == Role::kWeight) weights += double(p.count);
  }
  if (options_.originalWeights <= 0) options_.originalWeights = weights;
  channels_ = std::make_unique<ChannelAnalysis>(description_, topology_, compresses);
  // One piece, so that the result of a step is one copy.
  resultBytes_ = sizeof(StepScalars) + description_.nodes.size() * sizeof(float);
  scalars_ = reinterpret_cast<StepScalars*>(device_.allocate<std::byte>(resultBytes_));
  layerBits_ = reinterpret_cast<float*>(scalars_ + 1);
  for (std::byte*& result : results_) result = device_.allocateStaging<std::byte>(resultBytes_);
  ExampleLayout layout{topology_.shapes[0], topology_.axes[0].type == ValueType::kToken, targetCount(terms_), {}};
  for (const LossTerm& term : terms_)
    if (term.isCrossEntropy()) layout.labels.push_back(term.labels);
  input_ = std::make_unique<BatchInput>(*backend_, device_, layout, options_.batchSize);
  recordings_ = std::make_unique<RecordedSteps>(*backend_, options_.recordSteps);
  compileTraining();
  compileEvaluation();
  arena_ = device_.allocate<std::byte>(
      std::max(train_.program.memory().arenaBytes(), evaluate_.program.memory().arenaBytes()));
  train_.program.bind(arena_);
  evaluate_.program.bind(arena_);
}

Network::~Network() {
  if (inFlightCount_) settle();
}

EmitterInput Network::emitterInput(const Parameters& parameters) {
  return {description_, options_, topology_, plans_, parameters, *backend_, device_, scalars_};
}

void Network::compileTraining() {
  Program& program = train_.program;
  Emitter emitter(emitterInput(*parameters_), program, Emitter::Mode::kTrain);
  emitter.emitStates();
  emitPenalty(emitter, description_, *channels_, options_, options_.originalWeights, layerBits_);
  program.mark(Mark::kStates);
  emitter.emitInput();
  emitter.emitForward();
  emitter.emitLoss();
  emitter.emitBackward();
  emitUpdate(emitter, description_, topology_, *channels_, options_);
  program.mark(Mark::kUpdate);
  program.place(options_.shareMemory);
}

void Network::compileEvaluation() {
  Program& program = evaluate_.program;
  Emitter emitter(emitterInput(evaluated()), program, Emitter::Mode::kEvaluate);
  emitter.emitStates();
  program.mark(Mark::kStates);
  emitter.emitInput();
  emitter.emitForward();
  emitter.emitLoss();
  evaluate_.image = emitter.value(0);
  evaluate_.output = emitter.value(topology_.output);
  const bool tokens = topology_.axes[0].type == ValueType::kToken;
  std::int64_t most =
      std::max(tokens ? 0 : topology_.axes[0].elements(), topology_.axes[std::size_t(topology_.output)].elements());
  evaluate_.plain = program.floats(most * options_.batchSize);
  // `predict` moves images and predictions through `plain` outside the program.
  program.keepApart({evaluate_.plain, evaluate_.output});
  if (!tokens) program.keepApart({evaluate_.plain, evaluate_.image, evaluate_.output});
  program.place(options_.shareMemory);
}

MemoryReport Network::memory() const {
  const MemoryPlan &train = train_.program.memory(), &evaluate = evaluate_.program.memory();
  return {parameterBytes_, std::max(train.arenaBytes(), evaluate.arenaBytes()),
          std::max(train.unsharedBytes(), evaluate.unsharedBytes())};
}

BatchRules batchRulesOf(const NetworkDescription& network, const Topology& topology, const NetworkOptions& options) {
  BatchRules rules{topology.axes[0], INT32_MAX, topology.axes[std::size_t(topology.output)].elements(),
                   lossTerms(network, topology, options)};
  for (const NodeDescription& node : network.nodes)
    if (node.op->reads == Operator::Reads::kTokens)
      rules.vocabulary = std::min(rules.vocabulary, node.integer("vocabulary"));
  return rules;
}

namespace {

void checkInput(const BatchRules& rules, const DataSet& data) {
  if (rules.input.type != ValueType::kToken) {
    if (data.hasTokens())
      failDescription("images of the network's input shape " + rules.input.text(), "data", "tokens");
    if (!(data.shape == rules.input.folded()))
      failDescription("images of the network's input shape " + rules.input.text(), "data",
                      Axes::image(data.shape.channels, data.shape.height, data.shape.width).text());
    return;
  }
  const std::string length = std::to_string(rules.input.positionCount()) + " tokens for an example";
  if (!data.hasTokens()) failDescription(length, "data", "images");
  if (data.shape.width != rules.input.positionCount())
    failDescription(length, "data", std::to_string(data.shape.width));
  if (data.vocabulary > rules.vocabulary)
    failDescription("a vocabulary of at most " + std::to_string(rules.vocabulary) + " tokens, the network's,", "data",
                    std::to_string(data.vocabulary));
}

// The labels of an example, output by output.
void checkLabels(const BatchRules& rules, const DataSet& data) {
  std::vector<const LossTerm*> terms;
  for (const LossTerm& term : rules.terms)
    if (term.isCrossEntropy()) terms.push_back(&term);
  if (terms.empty()) return;
  if (!data.hasLabels()) failDescription("a data set with labels", "data", "one without");
  const std::vector<DataSet::LabelPart> parts = data.partsOfLabels();
  if (parts.size() != terms.size())
    failDescription("labels for " + std::to_string(terms.size()) + (terms.size() == 1 ? " output" : " outputs"), "data",
                    "labels for " + std::to_string(parts.size()));
  for (std::size_t i = 0; i < parts.size(); i++) {
    const int labels = terms[i]->labels, classes = terms[i]->classes;
    if (parts[i].labels != labels)
      failDescription(labels == 1 ? std::string("one label for each example")
                                  : "a label for each of " + std::to_string(labels) + " positions",
                      "data", std::to_string(parts[i].labels));
    if (data.ignores && labels == 1 && terms[i]->whole)
      failDescription("labels that all count", "data", "some that are " + std::to_string(kIgnoredLabel));
    if (parts[i].classes > classes)
      failDescription("at most " + std::to_string(classes) + " classes, the network's outputs,", "data",
                      std::to_string(parts[i].classes));
  }
}

void checkTargets(const BatchRules& rules, const DataSet& data) {
  const std::int64_t features = targetCount(rules.terms);
  if (!features || distills(rules.terms)) return;
  if (data.targets.empty()) failDescription("a data set with targets", "data", "one without");
  if (data.features != features)
    failDescription("targets of " + std::to_string(features) + " features", "data", std::to_string(data.features));
}

}  // namespace

void checkAugmentation(const BatchRules& rules, const DataSet& data, const Augmentation& a, bool hasTeacher) {
  auto fail = [](const std::string& expected, const std::string& found) {
    failDescription(expected, "settings.augmentation", found);
  };
  if (a.colour <= 0 && !mixes(a)) return;
  const char* name = a.mixup > 0 ? "mixup" : a.cutmix > 0 ? "cutmix" : "colour";
  if (data.hasTokens()) fail(std::string("no ") + name + " for tokens,", name);
  if (a.colour > 0 && data.shape.channels != 1 && data.shape.channels != 3)
    fail("images of 1 or 3 channels with colour", std::to_string(data.shape.channels) + " channels");
  if (!mixes(a)) return;
  for (const LossTerm& term : rules.terms) {
    if (!term.isCrossEntropy() && !hasTeacher)
      fail(std::string("a loss of labels, or a teacher, with ") + name, "another loss");
    if (term.isCrossEntropy() && (term.options.perPosition || term.labels != 1))
      fail(std::string("one label for each example with ") + name, std::to_string(term.labels));
  }
  if (data.hasLabels() && data.ignores)
    fail(std::string("labels that all count with ") + name, "some that are " + std::to_string(kIgnoredLabel));
}

void checkBatch(const BatchRules& rules, const DataSet& data, const std::int32_t* indices, std::size_t count) {
  checkInput(rules, data);
  checkLabels(rules, data);
  checkTargets(rules, data);
  for (std::size_t i = 0; i < count; i++)
    if (indices[i] < 0 || indices[i] >= data.count)
      failDescription("0 to " + std::to_string(data.count - 1), "indices[" + std::to_string(i) + "]",
                      std::to_string(indices[i]));
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

void Network::loadState(const State& state) { loadState(StateView(state.begin(), state.end())); }

void Network::loadState(const StateView& state) {
  requireIdle();
  for (const auto& [name, values] : state) parameters_->check(name, values.size());
  for (const auto& [name, values] : state) {
    backend_->upload(parameters_->tensor(name).memory, values.data(), values.size() * sizeof(float));
    const std::string average = name + kAverage;
    if (averages_ && name.find('/') == std::string::npos && !state.contains(average))
      backend_->upload(parameters_->tensor(average).memory, values.data(), values.size() * sizeof(float));
  }
}

}  // namespace selfcompress
