// A compiled program as rows: known numbers of a small network.
#include "program/print.h"
#include "test/networks.h"

using namespace test;

namespace {

// 2x6x6 -> 3x4x4 (3x3 convolution, ReLU fused or not) -> 5 outputs.
NetworkDescription small() {
  return {Axes::image(2, 6, 6),
          {conv("c", "input", 3, 3), simple("relu", "r", {"c"}), simple("flatten", "f", {"r"}), linear("out", "f", 5)},
          "out"};
}

std::unique_ptr<Network> compiled(int batchSize) {
  NetworkOptions options;
  options.batchSize = batchSize;
  return std::make_unique<Network>(std::shared_ptr<Backend>(makeReferenceBackend()), small(), options);
}

std::int64_t sum(const ProgramRows& rows, Mark section) {
  std::int64_t result = 0;
  for (const OperationRow& row : rows.operations)
    if (row.section == section) result += row.multiplyAdds;
  return result;
}

}  // namespace

TEST_CASE("program: multiply-adds of a training step and of an evaluation are those of the layers") {
  for (int batch : {1, 7, 16, 33}) {
    auto network = compiled(batch);
    const std::int64_t convolution = 3 * 2 * 9 * 16 * batch, fully = std::int64_t(5) * 48 * batch;
    ProgramRows train = rowsOf(network->trainingProgram(), batch);
    CHECK(sum(train, Mark::kForward) == convolution + fully);
    // The first layer's input needs no gradient.
    CHECK(sum(train, Mark::kBackward) == convolution + 2 * fully);
    CHECK(train.multiplyAdds == 2 * convolution + 3 * fully);
    ProgramRows evaluate = rowsOf(network->evaluationProgram(), batch);
    CHECK(evaluate.multiplyAdds == convolution + fully);
  }
}

TEST_CASE("program: rows are those of the program, with buffers that the memory plan has placed") {
  auto network = compiled(16);
  for (const Program* program : {&network->trainingProgram(), &network->evaluationProgram()}) {
    ProgramRows rows = rowsOf(*program, 16);
    REQUIRE(rows.operations.size() == program->size());
    CHECK(rows.arenaBytes == program->memory().arenaBytes());
    std::size_t bytes = 0, end = 0;
    for (const BufferRow& buffer : rows.buffers)
      bytes += buffer.bytes, end = std::max(end, buffer.offset + buffer.bytes);
    CHECK(bytes == rows.unsharedBytes);
    CHECK(end == rows.arenaBytes);
    std::vector<int> first(rows.buffers.size(), -1);
    int section = 0;
    for (std::size_t i = 0; i < rows.operations.size(); i++) {
      const OperationRow& row = rows.operations[i];
      CHECK(int(row.section) >= section);
      section = int(row.section);
      CHECK_MESSAGE(!row.shape.empty() == (std::string(row.operation) != "ClipScale"), row.operation);
      for (BufferId id : row.buffers) {
        const BufferRow& buffer = rows.buffers[std::size_t(id)];
        CHECK(buffer.first <= int(i));
        CHECK(buffer.last >= int(i));
        if (first[std::size_t(id)] < 0) first[std::size_t(id)] = int(i);
      }
    }
    for (std::size_t id = 0; id < first.size(); id++)
      if (first[id] >= 0) CHECK(rows.buffers[id].first == first[id]);
  }
}

TEST_CASE("program: activations behind a batch norm are in its rows, but for those that it does not apply") {
  NetworkOptions options;
  options.batchSize = 16;
  Network network(std::shared_ptr<Backend>(makeReferenceBackend()), activatedNetwork(), options);
  const char* expected[] = {"clipping", "hard-swish", "SiLU", "leaky ReLU", "ReLU"};
  int found = 0, apart = 0;
  for (const OperationRow& row : rowsOf(network.trainingProgram(), 16).operations) {
    const std::string operation = row.operation;
    apart += operation == "ActivationForward" || operation == "ActivationBackward";
    if (operation != "BatchNormForward" && operation != "BatchNormBackward") continue;
    const char norm = network.description().nodes[std::size_t(row.node)].name[1];
    const bool has = !row.epilogues.empty() && std::string(row.epilogues[0]) != "moments";
    CHECK(has == (norm < '6'));
    if (!has) continue;
    CHECK(std::string(row.epilogues[0]) == expected[norm - '1']);
    found++;
  }
  CHECK(found == 2 * 5);
  CHECK(apart == 2 * 2);
}

TEST_CASE("program: the convolution's row") {
  auto network = compiled(16);
  ProgramRows rows = rowsOf(network->trainingProgram(), 16);
  int found = 0;
  for (const OperationRow& row : rows.operations) {
    if (std::string(row.operation) != "Conv2dForward" || row.node != 0) continue;
    found++;
    CHECK(row.shape == "2x6x6 -> 3x4x4, 3x3");
    CHECK(row.section == Mark::kForward);
    CHECK(std::find(row.epilogues.begin(), row.epilogues.end(), std::string("ReLU")) != row.epilogues.end());
  }
  CHECK(found == 1);
  CHECK(rows.operations.back().section == Mark::kUpdate);
}
