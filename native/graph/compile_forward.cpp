// Input, forward pass and loss.
#include "graph/compiler.h"

namespace selfcompress {

bool Compiler::isFusedRelu(int i) const { return isRelu(i) && inputOf(i) > 0 && appliesRelu(inputOf(i) - 1); }

bool Compiler::appliesRelu(int i) const {
  const NodeDescription& n = node(i);
  bool can = isWeightLayer(n) || n.kind == NodeKind::kBatchNorm || n.kind == NodeKind::kAdd;
  return can && uses(i + 1) == 1 && i + 1 != topology_.output && isRelu(topology_.readers[std::size_t(i) + 1][0]);
}

bool Compiler::feedsNorm(int t) const {
  for (int reader : topology_.readers[std::size_t(t)])
    if (node(reader).kind == NodeKind::kBatchNorm || (isFusedRelu(reader) && feedsNorm(reader + 1))) return true;
  return false;
}

bool Compiler::readerMasks(int t) const {
  if (t == 0 || !isRelu(t - 1) || uses(t) != 1 || t == topology_.output) return false;
  NodeKind kind = node(topology_.readers[std::size_t(t)][0]).kind;
  return kind == NodeKind::kConv2d || kind == NodeKind::kLinear || kind == NodeKind::kBatchNorm ||
         kind == NodeKind::kPool || kind == NodeKind::kGlobalAveragePool;
}

void Compiler::compileInput() {
  Shape s = shape(0);
  BufferId image = tensor(0).value = program_.floats(elements(0));
  const StepCounter* counter = training() ? &scalars_->counter : nullptr;
  program_.add({image}, [=](const Execution& x) {
    const BatchMemory& in = x.input;
    x.backend.run(GatherImages{s, x.batch, in.bytes, in.floats, in.indices, in.mean, in.invStd, x.augmentation, counter,
                               x.at(image)});
  });
}

void Compiler::forwardWeightLayer(int i) {
  int in = inputOf(i);
  Conv2dGeometry g = geometryOf(node(i), shape(in));
  const float *weight = parameters_.value(i, Role::kWeight), *bias = parameters_.value(i, Role::kBias),
              *bitDepth = parameters_.value(i, Role::kBitDepth), *exponent = parameters_.value(i, Role::kExponent);
  WeightQuantizer quantizer{bitDepth, exponent};
  BufferId quantized = kNoBuffer;
  if (bitDepth && !backend_.quantizesInConvolution()) {
    quantizer = {};
    quantized = quantized_[std::size_t(i)] = program_.floats(g.weights());
    QuantizeForward args{g.outChannels, g.weights() / g.outChannels, weight, bitDepth, exponent, nullptr};
    program_.add({quantized}, [=](const Execution& x) {
      QuantizeForward a = args;
      a.output = x.at(quantized);
      x.backend.run(a);
    });
  }
  BufferId input = tensor(in).value, output = tensor(i + 1).value = program_.floats(elements(i + 1)),
           workspace = program_.bytes(backend_.conv2dWorkspace(g, options_.batchSize)), statistics = kNoBuffer;
  std::size_t statisticsBytes = training() && feedsNorm(i + 1) ? backend_.conv2dStatistics(g, options_.batchSize) : 0;
  if (statisticsBytes) statistics = tensor(i + 1).statistics = program_.bytes(statisticsBytes);
  bool relu = appliesRelu(i), exact = !training();
  ChannelList liveIn = inputs_[std::size_t(i)].notZero;
  ChannelInfo out = tensor(i + 1).channels;
  program_.add({quantized, input, output, workspace, statistics}, [=](const Execution& x) {
    x.backend.run(Conv2dForward{g, x.batch, x.at(input), quantized == kNoBuffer ? weight : x.at(quantized), bias, relu,
                                liveIn, out.live, out.state, x.at(output), x.at(workspace), exact, quantizer,
                                x.at<ChannelMoments>(statistics)});
  });
}

void Compiler::forwardBatchNorm(int i) {
  int in = inputOf(i);
  BatchNormForward args;
  args.shape = shape(in);
  args.training = training();
  args.epsilon = node(i).epsilon, args.momentum = node(i).momentum;
  args.weight = parameters_.value(i, Role::kNormWeight), args.bias = parameters_.value(i, Role::kNormBias);
  args.runningMean = parameters_.value(i, Role::kRunningMean),
  args.runningVar = parameters_.value(i, Role::kRunningVar);
  args.inputState = tensor(in).channels.state, args.outputState = tensor(i + 1).channels.state;
  args.relu = appliesRelu(i);
  if (training()) {
    float* saved = saved_[std::size_t(i)] = device_.allocate<float>(2 * std::size_t(args.shape.channels));
    args.savedMean = saved, args.savedInvStd = saved + args.shape.channels;
  }
  BufferId input = tensor(in).value, output = tensor(i + 1).value = program_.floats(elements(i + 1)),
           statistics = tensor(in).statistics;
  program_.add({input, output, statistics}, [=](const Execution& x) {
    BatchNormForward a = args;
    a.batch = x.batch, a.input = x.at(input), a.output = x.at(output), a.statistics = x.at<ChannelMoments>(statistics);
    x.backend.run(a);
  });
}

void Compiler::forwardOf(int i) {
  const NodeDescription& n = node(i);
  Tensor& out = tensor(i + 1);
  int in = inputOf(i);
  BufferId input = tensor(in).value;
  Shape s = shape(in);
  const std::int32_t* state = tensor(in).channels.state;
  if (isWeightLayer(n)) return forwardWeightLayer(i);
  if (n.kind == NodeKind::kBatchNorm) return forwardBatchNorm(i);
  bool passes = n.kind == NodeKind::kFlatten || isFusedRelu(i) || (n.kind == NodeKind::kDropout && !training());
  if (passes) {  // the same bytes
    out.value = input;
    if (isFusedRelu(i)) out.statistics = tensor(in).statistics;
    return;
  }
  BufferId output = out.value = program_.floats(elements(i + 1));
  switch (n.kind) {
    case NodeKind::kActivation: {
      Activation kind = n.activation;
      program_.add({input, output}, [=](const Execution& x) {
        x.backend.run(ActivationForward{kind, s, x.batch, x.at(input), state, x.at(output)});
      });
      break;
    }
    case NodeKind::kPool:
    case NodeKind::kGlobalAveragePool: {
      Pool kind = n.kind == NodeKind::kPool ? n.pool : Pool::kAverage;
      PoolGeometry g = poolGeometryOf(n, s);
      program_.add({input, output}, [=](const Execution& x) {
        x.backend.run(PoolForward{kind, g, x.batch, x.at(input), state, x.at(output)});
      });
      break;
    }
    case NodeKind::kDropout: {
      float probability = n.probability;
      const StepCounter* counter = &scalars_->counter;
      program_.add({input, output}, [=](const Execution& x) {
        x.backend.run(Dropout{s, x.batch, probability, std::uint32_t(i), counter, x.at(input), state, x.at(output)});
      });
      break;
    }
    case NodeKind::kAdd: {
      BufferId second = tensor(inputOf(i, 1)).value;
      const std::int32_t* stateB = tensor(inputOf(i, 1)).channels.state;
      bool relu = appliesRelu(i);
      program_.add({input, second, output}, [=](const Execution& x) {
        x.backend.run(Add{s, x.batch, x.at(input), x.at(second), state, stateB, relu, x.at(output)});
      });
      break;
    }
    default: {  // concat
      int first = 0;
      Shape whole = shape(i + 1);
      for (int t : topology_.inputs[std::size_t(i)]) {
        Shape part = shape(t);
        BufferId source = tensor(t).value;
        const std::int32_t* partState = tensor(t).channels.state;
        program_.add({source, output}, [=](const Execution& x) {
          x.backend.run(CopyChannels{part, whole, x.batch, 0, first, part.channels, false, x.at(source), partState,
                                     x.at(output)});
        });
        first += part.channels;
      }
    }
  }
}

void Compiler::compileForward() {
  for (int i = 0; i < int(network_.nodes.size()); i++) forwardOf(i);
}

void Compiler::compileLoss() {
  Tensor& out = tensor(topology_.output);
  int features = int(shape(topology_.output).elements());
  BufferId output = out.value;
  BufferId gradient = training() ? out.gradient = program_.floats(elements(topology_.output)) : kNoBuffer;
  LossResult* result = &scalars_->loss;
  if (options_.loss == Loss::kCrossEntropy) {
    float smoothing = options_.labelSmoothing;
    program_.add({output, gradient}, [=](const Execution& x) {
      x.backend.run(CrossEntropy{features, x.batch, smoothing, x.at(output), x.input.labels, x.at(gradient), result});
    });
    return;
  }
  BufferId target = program_.floats(elements(topology_.output));
  Shape s{features, 1, 1};
  auto* mean = device_.allocate<float>(std::size_t(features));
  auto* invStd = device_.allocate<float>(std::size_t(features));
  std::vector<float> ones(std::size_t(features), 1.0f);
  backend_.upload(invStd, ones.data(), ones.size() * sizeof(float));
  program_.add({output, target, gradient}, [=](const Execution& x) {
    x.backend.run(
        GatherImages{s, x.batch, nullptr, x.input.targets, x.input.indices, mean, invStd, {}, nullptr, x.at(target)});
    x.backend.run(MeanSquaredError{s, x.batch, x.at(output), x.at(target), x.at(gradient), result});
  });
}

}  // namespace selfcompress
