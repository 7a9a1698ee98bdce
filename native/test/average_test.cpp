// Averages of parameters: the operation, whole steps, what is evaluated, and removal, which keeps both functions.
#include <cmath>
#include <limits>

#include "test/random_networks.h"

using namespace test;

namespace {

NetworkOptions optionsWith(float ema, int batch) {
  NetworkOptions options;
  options.batchSize = batch, options.ema = ema;
  return options;
}

// The parameters of a state with averages, or their averages.
State part(const Network& network, const State& state, const std::string& suffix = "") {
  State result;
  for (const Parameter& p : network.parameters().all()) result[p.name] = state.at(p.name + suffix);
  return result;
}

// What a network without averages predicts with these parameters, on the reference.
std::vector<float> predicted(const NetworkDescription& description, const State& state, const DataSet& data,
                             int batch) {
  Network network(makeReferenceBackend(), description, optionsWith(0, batch));
  network.loadState(state);
  return predictAll(network, data, batch);
}

}  // namespace

TEST_CASE("averages: every backend agrees with the reference, in tails, at zeros and at what is no number") {
  auto reference = makeReferenceBackend();
  for (auto& backend : testedBackends())
    for (int trial = 0; trial < cases(60); trial++) {
      CAPTURE(trial);
      auto run = [&](Backend& b) {
        Random random(std::uint64_t(trial) + 4100);
        const int count = trial % 8 ? random.integer(1, 70) : random.integer(20000, 50000);
        std::vector<float> values = random.reals(count), before = random.reals(count);
        for (float& v : values)
          if (random.chance(0.2)) v = random.chance(0.5) ? 0.0f : -0.0f;
        if (random.chance(0.3))
          values[std::size_t(random.integer(0, count - 1))] = std::numeric_limits<float>::quiet_NaN();
        Buffer<float> parameter(b, values), average(b, before);
        Buffer<double> step(b, std::vector<double>{random.chance(0.5) ? 1.0 * random.integer(1, 100) : 123456.0});
        b.run(AverageParameters{count, random.chance(0.5) ? 0.999f : 0.5f, step.get(), parameter.get(), average.get()});
        b.synchronize();
        std::vector<float> result = average.values();
        for (std::size_t i = 0; i < result.size(); i++) {
          CHECK(std::isnan(result[i]) == std::isnan(values[i]));
          if (values[i] == 0) CHECK(result[i] == 0);
          if (std::isnan(result[i])) result[i] = 77;
        }
        return result;
      };
      CHECK(difference(sameForAllThreads([&] { return run(*backend); }), run(*reference)) < 1e-6);
    }
}

TEST_CASE("averages: by hand, with a decay that rises") {
  auto reference = makeReferenceBackend();
  Buffer<float> parameter(*reference, 1, 3.0f), average(*reference, 1, 1.0f);
  Buffer<double> step(*reference, std::vector<double>{1});
  reference->run(AverageParameters{1, 0.999f, step.get(), parameter.get(), average.get()});
  CHECK(average.values()[0] == doctest::Approx(1 + 2 * 9.0 / 11));  // d = 2/11
  Buffer<double> late(*reference, std::vector<double>{1e6});
  Buffer<float> other(*reference, 1, 1.0f);
  reference->run(AverageParameters{1, 0.75f, late.get(), parameter.get(), other.get()});
  CHECK(other.values()[0] == doctest::Approx(1.5));
}

TEST_CASE("averages of whole steps are those of the parameters after each, and are what is evaluated") {
  const int batch = 20;
  const NetworkDescription description = richNetwork(false);
  const DataSet data = randomData({2, 8, 8}, batch, 4);
  const auto indices = firstIndices(batch);
  auto backends = testedBackends();
  backends.push_back(makeReferenceBackend());
  for (auto& backend : backends) {
    CAPTURE(backend->name());
    Network network(std::move(backend), description, optionsWith(0.7f, batch));
    State state = randomState(network, 5, 4);
    state["c2.bitDepth"][1] = 0.01f;  // dies in the first step or so
    network.loadState(state);
    CHECK(part(network, network.state(), "/average") == part(network, network.state()));
    State expected = part(network, network.state());
    bool died = false;
    for (int step = 1; step <= 6; step++) {
      StepSettings s = settings(step);
      s.gamma = 2;
      network.trainStep(data, indices.data(), batch, s);
      const State now = network.state();
      const double rest = 1 - std::min(0.7, (1.0 + step) / (10 + step));
      for (auto& [name, average] : expected) {
        CAPTURE(name);
        for (std::size_t i = 0; i < average.size(); i++) {
          const double p = double(now.at(name)[i]);
          average[i] = p == 0 ? 0.0f : float(double(average[i]) + rest * (p - double(average[i])));
        }
        CHECK(difference(now.at(name + "/average"), average, 1e-2) < 1e-4);
        average = now.at(name + "/average");
      }
      died = died || now.at("c2.bitDepth")[1] == 0;
      CHECK((now.at("c2.bitDepth")[1] == 0) == (now.at("c2.bitDepth/average")[1] == 0));
    }
    CHECK(died);
    const State state6 = network.state(), averages = part(network, state6, "/average");
    CHECK(averages != part(network, state6));
    CHECK(network.parameterState() == averages);
    const auto own = predictAll(network, data, batch);
    CHECK(difference(own, predicted(description, averages, data, batch), 1e-2) < 1e-3);
    CHECK(difference(own, predicted(description, part(network, state6), data, batch), 1e-2) > 1e-3);
    network.gradients(data, indices.data(), batch, still());
    CHECK(network.state() == state6);  // running statistics and their averages too
  }
}

TEST_CASE("without averages there are none: no tensors, no operations, no memory") {
  const NetworkDescription description = richNetwork(false);
  Network with(makeReferenceBackend(), description, optionsWith(0.9f, 4)),
      without(makeReferenceBackend(), description, optionsWith(0, 4));
  for (const auto& [name, values] : without.state()) CHECK(name.find("average") == std::string::npos);
  CHECK(with.trainingProgram().size() == without.trainingProgram().size() + 1);
  CHECK(with.evaluationProgram().size() == without.evaluationProgram().size());
  CHECK(with.memory().parameterBytes >=
        without.memory().parameterBytes + 4 * std::size_t(without.parameters().valueCount));
  CHECK(without.parameters().floats() + without.parameters().valueCount == with.parameters().floats());
  State foreign{{"out.bias/average", {0, 0, 0, 0}}};
  CHECK_THROWS_AS(without.loadState(foreign), DescriptionError);
  with.loadState(foreign);
}

TEST_CASE("steps with averages go on exactly from a state") {
  const int batch = 9;
  const NetworkDescription description = richNetwork(true);
  const DataSet data = randomData({2, 8, 8}, batch, 4);
  const auto indices = firstIndices(batch);
  Network first(chosenBackend(), description, optionsWith(0.9f, batch)),
      second(chosenBackend(), description, optionsWith(0.9f, batch));
  first.loadState(randomState(first, 6, 4));
  for (int step = 1; step <= 3; step++) first.trainStep(data, indices.data(), batch, settings(step));
  second.loadState(first.state());
  for (int step = 4; step <= 6; step++) {
    first.trainStep(data, indices.data(), batch, settings(step));
    second.trainStep(data, indices.data(), batch, settings(step));
  }
  CHECK(first.state() == second.state());
}

TEST_CASE("random networks keep both functions through removal: of the parameters and of their averages") {
  const int batch = 8;
  const auto indices = firstIndices(batch);
  int alike = 0, apart = 0;
  for (int trial = 0; trial < cases(300); trial++) {
    Random random{firstSeed(300) + std::uint64_t(trial) + 7000};
    const NetworkDescription description = RandomNetwork(random).build(random.integer(4, 20));
    CAPTURE(trial);
    CAPTURE(textOf(description));
    auto network = std::make_unique<Network>(makeReferenceBackend(), description, optionsWith(0.9f, batch));
    const DataSet data = dataFor(description, batch);
    State raw = randomState(*network, std::uint64_t(trial), 6),
          average = randomState(*network, std::uint64_t(trial) + 1, 6);
    Random same = random;
    kill(raw, network->parameters(), random);
    const bool together = trial % 3 != 0;  // the same channels are dead, or others
    kill(average, network->parameters(), together ? same : random);
    State both = raw;
    for (const auto& [name, values] : average) both[name + "/average"] = values;
    network->loadState(both);
    const auto ofRaw = predicted(description, raw, data, batch),
               ofAverage = predicted(description, average, data, batch);
    CHECK(predictAll(*network, data, batch) == ofAverage);
    const double loss = network->trainStep(data, indices.data(), batch, still()).loss;
    network->loadState(both);  // running statistics have moved
    if (!finite(ofRaw) || !finite(ofAverage) || !std::isfinite(loss)) continue;
    int rounds = 0;
    while (rounds < 4 && Network::prune(network)) {
      rounds++;
      const State now = network->state();
      CHECK(difference(predictAll(*network, data, batch), ofAverage, 1e-2) < 1e-4);
      CHECK(difference(predicted(network->description(), part(*network, now), data, batch), ofRaw, 1e-2) < 1e-4);
      CHECK(network->trainStep(data, indices.data(), batch, still()).loss == doctest::Approx(loss).epsilon(1e-4));
      network->loadState(now);
    }
    CHECK(rounds < 4);
    (together ? alike : apart) += rounds > 0;
  }
  CHECK(alike > cases(300) / 6);
  CHECK(apart > 0);
}
