// The end of a step: clipping, optimizer, limits of the bit depths, decay of what dead channels leave.
#include "graph/compiler.h"

namespace selfcompress {

void Compiler::updateOf(const Parameter& p) {
  const OptimizerDescription& o = options_.optimizer;
  const Parameter* bits = parameters_.find(p.node, Role::kBitDepth);
  OptimizerStep args;
  args.count = p.count;
  args.parameter = p.value, args.gradient = p.gradient;
  args.moment1 = p.moment[0], args.moment2 = p.moment[1];
  args.stepNumber = &scalars_->step;
  args.beta1 = o.beta1, args.beta2 = o.beta2;
  if (p.role == Role::kBitDepth || p.role == Role::kExponent) {
    args.kind = Optimizer::kAdam;
    args.learningRate = p.role == Role::kBitDepth ? &scalars_->bitDepthLearningRate : &scalars_->exponentLearningRate;
    args.epsilon = o.quantizerEpsilon;
  } else {
    args.kind = o.kind;
    args.learningRate = &scalars_->learningRate;
    args.clipScale = o.maxGradientNorm > 0 ? &scalars_->clipScale : nullptr;
    args.momentum = o.momentum, args.nesterov = o.nesterov, args.epsilon = o.epsilon;
    args.weightDecay = p.role == Role::kWeight ? o.weightDecay : 0;
  }
  if (bits) {
    args.frozenBitDepth = bits->value;
    args.perChannel = p.count / bits->count;
  }
  program_.add({}, [=](const Execution& x) { x.backend.run(args); });
}

void Compiler::compileUpdate() {
  float maxNorm = options_.optimizer.maxGradientNorm;
  if (maxNorm > 0) {
    for (const Parameter& p : parameters_.all())
      if (p.role == Role::kWeight || p.isNormOrBias()) {
        SumOfSquares args{p.count, p.gradient, &scalars_->sumOfSquares};
        program_.add({}, [=](const Execution& x) { x.backend.run(args); });
      }
    ClipScale args{&scalars_->sumOfSquares, maxNorm, &scalars_->clipScale, &scalars_->gradientNorm};
    program_.add({}, [=](const Execution& x) { x.backend.run(args); });
  }
  for (const Parameter& p : parameters_.all())  // bit depths last: the others ask which channels were dead in this step
    if (p.moments && p.role != Role::kBitDepth) updateOf(p);
  for (const Parameter& p : parameters_.all()) {
    if (p.role != Role::kBitDepth) continue;
    float* before = options_.optimizer.keepRange ? device_.allocate<float>(std::size_t(p.count)) : nullptr;
    float* exponent = parameters_.value(p.node, Role::kExponent);
    if (before) {
      RangeGradients args{int(p.count), p.value, parameters_.gradient(p.node, Role::kExponent), p.gradient, before};
      program_.add({}, [=](const Execution& x) { x.backend.run(args); });
    }
    updateOf(p);
    ClampBitDepth clamp{int(p.count), reachesOutput(p.node + 1) ? 1.0f : 0.0f, p.value};
    program_.add({}, [=](const Execution& x) { x.backend.run(clamp); });
    if (before) {
      KeepRange args{int(p.count), before, p.value, exponent};
      program_.add({}, [=](const Execution& x) { x.backend.run(args); });
    }
  }
  for (int i = 0; i < int(network_.nodes.size()); i++) {
    float *bias = parameters_.value(i, Role::kBias), *shift = parameters_.value(i, Role::kNormBias),
          *mean = parameters_.value(i, Role::kRunningMean);
    if ((!bias || !parameters_.find(i, Role::kBitDepth)) && !mean) continue;
    // States of the start of this step: a channel that has just died decays from the next step on.
    DecayDead args{shape(i + 1).channels, tensor(i + 1).channels.state, options_.deadDecay, bias ? bias : shift, mean};
    program_.add({}, [=](const Execution& x) { x.backend.run(args); });
  }
}

}  // namespace selfcompress
