// Attention, rotary positions and transposed convolutions in whole networks: gradients, backends, removal.
#include "export/model_file.h"
#include "test/engine_check.h"
#include "test/operator_cases.h"

using namespace test;

namespace {

NodeDescription position(std::string name, std::string input, int out, bool bias = true) {
  return makeNode("linear", std::move(name), {std::move(input)},
                  {{"outFeatures", {double(out)}}, {"perPosition", {1}}, {"bias", {double(bias)}}});
}

struct Heads {
  int heads, keyHeads, size, valueSize;
};

// Projections, the core, the output projection; rotary positions where `turned` says how many channels of a head.
NetworkDescription attending(Heads h, std::map<std::string, FieldValue> fields, int turned = 0,
                             bool interleaved = false, int positions = 6) {
  fields["heads"] = {double(h.heads)}, fields["keyHeads"] = {double(h.keyHeads)};
  std::vector<NodeDescription> nodes{position("in", "input", 7), simple("silu", "s", {"in"}),
                                     position("q", "s", h.heads * h.size), position("k", "s", h.keyHeads * h.size),
                                     position("v", "s", h.keyHeads * h.valueSize)};
  std::string q = "q", k = "k";
  if (turned) {
    const std::map<std::string, FieldValue> turn{{"headSize", {double(h.size)}},
                                                 {"rotated", {double(turned)}},
                                                 {"base", {30}},
                                                 {"interleaved", {double(interleaved)}}};
    nodes.push_back(node("rotary", q = "rq", {"q"}, turn));
    nodes.push_back(node("rotary", k = "rk", {"k"}, turn));
  }
  nodes.push_back(node("attention", "x", {q, k, "v"}, fields));
  nodes.push_back(position("o", "x", 7));
  nodes.push_back(simple("add", "a", {"o", "s"}));
  nodes.push_back(simple("gelu", "g", {"a"}));
  nodes.push_back(linear("out", "g", 4));
  return {Axes::vector(3).withPositions({positions}), nodes, "out"};
}

NetworkDescription transposed(std::map<std::string, FieldValue> fields, int groups = 1) {
  fields["groups"] = {double(groups)};
  return {Axes::image(2, 5, 4),
          {conv("c1", "input", 8, 3, 1), simple("silu", "s1", {"c1"}), conv("c2", "s1", 8, 1),
           simple("batchNorm", "n2", {"c2"}), node("convTranspose2d", "x", {"n2"}, fields),
           simple("batchNorm", "n3", {"x"}), simple("gelu", "g3", {"n3"}), linear("out", "g3", 4)},
          "out"};
}

const std::vector<OperatorCase>& cases() {
  static const std::vector<OperatorCase> all{
      {"attention", attending({3, 3, 4, 4}, {})},
      {"attention with a scale, causal, values of another size",
       attending({2, 2, 3, 5}, {{"causal", {1}}, {"scale", {0.9}}})},
      {"grouped queries", attending({4, 2, 4, 3}, {{"causal", {1}}})},
      {"one key head", attending({3, 1, 4, 4}, {})},
      {"many small heads", attending({6, 6, 1, 1}, {}, 0, false, 3)},
      {"rotary positions", attending({2, 2, 6, 4}, {{"causal", {1}}}, 6)},
      {"rotary positions, interleaved, of a part of each head, grouped queries", attending({4, 2, 6, 4}, {}, 4, true)},
      {"transposed convolution", transposed({{"outChannels", {6}}, {"kernel", {3, 2}}, {"stride", {2, 1}}})},
      {"transposed convolution, cropped, dilated", transposed({{"outChannels", {6}},
                                                               {"kernel", {2, 3}},
                                                               {"stride", {3, 2}},
                                                               {"padding", {1, 2}},
                                                               {"dilation", {2, 1}},
                                                               {"outputPadding", {2, 1}}})},
      {"transposed convolution of one tap", transposed({{"outChannels", {6}}, {"kernel", {1, 1}}})},
      {"grouped transposed convolution", transposed({{"outChannels", {6}}, {"kernel", {3, 3}}, {"stride", {2, 2}}}, 2),
       0},
      {"depthwise transposed convolution",
       transposed({{"outChannels", {16}}, {"kernel", {2, 2}}, {"stride", {2, 2}}}, 8)},
      {"transposed convolution without a bias, not compressed",
       transposed({{"outChannels", {6}}, {"kernel", {2, 2}}, {"stride", {2, 2}}, {"bias", {0}}, {"compress", {0}}})},
  };
  return all;
}

int fieldOf(const Network& network, const char* name, const char* field) {
  for (const NodeDescription& n : network.description().nodes)
    if (n.name == name) return n.integer(field);
  return -1;
}

}  // namespace

TEST_CASE("attention and transposed convolutions: gradients against finite differences") {
  for (const OperatorCase& c : cases()) checkGradients(c);
}

TEST_CASE("attention and transposed convolutions: every backend against the reference") {
  for (const OperatorCase& c : cases()) checkBackends(c);
}

TEST_CASE("attention and transposed convolutions: the engine predicts the same") {
  for (const OperatorCase& c : cases()) checkEngine(c.name, c.network);
}

TEST_CASE("attention and transposed convolutions: removal changes nothing") {
  for (const OperatorCase& c : cases()) checkRemoval(c, 8);
}

// Kills channels of layers that have no bias left there, then removes.
std::unique_ptr<Network> without(const NetworkDescription& description,
                                 const std::map<std::string, std::vector<int>>& dead) {
  NetworkOptions options;
  options.batchSize = 7;
  auto network = std::make_unique<Network>(makeReferenceBackend(), description, options);
  State state = randomState(*network, 7, 4);
  for (const auto& [layer, channels] : dead)
    for (int c : channels) state[layer + ".bitDepth"][std::size_t(c)] = state[layer + ".bias"][std::size_t(c)] = 0;
  network->loadState(state);
  const DataSet data = dataFor(description, 7);
  const auto before = network->predict(data.floats.data(), 7);
  Network::prune(network);
  CHECK(difference(network->predict(data.floats.data(), 7), before) < 2e-5);
  return network;
}

TEST_CASE("attention: dimensions leave with either factor, heads with their values, and the scale stays") {
  const NetworkDescription description = attending({4, 2, 4, 3}, {});
  // Of key head 0 dimension 1 by the key, of key head 1 dimension 2 by both its queries.
  auto network = without(description, {{"k", {1}}, {"q", {10, 14}}});
  CHECK(fieldOf(*network, "k", "outFeatures") == 6);
  CHECK(fieldOf(*network, "q", "outFeatures") == 12);
  for (const NodeDescription& n : network->description().nodes)
    if (n.name == "x") {
      CHECK(n.number("scale") == 0.5);
      CHECK(n.list("headSizes") == std::vector<int>{3, 3});
    }
  // One of two queries that share a key: the dimension stays.
  network = without(description, {{"q", {10}}});
  CHECK(fieldOf(*network, "q", "outFeatures") == 16);
  // All values of key head 0: its queries and keys have no reader.
  network = without(description, {{"v", {0, 1, 2}}});
  CHECK(fieldOf(*network, "x", "heads") == 2);
  CHECK(fieldOf(*network, "x", "keyHeads") == 1);
  CHECK(fieldOf(*network, "q", "outFeatures") == 8);
  CHECK(fieldOf(*network, "k", "outFeatures") == 4);
  // All of a head's queries: it attends uniformly, and its values stay.
  network = without(description, {{"k", {0, 1, 2, 3}}});
  CHECK(fieldOf(*network, "x", "heads") == 4);
  CHECK(fieldOf(*network, "k", "outFeatures") == 4);
  CHECK(fieldOf(*network, "v", "outFeatures") == 6);
}

TEST_CASE("rotary positions: a pair leaves when both are dead, and the others turn as before") {
  const NetworkDescription description = attending({2, 2, 6, 4}, {}, 6);
  auto network = without(description, {{"q", {1, 4}}, {"k", {6}}});
  CHECK(fieldOf(*network, "q", "outFeatures") == 10);
  CHECK(fieldOf(*network, "k", "outFeatures") == 10);
  for (const NodeDescription& n : network->description().nodes)
    if (n.name == "rq") CHECK(n.list("channels") == std::vector<int>{0, 2, 3, 5, 6, 7, 8, 9, 10, 11});
}

TEST_CASE("a model file keeps the lists of what removal has left") {
  const NetworkDescription description = attending({2, 2, 6, 4}, {}, 6);
  auto network = without(description, {{"q", {1, 4}}, {"v", {0, 6}}});
  const model::Bytes bytes = encodeModelFile(network->description(), network->parameterState(), {});
  const DecodedModel decoded = decodeModelFile(bytes);
  REQUIRE(decoded.network.nodes.size() == network->description().nodes.size());
  for (std::size_t i = 0; i < decoded.network.nodes.size(); i++)
    CHECK(decoded.network.nodes[i].fields == network->description().nodes[i].fields);
}

TEST_CASE("attention and transposed convolutions: errors that name the field") {
  auto errorOf = [](const NetworkDescription& network) {
    try {
      inferShapes(network, 4);
    } catch (const DescriptionError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  auto names = [](const std::string& error, const char* part) { return error.find(part) != std::string::npos; };
  CHECK(names(errorOf(attending({3, 2, 4, 4}, {})), "\"x\".keyHeads"));
  CHECK(names(errorOf(attending({2, 2, 4, 4}, {{"headSizes", {4, 4}}})), "\"x\".scale"));
  CHECK(names(errorOf(attending({2, 2, 4, 4}, {{"headSizes", {5, 4}}, {"scale", {1}}})), "channels of queries"));
  CHECK(names(errorOf(attending({2, 2, 4, 4}, {{"valueSizes", {4}}})), "\"x\".valueSizes"));
  CHECK(names(errorOf(attending({2, 2, 6, 4}, {}, 5)), "\"rq\".rotated"));
  CHECK(names(errorOf(transposed({{"outChannels", {6}}, {"kernel", {1, 1}}}, 3)), "\"x\".groups"));
  CHECK(names(errorOf(transposed({{"outChannels", {6}}, {"kernel", {1, 1}}, {"padding", {4, 0}}})), "\"x\".padding"));
  CHECK(names(errorOf(transposed({{"outChannels", {6}}, {"kernel", {3, 3}}, {"outputPadding", {1, 0}}})),
              "\"x\".outputPadding"));
}
