#include "graph/channel_analysis.h"

#include <algorithm>

namespace selfcompress {
namespace {

void sortUnique(std::vector<Reader>& readers) {
  std::sort(readers.begin(), readers.end());
  readers.erase(std::unique(readers.begin(), readers.end()), readers.end());
}

// Leaves out sets that contain another: where the smaller one lives, they change nothing.
LifeTerms simplified(LifeTerms terms) {
  for (auto& term : terms) {
    std::sort(term.begin(), term.end());
    term.erase(std::unique(term.begin(), term.end()), term.end());
  }
  std::sort(terms.begin(), terms.end(),
            [](const auto& a, const auto& b) { return a.size() != b.size() ? a.size() < b.size() : a < b; });
  LifeTerms kept;
  for (auto& term : terms) {
    bool redundant = false;
    for (const auto& k : kept) redundant = redundant || std::includes(term.begin(), term.end(), k.begin(), k.end());
    if (!redundant) kept.push_back(std::move(term));
  }
  return kept;
}

LifeTerms eitherOf(const LifeTerms& a, const LifeTerms& b) {
  LifeTerms all = a;
  all.insert(all.end(), b.begin(), b.end());
  return simplified(std::move(all));
}

LifeTerms bothOf(const LifeTerms& a, const LifeTerms& b) {
  LifeTerms all;
  for (const auto& x : a)
    for (const auto& y : b) {
      all.push_back(x);
      all.back().insert(all.back().end(), y.begin(), y.end());
    }
  return simplified(std::move(all));
}

}  // namespace

ChannelAnalysis::ChannelAnalysis(const NetworkDescription& network, const Topology& topology,
                                 const std::vector<bool>& compresses)
    : network_(network), topology_(topology) {
  addTensor(topology.axes[0].channels);
  life_.push_back(std::vector<LifeTerms>(ids_[0].size(), LifeTerms{{}}));
  notZero_ = life_;
  for (int i = 0; i < int(network.nodes.size()); i++) {
    rules_.push_back(network.nodes[std::size_t(i)].op->channels(topology.context(network, i)));
    classesOf(i);
    lifeOfNode(i, compresses);
  }
  findReach();
  findReaders();
}

int ChannelAnalysis::find(int i) const {
  while (parent_[std::size_t(i)] != i) i = parent_[std::size_t(i)] = parent_[std::size_t(parent_[std::size_t(i)])];
  return i;
}

void ChannelAnalysis::join(int a, int b) { parent_[std::size_t(find(a))] = find(b); }

void ChannelAnalysis::addTensor(int count) {
  std::vector<int>& ids = ids_.emplace_back();
  for (int c = 0; c < count; c++) {
    ids.push_back(int(parent_.size()));
    parent_.push_back(int(parent_.size()));
  }
}

void ChannelAnalysis::classesOf(int i) {
  const ChannelRule& rule = rules_[std::size_t(i)];
  const auto& in = topology_.inputs[std::size_t(i)];
  auto idsOf = [&](int k) -> const std::vector<int>& { return ids_[std::size_t(in[std::size_t(k)])]; };
  const int count = topology_.axes[std::size_t(i) + 1].channels;
  for (const ChannelRule::Contraction& sum : rule.contractions)
    for (const auto* side : {&sum.a, &sum.b})
      for (const ChannelRule::Source& s : *side)
        join(idsOf(sum.a[0].input)[std::size_t(sum.a[0].channel)], idsOf(s.input)[std::size_t(s.channel)]);
  switch (rule.kind) {
    case ChannelRule::Kind::kJoin: {
      std::vector<int> ids(static_cast<std::size_t>(count));
      forEachJoined(rule, [&](int out, int k, int c) {
        const int id = idsOf(k)[std::size_t(c)];
        if (ids[std::size_t(out)]) join(ids[std::size_t(out)] - 1, id);
        else ids[std::size_t(out)] = id + 1;
      });
      addTensor(count);  // for those that are of zeros alone
      for (std::size_t c = 0; c < ids.size(); c++)
        if (ids[c]) ids_.back()[c] = ids[c] - 1;
      break;
    }
    case ChannelRule::Kind::kMap: {
      std::vector<int> ids(static_cast<std::size_t>(count));
      forEachMapped(rule, [&](int out, int input, int c) { ids[std::size_t(out)] = idsOf(input)[std::size_t(c)]; });
      ids_.push_back(std::move(ids));
      break;
    }
    case ChannelRule::Kind::kFresh: {
      addTensor(count);
      const int inChannels = int(idsOf(0).size());
      if (rule.depthwise(inChannels))
        for (int c = 0; c < count; c++)
          join(ids_.back()[std::size_t(c)], idsOf(0)[std::size_t(c / (count / inChannels))]);
      for (int row = 0; row < count * rule.recurrence.gates; row++)
        join(ids_.back()[std::size_t(row % count)], idsOf(0)[std::size_t(row)]);
      break;
    }
    case ChannelRule::Kind::kSum:
    case ChannelRule::Kind::kProduct: {
      int first = 0;  // of the inputs that have all channels
      while (int(idsOf(first).size()) != count) first++;
      const std::vector<int> ids = idsOf(first);
      for (int k = first + 1; k < int(in.size()); k++)
        if (int(idsOf(k).size()) == count)
          for (int c = 0; c < count; c++) join(ids[std::size_t(c)], idsOf(k)[std::size_t(c)]);
      ids_.push_back(ids);
      break;
    }
  }
}

void ChannelAnalysis::lifeOfNode(int i, const std::vector<bool>& compresses) {
  const ChannelRule& rule = rules_[std::size_t(i)];
  const auto& in = topology_.inputs[std::size_t(i)];
  const std::size_t count = std::size_t(topology_.axes[std::size_t(i) + 1].channels),
                    inChannels = std::size_t(topology_.axes[std::size_t(in[0])].channels);
  std::vector<LifeTerms> life(count), notZero(count);
  switch (rule.kind) {
    case ChannelRule::Kind::kMap:
      forEachMapped(rule, [&](int out, int k, int c) {
        const std::size_t t = std::size_t(in[std::size_t(k)]);
        life[std::size_t(out)] = life_[t][std::size_t(c)];
        notZero[std::size_t(out)] = rule.keepsZero ? notZero_[t][std::size_t(c)] : LifeTerms{{}};
      });
      break;
    case ChannelRule::Kind::kJoin:
      forEachJoined(rule, [&](int out, int k, int c) {
        const std::size_t t = std::size_t(in[std::size_t(k)]), at = std::size_t(out);
        life[at] = eitherOf(life[at], life_[t][std::size_t(c)]);
        notZero[at] = eitherOf(notZero[at], notZero_[t][std::size_t(c)]);
      });
      break;
    case ChannelRule::Kind::kFresh:
      if (rule.recurs()) {  // what a unit has of the others needs one that lives by itself
        const std::size_t t = std::size_t(in[0]), first = std::size_t(rule.recurrence.candidate) * count;
        for (std::size_t c = 0; c < count; c++) life[c] = life_[t][first + c], notZero[c] = notZero_[t][first + c];
        break;
      }
      for (std::size_t c = 0; c < count; c++) {
        LifeTerms own{{}};
        if (compresses[std::size_t(i)]) own[0].push_back({i, int(c)});
        if (rule.depthwise(int(inChannels))) own = bothOf(own, notZero_[std::size_t(in[0])][c / (count / inChannels)]);
        life[c] = notZero[c] = std::move(own);
      }
      break;
    case ChannelRule::Kind::kSum:
    case ChannelRule::Kind::kProduct:
      lifeOfTie(i, life, notZero);
      break;
  }
  life_.push_back(std::move(life));
  notZero_.push_back(std::move(notZero));
}

// A sum lives when one of its terms does. A product does when one of its factors does and the others are not zero.
void ChannelAnalysis::lifeOfTie(int i, std::vector<LifeTerms>& life, std::vector<LifeTerms>& notZero) const {
  const ChannelRule& rule = rules_[std::size_t(i)];
  const auto& in = topology_.inputs[std::size_t(i)];
  for (std::size_t c = 0; c < life.size(); c++) {
    auto of = [&](const std::vector<std::vector<LifeTerms>>& terms, std::size_t k) -> const LifeTerms& {
      const auto& channels = terms[std::size_t(in[k])];
      return channels[channels.size() == life.size() ? c : 0];
    };
    LifeTerms lives = of(life_, 0), isNotZero = of(notZero_, 0);
    for (std::size_t k = 1; k < in.size(); k++) {
      const LifeTerms &other = of(life_, k), otherNotZero = rule.onlyFirst ? LifeTerms{{}} : of(notZero_, k);
      if (rule.kind == ChannelRule::Kind::kSum) {
        lives = eitherOf(lives, other), isNotZero = eitherOf(isNotZero, otherNotZero);
      } else {
        lives = eitherOf(bothOf(lives, otherNotZero), bothOf(isNotZero, other));
        isNotZero = bothOf(isNotZero, otherNotZero);
      }
    }
    life[c] = std::move(lives), notZero[c] = std::move(isNotZero);
  }
}

void ChannelAnalysis::findReach() {
  reaches_.assign(topology_.axes.size(), false);
  reaches_[std::size_t(topology_.output)] = true;
  for (int i = int(network_.nodes.size()) - 1; i >= 0; i--) {
    const ChannelRule& rule = rules_[std::size_t(i)];
    if (!reaches_[std::size_t(i) + 1]) continue;
    const int inChannels = topology_.axes[std::size_t(topology_.inputs[std::size_t(i)][0])].channels;
    if (rule.kind == ChannelRule::Kind::kFresh && !rule.depthwise(inChannels)) continue;
    for (std::size_t k = 0; k < topology_.inputs[std::size_t(i)].size(); k++)
      if (!rule.contracts(int(k))) reaches_[std::size_t(topology_.inputs[std::size_t(i)][k])] = true;
  }
}

void ChannelAnalysis::findReaders() {
  for (const Axes& axes : topology_.axes) readers_.emplace_back(std::size_t(axes.channels));
  for (int i = int(network_.nodes.size()) - 1; i >= 0; i--) readersOfNode(i);
  for (auto& readers : readers_[0]) sortUnique(readers);
}

// Adds to the readers of the node's inputs; those of its output are complete.
void ChannelAnalysis::readersOfNode(int i) {
  const ChannelRule& rule = rules_[std::size_t(i)];
  const auto& in = topology_.inputs[std::size_t(i)];
  auto& out = readers_[std::size_t(i) + 1];
  for (auto& readers : out) sortUnique(readers);
  auto pass = [&](int outChannel, int input, int c) {
    auto& to = readers_[std::size_t(in[std::size_t(input)])][std::size_t(c)];
    const auto& from = out[std::size_t(outChannel)];
    to.insert(to.end(), from.begin(), from.end());
  };
  const int count = int(out.size()), inChannels = topology_.axes[std::size_t(in[0])].channels;
  switch (rule.kind) {
    case ChannelRule::Kind::kMap:
      if (rule.mixing != ChannelRule::Mixing::kAll) forEachMapped(rule, pass);
      break;
    case ChannelRule::Kind::kJoin:
      forEachJoined(rule, pass);
      break;
    case ChannelRule::Kind::kFresh:
      if (rule.recurs()) {
        for (int c = 0; c < count; c++) {
          out[std::size_t(c)].insert(out[std::size_t(c)].begin(), {i, c});
          pass(c, 0, rule.recurrence.candidate * count + c);
        }
        break;
      }
      for (int c = 0; c < inChannels && !rule.readsNothing; c++)
        for (int r = 0; r < rule.repeat; r++)
          readers_[std::size_t(in[0])][std::size_t(c)].push_back({i, c * rule.repeat + r});
      if (rule.depthwise(inChannels))
        for (int c = 0; c < count; c++) pass(c, 0, c / (count / inChannels));
      break;
    case ChannelRule::Kind::kSum:
    case ChannelRule::Kind::kProduct:
      for (int k = 0; k < int(in.size()); k++)
        if (topology_.axes[std::size_t(in[std::size_t(k)])].channels == count)
          for (int c = 0; c < count; c++) pass(c, k, c);
      break;
  }
}

LifeTerms ChannelAnalysis::lifeOf(int node, const ChannelRule::Contraction& sum) const {
  auto lives = [&](const std::vector<ChannelRule::Source>& side, const std::vector<std::vector<LifeTerms>>& of) {
    LifeTerms terms;
    for (const ChannelRule::Source& s : side)
      terms = eitherOf(
          terms, of[std::size_t(topology_.inputs[std::size_t(node)][std::size_t(s.input)])][std::size_t(s.channel)]);
    return terms;
  };
  return bothOf(lives(sum.a, notZero_), lives(sum.b, life_));
}

std::vector<std::vector<Reader>> ChannelAnalysis::readersOf(int tensor) const { return readers_[std::size_t(tensor)]; }

std::vector<std::vector<Reader>> ChannelAnalysis::readersOfRows(int node) const {
  std::vector<std::vector<Reader>> readers = readersOf(node + 1);
  const ChannelRule& rule = rules_[std::size_t(node)];
  if (!rule.recurs()) return readers;
  std::vector<std::vector<Reader>> rows(readers.size() * std::size_t(rule.recurrence.gates));
  const std::size_t first = std::size_t(rule.recurrence.candidate) * readers.size();
  for (std::size_t u = 0; u < readers.size(); u++) rows[first + u] = std::move(readers[u]);
  return rows;
}

}  // namespace selfcompress
