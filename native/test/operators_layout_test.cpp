// Operators that move channels and positions, in whole networks: gradients, backends, removal.
#include "test/engine_check.h"
#include "test/operator_cases.h"

using namespace test;

namespace {

NetworkDescription around(std::vector<NodeDescription> middle, int height = 6, int width = 5) {
  std::vector<NodeDescription> nodes{conv("c1", "input", 8, 3, 1), simple("silu", "s1", {"c1"}), conv("c2", "s1", 8, 1),
                                     simple("batchNorm", "n2", {"c2"})};
  const std::string last = middle.back().name;
  nodes.insert(nodes.end(), middle.begin(), middle.end());
  nodes.push_back(conv("c3", last, 5, 1));
  nodes.push_back(simple("batchNorm", "n3", {"c3"}));
  nodes.push_back(simple("gelu", "g3", {"n3"}));
  nodes.push_back(linear("out", "g3", 4));
  return {Axes::image(3, height, width), nodes, "out"};
}

const std::vector<OperatorCase>& layoutCases() {
  static const std::vector<OperatorCase> cases{
      {"gather", around({node("gatherChannels", "x", {"n2"}, {{"index", {5, 0, 0, 7, -1, 3}}})})},
      {"shuffle", around({node("channelShuffle", "x", {"n2"}, {{"groups", {4}}}), simple("add", "a", {"x", "s1"})})},
      {"pad channels",
       around({conv("w", "n2", 13, 1), node("padChannels", "x", {"n2"}, {{"before", {2}}, {"after", {3}}}),
               simple("add", "a", {"x", "w"}), simple("silu", "s", {"a"})})},
      {"slice of channels", around({node("sliceChannels", "x", {"n2"}, {{"first", {1}}, {"count", {5}}}),
                                    node("sliceChannels", "y", {"n2"}, {{"first", {3}}, {"count", {5}}}),
                                    simple("add", "a", {"x", "y"}), simple("concat", "b", {"a", "s1"})})},
      {"slice of positions", around({node("slicePositions", "x", {"n2"}, {{"first", {1, 0}}, {"count", {4, 5}}}),
                                     node("slicePositions", "y", {"n2"}, {{"first", {2, 0}}, {"count", {4, 5}}}),
                                     simple("add", "a", {"x", "y"})})},
      {"slice of positions in steps",
       around({node("slicePositions", "x", {"s1"}, {{"first", {1, 0}}, {"count", {2, 3}}, {"step", {3, 2}}}),
               node("slicePositions", "y", {"n2"}, {{"count", {2, 3}}, {"step", {2, 1}}}),
               simple("add", "a", {"x", "y"})})},
      {"zero padding",
       around({node("pad", "x", {"n2"}, {{"before", {1, 0}}, {"after", {0, 2}}}), simple("batchNorm", "n", {"x"})})},
      {"reflect padding", around({node("pad", "x", {"n2"}, {{"before", {2, 1}}, {"after", {1, 3}}, {"mode", {1}}}),
                                  simple("batchNorm", "n", {"x"})})},
      {"edge padding", around({node("pad", "x", {"n2"}, {{"before", {0, 7}}, {"after", {1, 0}}, {"mode", {2}}})})},
      {"wrap padding", around({node("pad", "x", {"n2"}, {{"before", {3, 0}}, {"after", {1, 5}}, {"mode", {3}}})})},
      {"concatenated rows",
       around({node("concat", "x", {"n2", "s1", "n2"}, {{"axis", {1}}}), simple("batchNorm", "n", {"x"})})},
      {"concatenated columns", around({node("concat", "x", {"s1", "n2"}, {{"axis", {2}}})})},
      {"global maximum", around({simple("globalMaxPool", "x", {"n2"})}), 1, true, false},
      {"mean over rows", around({node("meanPositions", "x", {"n2"}, {{"columns", {0}}})})},
      {"mean over columns", around({node("meanPositions", "x", {"n2"}, {{"rows", {0}}})})},
      {"mean over channels",
       around({simple("meanChannels", "x", {"n2"}), conv("w", "n2", 3, 1), simple("concat", "y", {"x", "w"})})},
      {"pixel shuffle", around({node("pixelShuffle", "x", {"n2"}, {{"size", {2}}}), simple("batchNorm", "n", {"x"})})},
      {"pixel shuffle, blocks first",
       around({node("pixelShuffle", "x", {"n2"}, {{"size", {2}}, {"order", {0}}}), simple("silu", "s", {"x"})})},
      {"pixel unshuffle",
       around({node("pixelUnshuffle", "x", {"n2"}, {{"size", {2}}}), simple("batchNorm", "n", {"x"})}, 6, 4)},
      {"pixel unshuffle, blocks first",
       around({node("pixelUnshuffle", "x", {"n2"}, {{"size", {2}}, {"order", {0}}})}, 4, 6)},
      {"reshape: merged positions", around({node("reshape", "x", {"n2"}, {{"channels", {8}}, {"positions", {30}}}),
                                            simple("batchNorm", "n", {"x"})})},
      {"reshape: fewer channels", around({node("reshape", "x", {"n2"}, {{"channels", {2}}, {"positions", {4, 30}}}),
                                          simple("batchNorm", "n", {"x"})})},
      {"reshape: more channels",
       around({node("reshape", "x", {"n2"}, {{"channels", {16}}, {"positions", {3, 5}}}), simple("silu", "s", {"x"})})},
      {"nearest resize", around({node("resize", "x", {"n2"}, {{"size", {9, 10}}}), simple("batchNorm", "n", {"x"})})},
      {"bilinear resize",
       around({node("resize", "x", {"n2"}, {{"size", {4, 11}}, {"mode", {1}}, {"coordinates", {0}}})})},
      {"padded average, dropout",
       around({makeNode("averagePool", "x", {"n2"}, {{"kernel", {2, 3}}, {"stride", {1, 2}}, {"padding", {1, 1}}}),
               simple("batchNorm", "n", {"x"})})},
  };
  return cases;
}

std::string errorOf(std::vector<NodeDescription> middle) {
  try {
    inferShapes(around(std::move(middle)), 4);
  } catch (const DescriptionError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("layout operators: gradients against finite differences") {
  for (const OperatorCase& c : layoutCases())
    if (c.smooth) checkGradients(c);
}

TEST_CASE("layout operators: every backend against the reference") {
  for (const OperatorCase& c : layoutCases()) checkBackends(c);
}

TEST_CASE("layout operators: the engine predicts the same") {
  for (const OperatorCase& c : layoutCases()) checkEngine(c.name, c.network);
}

TEST_CASE("layout operators: removal changes nothing") {
  for (const OperatorCase& c : layoutCases()) checkRemoval(c);
}

TEST_CASE("layout operators: shapes, and errors that name the field") {
  const Topology t = inferShapes(
      around({node("pad", "x", {"n2"}, {{"before", {1, 0}}, {"after", {0, 2}}}),
              node("slicePositions", "y", {"x"}, {{"count", {3, 4}}, {"step", {3, 2}}}),
              node("resize", "z", {"y"}, {{"size", {4, 2}}}), node("pixelShuffle", "w", {"z"}, {{"size", {2}}})}),
      4);
  CHECK(t.shapes[5] == Shape{8, 7, 7});
  CHECK(t.shapes[6] == Shape{8, 3, 4});
  CHECK(t.shapes[7] == Shape{8, 4, 2});
  CHECK(t.shapes[8] == Shape{2, 8, 4});
  auto names = [](const std::string& error, const char* part) { return error.find(part) != std::string::npos; };
  CHECK(names(errorOf({node("gatherChannels", "x", {"n2"}, {{"index", {8}}})}), "\"x\".index"));
  CHECK(names(errorOf({node("gatherChannels", "x", {"n2"}, {{"index", FieldValue{}}})}), "1 to"));
  CHECK(names(errorOf({node("channelShuffle", "x", {"n2"}, {{"groups", {3}}})}), "\"x\".groups"));
  CHECK(names(errorOf({node("channelShuffle", "x", {"n2"}, {{"groups", {2}}, {"order", {0, 1, 1}}})}), "\"x\".order"));
  CHECK(names(errorOf({node("sliceChannels", "x", {"n2"}, {{"first", {4}}, {"count", {5}}})}), "\"x\".count"));
  CHECK(names(errorOf({node("slicePositions", "x", {"n2"}, {{"count", {4, 5}}, {"step", {2, 1}}})}), "\"x\".count"));
  CHECK(names(errorOf({node("pad", "x", {"n2"}, {{"before", {6, 0}}, {"mode", {1}}})}), "within the input"));
  CHECK(names(errorOf({node("concat", "x", {"n2", "input"}, {{"axis", {1}}})}), "as many channels and columns"));
  CHECK(names(errorOf({node("pixelShuffle", "x", {"n2"}, {{"size", {3}}})}), "multiple of 9"));
  CHECK(names(errorOf({node("pixelUnshuffle", "x", {"n2"}, {{"size", {2}}})}), "multiples of 2"));
  CHECK(names(errorOf({node("reshape", "x", {"n2"}, {{"channels", {3}}, {"positions", {80}}})}), "divisor of the 8"));
  CHECK(names(errorOf({node("reshape", "x", {"n2"}, {{"channels", {8}}, {"positions", {29}}})}), "as many elements"));
  CHECK(names(errorOf({node("meanPositions", "x", {"n2"}, {{"rows", {0}}, {"columns", {0}}})}), "neither"));
  CHECK_THROWS_AS(node("gatherChannels", "x", {"n2"}, {{"index", {-2}}}), DescriptionError);
}
