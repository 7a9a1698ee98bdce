// Raw arithmetic of two arrays, and sums over rows: for tensors of other libraries, in their own memory.
#include <algorithm>

#include "backends/cpu/threads.h"
#include "node/raw.h"
#include "ops/binary/plain.h"

namespace selfcompress::node {
namespace {

using Access = TypedArrays::Access;
constexpr std::int64_t kTaskElements = 1 << 15;

struct Rows {
  std::int64_t rows, columns, perTask;
  std::int64_t tasks() const { return (rows + perTask - 1) / perTask; }
};
Rows readRows(const Fields& f) {
  const std::int64_t rows = std::int64_t(f.safeInteger("rows", 1)), columns = std::int64_t(f.safeInteger("columns", 1));
  product(f.env(), {{"rows", rows}, {"columns", columns}}, kMostElements / kLanes);
  return {rows, columns, std::max<std::int64_t>(1, kTaskElements / columns)};
}

Napi::Value elementwise(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"kind", "rows", "columns", "reversed", "a", "b", "output"});
  TypedArrays arrays;
  arrays.allowSame("a", "output");
  const auto kind = Binary(f.choice("kind", {"add", "subtract", "multiply", "divide"}));
  const Rows r = readRows(f);
  const std::int64_t count = r.rows * r.columns;
  const bool reversed = f.boolean("reversed", false);
  const float* a = arrays.floats(f, "a", count, Access::kRead);
  const float* b = arrays.floats(f, "b", -1, Access::kRead);
  const auto length = std::int64_t(arrays.lengthOf("b"));
  if (length != count && length != r.columns && length != 1)
    throwRange(f.env(), std::to_string(count) + ", " + std::to_string(r.columns) + " or 1 elements", "b",
               std::to_string(length));
  const PlainOperand operand = length == count ? PlainOperand::kSame
                               : length == 1   ? PlainOperand::kScalar
                                               : PlainOperand::kRow;
  float* output = arrays.floats(f, "output", count, Access::kWrite);
  return queueRaw(info, arrays, [=](Backend&) {
    cpu::parallelFor(r.tasks(),
                     [=](std::int64_t task) {
                       plainBinary(kind, operand, reversed, task * r.perTask, std::min(r.rows, (task + 1) * r.perTask),
                                   r.columns, a, b, output);
                     },
                     {0.5 * double(r.perTask * r.columns)});
  });
}

Napi::Value sumOfRows(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"rows", "columns", "input", "output"});
  TypedArrays arrays;
  const Rows r = readRows(f);
  const float* input = arrays.floats(f, "input", r.rows * r.columns, Access::kRead);
  float* output = arrays.floats(f, "output", r.columns, Access::kWrite);
  return queueRaw(info, arrays, [=](Backend&) {
    // Of every task a sum of its own, added in their order: the same whatever the number of threads.
    const std::int64_t tasks = std::min<std::int64_t>(64, r.tasks()), perTask = (r.rows + tasks - 1) / tasks;
    std::vector<double> sums(std::size_t(tasks * r.columns));
    cpu::parallelFor(tasks,
                     [&](std::int64_t task) {
                       plainSumOfRows(std::min(r.rows, task * perTask), std::min(r.rows, (task + 1) * perTask),
                                      r.columns, input, sums.data() + task * r.columns);
                     },
                     {0.5 * double(perTask * r.columns)});
    for (std::int64_t c = 0; c < r.columns; c++) {
      double sum = 0;
      for (std::int64_t task = 0; task < tasks; task++) sum += sums[std::size_t(task * r.columns + c)];
      output[c] = float(sum);
    }
  });
}

}  // namespace

void exportRawElements(Napi::Object exports) {
  exportRaw<elementwise>(exports, "elementwise");
  exportRaw<sumOfRows>(exports, "sumOfRows");
}

}  // namespace selfcompress::node
