// Raw losses and optimizers on plain arrays.
#include <limits>

#include "node/raw.h"

namespace selfcompress::node {
namespace {

using Access = TypedArrays::Access;
constexpr double kMost = std::numeric_limits<float>::max();

Napi::Value crossEntropy(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"batch", "classes", "labelSmoothing", "logits", "labels", "gradLogits"});
  TypedArrays arrays;
  arrays.allowSame("logits", "gradLogits");
  int batch = f.integer("batch", 1, kMostBatch), classes = f.integer("classes", 1, kMostChannels);
  float smoothing = float(f.number("labelSmoothing", 0, 1, 0));
  std::int64_t count = product(f.env(), {{"batch", batch}, {"classes", classes}}, kMostElements / kLanes);
  const float* logits = arrays.floats(f, "logits", count, Access::kRead);
  const std::int32_t* given = arrays.integers(f, "labels", batch, Access::kRead);
  float* gradient = arrays.optionalFloats(f, "gradLogits", count, Access::kWrite);
  arrays.verify();
  std::vector<std::int32_t> labels(given, given + batch);  // a copy: checked once, used later
  for (int i = 0; i < batch; i++)
    if (labels[std::size_t(i)] < 0 || labels[std::size_t(i)] >= classes)
      throwRange(f.env(), "0 to " + std::to_string(classes - 1), "labels[" + std::to_string(i) + "]",
                 std::to_string(labels[std::size_t(i)]));
  auto result = std::make_shared<LossResult>();
  return queueRaw(
      info, arrays,
      [=](Backend& backend) {
        LaneBuffers lanes(backend);
        Shape shape{classes, 1, 1};
        float* z = lanes.from(shape, batch, logits);
        float* g = gradient ? lanes.empty(shape, batch) : nullptr;
        auto* device = lanes.memory().allocate<LossResult>(1);
        auto* deviceLabels = lanes.memory().allocate<std::int32_t>(labels.size());
        backend.upload(deviceLabels, labels.data(), labels.size() * sizeof(std::int32_t));
        backend.run(CrossEntropy{classes, batch, smoothing, z, deviceLabels, g, device});
        backend.synchronize();
        backend.download(result.get(), device, sizeof(LossResult));
        if (gradient) lanes.to(shape, batch, g, gradient);
      },
      [=](Napi::Env env) -> Napi::Value {
        Napi::Object out = Napi::Object::New(env);
        out.Set("loss", result->lossSum / double(result->count));
        out.Set("correct", double(result->correct));
        return out;
      });
}

Napi::Value meanSquaredError(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"batch", "features", "output", "target", "gradOutput"});
  TypedArrays arrays;
  int batch = f.integer("batch", 1, kMostBatch), features = f.integer("features", 1, kMostChannels);
  std::int64_t count = product(f.env(), {{"batch", batch}, {"features", features}}, kMostElements / kLanes);
  const float* output = arrays.floats(f, "output", count, Access::kRead);
  const float* target = arrays.floats(f, "target", count, Access::kRead);
  float* gradient = arrays.optionalFloats(f, "gradOutput", count, Access::kWrite);
  auto result = std::make_shared<LossResult>();
  return queueRaw(
      info, arrays,
      [=](Backend& backend) {
        LaneBuffers lanes(backend);
        Shape shape{features, 1, 1};
        float *y = lanes.from(shape, batch, output), *t = lanes.from(shape, batch, target),
              *g = gradient ? lanes.empty(shape, batch) : nullptr;
        auto* device = lanes.memory().allocate<LossResult>(1);
        backend.run(MeanSquaredError{shape, batch, y, t, g, device});
        backend.synchronize();
        backend.download(result.get(), device, sizeof(LossResult));
        if (gradient) lanes.to(shape, batch, g, gradient);
      },
      [=](Napi::Env env) -> Napi::Value {
        Napi::Object out = Napi::Object::New(env);
        out.Set("loss", result->lossSum / double(result->count));
        return out;
      });
}

Napi::Value optimizerStep(const Napi::CallbackInfo& info) {
  Fields f(info[0], "");
  f.allowOnly({"kind", "parameter", "gradient", "moment1", "moment2", "step", "learningRate", "momentum", "nesterov",
               "beta1", "beta2", "epsilon", "weightDecay"});
  TypedArrays arrays;
  OptimizerStep a;
  constexpr Optimizer kinds[] = {Optimizer::kSgd, Optimizer::kAdam, Optimizer::kAdamW};
  a.kind = kinds[f.choice("kind", {"sgd", "adam", "adamw"})];
  a.parameter = arrays.floats(f, "parameter", -1, Access::kWrite);
  a.count = a.perChannel = std::int64_t(arrays.lengthOf("parameter"));
  a.gradient = arrays.floats(f, "gradient", a.count, Access::kRead);
  a.moment1 = arrays.floats(f, "moment1", a.count, Access::kWrite);
  if (a.kind != Optimizer::kSgd) a.moment2 = arrays.floats(f, "moment2", a.count, Access::kWrite);
  double step = double(f.safeInteger("step", 1));
  float rate = float(f.number("learningRate", 0, kMost));
  a.momentum = float(f.number("momentum", 0, 0.999999, 0.9));
  a.nesterov = f.boolean("nesterov", a.momentum > 0);
  a.beta1 = float(f.number("beta1", 0, 0.999999, 0.9)), a.beta2 = float(f.number("beta2", 0, 0.999999, 0.999));
  a.epsilon = float(f.number("epsilon", 1e-30, 1e6, 1e-8));
  a.weightDecay = float(f.number("weightDecay", 0, 1e6, 0));
  return queueRaw(info, arrays, [=](Backend& backend) {
    DeviceMemory memory(backend);
    OptimizerStep op = a;
    auto* deviceRate = memory.allocate<float>(1);
    auto* deviceStep = memory.allocate<double>(1);
    backend.upload(deviceRate, &rate, sizeof rate);
    backend.upload(deviceStep, &step, sizeof step);
    op.learningRate = deviceRate, op.stepNumber = deviceStep;
    if (op.count) backend.run(op);
    backend.synchronize();
  });
}

}  // namespace

void exportRawTraining(Napi::Object exports) {
  exportRaw<crossEntropy>(exports, "crossEntropy");
  exportRaw<meanSquaredError>(exports, "meanSquaredError");
  exportRaw<optimizerStep>(exports, "optimizerStep");
}

}  // namespace selfcompress::node
