#include "train/update.h"

#include <algorithm>

#include "train/families.h"
#include "train/layer_rules.h"

namespace selfcompress {
namespace {

constexpr float kMostBits = 24;

void addOptimizerRule(OptimizerStep& args, const OptimizerDescription& o, bool quantizer, const StepScalars& scalars) {
  args.stepNumber = &scalars.step;
  args.beta1 = o.beta1, args.beta2 = o.beta2;
  if (quantizer) {
    args.kind = Optimizer::kAdam;
    args.epsilon = o.quantizerEpsilon;
    return;
  }
  args.kind = o.kind;
  args.learningRate = &scalars.learningRate;
  args.clipScale = o.maxGradientNorm > 0 ? &scalars.clipScale : nullptr;
  args.momentum = o.momentum, args.nesterov = o.nesterov, args.epsilon = o.epsilon;
}

void emitParameter(Emitter& e, const Parameter& p, const OptimizerDescription& o) {
  OptimizerStep args;
  args.count = args.perChannel = p.count;
  args.parameter = p.value, args.gradient = p.gradient;
  args.moment1 = p.moment[0], args.moment2 = p.moment[1];
  addOptimizerRule(args, o, false, *e.scalars());
  args.weightDecay = p.role == Role::kWeight ? o.weightDecay : 0;
  if (const Parameter* bits = e.parameters().find(p.node, Role::kBitDepth)) {
    args.frozenBitDepth = bits->value;
    args.perChannel = p.count / bits->count;
  }
  e.program().add(p.node, args);
}

// The range without the parameters of this role that belong to frozen layers.
std::vector<BlockRange> moving(const Parameters& p, BlockRange range, Role role, const std::vector<LayerRule>& rules) {
  std::vector<BlockRange> ranges;
  std::int64_t first = range.first;
  for (const Parameter& parameter : p.all()) {  // in the order of their offsets
    if (parameter.role != role || !rules[std::size_t(parameter.node)].frozen) continue;
    if (parameter.offset > first) ranges.push_back({first, parameter.offset - first});
    constexpr std::int64_t kAligned = kAlignment / sizeof(float);  // as every parameter
    first = (parameter.offset + parameter.count + kAligned - 1) / kAligned * kAligned;
  }
  if (range.first + range.count > first) ranges.push_back({first, range.first + range.count - first});
  return ranges;
}

// Bit depths, or exponents, of all layers at once.
void emitQuantizers(Emitter& e, BlockRange block, Role role, const std::vector<LayerRule>& rules, const float* rate,
                    const OptimizerDescription& o) {
  const Parameters& p = e.parameters();
  for (BlockRange range : moving(p, block, role, rules)) {
    OptimizerStep args;
    args.count = range.count, args.perChannel = 1;
    args.parameter = p.values + range.first, args.gradient = p.gradients + range.first;
    args.moment1 = p.moment1 + range.first, args.moment2 = p.moment2 + range.first;
    addOptimizerRule(args, o, true, *e.scalars());
    args.learningRate = rate;
    args.frozenBitDepth = p.values + p.bitDepths.first + (range.first - block.first);
    e.program().add(-1, args);
  }
}

void emitClip(Emitter& e, float maxNorm) {
  const Parameters& p = e.parameters();
  StepScalars* s = e.scalars();
  e.program().add(-1, SumOfSquares{p.others.count, p.gradients + p.others.first, &s->sumOfSquares});
  e.program().add(-1, ClipScale{&s->sumOfSquares, maxNorm, &s->clipScale, &s->gradientNorm});
}

void emitClamp(Emitter& e, const ChannelAnalysis& channels, const std::vector<LayerRule>& rules) {
  const Parameters& p = e.parameters();
  const auto count = std::size_t(p.bitDepths.count);
  std::vector<float> least(count, 0.0f), most(count, 0.0f);  // what is between two layers stays zero
  for (const Parameter& bits : p.all()) {
    if (bits.role != Role::kBitDepth) continue;
    const auto first = std::size_t(bits.offset - p.bitDepths.first);
    for (std::size_t c = first; c < first + std::size_t(bits.count); c++) {
      const LayerRule& rule = rules[std::size_t(bits.node)];
      most[c] = rule.frozen ? kMostBits : rule.mostBits;
      if (rule.frozen) continue;
      const bool stays = channels.reachesOutput(e.output(bits.node));
      least[c] = std::max(rule.leastBits, stays ? std::min(1.0f, most[c]) : 0.0f);
    }
  }
  e.program().add(-1,
                  ClampBitDepth{p.bitDepths.count, e.constant(least), e.constant(most), p.values + p.bitDepths.first});
}

void emitBitDepths(Emitter& e, const NetworkDescription& network, const Topology& topology,
                   const ChannelAnalysis& channels, const std::vector<LayerRule>& rules,
                   const NetworkOptions& options) {
  const OptimizerDescription& o = options.optimizer;
  const Parameters& p = e.parameters();
  if (p.bitDepths.count == 0) return;
  const int count = int(p.bitDepths.count);
  float *bits = p.values + p.bitDepths.first, *exponent = p.values + p.exponents.first,
        *gradBits = p.gradients + p.bitDepths.first, *gradExponent = p.gradients + p.exponents.first,
        *before = e.device().allocate<float>(std::size_t(count));
  // Without keepRange this only remembers the bit depths, which the families ask for.
  e.program().add(-1, RangeGradients{count, bits, o.keepRange ? gradExponent : nullptr, gradBits, before});
  emitQuantizers(e, p.bitDepths, Role::kBitDepth, rules, &e.scalars()->bitDepthLearningRate, o);
  for (int i = 0; i < int(network.nodes.size()); i++)
    if (const RateCount* rows = rules[std::size_t(i)].frozen ? nullptr : e.rate(i).rows)
      e.program().add(i, IdleChannels{int(p.find(i, Role::kIdle)->count), options.idleSteps, rows,
                                      p.value(i, Role::kIdle), p.value(i, Role::kBitDepth)});
  emitClamp(e, channels, rules);
  emitFamilies(e, familiesOf(network, topology, channels, p), before);
  if (o.keepRange) e.program().add(-1, KeepRange{count, before, bits, exponent});
}

// What is left of a layer over time whose units die: the bias of a candidate goes to zero, and with a unit all of its
// rows end, which nobody sees any more. Biases of gates stay what they are: they need not be zero for a unit to leave.
void emitRecurrentDecay(Emitter& e, const ChannelRule& rule, int i, float rate) {
  const Parameters& p = e.parameters();
  const int units = e.shape(e.output(i)).channels;
  const Emitter::RecurrentStates states = e.recurrentStates(i);
  if (!p.find(i, Role::kBitDepth)) return;
  if (float* bias = p.value(i, Role::kBias))
    e.program().add(
        i, DecayDead{units, states.candidates, rate, bias + std::ptrdiff_t(rule.recurrence.candidate) * units});
  e.program().add(i, DecayDead{rule.rows(units), states.rows, 1, p.value(i, Role::kBitDepth)});
}

// States of the start of this step: a channel that has just died decays from the next step on.
void emitDecay(Emitter& e, const Topology& topology, const ChannelAnalysis& channels, int i, float rate) {
  const ChannelRule& rule = channels.rule(i);
  const Parameters& p = e.parameters();
  const int t = Emitter::output(i);
  float *value = nullptr, *mean = nullptr;
  if (rule.recurs()) return emitRecurrentDecay(e, rule, i, rate);
  if (rule.mixing == ChannelRule::Mixing::kLayerNorm) {  // what leaves behind a dead channel is scale and shift
    if (p.find(i, Role::kNormWeight))
      e.program().add(i, DecayDead{e.shape(e.output(i)).channels, e.state(e.input(i)), rate,
                                   p.value(i, Role::kNormBias), p.value(i, Role::kNormWeight)});
    return;
  }
  if (rule.kind == ChannelRule::Kind::kFresh) {
    const bool canDie = p.find(i, Role::kBitDepth) || rule.depthwise(e.shape(e.input(i)).channels);
    if (canDie) value = p.value(i, Role::kBias);
  } else if (rule.normalises || rule.mixing == ChannelRule::Mixing::kRmsNorm) {
    value = p.value(i, Role::kNormBias), mean = p.value(i, Role::kRunningMean);
  }
  const auto& readers = topology.readers[std::size_t(t)];
  int first = 0, count = e.shape(t).channels;
  if (readers.size() == 1 && t != topology.output && channels.rule(readers[0]).recurs()) {  // candidates alone
    if (float* bits = p.value(i, Role::kBitDepth))  // rows of units that are always zero
      e.program().add(i, DecayDead{count, e.recurrentStates(readers[0]).rows, 1, bits});
    count = e.shape(Emitter::output(readers[0])).channels;
    first = channels.rule(readers[0]).recurrence.candidate * count;
  }
  if (value) value += first;
  if (mean) mean += first;
  if (value || mean) e.program().add(i, DecayDead{count, e.state(t) + first, rate, value, mean});
}

}  // namespace

void emitUpdate(Emitter& e, const NetworkDescription& network, const Topology& topology,
                const ChannelAnalysis& channels, const NetworkOptions& options) {
  const OptimizerDescription& o = options.optimizer;
  const Parameters& parameters = e.parameters();
  const std::vector<LayerRule> rules = layerRules(network, options);
  for (const Parameter& p : parameters.all())
    if (options.layerExponents && p.role == Role::kExponent)
      e.program().add(p.node, TieExponents{int(p.count), parameters.value(p.node, Role::kBitDepth), p.gradient});
  if (o.maxGradientNorm > 0) emitClip(e, o.maxGradientNorm);
  // Bit depths last: the others ask which channels were dead in this step.
  for (const Parameter& p : parameters.all())
    if (p.moments && p.role != Role::kBitDepth && p.role != Role::kExponent && !rules[std::size_t(p.node)].frozen)
      emitParameter(e, p, o);
  if (parameters.exponents.count)
    emitQuantizers(e, parameters.exponents, Role::kExponent, rules, &e.scalars()->exponentLearningRate, o);
  emitBitDepths(e, network, topology, channels, rules, options);
  for (int i = 0; i < int(network.nodes.size()); i++)
    if (!rules[std::size_t(i)].frozen) emitDecay(e, topology, channels, i, options.deadDecay);
  // Last, of the parameters as the step leaves them; running statistics too: they lag behind the weights as their
  // averages do, and taking them anew would need the training examples in every evaluation.
  if (parameters.averages)
    e.program().add(-1, AverageParameters{parameters.valueCount, options.ema, &e.scalars()->step, parameters.values,
                                          parameters.averages});
}

}  // namespace selfcompress
