// Functions in arithmetic that is the same on every machine: additions, multiplications and divisions of doubles alone,
// so that tables and scales made of them are the same integers everywhere. Exact to about 1e-15.
#pragma once

#include <cmath>

namespace selfcompress::engine::integer {

inline double exponential(double x) {
  if (x > 700) x = 700;
  if (!(x >= -700)) x = -700;
  constexpr double kLog2 = 0.6931471805599453, kHigh = 0.693145751953125, kLow = 1.42860682030941723212e-6;
  const double k = std::floor(x / kLog2 + 0.5), r = (x - k * kHigh) - k * kLow;
  double sum = 1;
  for (int n = 18; n > 0; n--) sum = 1 + sum * r / n;
  return std::ldexp(sum, int(k));
}
// Past 5000 either way it is infinite or 0, and below that for NaN, whatever a file says.
inline double powerOfTwo(double x) {
  if (x > 5000) x = 5000;
  if (!(x >= -5000)) x = -5000;
  const double whole = std::floor(x);
  return std::ldexp(exponential((x - whole) * 0.6931471805599453), int(whole));
}
inline double sigmoid(double x) { return 1 / (1 + exponential(-x)); }
inline double tangent(double x) { return 2 * sigmoid(2 * x) - 1; }

// erf(x) = 2 / sqrt(pi) * exp(-x^2) * sum of 2^n x^(2n + 1) / (1 * 3 * ... * (2n + 1)): no term is negative.
inline double errorFunction(double x) {
  const double a = x < 0 ? -x : x;
  if (a >= 6) return x < 0 ? -1 : 1;
  double term = a, sum = a;
  for (int n = 1; n < 200; n++) term *= 2 * a * a / (2 * n + 1), sum += term;
  const double value = 1.1283791670955126 * exponential(-a * a) * sum;
  return x < 0 ? -value : value;
}

}  // namespace selfcompress::engine::integer
