#include "bench/cuda/read_network.h"

#include <sstream>

#include "ops/table.h"

namespace selfcompress::bench {
namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

FieldValue numbers(const std::string& text) {
  FieldValue values;
  for (const std::string& part : split(text)) values.push_back(std::stod(part));
  return values;
}

NodeDescription readNode(std::istream& words) {
  std::string kind, name, key, value;
  words >> kind >> name;
  std::vector<std::string> inputs;
  std::map<std::string, FieldValue> fields;
  while (words >> key >> value) {
    if (key == "inputs") inputs = split(value);
    else fields[key] = numbers(value);
  }
  return makeNode(kind, std::move(name), std::move(inputs), fields);
}

}  // namespace

NetworkDescription readNetwork(std::istream& lines) {
  NetworkDescription network;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first;
    words >> first;
    if (first == "end") return network;
    if (first == "input") {
      int channels = 0, height = 0, width = 0;
      words >> channels >> height >> width;
      network.input = Axes::image(channels, height, width);
    } else if (first == "output") {
      words >> network.output;
    } else if (first == "node") {
      network.nodes.push_back(readNode(words));
    } else {
      throw std::runtime_error("Expected input, node, output or end but received " + first);
    }
  }
  throw std::runtime_error("Expected a line \"end\" after the network");
}

}  // namespace selfcompress::bench
