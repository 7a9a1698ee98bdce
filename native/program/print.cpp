#include "program/print.h"

#include <algorithm>

namespace selfcompress {

std::int64_t multiplyAddsOf(const Conv2dGeometry& g, int batch) { return g.weights() * g.output().pixels() * batch; }

namespace {

std::string text(std::int64_t value) { return std::to_string(value); }
std::string text(Shape s) { return text(s.channels) + "x" + text(s.height) + "x" + text(s.width); }

// The geometry of convolutions and of poolings: both have an input, a window and an output.
template <class Geometry>
std::string windowText(const Geometry& g, Shape input) {
  return text(input) + " -> " + text(g.output()) + ", " + text(g.kernelHeight) + "x" + text(g.kernelWidth);
}
std::string text(const Conv2dGeometry& g) { return windowText(g, g.input()); }
std::string text(const PoolGeometry& g) { return windowText(g, g.input); }

// Of any other operation: what goes in and what comes out.
template <class Geometry>
requires std::is_class_v<Geometry> std::string text(const Geometry& g) {
  if constexpr (requires { g.query(); }) return text(g.query()) + " over " + text(g.key());
  else if constexpr (requires { g.input(); }) return text(g.input()) + " -> " + text(g.output());
  else return text(g.input) + " -> " + text(g.output());
}

// What an operation works on, from whichever of these fields its arguments have.
template <class Args>
std::string shapeText(const Args& a) {
  if constexpr (requires { a.geometry; }) return text(a.geometry);
  else if constexpr (requires { a.shape; }) return text(a.shape);
  else if constexpr (requires { a.input.channels, a.output.channels; }) return text(a.input) + " -> " + text(a.output);
  else if constexpr (requires { a.input.channels; }) return text(a.input);
  else if constexpr (requires { a.channels, a.perChannel; }) return text(a.channels) + "x" + text(a.perChannel);
  else if constexpr (requires { a.channels; }) return text(a.channels);
  else if constexpr (requires { a.dimensions, a.positions; }) return text(Shape{a.dimensions, 1, a.positions});
  else if constexpr (requires { a.classes; }) return text(a.classes);
  else if constexpr (requires { a.families; }) return text(a.families);
  else if constexpr (requires { a.count; }) return text(a.count);
  else return "";
}

template <class Args>
std::int64_t multiplyAdds(const Args& a, int batch) {
  if constexpr (requires { multiplyAddsOf(a.geometry, batch); }) return multiplyAddsOf(a.geometry, batch);
  else return 0;
}

template <class Args, class Field>
bool isSet(const Operation& operation, const Args& args, Field Args::*field) {
  if (args.*field) return true;
  return std::any_of(operation.pointers.begin(), operation.pointers.end(),
                     [&](const Operation::Pointer& p) { return p.offset == offsetOf(field); });
}

const char* nameOf(NormActivation kind) {
  switch (kind) {
    case NormActivation::kRelu:
      return "ReLU";
    case NormActivation::kClip:
      return "clipping";
    case NormActivation::kLeakyRelu:
      return "leaky ReLU";
    case NormActivation::kHardSwish:
      return "hard-swish";
    case NormActivation::kSilu:
      return "SiLU";
    case NormActivation::kNone:
      break;
  }
  return "";
}

template <class Args>
std::vector<const char*> epilogues(const Operation& operation, const Args& a) {
  std::vector<const char*> list;
  if constexpr (requires { a.quantizer.bitDepth; })
    if (a.quantizer.bitDepth) list.push_back("quantizer");
  if constexpr (requires { a.activation; })
    if (a.activation.kind != NormActivation::kNone) list.push_back(nameOf(a.activation.kind));
  if constexpr (requires { a.relu; })
    if (a.relu) list.push_back("ReLU");
  if constexpr (requires { a.reluInput; })
    if (isSet(operation, a, &Args::reluInput)) list.push_back("ReLU mask");
  if constexpr (requires { a.statistics; })
    if (isSet(operation, a, &Args::statistics)) list.push_back("moments");
  if constexpr (requires { a.accumulate; })
    if (a.accumulate) list.push_back("accumulate");
  return list;
}

Mark sectionOf(const Program& program, std::size_t operation) {
  for (int m = 0; m < kMarks; m++)
    if (operation < program.end(Mark(m))) return Mark(m);
  return Mark::kUpdate;
}

OperationRow rowOf(const Program& program, std::size_t index, int batch) {
  const Operation& operation = program.operations()[index];
  OperationRow row;
  row.operation = operationName(operation.args);
  row.section = sectionOf(program, index), row.node = operation.node;
  for (const Operation::Pointer& p : operation.pointers)
    if (std::find(row.buffers.begin(), row.buffers.end(), p.buffer) == row.buffers.end())
      row.buffers.push_back(p.buffer);
  for (const Operation::BatchPointer& p : operation.batch) row.batch.push_back(batchPartName(p.part));
  std::visit(
      [&](const auto& args) {
        row.shape = shapeText(args);
        row.epilogues = epilogues(operation, args);
        row.multiplyAdds = multiplyAdds(args, batch);
      },
      operation.args);
  return row;
}

}  // namespace

ProgramRows rowsOf(const Program& program, int batch) {
  ProgramRows rows;
  for (std::size_t i = 0; i < program.size(); i++) {
    rows.operations.push_back(rowOf(program, i, batch));
    rows.multiplyAdds += rows.operations.back().multiplyAdds;
  }
  const MemoryPlan& memory = program.memory();
  for (BufferId id = 0; id < memory.count(); id++)
    rows.buffers.push_back({memory.size(id), memory.offset(id), memory.first(id), memory.last(id)});
  rows.arenaBytes = memory.arenaBytes(), rows.unsharedBytes = memory.unsharedBytes();
  return rows;
}

}  // namespace selfcompress
