// The loss of the prediction, and its gradient: one term for each output.
#include "graph/emitter.h"

namespace selfcompress {

void Emitter::compareElements(const LossTerm& term, BufferId output, BufferId target, BufferId gradient,
                              LossResult* result) {
  if (term.options.loss == Loss::kMeanSquaredError) {
    program_.add(-1, MeanSquaredError{term.shape, 0, nullptr, nullptr, nullptr, result})
        .at(&MeanSquaredError::output, output)
        .at(&MeanSquaredError::target, target)
        .at(&MeanSquaredError::gradOutput, gradient);
    return;
  }
  ElementLoss args;
  args.kind = term.options.loss == Loss::kBinaryCrossEntropy ? ElementLossKind::kBinaryCrossEntropy
              : term.options.loss == Loss::kAbsolute         ? ElementLossKind::kAbsolute
                                                             : ElementLossKind::kHuber;
  args.shape = term.shape, args.delta = term.options.huberDelta, args.result = result;
  program_.add(-1, args)
      .at(&ElementLoss::output, output)
      .at(&ElementLoss::target, target)
      .at(&ElementLoss::gradOutput, gradient);
}

void Emitter::comparePositions(const LossTerm& term, BufferId output, BufferId gradient, LossResult* result) {
  PositionCrossEntropy args;
  args.shape = term.shape;
  args.labelSmoothing = smoothing(term), args.ignored = kIgnoredLabel;
  if (training()) args.image = shape(0), args.counter = &in_.scalars->counter;
  if (!term.options.classWeights.empty()) args.classWeight = constant(term.options.classWeights);
  args.result = result;
  program_.add(-1, args)
      .at(&PositionCrossEntropy::logits, output)
      .at(&PositionCrossEntropy::gradLogits, gradient)
      .from(&PositionCrossEntropy::labels, BatchPart::kLabels, labelsBefore(term) * sizeof(std::int32_t));
}

void Emitter::compareLabels(const LossTerm& term, BufferId output, BufferId gradient, LossResult* result) {
  // One label of an example, all of which count, has kernels of its own.
  if (!term.whole || term.options.perPosition || !term.options.classWeights.empty())
    return comparePositions(term, output, gradient, result);
  CrossEntropy args;
  if (training()) args.image = shape(0), args.counter = &in_.scalars->counter;
  args.classes = term.classes, args.labelSmoothing = smoothing(term), args.result = result;
  program_.add(-1, args)
      .at(&CrossEntropy::logits, output)
      .at(&CrossEntropy::gradLogits, gradient)
      .from(&CrossEntropy::labels, BatchPart::kLabels);
}

// A teacher's outputs `target` beside the labels.
void Emitter::distill(const LossTerm& term, BufferId output, BufferId target, BufferId gradient, LossResult* result) {
  SoftCrossEntropy args;
  args.shape = term.shape, args.ignored = kIgnoredLabel, args.result = result;
  args.share = term.distillation->weight, args.temperature = term.distillation->temperature;
  program_.add(-1, args)
      .at(&SoftCrossEntropy::logits, output)
      .at(&SoftCrossEntropy::targets, target)
      .at(&SoftCrossEntropy::gradLogits, gradient)
      .from(&SoftCrossEntropy::labels, BatchPart::kLabels, labelsBefore(term) * sizeof(std::int32_t));
}

// The targets of all terms, of which there is at least one.
BufferId Emitter::gatherTargets(std::int64_t features) {
  GatherImages gather;
  gather.shape = {int(features), 1, 1};
  gather.mean = constant(std::vector<float>(std::size_t(features), 0.0f));
  gather.invStd = constant(std::vector<float>(std::size_t(features), 1.0f));
  const BufferId targets = program_.floats(laneElements(gather.shape, batchSize()));
  program_.add(-1, gather)
      .at(&GatherImages::output, targets)
      .from(&GatherImages::floats, BatchPart::kTargets)
      .from(&GatherImages::indices, BatchPart::kTargetIndices);
  return targets;
}

// `count` channels from `first` on, in memory of their own.
BufferId Emitter::takeChannels(Shape whole, BufferId from, int first, int count) {
  CopyChannels args;
  args.input = whole, args.output = {count, whole.height, whole.width};
  args.inFirst = first, args.count = count;
  const BufferId part = program_.floats(laneElements(args.output, batchSize()));
  program_.add(-1, args).at(&CopyChannels::source, from).at(&CopyChannels::target, part);
  return part;
}

void Emitter::emitTerm(const LossTerm& term, BufferId targets, std::int64_t features, BufferId wholeGradient,
                       LossResult* result) {
  const int t = in_.topology.output;
  BufferId output = value(t), gradient = wholeGradient, target = targets;
  if (!term.whole) {
    output = takeChannels(shape(t), output, term.run.first, term.run.count);
    if (training()) gradient = program_.floats(laneElements(term.shape, batchSize()));
    if (target != kNoBuffer && term.features)
      target = takeChannels({int(features), 1, 1}, targets, int(term.firstTarget), int(term.features));
  }
  if (term.isCrossEntropy()) compareLabels(term, output, gradient, result);
  else compareElements(term, output, target, gradient, result);
  if (term.distillation && training()) distill(term, output, target, gradient, result);
  if (term.whole || !training()) return;
  if (term.weight != 1) {
    ActivationForward scale;
    scale.kind = Activation::kAffine, scale.shape = term.shape, scale.alpha = term.weight;
    program_.add(-1, scale).at(&ActivationForward::input, gradient).at(&ActivationForward::output, gradient);
  }
  CopyChannels back;
  back.input = {term.run.count, shape(t).height, shape(t).width}, back.output = shape(t);
  back.outFirst = term.run.first, back.count = term.run.count;
  program_.add(-1, back).at(&CopyChannels::source, gradient).at(&CopyChannels::target, wholeGradient);
}

void Emitter::emitLoss() {
  const int t = in_.topology.output;
  BufferId gradient = kNoBuffer;
  if (training()) takeGradient(t, gradient = program_.floats(elements(t)));
  const std::vector<LossTerm> terms = lossTerms(in_.network, in_.topology, in_.options);
  const std::int64_t features = distills(terms) && !training() ? 0 : targetCount(terms);
  const BufferId targets = features ? gatherTargets(features) : kNoBuffer;
  for (std::size_t i = 0; i < terms.size(); i++)
    emitTerm(terms[i], targets, features, gradient, &in_.scalars->losses[i]);
  program_.mark(Mark::kLoss);
}

}  // namespace selfcompress
