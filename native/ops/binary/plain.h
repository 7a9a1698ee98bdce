// Arithmetic on plain arrays of rows and columns, without lanes: for tensors of other libraries, in their own memory.
#pragma once

#include <cstdint>

#include "selfcompress/ops/binary.h"

namespace selfcompress {

// What the second operand is: as large as the first, a row for all rows, or one number.
enum class PlainOperand { kSame, kRow, kScalar };

// output[r, c] = a[r, c] op b; `reversed`: b op a[r, c]. Rows `first` to `last` of `columns` numbers each. `output` may
// be `a`.
void plainBinary(Binary kind, PlainOperand operand, bool reversed, std::int64_t first, std::int64_t last,
                 std::int64_t columns, const float* a, const float* b, float* output);

// sums[c] = sum of input[r, c] over the rows `first` to `last`, in double, in ascending order.
void plainSumOfRows(std::int64_t first, std::int64_t last, std::int64_t columns, const float* input, double* sums);

}  // namespace selfcompress
