// Losses: mean over the images of the batch, and the gradient with respect to the network's output.
//
//     crossEntropy:  L = -(1/n) sum_n sum_k t_nk * log softmax(z_n)_k,   t = (1-ls) * onehot(label) + ls/classes
//                    dL/dz = (softmax(z) - t) / n
//     meanSquared:   L = 1/(n*features) sum (z - target)^2               dL/dz = 2 (z - target) / (n*features)
//
// further losses of every element z with its target t, the mean over all of them, as PyTorch has them:
//
//     binaryCrossEntropy  max(z, 0) - z t + log(1 + exp(-|z|))   with logits z and targets in [0, 1]; d/dz = sigmoid(z)
//     - t absolute            |z - t|                                d/dz = sign(z - t), 0 at 0 huber               (z
//     - t)^2 / 2 where |z - t| <= delta, else delta (|z - t| - delta / 2)
//
// and cross-entropy at every position, with labels to leave out and weights of classes:
//
//     L = sum_p l_p / W,   l_p = -(1-ls) w_y log softmax(z_p)_y - ls/classes sum_k w_k log softmax(z_p)_k,   W = sum_p
//     w_y dL/dz_pk = (S_p softmax(z_p)_k - (1-ls) w_y [k = y] - ls/classes w_k) / W,   S_p = (1-ls) w_y + ls/classes
//     sum_k w_k
//
// over the positions p of all images whose label y is not `ignored`. If W is 0, gradients are zero.
//
// and cross-entropy against soft targets, the outputs u of another network (distillation, Hinton et al. 2015) or the
// logarithms of probabilities, beside a loss L_y of labels, at a temperature T and with a share a of the whole:
//
//     L = (1-a) L_y + a T^2 / N sum_p KL(softmax(u_p/T) || softmax(z_p/T))
//     dL/dz_p = (1-a) dL_y/dz_p + a T / N (softmax(z_p/T) - softmax(u_p/T))
//
// over the N positions p that count for L_y. The divergence is the cross-entropy less the targets' own entropy, which
// has no gradient: it is 0 where the outputs are the targets.
//
// The result is accumulated in double over images in ascending order: independent of the number of threads. Gradients
// of padding lanes are zero.
#pragma once

#include "selfcompress/ops/augmentation.h"
#include "selfcompress/tensor.h"

namespace selfcompress {

// With images that are mixed (augmentation.h) the loss of an example is share * l(its label) + (1 - share) * l(the
// other's), which is that of the mixed target, with label smoothing and weights of classes too; W sums weights in these
// shares. The label that has the larger share is the one that counts as right.

struct LossResult {          // device memory
  double lossSum = 0;        // sum over images of the image's loss (meanSquared: of its mean over features)
  std::int64_t correct = 0;  // crossEntropy: images whose largest logit (first of equals) is the label
  std::int64_t count = 0;    // images; of PositionCrossEntropy: positions that are not left out
  double weightSum = 0;      // what lossSum is divided by for the mean: `count`, or W of PositionCrossEntropy
  std::int64_t topFive = 0;  // PositionCrossEntropy: positions whose label is among the five largest logits
};

struct CrossEntropy {
  int classes = 0;
  int batch = 0;
  float labelSmoothing = 0;
  const float* logits = nullptr;         // lanes {classes,1,1}
  const std::int32_t* labels = nullptr;  // [batch], in [0, classes)
  float* gradLogits = nullptr;           // lanes or nullptr (evaluation)
  LossResult* result = nullptr;          // added to, not overwritten
  Shape image = {1, 1, 1};               // of the input: what is mixed
  Augmentation augmentation = {};
  const StepCounter* counter = nullptr;  // nullptr: nothing is mixed
};

// The label that has the larger part of an example, and the other one.
struct LabelShares {
  std::int32_t label = 0, other = 0;
  float share = 1, otherShare = 0;
};
SELFCOMPRESS_HOST_DEVICE static inline LabelShares labelShares(const Mixing& m, std::int32_t own, std::int32_t other) {
  if (m.share >= 0.5f) return {own, other, m.share, 1 - m.share};
  return {other, own, 1 - m.share, m.share};
}

// Those of the image `n` at one of `pixels` positions, for both losses of labels. `labels` and `counter` as the
// arguments have them, or what reads them on a device.
template <class Loss, class Labels>
SELFCOMPRESS_HOST_DEVICE static inline LabelShares labelsAt(const Loss& a, const Labels& labels,
                                                            const StepCounter* counter, int n, std::int64_t pixels = 1,
                                                            std::int64_t position = 0) {
  const std::int32_t own = labels[n * pixels + position];
  const Mixing m = mixingOf(a.augmentation, a.image, counter, n, a.batch);
  return m.partner < 0 ? LabelShares{own, own, 1, 0} : labelShares(m, own, labels[m.partner * pixels + position]);
}

struct MeanSquaredError {
  Shape shape;
  int batch = 0;
  const float* output = nullptr;  // lanes
  const float* target = nullptr;  // lanes
  float* gradOutput = nullptr;    // lanes or nullptr
  LossResult* result = nullptr;   // added to
};

enum class ElementLossKind { kBinaryCrossEntropy, kAbsolute, kHuber };

struct ElementLoss {
  ElementLossKind kind = ElementLossKind::kBinaryCrossEntropy;
  Shape shape;
  int batch = 0;
  float delta = 1;                // huber
  const float* output = nullptr;  // lanes
  const float* target = nullptr;  // lanes
  float* gradOutput = nullptr;    // lanes or nullptr; may be `output`
  LossResult* result = nullptr;   // lossSum: sum over images of the image's mean; added to
};

// A label is among the n largest logits when fewer than n others are larger, an equal one with a lower index counting
// as larger, and so does NaN; a label whose own logit is NaN is not.
struct PositionCrossEntropy {
  Shape shape;  // {classes,height,width}
  int batch = 0;
  float labelSmoothing = 0;
  std::int32_t ignored = -100;           // positions with this label are left out
  const float* classWeight = nullptr;    // [classes] or nullptr: 1
  const float* logits = nullptr;         // lanes
  const std::int32_t* labels = nullptr;  // [batch][height * width], in [0, classes) or `ignored`
  float* gradLogits = nullptr;           // lanes or nullptr; may be `logits`. Zero at positions that are left out
  LossResult* result = nullptr;          // added to: lossSum = sum_p l_p, weightSum = W
  Shape image = {1, 1, 1};               // as of CrossEntropy; where images are mixed, all labels count
  Augmentation augmentation = {};
  const StepCounter* counter = nullptr;
};

// Behind the loss of labels of the same batch, whose gradient and result it changes.
struct SoftCrossEntropy {
  Shape shape;  // {classes,height,width}
  int batch = 0;
  float share = 1;                       // a
  float temperature = 1;                 // T
  std::int32_t ignored = -100;           // positions with this label are left out
  const float* logits = nullptr;         // lanes
  const float* targets = nullptr;        // lanes: u; -infinity: a probability of 0
  const std::int32_t* labels = nullptr;  // [batch][height * width]
  float* gradLogits = nullptr;           // lanes: that of L_y
  LossResult* result = nullptr;          // that of L_y alone: N is its count; lossSum becomes weightSum * L
};
// The result with the sum of the positions' divergences.
SELFCOMPRESS_HOST_DEVICE static inline double softLossSum(const SoftCrossEntropy& a, const LossResult& labels,
                                                          double divergences) {
  const double share = a.share, heat = double(a.temperature) * double(a.temperature);
  const double soft = labels.count > 0 ? heat * divergences * labels.weightSum / double(labels.count) : 0.0;
  return (1 - share) * labels.lossSum + share * soft;
}

}  // namespace selfcompress
