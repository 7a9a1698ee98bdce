// pixelShuffle: size x size channels become one of as many times the height and width; pixelUnshuffle: the way back.
#include "graph/emitter.h"
#include "ops/layout/layouts.h"
#include "ops/operators.h"
#include "ops/rules.h"

namespace selfcompress {

DepthToSpace depthToSpace(const NodeContext& c, bool inverse) {
  const Shape in = c.inputs[0].folded();
  DepthToSpace args;
  args.size = c.node.integer("size"), args.order = DepthOrder(c.node.integer("order"));
  args.deep = in, args.inverse = inverse;
  if (inverse) args.deep = {in.channels * args.size * args.size, in.height / args.size, in.width / args.size};
  return args;
}

namespace ops {
namespace {

void checkImage(const NodeContext& c) {
  if (c.inputs[0].rank != 2) failDescription("an image", c.node.where("inputs"), "an input of " + c.inputs[0].text());
}

Axes inferWide(const NodeContext& c) {
  checkImage(c);
  const int area = c.node.integer("size") * c.node.integer("size");
  if (c.inputs[0].channels % area)
    failDescription("a multiple of " + std::to_string(area) + " channels", c.node.where("inputs"), c.inputs[0].text());
  return windowed(c, c.inputs[0], depthToSpace(c, false).wide());
}

Axes inferDeep(const NodeContext& c) {
  checkImage(c);
  const int size = c.node.integer("size");
  const Shape in = c.inputs[0].folded();
  if (in.height % size || in.width % size)
    failDescription("a height and a width that are multiples of " + std::to_string(size), c.node.where("inputs"),
                    c.inputs[0].text());
  if (double(in.channels) * size * size > kMostChannels)
    failDescription("at most 2^24 channels", c.node.where("size"), std::to_string(size));
  return windowed(c, c.inputs[0], depthToSpace(c, true).deep);
}

// Of the size * size channels that make one, all leave or none.
ChannelRule joined(const NodeContext& c) {
  const DepthToSpace args = depthToSpace(c, false);
  ChannelRule rule;
  rule.kind = ChannelRule::Kind::kJoin, rule.perChannel = args.size * args.size;
  rule.sources.resize(std::size_t(args.deep.channels));
  for (int deep = 0; deep < args.deep.channels; deep++) {
    const DepthPlace to = depthPlace(args, deep);
    const int place = to.channel * rule.perChannel + to.row * args.size + to.column;
    rule.sources[std::size_t(place)] = {0, deep};
  }
  return rule;
}

ChannelRule spread(const NodeContext& c) {
  const DepthToSpace args = depthToSpace(c, true);
  const int area = args.size * args.size, count = c.inputs[0].channels;
  ChannelRule rule;
  if (args.order == DepthOrder::kChannelFirst) rule.parts = {{0, 0, count, area}};
  else rule.parts.assign(std::size_t(area), {0, 0, count, 1});
  return rule;
}

DepthToSpace between(Emitter& e, const NodeContext& c, bool inverse, int from, int to) {
  DepthToSpace args = depthToSpace(c, inverse);
  args.sourceState = e.state(from), args.targetState = e.state(to);
  return args;
}

template <bool inverse>
void forward(Emitter& e, int i) {
  const int in = e.input(i), out = e.output(i);
  const BufferId output = e.newValue(out);
  e.program()
      .add(i, between(e, e.context(i), inverse, in, out))
      .at(&DepthToSpace::source, e.value(in))
      .at(&DepthToSpace::target, output);
}

template <bool inverse>
void backward(Emitter& e, int i) {
  const int in = e.input(i), out = e.output(i);
  if (!e.needsGradient(in)) return;
  const Emitter::GradientTarget target = e.gradientTarget(in, kNoBuffer);
  DepthToSpace args = between(e, e.context(i), inverse, out, in);
  args.inverse = !inverse;
  e.program().add(i, args).at(&DepthToSpace::source, e.gradient(out)).at(&DepthToSpace::target, target.write);
  e.finish(target, in);
}

template <bool inverse>
Operator rearranging(const char* kind) {
  Operator op;
  op.kind = kind;
  op.fields = {{"size", FieldType::kInteger, 1, 1 << 10},
               {"order", FieldType::kChoice, 0, 0, 1, nullptr, {"blockFirst", "channelFirst"}}};
  op.infer = inverse ? inferDeep : inferWide, op.channels = inverse ? spread : joined;
  op.forward = forward<inverse>, op.backward = backward<inverse>;
  return op;
}

}  // namespace

const Operator pixelShuffle = rearranging<false>("pixelShuffle");
const Operator pixelUnshuffle = rearranging<true>("pixelUnshuffle");

}  // namespace ops
}  // namespace selfcompress
