// Staged input, steps that overlap, and recorded steps: the same numbers as one operation after another.
#include "test/networks.h"
#include "test/queued_backend.h"

using namespace test;

namespace {

using Copies = QueuedBackend::Copies;

struct Run {
  std::vector<double> losses;
  State state;
  double evaluated = 0;
  std::vector<float> predicted;
  std::int64_t replayed = 0;
  bool operator==(const Run& other) const {
    return losses == other.losses && state == other.state && evaluated == other.evaluated &&
           sameBits(predicted, other.predicted);
  }
};

// Sixteen steps of full and partial batches with different images, two augmentations, `ahead` of them begun at a time.
Run train(std::unique_ptr<Backend> backend, const DataSet& data, NetworkOptions options, int ahead) {
  options.batchSize = 20;
  Network network(std::move(backend), richNetwork(false), options);
  network.loadState(randomState(network, 3, 4));
  Run run;
  int begun = 0;
  for (int step = 1; step <= 16; step++) {
    for (; begun < std::min(16, step + ahead - 1); begun++) {
      std::vector<std::int32_t> indices;
      int count = begun % 5 == 4 ? 11 : 20;
      for (int i = 0; i < count; i++) indices.push_back((begun * 7 + i * 3) % int(data.count));
      StepSettings s = settings(begun + 1);
      if (begun % 3) s.augmentation.shift = 1, s.augmentation.flip = true;
      network.beginStep(data, indices.data(), count, s);
    }
    run.losses.push_back(network.finishStep().loss);
  }
  auto all = firstIndices(int(data.count));
  run.state = network.state();
  run.evaluated = network.evaluate(data, all.data(), all.size()).loss;
  std::vector<float> images(std::size_t(45 * data.shape.elements()), 0.25f);
  run.predicted = network.predict(images.data(), 45);
  run.replayed = network.replayedSteps();
  return run;
}

DataSet byteData() {
  DataSet data = randomData({2, 8, 8}, 50, 4);
  for (float x : data.floats) data.bytes.push_back(std::uint8_t(127 + 127 * x));
  data.floats.clear();
  return data;
}

}  // namespace

TEST_CASE("staged batches give the numbers of a data set that is read in place") {
  for (const DataSet& data : {randomData({2, 8, 8}, 50, 4), byteData()}) {
    Run direct = train(makeReferenceBackend(), data, {}, 1);
    CHECK(direct.replayed == 0);
    for (Copies copies : {Copies::kLate, Copies::kEarly})
      for (int ahead = 1; ahead <= kStagingSlots; ahead++) {
        NetworkOptions options;
        options.recordSteps = false;
        Run staged = train(std::make_unique<QueuedBackend>(copies), data, options, ahead);
        CAPTURE(int(copies));
        CAPTURE(ahead);
        CHECK(staged == direct);
        CHECK(staged.replayed == 0);
      }
  }
}

TEST_CASE("recorded steps give the numbers of steps that are queued anew") {
  DataSet data = byteData();
  Run direct = train(makeReferenceBackend(), data, {}, 1);
  Run recorded = train(std::make_unique<QueuedBackend>(Copies::kLate), data, {}, kStagingSlots);
  CHECK(recorded == direct);
  CHECK(recorded.replayed > 2);
}

TEST_CASE("gradients and targets of staged batches") {
  DataSet data = byteData();
  data.features = 4;
  data.targets = Random(5).reals(data.count * 4);
  NetworkOptions options;
  options.batchSize = 20, options.loss = Loss::kMeanSquaredError;
  std::vector<std::int32_t> indices{40, 3, 3, 17, 0, 49};
  Network direct(makeReferenceBackend(), richNetwork(false), options),
      staged(std::make_unique<QueuedBackend>(Copies::kLate), richNetwork(false), options);
  State state = randomState(direct, 3, 4);
  direct.loadState(state), staged.loadState(state);
  for (int step = 1; step <= 4; step++) {
    CHECK(direct.gradients(data, indices.data(), 6, settings(step)) ==
          staged.gradients(data, indices.data(), 6, settings(step)));
    CHECK(direct.trainStep(data, indices.data(), 6, settings(step)).loss ==
          staged.trainStep(data, indices.data(), 6, settings(step)).loss);
  }
  CHECK(direct.state() == staged.state());
}

TEST_CASE("steps under way: at most as many as there are slots, and nothing else meanwhile") {
  DataSet data = byteData();
  NetworkOptions options;
  options.batchSize = 20;
  Network network(std::make_unique<QueuedBackend>(Copies::kLate), richNetwork(false), options);
  network.loadState(randomState(network, 3, 4));
  auto indices = firstIndices(20);
  CHECK_THROWS_AS(network.finishStep(), std::logic_error);
  for (int i = 1; i <= kStagingSlots; i++) network.beginStep(data, indices.data(), 20, settings(i));
  CHECK_THROWS_AS(network.beginStep(data, indices.data(), 20, settings(9)), std::logic_error);
  CHECK_THROWS_AS(network.state(), std::logic_error);
  CHECK_THROWS_AS(network.evaluate(data, indices.data(), 20), std::logic_error);
  for (int i = 1; i <= kStagingSlots; i++) CHECK(std::isfinite(network.finishStep().loss));
  network.state();
}
