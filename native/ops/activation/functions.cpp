#include "ops/activation/functions.h"

#include <cmath>

namespace selfcompress {
namespace {

double normalCdf(double x) { return 0.5 * std::erfc(-x * 0.70710678118654752440); }
double normalPdf(double x) { return 0.39894228040143267794 * std::exp(-0.5 * x * x); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
// min(max(x, low), high) that leaves NaN a NaN.
double clipped(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

// geluTanh is x * sigmoid(2 u); beyond 30 its slope is that of x or of 0, whatever the rounding.
double geluTanhArgument(double x) { return 2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x); }
double geluTanhSlope(double x) {
  x = clipped(x, -30, 30);
  const double s = sigmoid(geluTanhArgument(x));
  return s + x * s * (1 - s) * 2 * 0.79788456080286535588 * (1 + 3 * 0.044715 * x * x);
}
double siluSlope(double x) {
  const double s = sigmoid(x);
  return s * (1 + x * (1 - s));
}
double hardSwishSlope(double x) { return x < -3 ? 0 : x <= 3 ? x / 3 + 0.5 : x == x ? 1 : x; }

}  // namespace

double activationOf(Activation kind, double x, double alpha, double beta) {
  const bool lowest = x == -HUGE_VAL;  // where 0 times x would be NaN
  switch (kind) {
    case Activation::kRelu:
      return x < 0 ? 0.0 : x;
    case Activation::kGelu:
      return lowest ? 0.0 : x * normalCdf(x);
    case Activation::kSilu:
      return lowest ? 0.0 : x * sigmoid(x);
    case Activation::kGeluTanh:
      return lowest ? 0.0 : x * sigmoid(geluTanhArgument(x));
    case Activation::kSigmoid:
      return sigmoid(x);
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kHardSigmoid:
      return clipped(alpha * x + beta, 0, 1);
    case Activation::kHardSwish:
      return x < -3 ? 0.0 : x * clipped(x / 6 + 0.5, 0, 1);
    case Activation::kLeakyRelu:
      return x > 0 ? x : alpha * x;
    case Activation::kClip:
      return clipped(x, alpha, beta);
    case Activation::kElu:
      return x > 0 ? x : alpha * std::expm1(x);
    case Activation::kSoftplus:
      return (x < 0 ? 0.0 : x) + std::log1p(std::exp(-std::fabs(x)));
    case Activation::kExp:
      return std::exp(x);
    case Activation::kLog:
      return std::log(x);
    case Activation::kSqrt:
      return std::sqrt(x);
    case Activation::kAbs:
      return std::fabs(x);
    case Activation::kSquare:
      return x * x;
    case Activation::kReciprocal:
      return 1 / x;
    case Activation::kAffine:
      return alpha * x + beta;
  }
  return x;
}

double activationSlope(Activation kind, double x, double alpha, double beta) {
  switch (kind) {
    case Activation::kRelu:
      return x > 0 ? 1 : 0;
    case Activation::kGelu:
      return normalCdf(x) + x * normalPdf(x);
    case Activation::kSilu:
      return siluSlope(x);
    case Activation::kGeluTanh:
      return geluTanhSlope(x);
    case Activation::kSigmoid:
      return sigmoid(x) * sigmoid(-x);
    case Activation::kTanh:
      return 1 - std::tanh(x) * std::tanh(x);
    case Activation::kHardSigmoid:
      return alpha * x + beta > 0 && alpha * x + beta < 1 ? alpha : 0;
    case Activation::kHardSwish:
      return hardSwishSlope(x);
    case Activation::kLeakyRelu:
      return x > 0 ? 1 : alpha;
    case Activation::kClip:
      return x > alpha && x < beta ? 1 : 0;
    case Activation::kElu:
      return x > 0 ? 1 : alpha * std::exp(x);
    case Activation::kSoftplus:
      return sigmoid(x);
    case Activation::kExp:
      return std::exp(x);
    case Activation::kLog:
      return 1 / x;
    case Activation::kSqrt:
      return 0.5 / std::sqrt(x);
    case Activation::kAbs:
      return x > 0 ? 1 : x < 0 ? -1 : x;
    case Activation::kSquare:
      return 2 * x;
    case Activation::kReciprocal:
      return -1 / (x * x);
    case Activation::kAffine:
      return alpha;
  }
  return 1;
}

}  // namespace selfcompress
