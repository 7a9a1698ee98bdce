// Backward pass. A tensor's gradient is written by the last of its readers in forward order and added to by the others.
#include "graph/compiler.h"

namespace selfcompress {

Compiler::GradientTarget Compiler::gradientTarget(int t, BufferId inPlace) {
  Tensor& target = tensor(t);
  if (target.gradient != kNoBuffer) return {program_.floats(elements(t)), target.gradient};
  target.gradient = inPlace != kNoBuffer && uses(t) == 1 ? inPlace : program_.floats(elements(t));
  return {target.gradient, kNoBuffer};
}

void Compiler::finish(const GradientTarget& target, int t) {
  if (target.sum != kNoBuffer) copyGradient(t, target.write);
}

void Compiler::copyGradient(int t, BufferId from) {
  Shape s = shape(t);
  const std::int32_t* state = tensor(t).channels.state;
  bool accumulate = tensor(t).gradient != kNoBuffer;
  if (!accumulate) tensor(t).gradient = program_.floats(elements(t));
  BufferId to = tensor(t).gradient;
  program_.add({from, to}, [=](const Execution& x) {
    x.backend.run(CopyChannels{s, s, x.batch, 0, 0, s.channels, accumulate, x.at(from), state, x.at(to)});
  });
}

void Compiler::backwardWeightLayer(int i) {
  int in = inputOf(i);
  Conv2dGeometry g = geometryOf(node(i), shape(in));
  const float *weight = parameters_.value(i, Role::kWeight), *bitDepth = parameters_.value(i, Role::kBitDepth),
              *exponent = parameters_.value(i, Role::kExponent);
  float* gradWeight = parameters_.gradient(i, Role::kWeight);
  float* gradBias = parameters_.gradient(i, Role::kBias);
  ChannelList liveIn = inputs_[std::size_t(i)].notZero;
  ChannelList liveOut = tensor(i + 1).channels.live;
  BufferId input = tensor(in).value, gradOutput = tensor(i + 1).gradient, quantized = quantized_[std::size_t(i)],
           workspace = program_.bytes(backend_.conv2dWorkspace(g, options_.batchSize));
  program_.add({input, gradOutput, workspace}, [=](const Execution& x) {
    x.backend.run(Conv2dGradWeight{g, x.batch, x.at(input), x.at(gradOutput), liveIn, liveOut, gradWeight, gradBias,
                                   x.at(workspace)});
  });
  if (bitDepth) {
    QuantizeBackward args{g.outChannels,
                          g.weights() / g.outChannels,
                          weight,
                          bitDepth,
                          exponent,
                          gradWeight,
                          penalty_[std::size_t(i)],
                          gradWeight,
                          parameters_.gradient(i, Role::kBitDepth),
                          parameters_.gradient(i, Role::kExponent)};
    program_.add({}, [=](const Execution& x) { x.backend.run(args); });
  }
  if (!tensor(in).needsGradient) return;
  bool accumulate = tensor(in).gradient != kNoBuffer;
  if (!accumulate) tensor(in).gradient = program_.floats(elements(in));
  BufferId gradInput = tensor(in).gradient, mask = readerMasks(in) ? input : kNoBuffer;
  WeightQuantizer quantizer;
  if (quantized == kNoBuffer) quantizer = {bitDepth, exponent};
  program_.add({gradOutput, quantized, mask, gradInput, workspace}, [=](const Execution& x) {
    x.backend.run(Conv2dGradInput{g, x.batch, x.at(gradOutput), quantized == kNoBuffer ? weight : x.at(quantized),
                                  liveIn, liveOut, x.at(mask), accumulate, x.at(gradInput), x.at(workspace),
                                  quantizer});
  });
}

void Compiler::backwardBatchNorm(int i) {
  int in = inputOf(i);
  BatchNormBackward args;
  args.shape = shape(in);
  args.weight = parameters_.value(i, Role::kNormWeight);
  args.savedMean = saved_[std::size_t(i)], args.savedInvStd = saved_[std::size_t(i)] + args.shape.channels;
  args.inputState = tensor(in).channels.state, args.outputState = tensor(i + 1).channels.state;
  args.gradWeight = parameters_.gradient(i, Role::kNormWeight),
  args.gradBias = parameters_.gradient(i, Role::kNormBias);
  BufferId gradOutput = tensor(i + 1).gradient, input = tensor(in).value, output = kNoBuffer,
           mask = readerMasks(in) ? input : kNoBuffer;
  if (appliesRelu(i) && !readerMasks(topology_.readers[std::size_t(i) + 1][0] + 1)) output = tensor(i + 1).value;
  GradientTarget target = gradientTarget(in, gradOutput);
  program_.add({input, gradOutput, output, mask, target.write}, [=](const Execution& x) {
    BatchNormBackward a = args;
    a.batch = x.batch, a.input = x.at(input), a.gradOutput = x.at(gradOutput), a.reluOutput = x.at(output),
    a.reluInput = x.at(mask);
    a.gradInput = x.at(target.write);
    x.backend.run(a);
  });
  finish(target, in);
}

void Compiler::backwardActivation(int i) {
  int in = inputOf(i);
  BufferId gradOutput = tensor(i + 1).gradient;
  bool fused = isFusedRelu(i);
  bool done = readerMasks(i + 1) ||
              (fused && node(in - 1).kind == NodeKind::kBatchNorm);  // masked by the reader, or by the norm before
  if (done && fused) {
    tensor(in).gradient = gradOutput;
    return;
  }
  if (done) {  // masked already, but not in place of its input: the gradients are the same
    if (uses(in) == 1) tensor(in).gradient = gradOutput;
    else copyGradient(in, gradOutput);
    return;
  }
  Shape s = shape(in);
  Activation kind = node(i).activation;
  const std::int32_t* state = tensor(in).channels.state;
  BufferId value = isRelu(i) ? tensor(i + 1).value : tensor(in).value;
  GradientTarget target = gradientTarget(in, gradOutput);
  program_.add({value, gradOutput, target.write}, [=](const Execution& x) {
    x.backend.run(ActivationBackward{kind, s, x.batch, x.at(value), x.at(gradOutput), state, x.at(target.write)});
  });
  finish(target, in);
}

// Both operands have the gradient of the sum; one of them may take over its buffer, once the other has its copy.
void Compiler::backwardAdd(int i) {
  BufferId gradOutput = tensor(i + 1).gradient;
  int taker = -1;
  for (int t : topology_.inputs[std::size_t(i)])
    if (taker < 0 && tensor(t).needsGradient && uses(t) == 1) taker = t;
  for (int t : topology_.inputs[std::size_t(i)])
    if (t != taker && tensor(t).needsGradient) copyGradient(t, gradOutput);
  if (taker >= 0) tensor(taker).gradient = gradOutput;
}

void Compiler::backwardConcat(int i) {
  BufferId gradOutput = tensor(i + 1).gradient;
  Shape whole = shape(i + 1);
  int first = 0;
  for (int t : topology_.inputs[std::size_t(i)]) {
    Shape part = shape(t);
    if (tensor(t).needsGradient) {
      bool accumulate = tensor(t).gradient != kNoBuffer;
      if (!accumulate) tensor(t).gradient = program_.floats(elements(t));
      BufferId to = tensor(t).gradient;
      const std::int32_t* state = tensor(t).channels.state;
      program_.add({gradOutput, to}, [=](const Execution& x) {
        x.backend.run(
            CopyChannels{whole, part, x.batch, first, 0, part.channels, accumulate, x.at(gradOutput), state, x.at(to)});
      });
    }
    first += part.channels;
  }
}

void Compiler::backwardOf(int i) {
  const NodeDescription& n = node(i);
  if (!tensor(i + 1).needsGradient) return;
  int in = inputOf(i);
  if (isWeightLayer(n)) return backwardWeightLayer(i);
  if (n.kind == NodeKind::kBatchNorm) return backwardBatchNorm(i);
  if (n.kind == NodeKind::kAdd) return backwardAdd(i);
  if (n.kind == NodeKind::kConcat) return backwardConcat(i);
  if (!tensor(in).needsGradient) return;
  if (n.kind == NodeKind::kActivation) return backwardActivation(i);
  BufferId gradOutput = tensor(i + 1).gradient;
  Shape s = shape(in);
  const std::int32_t* state = tensor(in).channels.state;
  if (n.kind == NodeKind::kFlatten) {
    if (uses(in) == 1) tensor(in).gradient = gradOutput;
    else copyGradient(in, gradOutput);
  } else if (n.kind == NodeKind::kDropout) {
    float probability = n.probability;
    const StepCounter* counter = &scalars_->counter;
    GradientTarget target = gradientTarget(in, gradOutput);
    program_.add({gradOutput, target.write}, [=](const Execution& x) {
      x.backend.run(
          Dropout{s, x.batch, probability, std::uint32_t(i), counter, x.at(gradOutput), state, x.at(target.write)});
    });
    finish(target, in);
  } else {  // pooling
    Pool kind = n.kind == NodeKind::kPool ? n.pool : Pool::kAverage;
    PoolGeometry g = poolGeometryOf(n, s);
    BufferId mask = readerMasks(in) ? tensor(in).value : kNoBuffer,
             input = kind == Pool::kMax ? tensor(in).value : kNoBuffer;
    GradientTarget target = gradientTarget(in, kNoBuffer);
    program_.add({input, mask, gradOutput, target.write}, [=](const Execution& x) {
      x.backend.run(
          PoolBackward{kind, g, x.batch, x.at(input), x.at(gradOutput), state, x.at(mask), x.at(target.write)});
    });
    finish(target, in);
  }
}

void Compiler::compileBackward() {
  for (int i = int(network_.nodes.size()) - 1; i >= 0; i--) backwardOf(i);
}

}  // namespace selfcompress
