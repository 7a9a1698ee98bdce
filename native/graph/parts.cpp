#include "graph/parts.h"

#include <algorithm>

namespace selfcompress {
namespace {

std::string listOf(const std::vector<TensorPart>& parts) {
  std::string text;
  for (const TensorPart& part : parts) text += (text.empty() ? "" : ", ") + part.axes.text();
  return text;
}

void checkNames(const std::vector<TensorPart>& parts, const std::string& where) {
  for (std::size_t i = 0; i < parts.size(); i++) {
    const std::string &name = parts[i].name, at = where + "[" + std::to_string(i) + "].name";
    if (name.empty() || name.find('\0') != std::string::npos) failDescription("a name", at, "\"" + name + "\"");
    const bool known = std::any_of(parts.begin(), parts.begin() + std::ptrdiff_t(i),
                                   [&](const TensorPart& part) { return part.name == name; });
    if (known) failDescription("a name that no other part has", at, "\"" + name + "\"");
  }
}

}  // namespace

std::vector<ChannelRun> runsOfParts(const std::vector<TensorPart>& parts, const Axes& whole, const std::string& where) {
  if (parts.size() > kMostParts)
    failDescription("at most " + std::to_string(kMostParts) + " parts", where, std::to_string(parts.size()));
  checkNames(parts, where);
  std::vector<ChannelRun> runs;
  std::int64_t first = 0;
  bool fits = true;
  for (const TensorPart& part : parts) {
    fits = fits && (whole.rank == 0 || (part.axes.rank == whole.rank && part.axes.positions == whole.positions));
    const std::int64_t count = whole.rank == 0 ? part.axes.elements() : part.axes.channels;
    fits = fits && count >= 1 && first + count <= whole.channels;
    if (!fits) break;
    runs.push_back({int(first), int(count)});
    first += count;
  }
  if (!parts.empty() && (!fits || first != whole.channels))
    failDescription("parts that make up " + whole.text() + (whole.rank ? ", with its positions," : ""), where,
                    listOf(parts));
  return runs;
}

}  // namespace selfcompress
