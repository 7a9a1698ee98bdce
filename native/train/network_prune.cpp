// Removing what is dead, and measuring what is left.
#include <cmath>

#include "ops/quantize/quantize_math.h"
#include "train/layer_rules.h"
#include "train/network.h"

namespace selfcompress {

State Network::download(const Parameters& parameters, bool weights) const {
  State state;
  for (const Parameter& p : parameters.all()) {
    if (!weights && p.role == Role::kWeight) continue;
    std::vector<float>& values = state[p.name];
    values.resize(std::size_t(p.count));
    backend_->download(values.data(), p.value, values.size() * sizeof(float));
  }
  return state;
}

State Network::parameterState() const {
  requireIdle();
  return download(evaluated(), true);
}

std::optional<Removed> Network::prune(std::unique_ptr<Network>& network) {
  Network& old = *network;
  old.requireIdle();
  const State small = old.download(*old.parameters_, false);
  const State averages = old.averages_ ? old.download(*old.averages_, false) : State{};
  // Weights are big, and few of them are asked for: those of `parameters` one at a time.
  auto weightsOf = [&](const Parameters& parameters) -> WeightSource {
    return [&old, &parameters](const Parameter& p) {
      std::vector<float> values(static_cast<std::size_t>(p.count));
      old.backend_->download(values.data(), parameters.values + p.offset, values.size() * sizeof(float));
      return values;
    };
  };
  std::optional<Pruning> pruning = findRemovable(
      old.description_, old.topology_, *old.channels_, *old.parameters_, layerRules(old.description_, old.options_),
      small, weightsOf(*old.parameters_), old.averages_ ? &averages : nullptr, weightsOf(old.evaluated()));
  if (!pruning) return std::nullopt;
  State state = pruneState(old.description_, old.topology_, *old.channels_, *old.parameters_, *pruning, old.state());
  Removed removed;
  for (int i = 0; i < int(old.description_.nodes.size()); i++) {
    const NodeDescription& node = old.description_.nodes[std::size_t(i)];
    if (!node.op->isWeightLayer) continue;
    const int channels = old.topology_.axes[std::size_t(i) + 1].channels, rows = old.channels_->rule(i).rows(channels);
    std::vector<int> kept;
    for (int first = 0; first < rows; first += channels)
      for (int c : pruning->kept[std::size_t(i) + 1]) kept.push_back(first + c);
    removed.layers.push_back({node.name, rows - int(kept.size()), kept});
  }
  const std::shared_ptr<Backend> backend = old.backend_;
  const NetworkOptions options = old.options_;
  network.reset();  // first: a device may not have room for both
  network = std::make_unique<Network>(backend, pruning->network, options);
  network->loadState(state);
  return removed;
}

namespace {

// Whether each input of a layer's weights lives, by channel and position.
std::vector<bool> liveInputs(const ChannelRule& rule, const std::vector<MaybeConstant>& constants) {
  if (rule.readsNothing) return {true};
  std::vector<bool> live;
  for (const MaybeConstant& c : constants)
    for (int r = 0; r < rule.repeat; r++) live.push_back(!c);
  return live;
}

}  // namespace

std::vector<LayerSize> Network::measure() const {
  const State state = parameterState();
  const auto constants = channelValues(description_, topology_, *channels_, *parameters_, state).constants;
  std::vector<LayerSize> sizes;
  for (int i = 0; i < int(description_.nodes.size()); i++) {
    if (!description_.nodes[std::size_t(i)].op->isWeightLayer) continue;
    const ChannelRule& rule = channels_->rule(i);
    const int source = rule.recurs() ? i + 1 : topology_.inputs[std::size_t(i)][0];
    const std::vector<bool> live = liveInputs(rule, constants[std::size_t(source)]);
    const Parameter &weight = *parameters_->find(i, Role::kWeight), *bits = parameters_->find(i, Role::kBitDepth),
                    *exponent = parameters_->find(i, Role::kExponent);
    const int channels = topology_.axes[std::size_t(i) + 1].channels, outs = rule.rows(channels);
    const std::size_t perGroup = live.size() / std::size_t(rule.groups), area = std::size_t(rule.kernelArea);
    LayerSize size;
    size.node = i;
    std::vector<float> read;
    std::vector<std::int32_t> codes;
    for (int o = 0; o < outs; o++) {
      const std::size_t first = std::size_t(o / (outs / rule.groups)) * perGroup;
      read.clear();
      const float* row = state.at(weight.name).data() + std::size_t(o) * perGroup * area;
      for (std::size_t c = 0; c < perGroup; c++)
        if (live[first + c]) read.insert(read.end(), row + c * area, row + (c + 1) * area);
      const bool alive = !bits || !(state.at(bits->name)[std::size_t(o)] <= 0);
      int codeBits = 0;
      if (alive && bits) {
        codes.resize(read.size());
        codeBits = quantizeCodesOfChannel(read.data(), std::int64_t(read.size()), state.at(bits->name)[std::size_t(o)],
                                          state.at(exponent->name)[std::size_t(o)], codes.data());
      } else if (alive) {
        codeBits = 32;
      }
      size.codeBits.push_back(codeBits);
      if (!alive || constants[std::size_t(i) + 1][std::size_t(o % channels)]) continue;
      size.channels++;
      size.weights += std::int64_t(read.size());
      size.bits += codeBits < 0 ? std::nan("") : double(read.size()) * codeBits;
    }
    sizes.push_back(std::move(size));
  }
  return sizes;
}

}  // namespace selfcompress
