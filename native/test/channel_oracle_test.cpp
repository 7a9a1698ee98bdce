// What a removal takes away, against an oracle that knows nothing of rules for channels: a network in float64 of which
// families of channels are left out, each in place of its constant, to see whether the function stays.
#include "graph/channel_analysis.h"
#include "test/float64_network.h"
#include "test/random_networks.h"

using namespace test;

namespace {

struct ChannelPlace {
  int tensor = 0, channel = 0;
};

// Channels that hang together: which outputs change where an input does is found by trying.
class Families {
 public:
  Families(const NetworkDescription& network, const Topology& topology, const Parameters& parameters)
      : network_(network), topology_(topology), parameters_(parameters) {
    for (const Axes& axes : topology.axes) {
      first_.push_back(int(parent_.size()));
      for (int c = 0; c < axes.channels; c++) parent_.push_back(int(parent_.size()));
    }
    for (int i = 0; i < int(network.nodes.size()); i++) tie(i);
    std::map<int, int> known;
    for (int t = 0; t < int(topology.axes.size()); t++)
      for (int c = 0; c < topology.axes[std::size_t(t)].channels; c++) {
        const auto [found, isNew] = known.insert({find(first_[std::size_t(t)] + c), int(all.size())});
        if (isNew) all.emplace_back();
        all[std::size_t(found->second)].push_back({t, c});
      }
    stays.assign(all.size(), false);
    for (std::size_t f = 0; f < all.size(); f++)
      for (const ChannelPlace& p : all[f]) stays[f] = stays[f] || mayNotChange(p.tensor);
  }
  std::vector<std::vector<ChannelPlace>> all;
  std::vector<bool> stays;  // by definition: the input, the output, and what some operators need whole
  std::string text(std::size_t family) const {
    std::string result;
    for (const ChannelPlace& p : all[family])
      result += (p.tensor ? network_.nodes[std::size_t(p.tensor) - 1].name : kInputName) + "[" +
                std::to_string(p.channel) + "] ";
    return result;
  }

 private:
  int find(int i) const { return parent_[std::size_t(i)] == i ? i : find(parent_[std::size_t(i)]); }
  void join(int tensorA, int a, int tensorB, int b) {
    parent_[std::size_t(find(first_[std::size_t(tensorA)] + a))] = find(first_[std::size_t(tensorB)] + b);
  }
  int channels(int t) const { return topology_.axes[std::size_t(t)].channels; }

  bool is(int node, std::initializer_list<const char*> kinds) const {
    const std::string kind = network_.nodes[std::size_t(node)].op->kind;
    return std::any_of(kinds.begin(), kinds.end(), [&](const char* k) { return kind == k; });
  }
  // Sums over channels make new ones; a kernel for each channel does not.
  bool sums(int i) const {
    if (is(i, {"linear", "meanChannels", "parameter", "embedding"})) return true;
    if (!is(i, {"conv2d", "convTranspose2d"})) return false;
    const int in = channels(topology_.inputs[std::size_t(i)][0]);
    return in == 1 || network_.nodes[std::size_t(i)].integer("groups") != in;
  }
  bool mayNotChange(int t) const {
    if (t == 0 || t == topology_.output) return true;
    for (int reader : topology_.readers[std::size_t(t)]) {
      if (is(reader, {"softmax"}) && network_.nodes[std::size_t(reader)].integer("axis") == 0) return true;
      if (is(reader, {"divide"}) && topology_.inputs[std::size_t(reader)][1] == t) return true;
    }
    return false;
  }

  void tie(int i) {
    const std::vector<int>& in = topology_.inputs[std::size_t(i)];
    if (sums(i)) return;
    if (is(i, {"layerNorm", "rmsNorm", "groupNorm", "softmax"})) {
      for (int c = 0; c < channels(in[0]); c++) join(in[0], c, i + 1, c);
    } else if (is(i, {"lstm", "gru"})) {  // a unit and its gates
      for (int row = 0; row < channels(in[0]); row++) join(in[0], row, i + 1, row % channels(i + 1));
    } else if (is(i, {"attention"})) {
      const NodeDescription& node = network_.nodes[std::size_t(i)];
      const int size = channels(in[0]) / node.integer("heads"),
                sharing = node.integer("heads") / node.integer("keyHeads");
      for (int c = 0; c < channels(in[0]); c++) join(in[0], c, in[1], c / size / sharing * size + c % size);
      tryInput(i, 2);
    } else if (is(i, {"unembedding"})) {  // its weights leave with the table's channels
      for (int c = 0; c < channels(in[0]); c++) join(in[0], c, in[1], c);
    } else {
      for (int k = 0; k < int(in.size()); k++)
        // One channel that meets all of another input is nobody's partner.
        if (is(i, {"concat"}) || channels(in[std::size_t(k)]) == channels(i + 1) || in.size() == 1) tryInput(i, k);
    }
  }

  void tryInput(int i, int k) {
    const NodeContext context = topology_.context(network_, i);
    const std::vector<int>& in = topology_.inputs[std::size_t(i)];
    Random random(std::uint64_t(i) + 1);
    std::map<Role, std::vector<double>> values;
    for (int role = 0; role < kRoles; role++)
      if (const Parameter* p = parameters_.find(i, Role(role)))
        for (std::int64_t e = 0; e < p->count; e++) values[Role(role)].push_back(double(random.real(0.5f, 1.5f)));
    std::vector<Tensor64> inputs;
    std::vector<std::vector<bool>> absent;
    std::vector<std::vector<double>> constants;
    for (int t : in) {
      Tensor64& x = inputs.emplace_back(topology_.shapes[std::size_t(t)], 2);
      x.forAll([&](int, int, int, int) { return double(random.real(0.1f, 1.1f)); });
      absent.emplace_back(std::size_t(channels(t)), false), constants.emplace_back(std::size_t(channels(t)), 0.0);
    }
    auto run = [&] {
      Tensor64 out(topology_.shapes[std::size_t(i) + 1], 2);
      Node64 node{context, [&](Role r) { return values.count(r) ? &values[r] : nullptr; }, {}, {}, {}, out, true,
                  false};
      for (std::size_t j = 0; j < in.size(); j++)
        node.in.push_back(&inputs[j]), node.absent.push_back(&absent[j]), node.constant.push_back(&constants[j]);
      rule64(network_.nodes[std::size_t(i)].op->kind)(node);
      return out;
    };
    const Tensor64 before = run();
    for (int c = 0; c < channels(in[std::size_t(k)]); c++) {
      const Tensor64 kept = inputs[std::size_t(k)];
      for (int n = 0; n < 2; n++)
        for (int p = 0; p < kept.shape.pixels(); p++)
          inputs[std::size_t(k)].at(n, c, 0, p) += double(random.real(-3.0f, 3.0f));
      const Tensor64 after = run();
      inputs[std::size_t(k)] = kept;
      for (int o = 0; o < channels(i + 1); o++) {
        bool same = true;
        for (int n = 0; n < 2; n++)
          for (int p = 0; p < after.shape.pixels(); p++) same = same && after.at(n, o, 0, p) == before.at(n, o, 0, p);
        if (!same) join(in[std::size_t(k)], c, i + 1, o);
      }
    }
  }

  const NetworkDescription& network_;
  const Topology& topology_;
  const Parameters& parameters_;
  std::vector<int> first_, parent_;
};

class Oracle {
 public:
  Oracle(const Network& network, const State& state, std::uint64_t seed)
      : network_(network.description()),
        topology_(network.topology()),
        evaluator_(network_, topology_, network.parameters()),
        families(network_, topology_, network.parameters()) {
    for (int draw = 0; draw < 10; draw++)
      draws_.push_back(drawOf(network, state, Random(seed * 16 + std::uint64_t(draw))));
  }
  // Whether all values in the network are numbers that a difference of means something.
  bool tame() const {
    for (const Draw& draw : draws_)
      for (const auto& mode : draw.tensors)
        for (const Tensor64& t : mode)
          for (double v : t.values)
            if (!(std::fabs(v) < 1e6)) return false;
    return true;
  }
  // Whether the network without these channels computes what it did, in both modes, whatever the weights of its live
  // channels are and whatever it reads.
  bool keepsFunction(const Absent& absent) const {
    for (const Draw& draw : draws_)
      for (int training = 0; training < 2; training++) {
        const Tensor64& before = draw.tensors[std::size_t(training)][std::size_t(topology_.output)];
        const Tensor64 after = evaluator_.run(draw.state, draw.input, training == 1, absent,
                                              draw.constants)[std::size_t(topology_.output)];
        for (std::size_t i = 0; i < before.values.size(); i++)
          if (!(std::fabs(after.values[i] - before.values[i]) < 1e-9 * std::max(1.0, std::fabs(before.values[i]))))
            return false;
      }
    return true;
  }
  // Whether a channel that stays is a constant away from what it was, which its readers then happen not to notice (a
  // norm, a bound that it is beyond): that is the values' doing.
  bool shifts(const Absent& absent, const Absent& with) const {
    const Draw& draw = draws_[0];
    const auto before = evaluator_.run(draw.state, draw.input, false, absent, draw.constants),
               after = evaluator_.run(draw.state, draw.input, false, with, draw.constants);
    for (std::size_t t = 0; t < before.size(); t++)
      for (int c = 0; c < before[t].shape.channels; c++) {
        if (with[t][std::size_t(c)]) continue;
        const double shift = after[t].at(0, c, 0, 0) - before[t].at(0, c, 0, 0);
        bool same = std::fabs(shift) > 1e-6;
        for (int n = 0; n < before[t].batch && same; n++)
          for (int p = 0; p < before[t].shape.pixels() && same; p++)
            same = std::fabs(after[t].at(n, c, 0, p) - before[t].at(n, c, 0, p) - shift) < 1e-9;
        if (same) return true;
      }
    return false;
  }
  // Whether what is left is a network: no tensor is empty, and groups are of one size.
  bool leavesNetwork(const Absent& absent) const {
    for (const auto& channels : absent)
      if (std::find(channels.begin(), channels.end(), false) == channels.end()) return false;
    for (int i = 0; i < int(network_.nodes.size()); i++)
      if (!groupsAreEqual(i, absent)) return false;
    return true;
  }
  void take(Absent& absent, std::size_t family) const {
    for (const ChannelPlace& p : families.all[family]) absent[std::size_t(p.tensor)][std::size_t(p.channel)] = true;
  }
  // Families that could go beside these channels, and one set of them that leaves a network; empty: there is none.
  std::vector<std::size_t> couldGo(const Absent& absent) const {
    std::vector<std::size_t> candidates;
    for (std::size_t f = 0; f < families.all.size(); f++) {
      const ChannelPlace p = families.all[f][0];
      if (families.stays[f] || absent[std::size_t(p.tensor)][std::size_t(p.channel)]) continue;
      Absent with = absent;
      take(with, f);
      if (keepsFunction(with) && !shifts(absent, with)) candidates.push_back(f);
    }
    const std::size_t sets = std::size_t(1) << std::min<std::size_t>(candidates.size(), 10);
    for (std::size_t set = 1; set < sets; set++) {
      std::vector<std::size_t> chosen;
      Absent with = absent;
      for (std::size_t k = 0; k < candidates.size(); k++)
        if (set >> k & 1) chosen.push_back(candidates[k]), take(with, candidates[k]);
      if (leavesNetwork(with) && keepsFunction(with)) return chosen;
    }
    return {};
  }

 private:
  struct Draw {
    Network64::State64 state;
    Tensor64 input;
    std::array<std::vector<Tensor64>, 2> tensors;  // in evaluation, in training
    Constants64 constants;                         // of every tensor and channel: one of its values
  };
  // The small parameters as they are, weights at random: those over time large, as what they make is bounded and a
  // bound that it does not reach would be the draw's doing.
  Draw drawOf(const Network& network, const State& state, Random random) const {
    Draw draw;
    for (const Parameter& p : network.parameters().all()) {
      const bool overTime =
          network.description().nodes[std::size_t(p.node)].op->channels(topology_.context(network_, p.node)).recurs();
      const float weights = overTime ? 3.0f : 0.6f;
      for (float v : state.at(p.name))
        draw.state[p.name].push_back(double(p.role == Role::kWeight ? random.real(-weights, weights) : v));
    }
    const float most = random.real(0.5f, 6.0f);
    const float middle = random.real(-2.0f, 2.0f);
    draw.input = randomInput(network_, 5, random, middle, most);
    const Absent none = evaluator_.nothingAbsent();
    for (const Axes& axes : topology_.axes) draw.constants.emplace_back(std::size_t(axes.channels), 0.0);
    for (int training = 0; training < 2; training++)
      draw.tensors[std::size_t(training)] = evaluator_.run(draw.state, draw.input, training == 1, none, draw.constants);
    for (std::size_t t = 0; t < draw.constants.size(); t++)
      for (std::size_t c = 0; c < draw.constants[t].size(); c++)
        draw.constants[t][c] = draw.tensors[0][t].at(0, int(c), 0, 0);
    return draw;
  }
  // How many of a group's channels are absent.
  static int countIn(const std::vector<bool>& absent, int groups, int group) {
    const auto size = std::ptrdiff_t(absent.size()) / groups;
    return int(std::count(absent.begin() + group * size, absent.begin() + (group + 1) * size, true));
  }
  bool groupsAreEqual(int i, const Absent& absent) const {
    const NodeDescription& node = network_.nodes[std::size_t(i)];
    const std::string kind = node.op->kind;
    if (kind != "conv2d" && kind != "convTranspose2d") return true;
    const std::vector<bool>&in = absent[std::size_t(topology_.inputs[std::size_t(i)][0])],
          &out = absent[std::size_t(i) + 1];
    const int groups = node.integer("groups");
    if (groups == 1 || groups == int(in.size())) return true;
    int ins = -1, outs = -1;
    for (int g = 0; g < groups; g++) {
      const int a = countIn(in, groups, g), b = countIn(out, groups, g);
      const bool noIn = a == int(in.size()) / groups, noOut = b == int(out.size()) / groups;
      if (noIn != noOut) return false;
      if (noIn) continue;
      if (ins >= 0 && (a != ins || b != outs)) return false;
      ins = a, outs = b;
    }
    return true;
  }

  const NetworkDescription& network_;
  const Topology& topology_;
  Network64 evaluator_;
  std::vector<Draw> draws_;

 public:
  Families families;
};

// What the removal takes away of this network.
Absent removedFrom(const Network& network) {
  const NetworkDescription& description = network.description();
  std::vector<bool> compresses(description.nodes.size(), false);
  for (const Parameter& p : network.parameters().all())
    if (p.role == Role::kBitDepth) compresses[std::size_t(p.node)] = true;
  const ChannelAnalysis channels(description, network.topology(), compresses);
  const auto pruning = findRemovable(description, network.topology(), channels, network.parameters(),
                                     std::vector<LayerRule>(description.nodes.size()), network.parameterState());
  Absent absent;
  for (std::size_t t = 0; t < network.topology().axes.size(); t++) {
    absent.emplace_back(std::size_t(network.topology().axes[t].channels), pruning.has_value());
    for (std::size_t k = 0; pruning && k < pruning->kept[t].size(); k++)
      absent[t][std::size_t(pruning->kept[t][k])] = false;
  }
  return absent;
}

// A norm's scale of 0 is only dead where what it scales is zero: elsewhere it learns.
void reviveScales(const Network& network, State& state, Random& random) {
  const Network64 evaluator(network.description(), network.topology(), network.parameters());
  Constants64 none;
  for (const Axes& axes : network.topology().axes) none.emplace_back(std::size_t(axes.channels), 0.0);
  const Tensor64 input = randomInput(network.description(), 2, random, 0, 1);
  for (const Parameter& p : network.parameters().all()) {
    if (p.role != Role::kNormWeight) continue;
    Network64::State64 wide;
    for (const auto& [name, values] : state) wide[name] = {values.begin(), values.end()};
    const Tensor64 read = evaluator.run(wide, input, false, evaluator.nothingAbsent(), none)
                              .at(std::size_t(network.topology().inputs[std::size_t(p.node)][0]));
    for (int c = 0; c < read.shape.channels; c++)
      for (int n = 0; n < 2; n++)
        for (int i = 0; i < read.shape.pixels(); i++)
          if (float& scale = state[p.name][std::size_t(c)]; read.at(n, c, 0, i) != 0 && scale == 0) scale = 0.7f;
  }
}

struct Trial {
  explicit Trial(int number, std::vector<const char*> often = {}) : random(std::uint64_t(number) + 5001) {
    const NetworkDescription description = RandomNetwork(random, std::move(often)).build(random.integer(4, 16));
    NetworkOptions options;
    options.batchSize = 8;
    network = std::make_unique<Network>(makeReferenceBackend(), description, options);
    state = randomState(*network, std::uint64_t(number), 20);
    kill(state, network->parameters(), random);
    reviveScales(*network, state, random);
    network->loadState(state);
  }
  Random random;
  std::unique_ptr<Network> network;
  State state;
};

std::string textOf(const Oracle& oracle, const std::vector<std::size_t>& set) {
  std::string text;
  for (std::size_t f : set) text += "{" + oracle.families.text(f) + "} ";
  return text;
}

}  // namespace

TEST_CASE("a network in float64 computes what the reference does") {
  const int batch = 8;
  const auto indices = firstIndices(batch);
  for (int trial = 0; trial < cases(60); trial++) {
    CAPTURE(trial);
    Random random{std::uint64_t(trial) + 9001};
    const NetworkDescription description = RandomNetwork(random).build(random.integer(4, 20));
    CAPTURE(textOf(description));
    NetworkOptions options;
    options.batchSize = batch;
    Network network(makeReferenceBackend(), description, options);
    const State state = randomState(network, std::uint64_t(trial), 20);
    network.loadState(state);
    DataSet data = dataFor(description, batch);
    std::fill(data.mean.begin(), data.mean.end(), 0.0f), std::fill(data.invStd.begin(), data.invStd.end(), 1.0f);
    const Network64 evaluator(description, network.topology(), network.parameters());
    Network64::State64 wide;
    for (const auto& [name, values] : state) wide[name] = {values.begin(), values.end()};
    Tensor64 input(network.topology().shapes[0], batch);
    if (data.hasTokens()) std::copy(data.tokens.begin(), data.tokens.end(), input.values.begin());
    else std::copy(data.floats.begin(), data.floats.end(), input.values.begin());
    Constants64 none;
    for (const Axes& axes : network.topology().axes) none.emplace_back(std::size_t(axes.channels), 0.0);
    auto outputs = [&](bool training) {
      return evaluator.run(wide, input, training, evaluator.nothingAbsent(), none, false)
          .at(std::size_t(network.topology().output))
          .values;
    };
    const std::vector<double> evaluated = outputs(false), trained = outputs(true);
    const auto predicted = predictAll(network, data, batch);
    if (!std::all_of(predicted.begin(), predicted.end(), [](float v) { return std::fabs(v) < 1e3f; })) continue;
    CHECK(difference({evaluated.begin(), evaluated.end()}, predicted, 1e-2) < 1e-3);
    double loss = 0;
    for (std::size_t n = 0; n < std::size_t(batch); n++) {
      const std::size_t classes = trained.size() / std::size_t(batch);
      double sum = 0;
      for (std::size_t c = 0; c < classes; c++) sum += std::exp(trained[n * classes + c]);
      loss += std::log(sum) - trained[n * classes + std::size_t(data.labels[n])];
    }
    StepSettings s = settings(1);
    s.gamma = 0;
    CHECK(network.trainStep(data, indices.data(), batch, s).loss == doctest::Approx(loss / batch).epsilon(1e-3));
  }
}

namespace {

// What removal takes away keeps the function, and nothing is left that could have gone. Returns whether something left,
// and counts channels of layers over time that did.
bool checkTrial(const Trial& t, int trial, int& units) {
  CAPTURE(trial);
  CAPTURE(test::textOf(t.network->description()));
  const Oracle oracle(*t.network, t.state, std::uint64_t(trial));
  if (!oracle.tame()) return false;
  const Absent absent = removedFrom(*t.network);
  CHECK(oracle.leavesNetwork(absent));
  CHECK(oracle.keepsFunction(absent));
  for (const auto& family : oracle.families.all)
    for (const ChannelPlace& p : family)
      CHECK(absent[std::size_t(p.tensor)][std::size_t(p.channel)] ==
            absent[std::size_t(family[0].tensor)][std::size_t(family[0].channel)]);
  const std::string more = textOf(oracle, oracle.couldGo(absent));
  CAPTURE(more);
  CHECK(more.empty());
  for (std::size_t i = 0; i < t.network->description().nodes.size(); i++)
    if (t.network->description()
            .nodes[i]
            .op->channels(t.network->topology().context(t.network->description(), int(i)))
            .recurs())
      units += int(std::count(absent[i + 1].begin(), absent[i + 1].end(), true));
  return absent != Network64(t.network->description(), t.network->topology(), t.network->parameters()).nothingAbsent();
}

}  // namespace

TEST_CASE("what removal takes away keeps the function, and nothing is left that could have gone") {
  int removals = 0, units = 0, first = 0, past = cases(200);
  // Others: SELFCOMPRESS_TEST_TRIALS=5807, or 10000-20000.
  if (const char* trials = std::getenv("SELFCOMPRESS_TEST_TRIALS"))
    if (std::sscanf(trials, "%d-%d", &first, &past) == 1) past = first + 1;
  for (int trial = first; trial < past; trial++) removals += checkTrial(Trial(trial), trial, units);
  CHECK(removals >= (past - first) / 3);
}

TEST_CASE("the same of networks with many recurrent layers") {
  int units = 0;
  for (int trial = 1000; trial < 1000 + cases(150); trial++) checkTrial(Trial(trial, {"lstm", "gru"}), trial, units);
  CHECK(units > cases(150) / 3);
}

TEST_CASE("the oracle notices a family that was kept and one that should have been") {
  int kept = 0, taken = 0;
  for (int trial = 0; trial < cases(40); trial++) {
    CAPTURE(trial);
    const Trial t(trial);
    const Oracle oracle(*t.network, t.state, std::uint64_t(trial));
    if (!oracle.tame()) continue;
    const Absent absent = removedFrom(*t.network);
    for (std::size_t f = 0; f < oracle.families.all.size(); f++) {
      const ChannelPlace p = oracle.families.all[f][0];
      Absent changed = absent;
      if (absent[std::size_t(p.tensor)][std::size_t(p.channel)]) {
        for (const ChannelPlace& q : oracle.families.all[f])
          changed[std::size_t(q.tensor)][std::size_t(q.channel)] = false;
        // One of a group that can only leave whole is nothing that was kept.
        if (!oracle.leavesNetwork(changed) || !oracle.keepsFunction(changed)) continue;
        CHECK(!oracle.couldGo(changed).empty());
        kept++;
      } else if (!oracle.families.stays[f]) {
        oracle.take(changed, f);
        taken += oracle.leavesNetwork(changed) && !oracle.keepsFunction(changed);
      }
    }
  }
  CHECK(kept > cases(40) / 4);
  CHECK(taken > cases(40) / 4);
}
