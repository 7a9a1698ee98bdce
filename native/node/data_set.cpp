// class DataSet
#include "node/data_set.h"

#include <cstring>

namespace selfcompress::node {
namespace {

std::vector<float> perChannel(const Fields& options, const char* name, int channels, float otherwise, double low) {
  if (!options.has(name)) return std::vector<float>(std::size_t(channels), otherwise);
  Napi::Array values = options.array(name);
  if (values.Length() != std::uint32_t(channels))
    throwRange(options.env(), "one number for each of " + std::to_string(channels) + " channels", options.path(name),
               received(values));
  std::vector<float> result;
  for (std::uint32_t i = 0; i < values.Length(); i++)
    result.push_back(float(numberFrom(values.Get(i), options.path(name) + "[" + std::to_string(i) + "]", low, 1e30)));
  return result;
}

void checkLabels(Napi::Env env, const std::string& path, const DataSet& data) {
  for (std::size_t i = 0; i < data.labels.size(); i++)
    if (data.labels[i] < 0 || data.labels[i] >= data.classes)
      throwRange(env, "0 to " + std::to_string(data.classes - 1), path + "[" + std::to_string(i) + "]",
                 std::to_string(data.labels[i]));
}

Napi::Value construct(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Fields options(info[0], "options");
  options.allowOnly({"shape", "images", "labels", "classes", "targets", "mean", "std"});
  auto object = std::make_shared<DataSetObject>();
  DataSet& data = object->data;
  auto shape = options.imageShape("shape");
  data.shape = {shape[0], shape[1], shape[2]};
  TypedArrays arrays;
  bool isFloat = false;
  const std::uint8_t* images = arrays.bytesOrFloats(options, "images", -1, isFloat);
  std::int64_t elements = data.shape.elements(), length = std::int64_t(arrays.lengthOf("images"));
  if (length == 0 || length % elements || length / elements > INT32_MAX)
    throwRange(env, "a whole number of images of " + std::to_string(elements) + " values, at least one,",
               options.path("images"), "length " + std::to_string(length));
  data.count = length / elements;
  const std::int32_t* labels = nullptr;
  if (options.has("labels")) {
    data.classes = options.integer("classes", 1, kMostChannels);
    labels = arrays.integers(options, "labels", data.count, TypedArrays::Access::kRead);
  } else if (options.has("classes")) {
    throwType(env, "labels beside classes", options.path("labels"), "undefined");
  }
  const float* targets = arrays.optionalFloats(options, "targets", -1, TypedArrays::Access::kRead);
  std::int64_t targetLength = std::int64_t(arrays.lengthOf("targets"));
  if (targets) {
    if (targetLength == 0 || targetLength % data.count)
      throwRange(env, "the same number of values for each of " + std::to_string(data.count) + " images",
                 options.path("targets"), "length " + std::to_string(targetLength));
    data.features = targetLength / data.count;
  }
  data.mean = perChannel(options, "mean", data.shape.channels, 0, -1e30);
  data.invStd = perChannel(options, "std", data.shape.channels, 1, 1e-30);
  for (float& s : data.invStd) s = 1 / s;
  arrays.verify();  // all getters have run: the pointers hold until this function ends
  if (isFloat)
    data.floats.assign(reinterpret_cast<const float*>(images), reinterpret_cast<const float*>(images) + length);
  else data.bytes.assign(images, images + length);
  if (labels) {
    data.labels.assign(labels, labels + data.count);
    checkLabels(env, options.path("labels"), data);
  }
  if (targets) data.targets.assign(targets, targets + targetLength);
  wrap(info, object,
       std::int64_t(data.bytes.size() + 4 * (data.floats.size() + data.targets.size() + data.labels.size())));
  Napi::Object self = info.This().As<Napi::Object>();
  Napi::Array shapeArray = Napi::Array::New(env, 3);
  for (std::uint32_t i = 0; i < 3; i++) shapeArray.Set(i, shape[i]);
  shapeArray.Freeze();
  defineReadOnly(self, "count", Napi::Number::New(env, double(data.count)));
  defineReadOnly(self, "shape", shapeArray);
  defineReadOnly(self, "classes", Napi::Number::New(env, data.classes));
  return env.Undefined();
}

}  // namespace

void exportDataSet(Napi::Object exports) { exportClass<DataSetObject, construct>(exports, {}); }

}  // namespace selfcompress::node
