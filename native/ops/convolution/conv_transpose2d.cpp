// convTranspose2d: the data gradient of a convolution, used forward. Its weights have an output channel in each row, as
// the quantizer wants them; its kernels read them with the two channel axes exchanged.
#include "graph/emitter.h"
#include "ops/convolution/weight_layer.h"
#include "ops/operators.h"
#include "selfcompress/ops/conv_transpose.h"

namespace selfcompress {

ConvTransposeGeometry convTransposeGeometry(const NodeContext& c) {
  const Shape in = c.inputs[0].folded();
  const auto kernel = c.node.pair("kernel"), stride = c.node.pair("stride"), padding = c.node.pair("padding"),
             dilation = c.node.pair("dilation"), outputPadding = c.node.pair("outputPadding");
  ConvTransposeGeometry g;
  g.inChannels = in.channels, g.outChannels = c.node.integer("outChannels");
  g.height = in.height, g.width = in.width;
  g.kernelHeight = kernel[0], g.kernelWidth = kernel[1];
  g.strideH = stride[0], g.strideW = stride[1];
  g.padH = padding[0], g.padW = padding[1];
  g.dilationH = dilation[0], g.dilationW = dilation[1];
  g.outputPadH = outputPadding[0], g.outputPadW = outputPadding[1];
  g.groups = c.node.integer("groups");
  return g;
}

namespace ops {
namespace {

int tapsOf(const ConvTransposeGeometry& g) { return g.kernelHeight * g.kernelWidth; }

void checkGroups(const NodeContext& c, int channels, const char* which) {
  if (channels % c.node.integer("groups"))
    failDescription("a divisor of the " + std::to_string(channels) + " " + which + " channels", c.node.where("groups"),
                    std::to_string(c.node.integer("groups")));
}

// Of one axis, in numbers that cannot overflow.
void checkAxis(const NodeContext& c, double in, double kernel, double stride, double padding, double dilation,
               double outputPadding) {
  const double out = (in - 1) * stride - 2 * padding + dilation * (kernel - 1) + outputPadding + 1;
  if (outputPadding >= stride)
    failDescription("less than the stride", c.node.where("outputPadding"), std::to_string(int(outputPadding)));
  if (out < 1 || out > double(1 << 30))
    failDescription("an output of 1 to 2^30 positions", c.node.where("padding"),
                    std::to_string(std::int64_t(out)) + " positions of " + c.inputs[0].text());
}

Axes infer(const NodeContext& c) {
  const ConvTransposeGeometry g = convTransposeGeometry(c);
  checkGroups(c, g.inChannels, "input"), checkGroups(c, g.outChannels, "output");
  checkAxis(c, g.height, g.kernelHeight, g.strideH, g.padH, g.dilationH, g.outputPadH);
  checkAxis(c, g.width, g.kernelWidth, g.strideW, g.padW, g.dilationW, g.outputPadW);
  checkWeights(c, double(g.inChannels / g.groups) * g.kernelHeight * g.kernelWidth, g.outChannels);
  return windowed(c, c.inputs[0], g.output());
}

std::vector<ParameterSpec> parameters(const NodeContext& c) {
  const ConvTransposeGeometry g = convTransposeGeometry(c);
  using Of = ParameterAxis::Of;
  return weightLayerParameters(c, {{Of::kOutput, g.outChannels},
                                   {Of::kInput, g.inChannels / g.groups},
                                   {Of::kOther, g.kernelHeight},
                                   {Of::kOther, g.kernelWidth}});
}

ChannelRule channels(const NodeContext& c) {
  const ConvTransposeGeometry g = convTransposeGeometry(c);
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kFresh;
  rule.groups = g.groups;
  auto taps = [](int positions, int kernel, int size, int stride, int padding, int dilation) {
    return commonTaps(positions, kernel, [=](int p, int k) {
      const int at = p + padding - k * dilation;
      return at >= 0 && at % stride == 0 && at / stride < size;
    });
  };
  const Shape out = g.output();
  setTaps(rule, {g.kernelHeight, g.kernelWidth},
          taps(out.height, g.kernelHeight, g.height, g.strideH, g.padH, g.dilationH),
          taps(out.width, g.kernelWidth, g.width, g.strideW, g.padW, g.dilationW));
  return rule;
}

void forward(Emitter& e, int i) {
  const ConvTransposeGeometry g = convTransposeGeometry(e.context(i));
  const Parameters& p = e.parameters();
  const std::int64_t count = g.convolution().weights();
  const int in = e.input(i), out = e.output(i);
  BufferId quantized = kNoBuffer;
  if (const float* bits = p.value(i, Role::kBitDepth)) {
    quantized = e.program().floats(count);
    e.program()
        .add(i, QuantizeForward{g.outChannels, count / g.outChannels, p.value(i, Role::kWeight), bits,
                                p.value(i, Role::kExponent), nullptr})
        .at(&QuantizeForward::output, quantized);
  }
  const BufferId weight = e.kept(i) = e.program().floats(count);
  e.program()
      .add(i, PermuteWeights{g.groups, g.outChannels / g.groups, g.inChannels / g.groups, tapsOf(g),
                             p.value(i, Role::kWeight), nullptr})
      .at(&PermuteWeights::source, quantized)
      .at(&PermuteWeights::target, weight);
  const BufferId output = e.newValue(out),
                 workspace = e.program().bytes(e.backend().conv2dWorkspace(g.convolution(), e.batchSize()));
  e.program()
      .add(i, convTransposeForward(g, 0, nullptr, nullptr, e.readChannels(i).notZero, e.channels(out).live, nullptr,
                                   nullptr))
      .at(&Conv2dGradInput::gradOutput, e.value(in))
      .at(&Conv2dGradInput::weight, weight)
      .at(&Conv2dGradInput::gradInput, output)
      .at(&Conv2dGradInput::workspace, workspace);
  if (const float* bias = p.value(i, Role::kBias))
    e.program().add(i, ChannelBias{g.output(), 0, bias, false, e.state(out), nullptr}).at(&ChannelBias::data, output);
}

void weightGradients(Emitter& e, int i, const ConvTransposeGeometry& g, BufferId workspace) {
  const Parameters& p = e.parameters();
  const int in = e.input(i), out = e.output(i);
  const std::int64_t count = g.convolution().weights();
  if (float* gradBias = p.gradient(i, Role::kBias))
    e.program()
        .add(i, ChannelBiasGradient{g.output(), 0, nullptr, e.state(out), gradBias})
        .at(&ChannelBiasGradient::gradOutput, e.gradient(out));
  const BufferId permuted = e.program().floats(count);
  e.program()
      .add(i, convTransposeGradWeight(g, 0, nullptr, nullptr, e.readChannels(i).notZero, e.channels(out).live, nullptr,
                                      nullptr))
      .at(&Conv2dGradWeight::input, e.gradient(out))
      .at(&Conv2dGradWeight::gradOutput, e.value(in))
      .at(&Conv2dGradWeight::gradWeight, permuted)
      .at(&Conv2dGradWeight::workspace, workspace);
  float* gradWeight = p.gradient(i, Role::kWeight);
  e.program()
      .add(i,
           PermuteWeights{g.groups, g.inChannels / g.groups, g.outChannels / g.groups, tapsOf(g), nullptr, gradWeight})
      .at(&PermuteWeights::source, permuted);
  if (const float* bits = p.value(i, Role::kBitDepth))
    e.program().add(i,
                    QuantizeBackward{g.outChannels, count / g.outChannels, p.value(i, Role::kWeight), bits,
                                     p.value(i, Role::kExponent), gradWeight, e.penalty(i), gradWeight,
                                     p.gradient(i, Role::kBitDepth), p.gradient(i, Role::kExponent), e.rate(i).slopes});
}

void backward(Emitter& e, int i) {
  const ConvTransposeGeometry g = convTransposeGeometry(e.context(i));
  const int in = e.input(i), out = e.output(i);
  const BufferId workspace = e.program().bytes(e.backend().conv2dWorkspace(g.convolution(), e.batchSize()));
  weightGradients(e, i, g, workspace);
  if (!e.needsGradient(in)) return;
  const Emitter::GradientTarget target = e.gradientTarget(in, kNoBuffer);
  e.program()
      .add(i, convTransposeGradInput(g, 0, nullptr, nullptr, e.readChannels(i).notZero, e.channels(out).live, nullptr,
                                     nullptr))
      .at(&Conv2dForward::input, e.gradient(out))
      .at(&Conv2dForward::weight, e.kept(i))
      .at(&Conv2dForward::output, target.write)
      .at(&Conv2dForward::workspace, workspace);
  e.finish(target, in);
}

}  // namespace

const Operator convTranspose2d = [] {
  Operator op;
  op.kind = "convTranspose2d";
  op.fields = convolutionFields();
  op.fields.insert(op.fields.begin() + 4, FieldSpec{"outputPadding", FieldType::kPair, 0, kMostKernel, 0});
  op.isWeightLayer = true;
  op.infer = infer, op.parameters = parameters, op.channels = channels;
  op.resize = resizeConvolution;
  op.forward = forward, op.backward = backward;
  return op;
}();

}  // namespace ops
}  // namespace selfcompress
