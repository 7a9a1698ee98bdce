// What moves values about without a sum over channels, and sequences, in float64.
#include "selfcompress/ops/resize.h"
#include "test/float64_rules.h"

namespace test {

void flatten64(Node64& a) { a.out.values = a.x().values; }

void concat64(Node64& a) {
  const int axis = a.integer("axis");
  a.out.forAll([&](int n, int c, int y, int x) {
    int& along = axis == 0 ? c : axis == 1 ? y : x;
    for (const Tensor64* t : a.in) {
      const int size = axis == 0 ? t->shape.channels : axis == 1 ? t->shape.height : t->shape.width;
      if (along < size) return t->at(n, c, y, x);
      along -= size;
    }
    return 0.0;
  });
}

template <int (*source)(const Node64&, int)>
static void byIndex(Node64& a) {
  a.out.forAll([&](int n, int c, int y, int x) {
    const int from = source(a, c);
    return from < 0 || from >= a.x().shape.channels ? 0.0 : a.x().at(n, from, y, x);
  });
}
static int gathered(const Node64& a, int c) { return a.node().list("index")[std::size_t(c)]; }
static int shuffled(const Node64& a, int c) {
  const std::vector<int> order = a.node().list("order");
  const int groups = a.integer("groups");
  return order.empty() ? c % groups * (a.x().shape.channels / groups) + c / groups : order[std::size_t(c)];
}
static int padded(const Node64& a, int c) { return c - a.integer("before"); }
static int sliced(const Node64& a, int c) { return c + a.integer("first"); }
void gatherChannels64(Node64& a) { byIndex<gathered>(a); }
void channelShuffle64(Node64& a) { byIndex<shuffled>(a); }
void padChannels64(Node64& a) { byIndex<padded>(a); }
void sliceChannels64(Node64& a) { byIndex<sliced>(a); }

void slicePositions64(Node64& a) {
  const auto first = a.pair("first"), step = a.pair("step");
  a.out.forAll(
      [&](int n, int c, int y, int x) { return a.x().at(n, c, first[0] + y * step[0], first[1] + x * step[1]); });
}

// zeros, reflect, edge, wrap. -1: a zero.
static int padSource64(int mode, int at, int size) {
  if (at >= 0 && at < size) return at;
  if (mode == 0) return -1;
  if (mode == 2) return at < 0 ? 0 : size - 1;
  if (mode == 3) return (at % size + size) % size;
  while (at < 0 || at >= size) at = at < 0 ? -at : 2 * (size - 1) - at;
  return at;
}
void pad64(Node64& a) {
  const auto before = a.pair("before");
  const Shape in = a.x().shape;
  a.out.forAll([&](int n, int c, int y, int x) {
    const int row = padSource64(a.integer("mode"), y - before[0], in.height),
              q = padSource64(a.integer("mode"), x - before[1], in.width);
    return row < 0 || q < 0 ? outside(a, n, c) : a.x().at(n, c, row, q);
  });
}

// Which channel of the deep tensor is pixel (i, j) of a block.
static int deepChannel(const Node64& a, int wideChannels, int c, int i, int j) {
  const int size = a.integer("size");
  return a.integer("order") ? (c * size + i) * size + j : (i * size + j) * wideChannels + c;
}
void pixelShuffle64(Node64& a) {
  const int size = a.integer("size");
  a.out.forAll([&](int n, int c, int y, int x) {
    return a.x().at(n, deepChannel(a, a.out.shape.channels, c, y % size, x % size), y / size, x / size);
  });
}
void pixelUnshuffle64(Node64& a) {
  const int size = a.integer("size");
  const Tensor64& wide = a.x();
  for (int n = 0; n < wide.batch; n++)
    for (int c = 0; c < wide.shape.channels; c++)
      for (int y = 0; y < wide.shape.height; y++)
        for (int x = 0; x < wide.shape.width; x++)
          a.out.at(n, deepChannel(a, wide.shape.channels, c, y % size, x % size), y / size, x / size) =
              wide.at(n, c, y, x);
}

// Shares the coordinates of ops/resize.h: which positions are read has nothing to do with channels.
void resize64(Node64& a) {
  ResizeGeometry g;
  g.input = a.x().shape, g.outHeight = a.out.shape.height, g.outWidth = a.out.shape.width;
  g.scaleH = a.number("scaleHeight"), g.scaleW = a.number("scaleWidth");
  g.mode = ResizeMode(a.integer("mode")), g.coordinates = ResizeCoordinates(a.integer("coordinates"));
  g.rounding = ResizeRounding(a.integer("rounding"));
  a.out.forAll([&](int n, int c, int y, int x) {
    const ResizeTap row = resizeRow(g, y), q = resizeColumn(g, x);
    auto line = [&](int r) {
      return (1 - double(q.weight)) * a.x().at(n, c, r, q.first) + double(q.weight) * a.x().at(n, c, r, q.second);
    };
    return (1 - double(row.weight)) * line(row.first) + double(row.weight) * line(row.second);
  });
}

// --- sequences; rows of an image follow one another

static double flat(const Tensor64& t, int n, int c, int position) { return t.at(n, c, 0, position); }

void attention64(Node64& a) {
  const int heads = a.integer("heads"), keyHeads = a.integer("keyHeads"), sharing = heads / keyHeads;
  const Tensor64 &query = *a.in[0], &key = *a.in[1], &value = *a.in[2];
  const int size = query.shape.channels / heads, valueSize = value.shape.channels / keyHeads, keys = key.shape.pixels(),
            queries = query.shape.pixels();
  const double scale = a.number("scale") != 0 ? a.number("scale") : 1 / std::sqrt(double(size));
  for (int n = 0; n < a.out.batch; n++)
    for (int h = 0; h < heads; h++)
      for (int t = 0; t < queries; t++) {
        const int seen = a.flag("causal") ? std::max(0, t + 1 + keys - queries) : keys;
        std::vector<double> share(std::size_t(seen), 0.0);
        double sum = 0;
        for (int s = 0; s < seen; s++) {
          for (int d = 0; d < size; d++) {
            const int q = h * size + d, k = h / sharing * size + d;
            if ((*a.absent[0])[std::size_t(q)] && (*a.absent[1])[std::size_t(k)]) continue;
            share[std::size_t(s)] += scale * flat(query, n, q, t) * flat(key, n, k, s);
          }
          const double own = a.generic ? 4.5 + anything(a, n, s) : 1.0;
          sum += share[std::size_t(s)] = own * std::exp(share[std::size_t(s)]);
        }
        for (int j = 0; j < valueSize; j++) {
          double& out = a.out.at(n, h * valueSize + j, 0, t);
          for (int s = 0; s < seen; s++)
            out += share[std::size_t(s)] / sum * flat(value, n, h / sharing * valueSize + j, s);
        }
      }
}

void rotary64(Node64& a) {
  const int headSize = a.integer("headSize"), rotated = a.integer("rotated");
  for (int n = 0; n < a.out.batch; n++)
    for (int c = 0; c < a.out.shape.channels; c++) {
      const int within = c % headSize, half = rotated / 2;
      const bool turned = within < rotated, pairs = a.flag("interleaved");
      const bool second = pairs ? within % 2 == 1 : within >= half;
      const int pair = pairs ? within / 2 : within % half, partner = pairs ? c ^ 1 : second ? c - half : c + half;
      const double frequency = std::pow(a.number("base"), -2.0 * pair / rotated);
      for (int t = 0; t < a.out.shape.pixels(); t++) {
        const double x = flat(a.x(), n, c, t),
                     angle = (a.integer("firstPosition") + t + (a.generic ? n : 0)) * frequency;
        double& out = a.out.at(n, c, 0, t);
        if (!turned) out = x;
        else if (second) out = flat(a.x(), n, partner, t) * std::sin(angle) + x * std::cos(angle);
        else out = x * std::cos(angle) - flat(a.x(), n, partner, t) * std::sin(angle);
      }
    }
}

// x + R h + b' of a gate.
static double gate(const Node64& a, int n, int t, int row, const std::vector<double>& hidden, bool withInput = true) {
  const std::vector<double>& r = *a.parameter(Role::kWeight);
  double sum = a.of(Role::kBias, row, 0) + (withInput ? flat(a.x(), n, row, t) : 0.0);
  for (std::size_t k = 0; k < hidden.size() && !dead(a, row); k++)
    sum += r[std::size_t(row) * hidden.size() + k] * hidden[k];
  return sum;
}
// step(example, position, unit, states before, states) makes the state of a unit; `share` is what its gates are
// multiplied with. Units that are absent were zeros.
template <class Step>
static void overTime(Node64& a, Step step) {
  const int positions = a.out.shape.pixels(), units = a.out.shape.channels;
  for (int n = 0; n < a.out.batch; n++) {
    std::vector<double> hidden(std::size_t(units), 0.0), cell = hidden;
    auto moveTo = [&](int t, double share) {
      const std::vector<double> before = hidden;
      for (int u = 0; u < units; u++)
        if (!a.gone(u)) step(n, t, u, before, hidden[std::size_t(u)], cell[std::size_t(u)], share);
    };
    auto place = [&](int i) { return a.flag("reverse") ? positions - 1 - i : i; };
    if (a.generic) moveTo(place(0), anything(a, n, 0));
    for (int i = 0; i < positions; i++) {
      moveTo(place(i), 1);
      for (int u = 0; u < units; u++) a.out.at(n, u, 0, place(i)) = hidden[std::size_t(u)];
    }
  }
}

void lstm64(Node64& a) {
  const int units = a.out.shape.channels;
  overTime(a, [&](int n, int t, int u, const std::vector<double>& before, double& hidden, double& cell, double share) {
    auto g = [&](int k) { return share * gate(a, n, t, k * units + u, before); };
    cell = logistic(g(1)) * cell + logistic(g(0)) * std::tanh(g(2));
    hidden = logistic(g(3)) * std::tanh(cell);
  });
}

void gru64(Node64& a) {
  const int units = a.out.shape.channels;
  overTime(a, [&](int n, int t, int u, const std::vector<double>& before, double& hidden, double&, double share) {
    auto resets = [&](int k) { return logistic(share * gate(a, n, t, k, before)); };
    std::vector<double> reset = before;
    for (int k = 0; k < units; k++)
      if (!a.gone(k)) reset[std::size_t(k)] *= resets(k);
    const int row = 2 * units + u;
    const double z = logistic(share * gate(a, n, t, units + u, before));
    const double inner =
        a.flag("resetFirst") ? gate(a, n, t, row, reset, false) : resets(u) * gate(a, n, t, row, before, false);
    hidden = (1 - z) * std::tanh(share * (flat(a.x(), n, row, t) + inner)) + z * hidden;
  });
}

}  // namespace test
