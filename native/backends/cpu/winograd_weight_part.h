// One part of the weight gradient in Winograd's form (winograd_weight.cpp): some tiles, and the sums over them.
#pragma once

#include "cpu/conv2d_weight_plan.h"

namespace selfcompress::cpu {

// The gradient's transform has the sum of a tile's gradients, but for a factor, at the point (1, 1) of each axis: the
// bias's gradient costs no pass over memory of its own. bf16 would round them first.
inline bool sumsBias(const Conv2dGradWeight& a, const WeightPlan& plan) { return a.gradBias && !plan.pairs; }
inline int biasPoint(WinogradForm form) { return form.points == 1 ? 0 : form.points + 1; }
inline float biasFactor(WinogradForm form) { return form.points == 1 ? 1.0f : form.points == 6 ? 36.0f : 20.25f; }

// `sums`: [point][outs][ins, padded]. `bias`: [outs][16], what sumsBias is about. `rows`: plan.rowFloats() floats for
// the transformed tiles in work.
class WeightPart {
 public:
  WeightPart(const Conv2dGradWeight& a, const WeightPlan& plan, const Kernels& kernels, float* sums, float* bias,
             float* rows)
      : a_(a),
        plan_(plan),
        kernels_(kernels),
        sums_(sums),
        bias_(bias),
        input_(rows),
        grad_(rows + plan.form.area() * plan.inPoint()) {}

  // Over tiles [begin, end); by all threads, unless it is called from a task.
  void run(std::int64_t begin, std::int64_t end) const;

 private:
  WinogradTiles tilesOf(const WinogradTile* place, Shape shape, std::int64_t pointStride) const;
  void transposePixels(std::int64_t first, std::int64_t inChunk, std::int64_t count, std::int64_t group) const;
  void copyGrads(std::int64_t first, std::int64_t inChunk, std::int64_t count, std::int64_t block) const;
  void fillInput(std::int64_t tile, std::int64_t inChunk, std::int64_t group) const;
  void fillGrad(std::int64_t tile, std::int64_t inChunk, std::int64_t block) const;
  void multiplyPlanes(std::int64_t first, std::int64_t count, std::int64_t block, bool resume) const;
  void multiply(std::int64_t point, std::int64_t firstBlock, std::int64_t blocks, std::int64_t tiles,
                bool resume) const;
  void addBias(const ProductBlock&, std::int64_t tiles, bool resume) const;
  bool readsPlanes() const;
  void transpose(const float* const* vectors, float* to, std::int64_t ahead) const;

  const Conv2dGradWeight& a_;
  const WeightPlan& plan_;
  const Kernels& kernels_;
  float *sums_, *bias_, *input_, *grad_;
};

}  // namespace selfcompress::cpu
