// The table of kernels of attention, recurrent layers, resizing and rearranging: what kernels.h is for the others. Each
// instruction set compiles them in a file of its own (isa/<isa>_sequences.cpp).
#pragma once

#include <cstdint>

#include "selfcompress/backend.h"

namespace selfcompress::cpu {

// c[row][column] (+)= sum over terms of a[row][term] * b[column][term], where every element is a vector of 16 images:
// both factors differ from image to image. Distances are in floats. Sums are taken in ascending order of the terms,
// whatever the number of rows and columns.
struct LaneProducts {
  const float* a = nullptr;
  std::int64_t aRow = 0, aTerm = 0;
  const float* b = nullptr;
  std::int64_t bColumn = 0, bTerm = 0;
  float* c = nullptr;
  std::int64_t cRow = 0, cColumn = 0;
  int rows = 0, columns = 0, terms = 0;
  bool accumulate = false;
};

// A plane of height x width that is taken from another, pixel by pixel: from (row.first, column.first), or bilinearly
// from all four (`linear`). first < 0: from none, `fill`.
struct PlaneTaps {
  const ResizeTap* rows = nullptr;     // [height]
  const ResizeTap* columns = nullptr;  // [width]
  int height = 0, width = 0;
  int sourceHeight = 0, sourceWidth = 0;
  bool linear = false;
  float fill = 0;
};

// target[row] (+)= sum over terms of weight[row * rowStep + term * termStep] * vectors[term]; vectors lie side by side.
struct BroadcastProducts {
  const float* weight = nullptr;
  std::int64_t rowStep = 0, termStep = 0;  // floats
  const float* vectors = nullptr;
  float* target = nullptr;
  int rows = 0, terms = 0;
  bool accumulate = false;
};

struct SequenceKernels {
  void (*laneProducts)(const LaneProducts&);
  void (*scaleVectors)(const float* from, std::int64_t count, float factor, float* to);  // may be in place
  // to[i] = from[i] * factor, a vector for all.
  void (*scaleLanes)(const float* from, std::int64_t count, const float* factor, float* to);
  // scores[i] = exp(scores[i] - the largest of them), i < count; `inverse` receives the vector 1 / their sum.
  void (*softmax)(float* scores, int count, float* inverse);
  // grad[i] = p[i] * (grad[i] - sum p * grad)
  void (*softmaxGradient)(const float* p, float* grad, int count);
  // Turns a pair of planes: x cos - y sin, x sin + y cos. x, y nullptr: zeros; toX, toY nullptr: not written.
  void (*rotate)(const float* x, const float* y, const float* cosines, const float* sines, int count, float* toX,
                 float* toY);
  // to[i * toStep] (+)= from[i * fromStep], vectors, steps in floats; from nullptr: zeros
  void (*copyRun)(const float* from, std::int64_t fromStep, float* to, std::int64_t toStep, std::int64_t count,
                  bool accumulate);
  void (*takePlane)(const PlaneTaps&, const float* from, float* to);  // from nullptr: zeros
  void (*givePlane)(const PlaneTaps&, const float* grad, float* to);  // its gradient; grad nullptr: zeros
  // to = factor * sum of the planes, `stride` floats apart, of which those in state kZero count as zeros
  void (*sumPlanes)(const float* from, std::int64_t stride, int planes, const std::int32_t* state, float factor,
                    std::int64_t count, float* to);
  // plane + bias, or bias alone (`constant`), then a ReLU.
  void (*addBias)(float* plane, std::int64_t pixels, float bias, bool relu, bool constant);
  double (*sumPlane)(const float* plane, std::int64_t pixels, int lanes);  // of the first `lanes` lanes

  // ---- recurrent layers (kernels/recurrent.h): one position, [planes][units] vectors side by side
  void (*broadcastProducts)(const BroadcastProducts&);
  // gates i, f, g, o: before and after their functions; the cell and hidden state: before and after the step
  void (*lstmUnits)(float* gates, float* cell, float* hidden, int units);
  void (*lstmUnitsBack)(const float* saved, const float* cellBefore, const float* gradHidden, float* gradCell,
                        float* grads, int units);
  void (*gruGates)(float* gates, const float* hidden, float* reset, int units);  // r and z; reset = r * hidden
  void (*gruUnits)(float* gates, const float* inner, float* hidden, int units, bool resetFirst);
  // gradHidden: of the state after, then the part z * gradHidden of that before. With resetFirst the gradient of r is
  // left to gruResetBack.
  void (*gruUnitsBack)(const float* saved, const float* hidden, float* gradHidden, float* grads, float* gradInner,
                       int units, bool resetFirst);
  void (*gruResetBack)(const float* saved, const float* hidden, const float* gradReset, float* grads, float* gradHidden,
                       int units);
};

const SequenceKernels& sequenceKernelsOf(Isa);

namespace scalar {
extern const SequenceKernels sequenceKernels;
}
namespace avx2 {
extern const SequenceKernels sequenceKernels;
}
namespace avx512 {
extern const SequenceKernels sequenceKernels;
}
namespace neon {
extern const SequenceKernels sequenceKernels;
}

}  // namespace selfcompress::cpu
