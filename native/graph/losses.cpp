#include "graph/losses.h"

#include <algorithm>

namespace selfcompress {
namespace {

LossTerm termOf(const LossOptions& options, const Axes& axes, const std::optional<Distillation>& distillation) {
  LossTerm term;
  term.options = options;
  const bool perPosition = options.loss == Loss::kCrossEntropy && options.perPosition;
  if (axes.elements() > INT32_MAX)
    failDescription("at most 2^31 - 1 features", "network.output", std::to_string(axes.elements()));
  term.shape = perPosition ? axes.folded() : Shape{int(axes.elements()), 1, 1};
  if (term.isCrossEntropy()) {
    term.classes = term.shape.channels, term.labels = int(term.shape.pixels());
    term.distillation = distillation;
  } else if (distillation) {
    failDescription("the loss crossEntropy for all outputs, with options.distillation,", "options.loss", "another one");
  }
  if (distillation || !term.isCrossEntropy()) term.features = axes.elements();
  return term;
}

const OutputLoss& lossOf(const TensorPart& output, const NetworkOptions& options) {
  auto found = std::find_if(options.outputs.begin(), options.outputs.end(),
                            [&](const OutputLoss& loss) { return loss.output == output.name; });
  if (found == options.outputs.end())
    failDescription("a loss for each output", "options.loss.outputs", "none for \"" + output.name + "\"");
  return *found;
}

}  // namespace

std::vector<LossTerm> lossTerms(const NetworkDescription& network, const Topology& topology,
                                const NetworkOptions& options) {
  const Axes& whole = topology.axes[std::size_t(topology.output)];
  if (options.outputs.empty()) {
    LossTerm term = termOf(options, whole, options.distillation);
    term.run = {0, whole.channels};
    return {term};
  }
  for (const OutputLoss& loss : options.outputs)
    if (std::none_of(network.outputs.begin(), network.outputs.end(),
                     [&](const TensorPart& output) { return output.name == loss.output; }))
      failDescription("the network's outputs", "options.loss.outputs", "\"" + loss.output + "\"");
  const std::vector<ChannelRun> runs = runsOfParts(network.outputs, whole, "network.outputs");
  std::vector<LossTerm> terms;
  for (std::size_t i = 0; i < runs.size(); i++) {
    const OutputLoss& loss = lossOf(network.outputs[i], options);
    LossTerm term = termOf(loss, network.outputs[i].axes, options.distillation);
    term.weight = loss.weight, term.run = runs[i], term.whole = false;
    term.firstLabel = labelCount(terms), term.firstTarget = targetCount(terms);
    terms.push_back(std::move(term));
  }
  return terms;
}

int labelCount(const std::vector<LossTerm>& terms) {
  int count = 0;
  for (const LossTerm& term : terms) count += term.labels;
  return count;
}

std::int64_t targetCount(const std::vector<LossTerm>& terms) {
  std::int64_t count = 0;
  for (const LossTerm& term : terms) count += term.features;
  return count;
}

bool distills(const std::vector<LossTerm>& terms) { return terms.front().distillation.has_value(); }

}  // namespace selfcompress
