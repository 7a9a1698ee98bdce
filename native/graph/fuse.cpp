#include "graph/fuse.h"

namespace selfcompress {
namespace {

class Fusion {
 public:
  Fusion(const NetworkDescription& network, const Topology& topology, bool activations)
      : network_(network), topology_(topology), activations_(activations) {}

  std::vector<NodePlan> plans() {
    std::vector<NodePlan> plans(network_.nodes.size());
    for (int i = 0; i < int(plans.size()) && activations_; i++) {
      NodePlan& p = plans[std::size_t(i)];
      int in = topology_.inputs[std::size_t(i)][0];
      p.relu = appliesRelu(i);
      p.activation = appliedBy(i);
      p.absorbed = isOneWithReader(in - 1) || (traits(i).isRelu && in > 0 && appliesRelu(in - 1));
      p.masksInput = traits(i).masks && readerMasks(in);
      p.passesGradient = isOneWithReader(in - 1) || (traits(i).isRelu && readerMasks(i + 1));
    }
    // From the readers back: a ReLU that is absorbed hands the moments on.
    for (int i = int(plans.size()) - 1; i >= 0; i--)
      for (int reader : topology_.readers[std::size_t(i) + 1]) {
        const NodePlan& r = plans[std::size_t(reader)];
        if (traits(reader).wantsMoments || (r.absorbed && r.moments)) plans[std::size_t(i)].moments = true;
      }
    return plans;
  }

 private:
  const FusionTraits& traits(int node) const { return network_.nodes[std::size_t(node)].op->fusion; }
  int onlyReader(int t) const { return topology_.readers[std::size_t(t)][0]; }
  bool readOnce(int t) const { return topology_.readers[std::size_t(t)].size() == 1 && t != topology_.output; }
  bool appliesRelu(int i) const { return traits(i).relu && readOnce(i + 1) && traits(onlyReader(i + 1)).isRelu; }
  AppliedActivation appliedBy(int i) const {
    if (!traits(i).activates || !readOnce(i + 1)) return {};
    const NodeDescription& reader = network_.nodes[std::size_t(onlyReader(i + 1))];
    return reader.op->applied ? reader.op->applied(reader) : AppliedActivation{};
  }
  bool isOneWithReader(int i) const { return i >= 0 && appliedBy(i).kind != NormActivation::kNone; }
  // t comes out of a ReLU and its one reader multiplies its gradient by (t > 0), unless the node before the ReLU does
  // that without reading t.
  bool readerMasks(int t) const {
    return t > 0 && traits(t - 1).isRelu && readOnce(t) && traits(onlyReader(t)).masks &&
           !isOneWithReader(topology_.inputs[std::size_t(t - 1)][0] - 1);
  }

  const NetworkDescription& network_;
  const Topology& topology_;
  bool activations_;
};

}  // namespace

std::vector<NodePlan> fuse(const NetworkDescription& network, const Topology& topology, bool activations) {
  return Fusion(network, topology, activations).plans();
}

}  // namespace selfcompress
