// Sums over channels, norms, pooling and functions of one element, in float64; and which rule is whose.
#include "test/float64_rules.h"

namespace test {
namespace {

template <class F>
void elements(Node64& a, F f) {
  a.out.forAll([&](int n, int c, int y, int x) { return f(a.x().at(n, c, y, x)); });
}

template <double (*f)(double, double, double)>
Rule64 plain() {
  return [](Node64& a) { elements(a, [](double x) { return f(x, 0, 0); }); };
}

template <double (*f)(double, double)>
void binary(Node64& a) {
  auto value = [&](std::size_t k, int n, int c, int y, int x) {
    const Tensor64& t = *a.in[k];
    const bool oneChannel = t.shape.channels == 1, onePosition = t.shape.pixels() == 1;
    return t.at(n, oneChannel ? 0 : c, onePosition ? 0 : y, onePosition ? 0 : x);
  };
  a.out.forAll([&](int n, int c, int y, int x) { return f(value(0, n, c, y, x), value(1, n, c, y, x)); });
}

// --- layers with weights: sums over the channels that are there, and a bias that takes over what the others were

// Weights [out][in of the group][taps]; taps(y, x, visit) calls visit(tap, row, column) for what an output reads, with
// row -1 for what lies outside.
template <class Taps>
void sumOver(Node64& a, int groups, int repeat, int taps, Taps forTaps) {
  const Tensor64& x = a.x();
  const std::vector<double>& weight = *a.parameter(Role::kWeight);
  const bool hasBias = a.parameter(Role::kBias) != nullptr;
  const int perGroup = x.shape.channels / groups, outsPerGroup = a.out.shape.channels / groups;
  auto at = [&](int o, int c, int r, int tap) {
    return weight[((std::size_t(o) * std::size_t(perGroup) + std::size_t(c)) * std::size_t(repeat) + std::size_t(r)) *
                      std::size_t(taps) +
                  std::size_t(tap)];
  };
  a.out.forAll([&](int n, int o, int y, int column) {
    double sum = a.of(Role::kBias, o, 0);
    if (dead(a, o)) return sum;
    for (int c = 0; c < perGroup; c++) {
      const int from = o / outsPerGroup * perGroup + c;
      if (a.gone(from)) {
        // What it gave the first position: it gave the others the same, or the function changes.
        for (int r = 0; r < repeat && hasBias; r++)
          forTaps(0, 0, r, [&](int tap, int row, int) {
            if (row >= 0) sum += (*a.constant[0])[std::size_t(from)] * at(o, c, r, tap);
          });
        continue;
      }
      for (int r = 0; r < repeat; r++)
        forTaps(y, column, r, [&](int tap, int row, int q) {
          sum += at(o, c, r, tap) * (row < 0 ? outside(a, n, from) : x.at(n, from, row, q));
        });
    }
    return sum;
  });
}

void conv2d(Node64& a) {
  const auto kernel = a.pair("kernel"), stride = a.pair("stride"), padding = a.pair("padding"),
             dilation = a.pair("dilation");
  const Shape in = a.x().shape;
  auto forTaps = [&](int y, int x, auto visit) {
    for (int i = 0; i < kernel[0]; i++)
      for (int j = 0; j < kernel[1]; j++) {
        const int row = y * stride[0] + i * dilation[0] - padding[0], q = x * stride[1] + j * dilation[1] - padding[1];
        const bool inside = row >= 0 && row < in.height && q >= 0 && q < in.width;
        visit(i * kernel[1] + j, inside ? row : -1, q);
      }
  };
  // Weights that meet what lies outside wherever they are laid are none.
  std::vector<bool> meets(std::size_t(kernel[0] * kernel[1]), false);
  for (int y = 0; y < a.out.shape.height; y++)
    for (int x = 0; x < a.out.shape.width; x++)
      forTaps(y, x, [&](int tap, int row, int) { meets[std::size_t(tap)] = meets[std::size_t(tap)] || row >= 0; });
  sumOver(a, a.integer("groups"), 1, kernel[0] * kernel[1], [&](int y, int x, int, auto visit) {
    forTaps(y, x, [&](int tap, int row, int q) {
      if (meets[std::size_t(tap)]) visit(tap, row, q);
    });
  });
}

void convTranspose2d(Node64& a) {
  const auto kernel = a.pair("kernel"), stride = a.pair("stride"), padding = a.pair("padding"),
             dilation = a.pair("dilation");
  const Shape in = a.x().shape;
  sumOver(a, a.integer("groups"), 1, kernel[0] * kernel[1], [&](int y, int x, int, auto visit) {
    for (int i = 0; i < kernel[0]; i++)
      for (int j = 0; j < kernel[1]; j++) {
        const int row = y + padding[0] - i * dilation[0], q = x + padding[1] - j * dilation[1];
        if (row % stride[0] || q % stride[1] || row < 0 || q < 0) continue;
        if (row / stride[0] < in.height && q / stride[1] < in.width)
          visit(i * kernel[1] + j, row / stride[0], q / stride[1]);
      }
  });
}

void linear(Node64& a) {
  const int columns = a.x().shape.width;
  if (a.flag("perPosition")) sumOver(a, 1, 1, 1, [](int y, int x, int, auto visit) { visit(0, y, x); });
  else sumOver(a, 1, a.x().shape.pixels(), 1, [&](int, int, int r, auto visit) { visit(0, r / columns, r % columns); });
}

// A tensor of its own, the same for every example; generic, not the same: it learns, and is no constant.
void parameter(Node64& a) {
  const std::vector<double>& weight = *a.parameter(Role::kWeight);
  const std::size_t rows = weight.size() / std::size_t(a.out.shape.channels);
  a.out.forAll([&](int n, int c, int y, int x) {
    const std::size_t row = rows == 1 ? 0 : std::size_t(y * a.out.shape.width + x);
    return dead(a, c) ? 0 : weight[std::size_t(c) * rows + row] * (a.generic ? anything(a, n, 0) : 1.0);
  });
}

// Generic, not the same in every example: which token stands where is nothing that makes a constant of a row.
void embedding(Node64& a) {
  const std::vector<double>& weight = *a.parameter(Role::kWeight);
  const std::size_t rows = weight.size() / std::size_t(a.out.shape.channels);
  a.out.forAll([&](int n, int c, int y, int x) {
    const double value = weight[std::size_t(c) * rows + std::size_t(a.x().at(n, 0, y, x))];
    return dead(a, c) ? 0 : value * (a.generic ? anything(a, n, y * a.out.shape.width + x) : 1.0);
  });
}

void unembedding(Node64& a) {
  const std::vector<double>& weight = *a.parameter(Role::kWeight);
  const std::size_t rows = std::size_t(a.out.shape.channels);
  a.out.forAll([&](int n, int v, int y, int x) {
    double sum = 0;
    for (int d = 0; d < a.x().shape.channels; d++)
      if (!a.gone(d) && !dead(a, d)) sum += weight[std::size_t(d) * rows + std::size_t(v)] * a.x().at(n, d, y, x);
    return sum;
  });
}

void meanChannels(Node64& a) {
  const int divisor = a.integer("divisor") ? a.integer("divisor") : a.x().shape.channels;
  a.out.forAll([&](int n, int, int y, int x) {
    double sum = 0;
    for (int c = 0; c < a.x().shape.channels; c++)
      if (!a.gone(c)) sum += a.x().at(n, c, y, x);
    return sum / divisor;
  });
}

// --- norms

struct Moments {
  double mean = 0, variance = 0;
};
template <class Visit>
Moments momentsOf(Visit forEach) {
  Moments m;
  double count = 0;
  forEach([&](double v) { m.mean += v, count++; });
  m.mean /= count;
  forEach([&](double v) { m.variance += (v - m.mean) * (v - m.mean); });
  m.variance /= count;
  return m;
}

// Generic, with an epsilon that shows: of the scale of what it reads a norm leaves nothing but what its epsilon makes
// of it, and by a small one that is next to nothing.
double scaled(const Node64& a, int c, double x, Moments m) {
  const double epsilon = a.generic ? 0.1 : a.number("epsilon");
  return (x - m.mean) / std::sqrt(m.variance + epsilon) * a.of(Role::kNormWeight, c, 1) + a.of(Role::kNormBias, c, 0);
}

// Of channel c, in examples first..last.
Moments momentsOfChannel(const Tensor64& x, int c, int first, int last) {
  return momentsOf([&](auto visit) {
    for (int n = first; n <= last; n++)
      for (int p = 0; p < x.shape.pixels(); p++) visit(x.at(n, c, 0, p));
  });
}

void batchNorm(Node64& a) {
  for (int c = 0; c < a.out.shape.channels; c++) {
    const Moments m = a.training ? momentsOfChannel(a.x(), c, 0, a.out.batch - 1)
                                 : Moments{a.of(Role::kRunningMean, c, 0), a.of(Role::kRunningVar, c, 1)};
    for (int n = 0; n < a.out.batch; n++)
      for (int p = 0; p < a.out.shape.pixels(); p++) a.out.at(n, c, 0, p) = scaled(a, c, a.x().at(n, c, 0, p), m);
  }
}

void instanceNorm(Node64& a) {
  a.out.forAll(
      [&](int n, int c, int y, int x) { return scaled(a, c, a.x().at(n, c, y, x), momentsOfChannel(a.x(), c, n, n)); });
}

// Channels that are absent were zeros, and go on to count, unless all of a group are.
void groupNorm(Node64& a) {
  const int channels = a.x().shape.channels, groups = a.integer("groups"), pixels = int(a.x().shape.pixels());
  const int all = (a.integer("divisor") ? a.integer("divisor") : channels / groups) * pixels;
  const std::vector<int> sizes = a.node().list("sizes");
  int first = 0;
  for (int g = 0; g < groups; g++) {
    const int past = first + (sizes.empty() ? channels / groups : sizes[std::size_t(g)]);
    for (int n = 0; n < a.out.batch; n++) {
      Moments m;
      int present = 0;
      for (int c = first; c < past; c++)
        for (int p = 0; p < pixels && !a.gone(c); p++) m.mean += a.x().at(n, c, 0, p) / all, present++;
      m.variance = m.mean * m.mean * (all - present) / all;
      for (int c = first; c < past; c++)
        for (int p = 0; p < pixels && !a.gone(c); p++) m.variance += std::pow(a.x().at(n, c, 0, p) - m.mean, 2) / all;
      for (int c = first; c < past; c++)
        for (int p = 0; p < pixels; p++) a.out.at(n, c, 0, p) = scaled(a, c, a.x().at(n, c, 0, p), m);
    }
    first = past;
  }
}

// Channels that are absent were zeros, and go on to count.
template <bool rms>
void channelNorm(Node64& a) {
  const int all = a.integer("divisor") ? a.integer("divisor") : a.x().shape.channels;
  a.out.forAll([&](int n, int c, int y, int x) {
    Moments m;
    for (int k = 0; k < a.x().shape.channels; k++)
      if (!a.gone(k) && !rms) m.mean += a.x().at(n, k, y, x) / all;
    m.variance = m.mean * m.mean * (all - a.present()) / all;
    for (int k = 0; k < a.x().shape.channels; k++)
      if (!a.gone(k)) m.variance += std::pow(a.x().at(n, k, y, x) - m.mean, 2) / all;
    return scaled(a, c, a.x().at(n, c, y, x), m);
  });
}

void softmax(Node64& a) {
  const bool channels = a.integer("axis") == 0;
  a.out.forAll([&](int n, int c, int y, int x) {
    double sum = 0;
    if (channels) {
      for (int k = 0; k < a.x().shape.channels; k++)
        if (!a.gone(k)) sum += std::exp(a.x().at(n, k, y, x));
    } else {
      for (int q = 0; q < a.x().shape.width; q++) sum += std::exp(a.x().at(n, c, y, q));
    }
    return std::exp(a.x().at(n, c, y, x)) / sum;
  });
}

// --- pooling

struct Window {
  std::array<int, 2> kernel, stride{1, 1}, padding{0, 0};
  bool padded = true;
};

template <bool largest>
void pool(Node64& a, Window w) {
  const Shape in = a.x().shape;
  a.out.forAll([&](int n, int c, int y, int x) {
    double best = -HUGE_VAL, sum = 0, all = 0;
    auto share = [&](int row, int q) { return a.generic ? 4.5 + anything(a, n, row * 64 + q) : 1.0; };
    for (int i = 0; i < w.kernel[0]; i++)
      for (int j = 0; j < w.kernel[1]; j++) {
        const int row = y * w.stride[0] + i - w.padding[0], q = x * w.stride[1] + j - w.padding[1];
        const bool inside = row >= 0 && row < in.height && q >= 0 && q < in.width;
        if (inside || w.padded) all += share(row, q);
        if (!inside && w.padded) sum += share(row, q) * outside(a, n, c);
        if (!inside) continue;
        const double v = a.x().at(n, c, row, q);
        best = std::isnan(v) ? v : std::max(best, v), sum += share(row, q) * v;
      }
    return largest ? best : sum / all;
  });
}
template <bool largest>
void windowPool(Node64& a) {
  pool<largest>(a, {a.pair("kernel"), a.pair("stride"), a.pair("padding"), a.flag("countIncludePad")});
}
template <bool largest>
void globalPool(Node64& a) {
  pool<largest>(a, {{a.x().shape.height, a.x().shape.width}});
}
void meanPositions(Node64& a) {
  pool<false>(a, {{a.flag("rows") ? a.x().shape.height : 1, a.flag("columns") ? a.x().shape.width : 1}});
}

// --- functions of one element

double clipped(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
double relu(double x, double, double) { return x < 0 ? 0 : x; }
double gelu(double x, double, double) { return x / 2 * std::erfc(-x / std::sqrt(2.0)); }
double geluTanh(double x, double, double) {
  return x / 2 * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}
double silu(double x, double, double) { return x * logistic(x); }
double sigmoid(double x, double, double) { return logistic(x); }
double tangent(double x, double, double) { return std::tanh(x); }
double hardSwish(double x, double, double) { return x * clipped(x / 6 + 0.5, 0, 1); }
double softplus(double x, double, double) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }
double exponential(double x, double, double) { return std::exp(x); }
double logarithm(double x, double, double) { return std::log(x); }
double root(double x, double, double) { return std::sqrt(x); }
double magnitude(double x, double, double) { return std::fabs(x); }
double squared(double x, double, double) { return x * x; }
double inverse(double x, double, double) { return 1 / x; }

double sum(double x, double y) { return x + y; }
double lessThan(double x, double y) { return x - y; }
double product(double x, double y) { return x * y; }
double quotient(double x, double y) { return x / y; }

void prelu(Node64& a) {
  a.out.forAll([&](int n, int c, int y, int x) {
    const double v = a.x().at(n, c, y, x), slope = a.of(Role::kSlope, a.flag("shared") ? 0 : c, 0);
    return v > 0 ? v : slope * v;
  });
}

// In training every element is changed, whoever else is there: in some of the examples it changes its sign, in others
// it grows.
void dropout(Node64& a) {
  a.out.forAll([&](int n, int c, int y, int x) {
    const double drops = (n + c + y + x) % 3 == 0 ? -std::fabs(anything(a, n, c)) : 25.0;
    return a.x().at(n, c, y, x) * (a.training && a.generic ? drops : 1.0);
  });
}

const std::map<std::string, Rule64>& rules() {
  static const std::map<std::string, Rule64> all{
      {"conv2d", conv2d},
      {"linear", linear},
      {"convTranspose2d", convTranspose2d},
      {"batchNorm", batchNorm},
      {"instanceNorm", instanceNorm},
      {"groupNorm", groupNorm},
      {"layerNorm", channelNorm<false>},
      {"rmsNorm", channelNorm<true>},
      {"softmax", softmax},
      {"maxPool", windowPool<true>},
      {"averagePool", windowPool<false>},
      {"globalAveragePool", globalPool<false>},
      {"globalMaxPool", globalPool<true>},
      {"meanPositions", meanPositions},
      {"meanChannels", meanChannels},
      {"parameter", parameter},
      {"embedding", embedding},
      {"unembedding", unembedding},
      {"add", binary<sum>},
      {"subtract", binary<lessThan>},
      {"multiply", binary<product>},
      {"divide", binary<quotient>},
      {"flatten", flatten64},
      {"reshape", flatten64},
      {"concat", concat64},
      {"gatherChannels", gatherChannels64},
      {"channelShuffle", channelShuffle64},
      {"padChannels", padChannels64},
      {"sliceChannels", sliceChannels64},
      {"slicePositions", slicePositions64},
      {"pad", pad64},
      {"pixelShuffle", pixelShuffle64},
      {"pixelUnshuffle", pixelUnshuffle64},
      {"resize", resize64},
      {"attention", attention64},
      {"rotary", rotary64},
      {"lstm", lstm64},
      {"gru", gru64},
      {"prelu", prelu},
      {"dropout", dropout},
      {"relu", plain<relu>()},
      {"gelu", plain<gelu>()},
      {"geluTanh", plain<geluTanh>()},
      {"silu", plain<silu>()},
      {"sigmoid", plain<sigmoid>()},
      {"tanh", plain<tangent>()},
      {"hardSwish", plain<hardSwish>()},
      {"softplus", plain<softplus>()},
      {"exp", plain<exponential>()},
      {"log", plain<logarithm>()},
      {"sqrt", plain<root>()},
      {"abs", plain<magnitude>()},
      {"square", plain<squared>()},
      {"reciprocal", plain<inverse>()},
      {"hardSigmoid",
       [](Node64& a) {
         elements(a, [&](double x) { return clipped(a.number("slope") * x + a.number("offset"), 0, 1); });
       }},
      {"leakyRelu", [](Node64& a) { elements(a, [&](double x) { return x > 0 ? x : a.number("slope") * x; }); }},
      {"clip", [](Node64& a) { elements(a, [&](double x) { return clipped(x, a.number("low"), a.number("high")); }); }},
      {"elu",
       [](Node64& a) { elements(a, [&](double x) { return x > 0 ? x : a.number("alpha") * (std::exp(x) - 1); }); }},
      {"affine", [](Node64& a) { elements(a, [&](double x) { return a.number("scale") * x + a.number("offset"); }); }},
  };
  return all;
}

}  // namespace

Rule64 rule64(const std::string& kind) {
  const auto found = rules().find(kind);
  return found == rules().end() ? nullptr : found->second;
}

}  // namespace test
