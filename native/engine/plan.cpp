#include "engine/plan.h"

#include <algorithm>
#include <optional>

#include "model/error.h"

namespace selfcompress::engine {
namespace {

class Planner {
 public:
  Planner(const model::ModelReader& reader, const Kernels& kernels, bool keepPanels, bool byPosition)
      : reader_(reader), kernels_(kernels), keepPanels_(keepPanels), byPosition_(byPosition) {}

  Plan make() {
    plan_.network = networkOf(reader_.structure());
    topology_ = inferShapes(plan_.network, kBlock);
    const std::size_t nodes = plan_.network.nodes.size();
    plan_.axes = topology_.axes;
    source_.resize(nodes + 1), done_.resize(nodes, false), made_.resize(nodes + 1, false);
    made_[0] = true;
    for (std::size_t i = 0; i < nodes; i++) entries_.push_back(entryOf(i));
    if (byPosition_) takeOnePosition();
    for (const NodeDescription& node : plan_.network.nodes)
      if (node.op->reads == Operator::Reads::kTokens) {
        const int known = node.integer("vocabulary");
        plan_.vocabulary = plan_.vocabulary ? std::min(plan_.vocabulary, known) : known;
      }
    for (std::size_t i = 0; i < nodes; i++) parameterCount_ += tensorCount(int(i));
    if (parameterCount_ != reader_.tensors().size())
      model::fail("tensors of the network's nodes", "the table", std::to_string(reader_.tensors().size()) + " tensors");
    for (std::size_t v = 0; v < source_.size(); v++) source_[v] = int(v);
    for (std::size_t i = 0; i < nodes; i++)
      if (!done_[i]) add(int(i));
    plan_.result = source_[std::size_t(topology_.output)];
    for (Layout layout : {Layout::kNhwc, Layout::kLanes}) place(layout);
    return std::move(plan_);
  }

 private:
  void takeOnePosition() {
    const Axes& input = plan_.axes[0];
    if (input.rank != 1) model::fail("one axis of positions", "the network's input", input.text());
    plan_.window = input.positions[0];
    std::string faults;
    for (std::size_t i = 0; i < entries_.size(); i++) {
      const NodeDescription& node = plan_.network.nodes[i];
      const Axes& made = plan_.axes[i + 1];
      const bool can = entries_[i]->byPosition && entries_[i]->byPosition(node);
      if (!can || made.rank != 1 || made.positions[0] != plan_.window)
        faults += "\n  " + std::string(node.op->kind) + " \"" + node.name + "\"";
    }
    if (!faults.empty())
      throw model::ModelFileError("Expected nodes that make one position after another but received" + faults);
    for (Axes& axes : plan_.axes) axes.positions[0] = 1;
  }

  const EngineOperator* entryOf(std::size_t i) const {
    const NodeDescription& node = plan_.network.nodes[i];
    const EngineOperator* entry = findEngineOperator(node.op->kind);
    if (!entry) model::fail("an operator that the engine runs", node.where(), node.op->kind);
    return entry;
  }

  std::vector<ParameterSpec> specsOf(int i) const {
    const NodeContext context = topology_.context(plan_.network, i);
    return context.node.op->parameters ? context.node.op->parameters(context) : std::vector<ParameterSpec>{};
  }
  std::size_t tensorCount(int i) const {
    std::size_t count = 0;
    for (const ParameterSpec& spec : specsOf(i))
      count += !spec.inFiles && spec.role != Role::kBitDepth && spec.role != Role::kExponent;
    return count;
  }

  // The node that alone reads the value, -1 where there is none or several.
  int onlyReader(int value) const {
    const std::vector<int>& readers = topology_.readers[std::size_t(value)];
    return readers.size() == 1 && value != topology_.output ? readers[0] : -1;
  }

  // Whether a flattened value is only read by layers that take any shape as a vector.
  bool flattenIsFree(int i) const {
    if (i + 1 == topology_.output) return false;
    const std::vector<int>& readers = topology_.readers[std::size_t(i) + 1];
    return std::all_of(readers.begin(), readers.end(), [&](int reader) {
      const EngineOperator& entry = *entries_[std::size_t(reader)];
      return entry.readsVector && entry.readsVector(plan_.network.nodes[std::size_t(reader)]);
    });
  }

  void add(int i) {
    const EngineOperator& entry = *entries_[std::size_t(i)];
    const NodeDescription& node = plan_.network.nodes[std::size_t(i)];
    if (!entry.prepare || (entry.flattens && flattenIsFree(i))) {
      source_[std::size_t(i) + 1] = source_[std::size_t(topology_.inputs[std::size_t(i)][0])];
      return;
    }
    PlannedStep step;
    NodeContext context{node, i, {}, plan_.axes[std::size_t(i) + 1]};
    const std::vector<int>& read = topology_.inputs[std::size_t(i)];
    for (std::size_t k = 0; k < read.size() - node.op->takesWeights; k++) {  // of the last one then not its values
      step.inputs.push_back(source_[std::size_t(read[k])]);
      context.inputs.push_back(plan_.axes[std::size_t(step.inputs.back())]);
    }
    const Tensors tensors(reader_, i, specsOf(i));
    Epilogue epilogue;
    std::vector<float> factors;
    if (tensors.find(Role::kBias)) epilogue.bias = tensors.floats(Role::kBias);
    const int last = fuse(i, entry, epilogue, factors);
    if (epilogue.sum) step.inputs.push_back(other_);
    std::optional<Tensors> shared;
    if (node.op->takesWeights) {
      const int table = topology_.inputs[std::size_t(i)].back() - 1;
      shared.emplace(reader_, table, specsOf(table));
    }
    step.step = entry.prepare({context, tensors, kernels_, keepPanels_, factors, std::move(epilogue), plan_.window,
                               shared ? &*shared : nullptr});
    step.output = last + 1, made_[std::size_t(last) + 1] = true;
    plan_.steps.push_back(std::move(step));
  }

  // Takes what can be done to node i's results as they are stored out of the nodes behind it; the last one taken.
  int fuse(int i, const EngineOperator& entry, Epilogue& e, std::vector<float>& factors) {
    using Takes = EngineOperator::Takes;
    int last = i;
    for (int next = onlyReader(i + 1); next >= 0 && entry.takes != Takes::kNothing; next = onlyReader(last + 1)) {
      const EngineOperator& behind = *entries_[std::size_t(next)];
      if (behind.isRelu) {
        (e.scale.empty() ? e.relu : e.lastRelu) = true;
      } else if (entry.takes == Takes::kSum && behind.isSum && isReadyFor(next, last + 1, e)) {
        e.sum = true;
      } else if (entry.takes >= Takes::kAffine && behind.affine && e.scale.empty()) {
        const Tensors tensors(reader_, next, specsOf(next));
        if (!e.relu && !e.sum) fold(behind, tensors, e, factors);
        else behind.affine(tensors, e.scale, e.shift);
      } else if (behind.prepare) {
        break;
      }
      done_[std::size_t(next)] = true;
      last = next;
    }
    return last;
  }

  // Whether the sum of `value` with another one can be taken where `value` is stored: the other one is there by then.
  bool isReadyFor(int sum, int value, const Epilogue& e) {
    const std::vector<int>& read = topology_.inputs[std::size_t(sum)];
    const int other = read[read[0] == value];
    if (e.relu || e.sum || !e.scale.empty() || other == value || !made_[std::size_t(source_[std::size_t(other)])])
      return false;
    const Axes& axes = plan_.axes[std::size_t(sum) + 1];
    other_ = source_[std::size_t(other)];
    return plan_.axes[std::size_t(read[0])] == axes && plan_.axes[std::size_t(read[1])] == axes;
  }

  // (sum * w + b) * scale + shift = sum * (w * scale) + (b * scale + shift)
  static void fold(const EngineOperator& behind, const Tensors& tensors, Epilogue& e, std::vector<float>& factors) {
    std::vector<float> scale, shift;
    behind.affine(tensors, scale, shift);
    e.bias.resize(scale.size(), 0.0f), factors.resize(scale.size(), 1.0f);
    for (std::size_t c = 0; c < scale.size(); c++) e.bias[c] = e.bias[c] * scale[c] + shift[c], factors[c] *= scale[c];
  }

  // Values that are not needed at the same time share memory: each takes the first gap that is large enough.
  void place(Layout layout) {
    const std::size_t which = std::size_t(layout), values = plan_.axes.size();
    const int steps = int(plan_.steps.size());
    std::vector<int> first(values, -1), last(values, -1);
    first[0] = 0, last[0] = 0;
    for (int s = 0; s < steps; s++) {
      const PlannedStep& step = plan_.steps[std::size_t(s)];
      first[std::size_t(step.output)] = last[std::size_t(step.output)] = s;
      for (int v : step.inputs) last[std::size_t(v)] = s;
      plan_.scratch[which] = std::max(plan_.scratch[which], step.step->scratchFloats(layout));
    }
    last[std::size_t(plan_.result)] = steps;
    std::vector<std::int64_t>& offsets = plan_.offsets[which];
    offsets.assign(values, 0);
    // Kernels read whole vectors of a pixel's channels: beyond the last one there is memory that is no other value's.
    const std::int64_t beyond = layout == Layout::kNhwc ? 16 : 0;
    auto sizeOf = [&](std::size_t v) { return (plan_.axes[v].elements() * imagesOf(layout) + beyond + 15) / 16 * 16; };
    std::vector<std::size_t> order;
    for (std::size_t v = 0; v < values; v++)
      if (first[v] >= 0) order.push_back(v);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return first[a] < first[b]; });
    std::vector<std::size_t>
        live;  // by offset; what was read for the last time leaves, so that long networks stay linear
    for (std::size_t v : order) {
      std::erase_if(live, [&](std::size_t other) { return last[other] < first[v]; });
      std::int64_t at = 0;
      for (std::size_t other : live) {
        if (at + sizeOf(v) <= offsets[other]) break;
        at = std::max(at, offsets[other] + sizeOf(other));
      }
      offsets[v] = at;
      live.insert(std::upper_bound(live.begin(), live.end(), v,
                                   [&](std::size_t a, std::size_t b) { return offsets[a] < offsets[b]; }),
                  v);
      plan_.floats[which] = std::max(plan_.floats[which], at + sizeOf(v));
    }
  }

  const model::ModelReader& reader_;
  const Kernels& kernels_;
  bool keepPanels_, byPosition_;
  Plan plan_;
  Topology topology_;
  std::vector<const EngineOperator*> entries_;
  std::vector<int> source_;  // of every value: the one whose memory holds it
  std::vector<bool> done_;   // nodes that an earlier step does as well
  std::vector<bool> made_;   // values that a step so far makes
  int other_ = 0;            // the value that a sum taken by a step adds
  std::size_t parameterCount_ = 0;
};

Plan make(const model::ModelReader& reader, const Kernels& kernels, bool keepPanels, bool byPosition) {
  try {
    return Planner(reader, kernels, keepPanels, byPosition).make();
  } catch (const DescriptionError& error) {
    throw model::ModelFileError(error.what());
  }
}

}  // namespace

Plan makePlan(const model::ModelReader& reader, const Kernels& kernels, bool keepPanels) {
  return make(reader, kernels, keepPanels, false);
}
Plan makePlanByPosition(const model::ModelReader& reader, const Kernels& kernels, bool keepPanels) {
  return make(reader, kernels, keepPanels, true);
}

}  // namespace selfcompress::engine
