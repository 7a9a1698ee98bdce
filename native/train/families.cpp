#include "train/families.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace selfcompress {
namespace {

// What has to live for a class of channels to be seen alive by somebody: by a layer that sums over channels, or by the
// output. Depthwise layers belong to the class themselves.
std::map<int, LifeTerms> lifeOfClasses(const NetworkDescription& network, const Topology& topology,
                                       const ChannelAnalysis& channels) {
  std::set<int> seen{topology.output};
  for (int i = 0; i < int(network.nodes.size()); i++) {
    const ChannelRule& rule = channels.rule(i);
    const int t = topology.inputs[std::size_t(i)][0];
    if (rule.kind == ChannelRule::Kind::kFresh && !rule.readsNothing &&
        !rule.depthwise(topology.axes[std::size_t(t)].channels))
      seen.insert(rule.recurs() ? i + 1 : t);
  }
  std::map<int, LifeTerms> life;
  for (int i = 0; i < int(network.nodes.size()); i++)
    for (const ChannelRule::Contraction& sum : channels.rule(i).contractions) {
      const int t = topology.inputs[std::size_t(i)][std::size_t(sum.a[0].input)];
      LifeTerms& all = life[channels.classOf(t, sum.a[0].channel)];
      for (const auto& term : channels.lifeOf(i, sum))
        if (std::find(all.begin(), all.end(), term) == all.end()) all.push_back(term);
    }
  for (int t : seen) {
    const std::vector<LifeTerms> terms = channels.lifeOf(t);
    for (int c = 0; c < int(terms.size()); c++) {
      LifeTerms& all = life[channels.classOf(t, c)];
      for (const auto& term : terms[std::size_t(c)])
        if (std::find(all.begin(), all.end(), term) == all.end()) all.push_back(term);
    }
  }
  return life;
}

// A tensor that has all channels of another, as a concatenation has, is not emptied as long as that one is not.
bool holdsAnother(const ChannelRule& rule, const Topology& topology, int node) {
  if (rule.kind != ChannelRule::Kind::kMap) return false;
  for (const ChannelRule::Part& part : rule.parts) {
    const int t = topology.inputs[std::size_t(node)][std::size_t(part.input)];
    if (part.count == topology.axes[std::size_t(t)].channels) return true;
  }
  return false;
}

// Indices of bit depths.
class Members {
 public:
  explicit Members(const Parameters& parameters) : parameters_(parameters) {}
  // The sets of a class; false: it is alive whatever they are.
  bool add(FamilyClass& sets, const LifeTerms& terms) const {
    for (const auto& term : terms) {
      if (term.empty()) return false;
      std::vector<std::int32_t>& members = sets.emplace_back();
      for (const LayerChannel& m : term)
        members.push_back(
            std::int32_t(parameters_.find(m.node, Role::kBitDepth)->offset - parameters_.bitDepths.first + m.channel));
    }
    return true;
  }

 private:
  const Parameters& parameters_;
};

// Of a node that makes its channels of pairs alone: a pair of channels lives when both do, and one has to, whoever else
// reads them.
std::optional<Family> familyOfPairs(int node, const ChannelAnalysis& channels, const Members& members) {
  const ChannelRule& rule = channels.rule(node);
  if (rule.kind != ChannelRule::Kind::kFresh || !rule.readsNothing || rule.contractions.empty()) return std::nullopt;
  Family family;
  for (const ChannelRule::Contraction& sum : rule.contractions)
    if (!members.add(family.emplace_back(), channels.lifeOf(node, sum))) return std::nullopt;
  return family;
}

// Of a layer that makes the network's output by sums over channels: one channel that it reads has to live. The class of
// a channel may live elsewhere alone, where products tie tensors.
std::optional<Family> familyBeforeOutput(int node, const Topology& topology, const ChannelAnalysis& channels,
                                         const Members& members) {
  const ChannelRule& rule = channels.rule(node);
  const int t = rule.recurs() ? node + 1 : topology.inputs[std::size_t(node)][0];
  if (rule.kind != ChannelRule::Kind::kFresh || rule.readsNothing ||
      rule.depthwise(topology.axes[std::size_t(t)].channels) ||
      channels.classOf(node + 1, 0) != channels.classOf(topology.output, 0))
    return std::nullopt;
  Family family;
  for (const LifeTerms& terms : channels.lifeOf(t))
    if (!members.add(family.emplace_back(), terms)) return std::nullopt;
  return family;
}

}  // namespace

std::vector<Family> familiesOf(const NetworkDescription& network, const Topology& topology,
                               const ChannelAnalysis& channels, const Parameters& parameters) {
  const std::map<int, LifeTerms> life = lifeOfClasses(network, topology, channels);
  const Members members(parameters);
  std::set<std::vector<int>> known;
  std::vector<Family> families;
  for (int i = 0; i < int(network.nodes.size()); i++) {
    if (auto pairs = familyOfPairs(i, channels, members)) families.push_back(std::move(*pairs));
    if (holdsAnother(channels.rule(i), topology, i)) continue;
    const int t = i + 1, count = topology.axes[std::size_t(t)].channels;
    std::set<int> classes;
    for (int c = 0; c < count; c++) classes.insert(channels.classOf(t, c));
    if (!known.insert({classes.begin(), classes.end()}).second) continue;
    Family family;
    bool watched = true;
    for (int id : classes) {
      FamilyClass& sets = family.emplace_back();
      if (auto found = life.find(id); found != life.end()) watched = members.add(sets, found->second) && watched;
    }
    if (watched) families.push_back(std::move(family));
  }
  for (int i = 0; i < int(network.nodes.size()); i++)
    if (auto family = familyBeforeOutput(i, topology, channels, members);
        family && std::find(families.begin(), families.end(), *family) == families.end())
      families.push_back(std::move(*family));
  return families;
}

void emitFamilies(Emitter& e, const std::vector<Family>& families, const float* before) {
  std::vector<std::int32_t> familyStart{0}, classStart{0}, setStart{0}, member;
  for (const Family& family : families) {
    for (const FamilyClass& sets : family) {
      for (const auto& set : sets) {
        member.insert(member.end(), set.begin(), set.end());
        setStart.push_back(std::int32_t(member.size()));
      }
      classStart.push_back(std::int32_t(setStart.size()) - 1);
    }
    familyStart.push_back(std::int32_t(classStart.size()) - 1);
  }
  if (families.empty()) return;
  KeepFamilies args;
  args.families = int(families.size());
  args.familyStart = e.constant(familyStart), args.classStart = e.constant(classStart);
  args.setStart = e.constant(setStart), args.member = e.constant(member);
  args.before = before;
  args.bitDepth = e.parameters().values + e.parameters().bitDepths.first;
  e.program().add(-1, args);
}

}  // namespace selfcompress
