#include "graph/fuse.h"

namespace selfcompress {
namespace {

class Fusion {
 public:
  Fusion(const NetworkDescription& network, const Topology& topology) : network_(network), topology_(topology) {}

  std::vector<NodePlan> plans() {
    std::vector<NodePlan> plans(network_.nodes.size());
    for (int i = 0; i < int(plans.size()); i++) {
      NodePlan& p = plans[std::size_t(i)];
      int in = topology_.inputs[std::size_t(i)][0];
      p.relu = appliesRelu(i);
      p.absorbed = traits(i).isRelu && in > 0 && appliesRelu(in - 1);
      p.masksInput = traits(i).masks && readerMasks(in);
    }
    for (int i = 0; i < int(plans.size()); i++) {
      NodePlan& p = plans[std::size_t(i)];
      p.masksOutput = p.relu && traits(i).masksOutput && !readerMasks(onlyReader(i + 1) + 1);
      int in = topology_.inputs[std::size_t(i)][0];
      p.maskDone = traits(i).isRelu && (readerMasks(i + 1) || (p.absorbed && traits(in - 1).masksOutput));
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
  // t comes out of a ReLU and its one reader multiplies its gradient by (t > 0)
  bool readerMasks(int t) const { return t > 0 && traits(t - 1).isRelu && readOnce(t) && traits(onlyReader(t)).masks; }

  const NetworkDescription& network_;
  const Topology& topology_;
};

}  // namespace

std::vector<NodePlan> fuse(const NetworkDescription& network, const Topology& topology) {
  return Fusion(network, topology).plans();
}

}  // namespace selfcompress
