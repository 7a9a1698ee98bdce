// The table of kernels that every instruction set provides. A kernel works on one task of an operation; the backend
// (cpu_backend.h) cuts operations into tasks, which touch disjoint results, and runs them on the pool.
#pragma once

#include <cstdint>

#include "selfcompress/backend.h"

namespace selfcompress::cpu {

// ---- quantizer ----

struct QuantizeChannel {
  float inverse, scale, low, high;  // 2^-e, 2^e, lo, hi
  float clipSlope;                  // ln2 * s * 2^(beta-1)
  bool wide = false;                // these do not do (ops/quantize/wide.h): quantizeWide takes b and e themselves
  float bitDepth = 0, exponent = 0;
};
// In place.
void quantizeWide(float* weights, int count, const QuantizeChannel&);
struct QuantizeSums {
  double bitDepth, exponent;
};
// QuantizeRate of one channel: the slopes below and from |c| = 1 on, with the row's part, and of its elements.
// `clipLow` and `clipHigh` are d|c|/dbeta of clipped codes.
struct QuantizeRateChannel {
  float first, next, clipLow, clipHigh;
  const float* element;
};
struct CodeSums {
  double nonzeros, magnitude;
};

// ---- convolution: weights ----

// Some neighbouring weights of one output channel, on their way into a panel.
struct WeightSource {
  const float* weight = nullptr;               // nullptr: zeros
  const QuantizeChannel* quantizer = nullptr;  // nullptr: they are taken as they are
};
// Some rows of a panel [rows][outs]. Up to `end` may be written what later rows overwrite, and up to `memoryEnd`, the
// end of all weights, more may be read than is taken.
struct PanelRows {
  WeightSource from[16];
  const float* memoryEnd = nullptr;
  int outs = 0;  // at most 16
  float* to = nullptr;
  float* end = nullptr;
};

// ---- convolution: forward and data gradient ----

// One term of the sum of an output: where its input vector lies from the position's base, and its row in the panel.
struct ConvEntry {
  std::int32_t source;  // floats
  std::int32_t row;     // panel[row * outs + o]
};
struct ConvPosition {
  std::int64_t source;  // floats from `source` of ConvTiles
  std::int64_t target;  // floats from `target`
};
// target[p][o] = epilogue(sum over entries of panel[row][o] * source[p + entry]) for some output channels and positions
// that share one list of entries.
struct ConvTiles {
  const float* source = nullptr;
  const float* panel = nullptr;  // [rows][outs]
  const ConvEntry* entries = nullptr;
  int entryCount = 0;
  const ConvPosition* positions = nullptr;
  int positionCount = 0;
  int outs = 0;                             // at most tileOuts
  const std::int64_t* outOffset = nullptr;  // [outs], floats from a position's target
  float* target = nullptr;
  const float* bias = nullptr;  // [outs] start of the sum, or nullptr: 0
  bool resume = false;          // start from target instead (a later part of a long sum)
  bool relu = false;
  const float* mask = nullptr;   // as target: multiply by (mask > 0)
  bool accumulate = false;       // add the result to target
  bool past = false;             // past_caches.h; not with resume or accumulate
  std::int64_t sourceAhead = 0;  // lines so many floats ahead of a term are fetched; 0: none
};

// ---- convolution: one input channel for each output channel ----

// target = epilogue(bias + correlation of the source plane with the taps): out[y][x] reads row y * stride + i *
// dilation - pad, which may lie outside the image. pad may be negative.
struct DepthwisePlane {
  const float* source = nullptr;
  int sourceHeight = 0, sourceWidth = 0;
  float* target = nullptr;
  int height = 0, width = 0;    // of the target
  const float* taps = nullptr;  // [kernelHeight][kernelWidth]
  int kernelHeight = 0, kernelWidth = 0, strideH = 1, strideW = 1, padH = 0, padW = 0, dilationH = 1, dilationW = 1;
  float bias = 0;
  bool relu = false;
  const float* mask = nullptr;  // as target: multiply by (mask > 0)
  bool accumulate = false;      // add the result to target
};

// gradTaps = sum over blocks of images and pixels of the gradient's plane times the source's, square kernels of 3 or 5
// taps without stride and dilation.
struct DepthwiseGrad {
  const float *source = nullptr, *grad = nullptr;
  std::int64_t sourceStride = 0, gradStride = 0;  // floats from one block to the next
  int blocks = 0;
  int sourceHeight = 0, sourceWidth = 0, height = 0, width = 0;  // height, width: of the gradient
  int kernel = 3, padH = 0, padW = 0;
  float* gradTaps = nullptr;  // [kernel][kernel]
};

// ---- convolution: weight gradient ----

inline constexpr int kMaxStreams = 8;
// Consecutive output pixels of one row, and for each stream (input channel and tap) where its input lies.
struct WeightRun {
  std::int32_t grad;                 // floats from a gradient plane's start
  std::int32_t length;               // pixels
  std::int32_t source[kMaxStreams];  // floats from the input plane's start; -1: outside the image, zeros
};
// accumulator[o][s] += sum over runs and pixels of grad[o] * source[s], lane by lane.
struct WeightTile {
  int outs = 0, streams = 0;
  const float* const* grad = nullptr;    // [outs] planes
  const float* const* source = nullptr;  // [streams] planes
  const float* zeros = nullptr;          // one zero vector
  int sourceStep = 0;                    // floats from one output pixel's input to the next one's
  const WeightRun* runs = nullptr;
  int runCount = 0;
  int blocks = 1;                                 // the runs are repeated over this many blocks of images
  std::int64_t gradStride = 0, sourceStride = 0;  // floats from one block to the next
  std::int64_t gradAhead = 0, sourceAhead = 0;    // lines so many floats ahead are fetched; 0: none
  int planes = 0;                                 // of the sources: the first ones, which lie in different planes
  float* accumulator = nullptr;                   // [outs][streams][16]
};

// ---- convolution: Winograd's form ----

struct WinogradTile {
  std::int64_t source;  // floats from a plane's start to that of the tile's block of images
  std::int32_t y, x;    // first row and column in the image; may lie outside
};
// Some tiles of planes of height x width; transformed values are at [point * pointStride + tile * 16].
struct WinogradTiles {
  const WinogradTile* tiles = nullptr;
  int count = 0;
  int height = 0, width = 0;
  int points = 6, outputs = 4;  // N and m, of each axis
  std::int64_t pointStride = 0;
  // Floats from this channel's plane to that of the channel whose turn is next, 0: none is. Its lines are fetched while
  // this one is worked on: a tile's rows are too short for the processor to see where they lead.
  std::int64_t ahead = 0;
  // With bf16 products two channels share a word (PairKernels): the first is kept as it is until the second joins it.
  enum Pairing { kFloats, kFirst, kSecond, kAlone } pairing = kFloats;
};
// Filters of size x size taps that go side by side into a panel.
struct WinogradFilters {
  WeightSource taps[16];
  WeightSource second[16];           // PairKernels: the other filter of each pair
  const float* memoryEnd = nullptr;  // as in PanelRows
  int count = 0;
  int size = 3, points = 6;
  bool turned = false;
};
// target[point][o][p] (+)= sum over terms k of panel[point][k][o] * source[point][k][p], p being positions of 16 lanes.
struct ProductBlock {
  int outs;            // at most tileOuts
  std::int64_t panel;  // floats from the point's panel
};
struct Products {
  const float* source = nullptr;
  std::int64_t termStride = 0, sourceStride = 0;  // floats from one term, one position to the next
  int terms = 0, positions = 0;
  const float* panel = nullptr;  // of each block [terms][outs]; lanes: [terms / L][outs][L], L = 16, of pairs 8
  bool lanes = false;
  // In place of a panel of `lanes`, of one block and one point: where each of its outputs has its terms.
  const float* const* planes = nullptr;
  int firstTerm = 0;                     // of the panel's: `terms` from there on
  const ProductBlock* blocks = nullptr;  // of outputs, in order
  int blockCount = 0;
  float* target = nullptr;
  std::int64_t outStride = 0, targetStride = 0;  // from one output, one position to the next
  bool accumulate = false;
  int points = 1;
  std::int64_t sourcePoint = 0, panelPoint = 0, targetPoint = 0;  // from one point to the next
};
struct WinogradEpilogue {
  float* target = nullptr;  // plane of the channel
  const float* mask = nullptr;
  float bias = 0;
  bool relu = false, accumulate = false;
  bool past = false;  // past_caches.h; not with accumulate
};

// ---- moments ----

// Sums of some values of a channel, of their differences from a pivot among them: the variance must not cancel.
struct PartialMoments {
  float pivot, sum, squares;
  std::int32_t count;  // of values
};
// Consecutive vectors of a plane, of which the first `lanes` lanes count.
struct MomentRun {
  std::int64_t first;  // floats from the plane's start
  std::int32_t vectors, lanes;
};

// The kernels of bf16 products. Operands are words of two bf16, of which the products of both halves are added in
// float:
//
//     sum += low(a) * low(b) + high(a) * high(b)
//
// The halves are two neighbours along the sum: channels in the forward form, images in the weight gradient. A vector of
// words takes the place of a vector of floats, so that everything else is the same.
struct PairKernels {
  void (*products)(const Products&);
  void (*winogradInput)(const WinogradTiles&, const float* plane, float* to);
  // Words of images 2i and 2i + 1: eight in place of sixteen floats, and eight rows in place of sixteen.
  void (*winogradGrad)(const WinogradTiles&, const float* plane, float* to);
  void (*winogradPack)(const WinogradFilters&, float* to, std::int64_t stride);
  // Lines `ahead` floats further on are fetched; 0: none.
  void (*transposeLanes)(const float* const* from, float* to, std::int64_t ahead);
  void (*copyVectors)(const float* from, std::int64_t count, float* to, std::int64_t stride);
};

struct Kernels {
  int tileOuts;                                               // output channels of a ConvTiles call
  bool gathersLines;                                          // a convolution of one place copies its lines first
  int rowOuts3, rowOuts5, rowOuts1, streams1;                 // outs of a weight tile with 3, 5 and other streams
  void (*packColumns)(const PanelRows&, std::int64_t count);  // to[row * outs + out] = from[out][row]
  // to[row * outs + out] = from[row][offsets[out]]; no offsets: 0, 1, 2, ...
  void (*packRows)(const PanelRows&, int count, const std::int32_t* offsets);
  void (*convTiles)(const ConvTiles&);
  void (*depthwise)(const DepthwisePlane&);
  void (*depthwiseGrad)(const DepthwiseGrad&);
  void (*weightTile)(const WeightTile&);
  void (*sumLanes)(const float* vectors, int count, float* sums);  // sums[i] = sum of the 16 lanes of vector i
  void (*products)(const Products&);
  void (*winogradInput)(const WinogradTiles&, const float* plane, float* to);
  void (*winogradGrad)(const WinogradTiles&, const float* plane, float* to);
  void (*winogradOutput)(const WinogradTiles&, const WinogradEpilogue&, const float* from);
  void (*winogradPack)(const WinogradFilters&, float* to, std::int64_t stride);
  void (*winogradFilter)(const float* from, std::int64_t pointStride, int points, int taps, float* filter);
  void (*transposeLanes)(const float* const* from, float* to, std::int64_t ahead);
  void (*copyVectors)(const float* from, std::int64_t count, float* to, std::int64_t stride);
  // Adds up `count` vectors in a row; with `resume` to what `sums`, one vector, holds.
  void (*addVectors)(const float* from, std::int64_t count, float* sums, bool resume);
  float (*planeSum)(const float* base, std::int64_t blockStride, int blocks, int pixels);

  // past: past_caches.h
  void (*quantizeForward)(const float* weight, std::int64_t n, const QuantizeChannel&, float* output, bool past);
  QuantizeSums (*quantizeBackward)(const float* weight, const float* grad, std::int64_t n, const QuantizeChannel&,
                                   float* gradWeight, bool past);
  QuantizeSums (*quantizeBackwardRate)(const float* weight, const float* grad, std::int64_t n, const QuantizeChannel&,
                                       const QuantizeRateChannel&, float* gradWeight, bool past);
  // Adds (code != 0) and |code| of every weight to its element's; both only where live is 1, else it is 0.
  CodeSums (*countCodes)(const float* weight, const float* live, std::int64_t n, const QuantizeChannel&,
                         float* nonzeros, float* magnitude);

  // Over one run or more.
  PartialMoments (*moments)(const float* plane, const MomentRun* runs, int count);

  // One channel of a batch norm, all blocks; the moments are read in training.
  void (*batchNormForward)(const BatchNormForward&, int channel, const ChannelMoments&, bool past);
  void (*batchNormBackward)(const BatchNormBackward&, int channel, bool past);

  // One plane (block, channel).
  void (*poolForward)(const PoolForward&, int block, int channel);
  void (*poolBackward)(const PoolBackward&, int block, int channel, bool past);
  void (*add)(const Add&, int block, int channel);
  void (*copyChannels)(const CopyChannels&, int block, int index);
  void (*gatherImages)(const GatherImages&, int block, float* room);  // room: of two images, or nullptr

  // One block of images; losses[16] receives each image's loss.
  int (*crossEntropy)(const CrossEntropy&, int block, double* losses);
  void (*meanSquaredError)(const MeanSquaredError&, int block, double* losses);

  // Elements [begin, end) of a parameter.
  void (*optimizerStep)(const OptimizerStep&, std::int64_t begin, std::int64_t end);
  void (*averageParameters)(const AverageParameters&, std::int64_t begin, std::int64_t end);
  double (*sumOfSquares)(const float* values, std::int64_t n);

  PairKernels pairs;
};

const Kernels& kernelsOf(Isa);

namespace scalar {
extern const Kernels kernels;
}
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
namespace avx512bf16 {
extern const PairKernels pairKernels;  // with the processor's own bf16 products
}
namespace neon {
extern const Kernels kernels;
}

}  // namespace selfcompress::cpu
