// Values and gradients, and the sections of a program that the operators fill.
#include "graph/emitter.h"

namespace selfcompress {

Emitter::Emitter(const EmitterInput& in, Program& program, Mode mode)
    : in_(in),
      program_(program),
      mode_(mode),
      tensors_(in.topology.axes.size()),
      kept_(in.network.nodes.size(), {kNoBuffer, kNoBuffer}),
      saved_(in.network.nodes.size()),
      penalty_(in.network.nodes.size()),
      rate_(in.network.nodes.size()),
      reads_(in.network.nodes.size()),
      recurrentStates_(in.network.nodes.size()),
      weightGradients_(in.network.nodes.size()) {
  std::vector<bool> trained(in.network.nodes.size(), false);
  for (const Parameter& p : in.parameters.all())
    if (p.gradient) trained[std::size_t(p.node)] = true;
  for (int i = 0; i < int(in.network.nodes.size()); i++) {
    bool needs = trained[std::size_t(i)];
    for (int t : in.topology.inputs[std::size_t(i)]) needs = needs || needsGradient(t);
    tensors_[std::size_t(i) + 1].needsGradient = needs;
  }
}

void Emitter::aliasValue(int t, int of) {
  tensors_[std::size_t(t)].value = value(of);
  tensors_[std::size_t(t)].statistics = statistics(of);
}

Emitter::GradientTarget Emitter::gradientTarget(int t, BufferId inPlace) {
  Tensor& target = tensors_[std::size_t(t)];
  if (target.gradient != kNoBuffer) return {program_.floats(elements(t)), target.gradient};
  target.gradient = inPlace != kNoBuffer && uses(t) == 1 ? inPlace : program_.floats(elements(t));
  return {target.gradient, kNoBuffer};
}

void Emitter::finish(const GradientTarget& target, int t) {
  if (target.sum != kNoBuffer) copyGradient(t, target.write);
}

BufferId Emitter::accumulated(int t, bool& accumulate) {
  Tensor& target = tensors_[std::size_t(t)];
  accumulate = target.gradient != kNoBuffer;
  if (!accumulate) target.gradient = program_.floats(elements(t));
  return target.gradient;
}

void Emitter::copyGradient(int t, BufferId from) {
  CopyChannels args;
  args.input = args.output = shape(t);
  args.count = args.input.channels;
  args.state = state(t);
  BufferId to = accumulated(t, args.accumulate);
  program_.add(t - 1, args).at(&CopyChannels::source, from).at(&CopyChannels::target, to);
}

void Emitter::passGradient(int t, BufferId from) {
  if (uses(t) == 1) takeGradient(t, from);
  else copyGradient(t, from);
}

void Emitter::emitInput() {
  if (in_.topology.axes[0].type == ValueType::kToken) {  // whoever reads tokens takes them from the batch
    program_.mark(Mark::kInput);
    return;
  }
  GatherImages args;
  args.shape = shape(0);
  args.counter = &in_.scalars->counter;
  program_.add(-1, args)
      .at(&GatherImages::output, newValue(0))
      .from(&GatherImages::bytes, BatchPart::kBytes)
      .from(&GatherImages::floats, BatchPart::kFloats)
      .from(&GatherImages::indices, BatchPart::kIndices)
      .from(&GatherImages::mean, BatchPart::kMean)
      .from(&GatherImages::invStd, BatchPart::kInvStd);
  program_.mark(Mark::kInput);
}

void Emitter::emitForward() {
  for (int i = 0; i < int(in_.network.nodes.size()); i++) {
    const FusionTraits& traits = node(i).op->fusion;
    if (traits.alias || plan(i).absorbed || (traits.aliasInEvaluation && !training())) aliasValue(output(i), input(i));
    else node(i).op->forward(*this, i);
  }
  clearOutput();
  program_.mark(Mark::kForward);
}

// Nobody writes channels that are known to be zero, and whoever reads a tensor skips them, except for what reads the
// prediction.
void Emitter::clearOutput() {
  int t = in_.topology.output;
  program_.add(t - 1, ClearChannels{shape(t), 0, state(t), nullptr}).at(&ClearChannels::output, value(t));
}

void Emitter::emitBackward() {
  for (int i = int(in_.network.nodes.size()) - 1; i >= 0; i--) {
    // Nobody uses a value of which only the axes are read: no gradient comes back to it.
    if (!needsGradient(output(i)) || gradient(output(i)) == kNoBuffer) continue;
    if (node(i).op->fusion.alias) {
      if (needsGradient(input(i))) passGradient(input(i), gradient(output(i)));
    } else {
      node(i).op->backward(*this, i);
    }
  }
  program_.mark(Mark::kBackward);
}

}  // namespace selfcompress
