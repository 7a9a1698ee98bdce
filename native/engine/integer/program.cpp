#include "engine/integer/program.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/integer/build.h"
#include "model/error.h"

namespace selfcompress::engine::integer {
namespace {

std::vector<double> rangesOf(const model::ModelReader& reader, std::size_t nodes) {
  for (const auto& [key, value] : reader.metadata()) {
    const auto* list = std::get_if<std::vector<double>>(&value);
    if (key != "ranges" || !list) continue;
    if (list->size() != 2 * (nodes + 1))
      model::fail(std::to_string(2 * (nodes + 1)) + " numbers", "the metadata's ranges", list->size());
    for (double bound : *list)
      if (!(std::fabs(bound) <= 1e30)) model::fail("finite numbers", "the metadata's ranges", std::to_string(bound));
    return *list;
  }
  model::fail("ranges of the values (measured on examples at export)", "the metadata", "none");
}

}  // namespace

CodeScale codeScale(double low, double high) {
  low = std::min(low, 0.0), high = std::max(high, 0.0);
  CodeScale result;
  const float scale = float((high - low) / 255);
  if (scale > 0) result.scale = scale;
  result.zero = int(std::min(255.0, std::floor(-low / double(result.scale) + 0.5)));
  return result;
}

sc_scale fixedPoint(double factor, const std::string& where) {
  if (!std::isfinite(factor)) model::fail("a scale below 2^30", where, std::to_string(factor));
  int exponent = 0;
  const double fraction = std::frexp(factor, &exponent);  // 1/2 <= |fraction| < 1
  int shift = 31 - exponent;
  double digits = std::floor(std::ldexp(fraction, 31) + 0.5);
  if (std::fabs(digits) >= std::ldexp(1.0, 31)) digits /= 2, shift--;
  if (!(shift >= 1)) model::fail("a scale below 2^30", where, std::to_string(factor));
  if (shift > 62) digits = std::floor(std::ldexp(digits, std::max(62 - shift, -64)) + 0.5), shift = 62;
  return {std::int32_t(digits), shift};
}

void setBounds(const Bounds& bounds, CodeScale code, std::int32_t& low, std::int32_t& high) {
  auto codeOf = [&](double value) {
    const double exact = std::floor(value / double(code.scale) + 0.5) + code.zero;
    return std::int32_t(std::fmin(std::fmax(exact, 0.0), 255.0));  // 0 for a bound that is no number
  };
  low = codeOf(bounds.low), high = codeOf(bounds.high);
}

Builder::Builder(const model::ModelReader& reader) : reader_(reader) {
  network_ = networkOf(reader.structure());
  topology_ = inferShapes(network_, 1);
  const std::size_t nodes = network_.nodes.size();
  ranges_ = rangesOf(reader, nodes);
  source_.assign(nodes + 1, -1), done_.assign(nodes, false);
  program_.input = topology_.axes[0], program_.output = topology_.axes[std::size_t(topology_.output)];
  program_.values.push_back({topology_.axes[0].folded(), codeScale(ranges_[0], ranges_[1])});
  source_[0] = 0;
}

Program Builder::build() {
  std::string faults;
  for (int i = 0; i < int(network_.nodes.size()); i++) {
    if (done_[std::size_t(i)]) continue;
    const IntegerOperator* entry = findIntegerOperator(node(i).op->kind);
    try {
      if (!entry) throw Fault{"an operator that has integers"};
      if (!faults.empty()) continue;  // values of the nodes before it are missing
      if (entry->alias) alias(i, input(i));
      else entry->build(*this, i);
    } catch (const Fault& fault) {
      faults += "\n  " + std::string(node(i).op->kind) + " \"" + node(i).name + "\" needs " + fault.expected;
    }
  }
  if (!faults.empty()) throw model::ModelFileError("The network cannot be made of integers:" + faults);
  program_.result = source_[std::size_t(topology_.output)];
  place();
  return std::move(program_);
}

Tensors Builder::tensors(int i) const {
  const NodeContext c = context(i);
  return {reader_, i, c.node.op->parameters ? c.node.op->parameters(c) : std::vector<ParameterSpec>{}};
}

int Builder::input(int i, int k) const {
  return source_[std::size_t(topology_.inputs[std::size_t(i)][std::size_t(k)])];
}

int Builder::onlyReader(int i) const {
  const std::vector<int>& readers = topology_.readers[std::size_t(i) + 1];
  return readers.size() == 1 && i + 1 != topology_.output ? readers[0] : -1;
}

Bounds Builder::takeBounds(int& last) {
  Bounds bounds;
  for (int next = onlyReader(last); next >= 0; next = onlyReader(last)) {
    const IntegerOperator* entry = findIntegerOperator(node(next).op->kind);
    if (!entry || !entry->bounds) break;
    const Bounds more = entry->bounds(node(next));
    bounds.low = std::clamp(bounds.low, more.low, more.high),
    bounds.high = std::clamp(bounds.high, more.low, more.high);
    done_[std::size_t(next)] = true, last = next;
  }
  return bounds;
}

bool Builder::takeNorm(int& last, std::vector<float>& factor, std::vector<float>& shift) {
  const int next = onlyReader(last);
  const EngineOperator* entry = next < 0 ? nullptr : findEngineOperator(node(next).op->kind);
  if (!entry || !entry->affine) return false;
  entry->affine(tensors(next), factor, shift);
  done_[std::size_t(next)] = true, last = next;
  return true;
}

bool Builder::flattenIsFree(int i) const {
  if (i + 1 == topology_.output) return false;
  const std::vector<int>& readers = topology_.readers[std::size_t(i) + 1];
  return std::all_of(readers.begin(), readers.end(), [&](int reader) {
    const EngineOperator* entry = findEngineOperator(node(reader).op->kind);
    return entry && entry->readsVector && entry->readsVector(node(reader));
  });
}

CodeScale Builder::rangeOf(int node) const {
  return codeScale(ranges_[2 * std::size_t(node) + 2], ranges_[2 * std::size_t(node) + 3]);
}

Step& Builder::add(StepKind kind, int i, std::vector<int> inputs, int last, Shape shape, CodeScale code) {
  const int output = int(program_.values.size());
  program_.values.push_back({shape, code});
  source_[std::size_t(last) + 1] = output;
  return addTo(output, kind, i, std::move(inputs));
}

Step& Builder::addTo(int output, StepKind kind, int i, std::vector<int> inputs) {
  Step& step = program_.steps.emplace_back();
  step.kind = kind, step.name = node(i).name, step.inputs = std::move(inputs), step.output = output;
  return step;
}

// Each value gets the first gap among those that are needed at the same time.
void Builder::place() {
  std::vector<Value>& values = program_.values;
  const int steps = int(program_.steps.size());
  std::vector<int> first(values.size(), steps), last(values.size(), -1);
  first[0] = -1, last[std::size_t(program_.result)] = steps;
  for (int s = 0; s < steps; s++) {
    const Step& step = program_.steps[std::size_t(s)];
    int& begin = first[std::size_t(step.output)];
    begin = std::min(begin, s), last[std::size_t(step.output)] = std::max(last[std::size_t(step.output)], s);
    for (int v : step.inputs) last[std::size_t(v)] = std::max(last[std::size_t(v)], s);
    program_.largest = std::max(program_.largest, std::int64_t(step.perChannel()));
  }
  std::vector<std::size_t> order(values.size()), live;
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return first[a] < first[b]; });
  for (std::size_t v : order) {
    std::erase_if(live, [&](std::size_t other) { return last[other] < first[v]; });
    std::int64_t at = 0;
    auto gap = live.begin();
    for (; gap != live.end() && at + values[v].shape.elements() > values[*gap].offset; ++gap)
      at = values[*gap].offset + values[*gap].shape.elements();
    values[v].offset = at;
    live.insert(gap, v);
    program_.memory = std::max(program_.memory, at + values[v].shape.elements());
  }
}

Program makeProgram(const model::ModelReader& reader) {
  try {
    return Builder(reader).build();
  } catch (const DescriptionError& error) {
    throw model::ModelFileError(error.what());
  }
}

}  // namespace selfcompress::engine::integer
