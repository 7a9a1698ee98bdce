// The engine against the training network's evaluation, on the file that is made of it.
#pragma once

#include "cpu/threads.h"
#include "engine/model.h"
#include "export/model_file.h"
#include "test/networks.h"

namespace test {

inline engine::Parallel enginePool(int threads) {
  return {threads, [](std::int64_t count, const std::function<void(std::int64_t)>& task) {
            cpu::parallelFor(count, [&](std::int64_t i) { task(i); });
          }};
}

inline bool isNetwork(const NetworkDescription& n) {
  try {
    inferShapes(n, 37);
    return true;
  } catch (const DescriptionError&) {
    return false;
  }
}

// About a sixth of the channels are dead: some with b = 0, some below; some leave a constant.
inline State stateWithDead(const Network& network, Random& random) {
  State state = randomState(network, std::uint64_t(random.integer(1, 1 << 20)), float(random.integer(2, 9)));
  for (auto& [name, values] : state)
    for (float& v : values) {
      if (name.ends_with(".bitDepth") && random.integer(0, 5) == 0) v = random.chance(0.7) ? 0.0f : -0.3f;
      if (name.ends_with(".bias") && random.integer(0, 2) == 0) v = 0;
    }
  return state;
}

// Predictions at these numbers of images, on every instruction set, weights unpacked or packed, one thread or several.
inline void checkEngineOn(Network& network, const std::vector<std::size_t>& counts, Random& random) {
  const model::Bytes file = encodeModelFile(network.description(), network.parameterState(), {});
  const std::size_t most = *std::max_element(counts.begin(), counts.end());
  const std::int64_t elements = std::int64_t(most) * network.description().input.elements();
  std::vector<float> images = random.reals(elements);
  std::vector<std::int32_t> words;  // instead of images
  for (const NodeDescription& n : network.description().nodes)
    if (n.op->reads == Operator::Reads::kTokens)
      for (words.clear(); std::int64_t(words.size()) < elements;)
        words.push_back(random.integer(0, n.integer("vocabulary") - 1));
  if (!words.empty()) images.assign(words.begin(), words.end());
  for (std::size_t count : counts) {
    const std::vector<float> expected =
        words.empty() ? network.predict(images.data(), count) : network.predict(words.data(), count);
    for (const engine::Kernels* kernels : engine::supportedKernels())
      for (bool keep : {true, false}) {
        engine::Options engineOptions;
        engineOptions.keepPanels = keep;
        const engine::Model model(file, engineOptions, *kernels);
        std::vector<float> one(expected.size(), NAN), several(expected.size(), NAN);
        model.predict(images.data(), count, one.data());
        CAPTURE(std::string(kernels->isa));
        CAPTURE(count);
        CAPTURE(keep);
        CHECK(difference(one, expected) < 2e-5);
        cpu::setThreads(3);
        model.predict(images.data(), count, several.data(), enginePool(3));
        model.predict(images.data(), count, several.data(), enginePool(3));
        CHECK(sameBits(one, several));
      }
  }
}

inline std::unique_ptr<Network> referenceNetwork(const NetworkDescription& description) {
  NetworkOptions options;
  options.batchSize = 16;
  const Topology topology = inferShapes(description, 1);
  options.perPosition = topology.axes[std::size_t(topology.output)].rank > 0;
  return std::make_unique<Network>(makeReferenceBackend(), description, options);
}

// A case of an operator: at its own size and at others that it can have, before and after removal.
inline void checkEngine(const std::string& name, const NetworkDescription& given) {
  CAPTURE(name);
  Random random(std::hash<std::string>{}(name));
  for (int trial = 0; trial < cases(4); trial++) {
    NetworkDescription description = given;
    if (trial > 0)
      for (int axis = 0; axis < description.input.rank; axis++)
        description.input.positions[std::size_t(axis)] += random.integer(0, 7);
    if (!isNetwork(description)) description = given;
    CAPTURE(description.input.text());
    auto network = referenceNetwork(description);
    network->loadState(stateWithDead(*network, random));
    checkEngineOn(*network, {1, 3, 21}, random);
    if (Network::prune(network)) checkEngineOn(*network, {1, 17}, random);
  }
}

}  // namespace test
