// Convolutions of the CUDA backend: how an operation becomes passes, which kernels run them, and the workspace.
//
//     forward, data gradient   pack weights and table -> products (-> add the parts of split sums) (-> constants)
//     weight gradient          table -> products -> bias gradient -> add the parts
//
// Choices depend on the geometry, the batch and, where the result does not depend on it, on the device; never on the
// numbers of live channels, which only the device knows. Grids are sized for dense layers; blocks without a live
// channel return at once.
#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "cuda/kernels/conv2d_weight.cuh"

namespace selfcompress::cuda {
namespace {

using namespace conv;

// Groups with at most so many target channels are computed without a matrix product.
constexpr int kDirectChannels = 8;
// A pass is split over k if it has fewer tiles than kFewTiles, about two for each multiprocessor of the largest
// devices; the weight gradient is split until it has kManyBlocks. Constants, not properties of the device, so that
// every device adds in the same order.
constexpr int kFewTiles = 256, kManyBlocks = 512;
constexpr std::int64_t kMostPartialBytes = std::int64_t(64) << 20;

std::int64_t roundUp(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit * unit; }
std::int64_t ceilDiv(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Cuts a workspace into 256-byte aligned parts; with base == nullptr it only counts.
class Cutter {
 public:
  explicit Cutter(void* base) : base_(static_cast<char*>(base)) {}
  template <class T>
  T* take(std::int64_t count) {
    char* at = base_ ? base_ + bytes_ : nullptr;
    bytes_ += std::size_t(roundUp(count * std::int64_t(sizeof(T)), 256));
    return reinterpret_cast<T*>(at);
  }
  std::size_t bytes() const { return bytes_; }

 private:
  char* base_;
  std::size_t bytes_ = 0;
};

void checkSizes(const Conv2dGeometry& g, int batch) {
  // Numbers of vectors (times 4) and of weights, and places within one image, are 32-bit; offsets of elements are
  // 64-bit.
  constexpr std::int64_t kMost = kNowhere / 2;
  std::int64_t blocks = blocksOf(batch);
  if (g.weights() > kMost || g.input().elements() > kMost || g.output().elements() > kMost ||
      blocks * g.input().pixels() > kMost || blocks * g.output().pixels() > kMost ||
      std::int64_t(g.kernelHeight) * g.dilationH > kMost || std::int64_t(g.kernelWidth) * g.dilationW > kMost)
    throw std::length_error("A convolution is too large for the CUDA backend");
}

Pass makePass(const Conv2dGeometry& g, int batch, bool gradient, ChannelList liveIn, ChannelList liveOut) {
  checkSizes(g, batch);
  Pass p;
  Channels in{liveIn.index, liveIn.count, g.inChannels, g.inPerGroup()};
  Channels out{liveOut.index, liveOut.count, g.outChannels, g.outPerGroup()};
  p.geometry = g, p.gradient = gradient, p.blocks = blocksOf(batch);
  p.source = gradient ? out : in, p.target = gradient ? in : out;
  Shape from = gradient ? g.output() : g.input(), to = gradient ? g.input() : g.output();
  p.sourceHeight = from.height, p.sourceWidth = from.width, p.targetHeight = to.height, p.targetWidth = to.width;
  if (gradient) {
    p.classesH = g.strideH, p.classesW = g.strideW;
    p.periodH = g.strideH / std::gcd(g.strideH, g.dilationH), p.periodW = g.strideW / std::gcd(g.strideW, g.dilationW);
  }
  std::int64_t taps = ceilDiv(g.kernelHeight, p.periodH) * ceilDiv(g.kernelWidth, p.periodW);  // of a class, at most
  p.tableRows = int(roundUp(p.source.perGroup * taps, kRowUnit));
  p.packedChannels = int(roundUp(p.target.perGroup, kChannelUnit));
  return p;
}

bool isDirect(const Pass& p) { return p.geometry.groups > 1 && p.target.perGroup <= kDirectChannels; }

// Few tiles with long sums (a linear layer after a large image) would leave most of the device idle.
int splitsOf(const Pass& p) {
  std::int64_t tiles = std::int64_t(vectorTiles(p)) * ceilDiv(p.target.perGroup, 64) * regions(p);
  if (tiles >= kFewTiles || p.classesH * p.classesW > 1) return 1;
  return int(std::clamp<std::int64_t>(std::min<std::int64_t>(2 * kFewTiles / tiles, p.tableRows / 128), 1, 16));
}

void cutPass(Pass& p, Cutter& cut, bool packed) {
  p.headers = cut.take<Header>(regions(p));
  p.table = cut.take<Row>(std::int64_t(regions(p)) * p.tableRows);
  if (!packed) return;
  std::int64_t words = std::int64_t(p.tableRows) * p.packedChannels;
  if (words > kNowhere) throw std::length_error("A convolution is too large for the CUDA backend");
  p.packed = cut.take<std::uint32_t>(regions(p) * words);
  p.splits = splitsOf(p);
  if (p.splits > 1)
    p.partial = cut.take<float>(std::int64_t(p.splits) * p.geometry.groups * p.packedChannels * p.blocks *
                                p.targetHeight * p.targetWidth * kLanes);
}

void checkPrecision(Stream& stream, Precision precision) {
  if (precision != Precision::kFloat32 && limits(stream).computeCapability < 80)
    throw std::invalid_argument("Convolutions in tf32 and bf16 need a device of compute capability 8.0 or later");
}

void runPass(Stream& stream, const char* operation, Pass& p, Precision precision, void* workspace) {
  checkPrecision(stream, precision);
  if (isDirect(p)) return passDirect(stream, operation, p);
  Cutter cut(workspace);
  cutPass(p, cut, true);
  if (regions(p) > 65535) throw std::length_error("A convolution has too many groups for the CUDA backend");
  if (precision == Precision::kFloat32) {
    pack(stream, operation, p, Packing::kColumns);
    passFloat32(stream, operation, p);
  } else {
    pack(stream, operation, p, precision == Precision::kTf32 ? Packing::kTf32 : Packing::kBfloat16);
    passTensorCores(stream, operation, p, precision);
  }
  if (p.splits > 1) finishSplits(stream, operation, p);
}

bool isDirect(const WeightPass& w) {
  return w.pass.geometry.groups > 1 && w.pass.target.perGroup <= kDirectChannels &&
         w.pass.source.perGroup <= kDirectChannels;
}

// At least 8 vectors (128 terms) in a split, an even number; parts of all splits within kMostPartialBytes.
void splitWeights(WeightPass& w) {
  const Pass& p = w.pass;
  const Conv2dGeometry& g = p.geometry;
  std::int64_t area = std::int64_t(g.kernelHeight) * g.kernelWidth;
  std::int64_t vectors = std::int64_t(p.blocks) * p.targetHeight * p.targetWidth;
  std::int64_t blocks =
      isDirect(w) ? std::int64_t(g.outChannels) * p.source.perGroup
                  : g.groups * ceilDiv(p.target.perGroup, 64) * ceilDiv(p.source.perGroup * area, kWeightRows);
  std::int64_t splits = std::min({ceilDiv(kManyBlocks, blocks), ceilDiv(vectors, 8),
                                  kMostPartialBytes / (g.weights() * std::int64_t(sizeof(float)))});
  w.vectorsPerSplit = int(roundUp(ceilDiv(vectors, std::max<std::int64_t>(splits, 1)), 2));
  w.splits = int(ceilDiv(vectors, w.vectorsPerSplit));
}

WeightPass cutWeights(const Pass& pass, Cutter& cut) {
  WeightPass w;
  w.pass = pass;
  splitWeights(w);
  if (!isDirect(w)) cutPass(w.pass, cut, false);
  w.partial = cut.take<float>(w.splits * pass.geometry.weights());
  w.biasPartial = cut.take<float>(std::int64_t(kBiasSplits) * pass.geometry.outChannels);
  return w;
}

}  // namespace

std::size_t conv2dWorkspace(const DeviceLimits&, const Conv2dGeometry& g, int batch) {
  Cutter forward(nullptr), gradient(nullptr), weight(nullptr);
  Pass to = makePass(g, batch, false, {}, {}), back = makePass(g, batch, true, {}, {});
  cutWeights(to, weight);
  if (!isDirect(to)) cutPass(to, forward, true);
  if (!isDirect(back)) cutPass(back, gradient, true);
  return std::max({forward.bytes(), gradient.bytes(), weight.bytes()});
}

void enqueue(Stream& stream, const Conv2dForward& a, Precision precision) {
  Pass p = makePass(a.geometry, a.batch, false, a.liveIn, a.liveOut);
  p.values = a.input, p.weight = a.weight, p.result = a.output;
  p.bias = a.bias, p.relu = a.relu;
  runPass(stream, "conv2d forward", p, precision, a.workspace);
  fillConstant(stream, "conv2d forward", a);
}

void enqueue(Stream& stream, const Conv2dGradInput& a, Precision precision) {
  Pass p = makePass(a.geometry, a.batch, true, a.liveIn, a.liveOut);
  p.values = a.gradOutput, p.weight = a.weight, p.result = a.gradInput;
  p.mask = a.reluInput, p.accumulate = a.accumulate;
  runPass(stream, "conv2d data gradient", p, precision, a.workspace);
}

void enqueue(Stream& stream, const Conv2dGradWeight& a, Precision precision) {
  checkPrecision(stream, precision);
  Cutter cut(a.workspace);
  Pass p = makePass(a.geometry, a.batch, false, a.liveIn, a.liveOut);
  p.values = a.input;
  WeightPass w = cutWeights(p, cut);
  w.gradOutput = a.gradOutput, w.gradWeight = a.gradWeight, w.gradBias = a.gradBias;
  if (isDirect(w)) {
    weightDirect(stream, w);
  } else {
    pack(stream, kWeightName, w.pass, Packing::kNone);
    if (precision == Precision::kFloat32) {
      weightFloat32(stream, w);
    } else {
      weightTensorCores(stream, w, precision);
    }
  }
  finishWeightGradient(stream, w);
}

}  // namespace selfcompress::cuda
