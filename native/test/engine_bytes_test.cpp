// Any bytes as a model file that the engine runs, as in the fuzzer's program, by a seed: a share of what that finds in
// a night, in every run of the tests and under the sanitizers.
#include <doctest/doctest.h>

#include "test/fuzz/engine_fuzz.cpp"

namespace {

std::vector<std::uint8_t> edits(Random& random) {
  std::vector<std::uint8_t> bytes{std::uint8_t(random.integer(0, 11))};
  for (int count = random.integer(0, 4); count > 0; count--)
    for (int i = 0; i < 3; i++) bytes.push_back(std::uint8_t(random.integer(0, 255)));
  return bytes;
}

}  // namespace

TEST_CASE("the engine runs or refuses any file, and integers agree on every instruction set") {
  for (std::uint8_t sample = 0; sample < 3; sample++) CHECK(LLVMFuzzerTestOneInput(&sample, 1) == 0);
  Random random(17);
  for (int i = 0; i < cases(400); i++) {
    const std::vector<std::uint8_t> bytes = edits(random);
    CHECK(LLVMFuzzerTestOneInput(bytes.data(), bytes.size()) == 0);
  }
}
