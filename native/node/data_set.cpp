// class DataSet
#include "node/data_set.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>

namespace selfcompress::node {
namespace {

// One number for each channel; its range is checked later (checkNormalisation).
std::vector<double> perChannel(const Fields& options, const char* name, int channels, double otherwise) {
  if (!options.has(name)) return std::vector<double>(std::size_t(channels), otherwise);
  Napi::Array values = options.array(name);
  if (values.Length() != std::uint32_t(channels))
    throwRange(options.env(), "one number for each of " + std::to_string(channels) + " channels", options.path(name),
               received(values));
  std::vector<double> result;
  for (std::uint32_t i = 0; i < values.Length(); i++) {
    const std::string path = options.path(name) + "[" + std::to_string(i) + "]";
    Napi::Value value = elementOf(values, i, path);
    if (!value.IsNumber()) throwType(options.env(), "a number", path, received(value));
    result.push_back(value.As<Napi::Number>().DoubleValue());
  }
  return result;
}

std::string shortNumber(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

// Finite images, whose largest magnitudes per channel are returned.
std::vector<float> checkImages(Napi::Env env, const std::string& path, const DataSet& data) {
  std::vector<float> largest(std::size_t(data.shape.channels), data.floats.empty() ? 1.0f : 0.0f);
  const std::int64_t pixels = data.shape.pixels();
  for (std::int64_t plane = 0; plane < std::int64_t(data.floats.size()) / pixels; plane++) {
    const float* values = data.floats.data() + plane * pixels;
    float& most = largest[std::size_t(plane % data.shape.channels)];
    bool finite = true;
    for (std::int64_t i = 0; i < pixels; i++) {
      const float magnitude = std::fabs(values[i]);
      finite &= magnitude <= FLT_MAX;
      most = std::max(most, magnitude);
    }
    for (std::int64_t i = 0; !finite && i < pixels; i++)
      if (!std::isfinite(values[i]))
        throwRange(env, "finite numbers", path + "[" + std::to_string(plane * pixels + i) + "]",
                   shortNumber(values[i]));
  }
  return largest;
}

// (x - mean) / std has to be a number, and more than what rounding leaves of a constant: a std below 2^-20 of the mean
// is that of no data.
void checkNormalisation(const Fields& options, const std::vector<double>& mean, const std::vector<double>& deviation,
                        const std::vector<float>& largest) {
  constexpr double kLeastShare = 1.0 / (1 << 20);
  for (std::size_t c = 0; c < mean.size(); c++) {
    const std::string at = "[" + std::to_string(c) + "]";
    if (!(std::fabs(mean[c]) <= 1e30))
      throwRange(options.env(), "a number from -1e30 to 1e30", options.path("mean") + at, shortNumber(mean[c]));
    const double least = std::max(1e-30, std::fabs(mean[c]) * kLeastShare);
    if (!(deviation[c] >= least && deviation[c] <= 1e30))
      throwRange(options.env(),
                 "a number from " + shortNumber(least) +
                     " to 1e30 (at least 2^-20 of the mean: less is the rounding of a "
                     "channel that is constant, whose std may be given as 1)",
                 options.path("std") + at, shortNumber(deviation[c]));
    if ((double(largest[c]) + std::fabs(mean[c])) / deviation[c] > double(FLT_MAX) / 4)
      throwRange(options.env(), "a number that the images divided by are finite", options.path("std") + at,
                 shortNumber(deviation[c]));
  }
}

// Classes, and for examples of many positions kIgnoredLabel.
void checkLabels(Napi::Env env, const std::string& path, DataSet& data) {
  const bool mayIgnore = data.labelsPerExample > 1;
  for (std::size_t i = 0; i < data.labels.size(); i++) {
    const std::int32_t label = data.labels[i];
    if (mayIgnore && label == kIgnoredLabel) data.ignores = true;
    else if (label < 0 || label >= data.classes)
      throwRange(env, "0 to " + std::to_string(data.classes - 1) + (mayIgnore ? ", or -1," : ""),
                 path + "[" + std::to_string(i) + "]", std::to_string(label));
  }
}

// What has been read of the answers; the memory is only touched once all of it is verified.
struct Answers {
  const std::int32_t* labels = nullptr;
  const float* targets = nullptr;
  std::size_t labelCount = 0, targetCount = 0;
};

// One label for an example, or one for each of its positions.
Answers readAnswers(const Fields& options, TypedArrays& arrays, DataSet& data, std::int64_t positions) {
  Napi::Env env = options.env();
  Answers answers;
  if (options.has("labels")) {
    data.classes = options.integer("classes", 1, kMostChannels);
    answers.labels = arrays.integers(options, "labels", -1, TypedArrays::Access::kRead);
    answers.labelCount = arrays.lengthOf("labels");
    const bool perPosition = positions > 1 && std::int64_t(answers.labelCount) == data.count * positions;
    if (!perPosition && std::int64_t(answers.labelCount) != data.count)
      throwRange(env,
                 "Int32Array of length " + std::to_string(data.count) +
                     (positions > 1 ? " or " + std::to_string(data.count * positions) : std::string()),
                 options.path("labels"), "length " + std::to_string(answers.labelCount));
    data.labelsPerExample = perPosition ? int(positions) : 1;
  } else if (options.has("classes")) {
    throwType(env, "labels beside classes", options.path("labels"), "undefined");
  }
  answers.targets = arrays.optionalFloats(options, "targets", -1, TypedArrays::Access::kRead);
  answers.targetCount = answers.targets ? arrays.lengthOf("targets") : 0;
  if (answers.targets) {
    if (answers.targetCount == 0 || std::int64_t(answers.targetCount) % data.count)
      throwRange(env, "the same number of values for each of " + std::to_string(data.count) + " images",
                 options.path("targets"), "length " + std::to_string(answers.targetCount));
    data.features = std::int64_t(answers.targetCount) / data.count;
  }
  return answers;
}

void takeAnswers(const Fields& options, const Answers& answers, DataSet& data) {
  if (answers.labels) {
    data.labels.assign(answers.labels, answers.labels + answers.labelCount);
    checkLabels(options.env(), options.path("labels"), data);
  }
  if (answers.targets) data.targets.assign(answers.targets, answers.targets + answers.targetCount);
}

void readImages(const Fields& options, DataSet& data) {
  Napi::Env env = options.env();
  options.allowOnly({"shape", "images", "labels", "classes", "targets", "mean", "std"});
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
  const Answers answers = readAnswers(options, arrays, data, data.shape.pixels());
  const std::vector<double> mean = perChannel(options, "mean", data.shape.channels, 0),
                            deviation = perChannel(options, "std", data.shape.channels, 1);
  arrays.verify();  // all getters have run: the pointers hold until this function ends
  if (isFloat)
    data.floats.assign(reinterpret_cast<const float*>(images), reinterpret_cast<const float*>(images) + length);
  else data.bytes.assign(images, images + length);
  checkNormalisation(options, mean, deviation, checkImages(env, options.path("images"), data));
  for (double m : mean) data.mean.push_back(float(m));
  for (double s : deviation) data.invStd.push_back(1 / float(s));
  takeAnswers(options, answers, data);
}

void readTokens(const Fields& options, DataSet& data) {
  Napi::Env env = options.env();
  options.allowOnly({"tokens", "length", "vocabulary", "windows", "labels", "classes", "targets"});
  const int length = options.integer("length", 1, kMostPixels);
  data.shape = {1, 1, length};
  data.vocabulary = options.integer("vocabulary", 1, kMostChannels);
  data.windows = options.boolean("windows", false);
  for (const char* name : {"labels", "classes", "targets"})
    if (data.windows && options.has(name))
      throwType(env, "no answers beside windows, whose labels are the next tokens,", options.path(name), "some");
  TypedArrays arrays;
  const std::int32_t* tokens = arrays.integers(options, "tokens", -1, TypedArrays::Access::kRead);
  const std::int64_t total = std::int64_t(arrays.lengthOf("tokens"));
  if (data.windows ? total <= length || total - length > INT32_MAX
                   : total == 0 || total % length || total / length > INT32_MAX)
    throwRange(env,
               data.windows ? "more than " + std::to_string(length) + " tokens"
                            : "whole examples of " + std::to_string(length) + " tokens, at least one,",
               options.path("tokens"), "length " + std::to_string(total));
  data.count = data.windows ? total - length : total / length;
  const Answers answers = readAnswers(options, arrays, data, length);
  arrays.verify();
  data.tokens.assign(tokens, tokens + total);
  checkTokens(env, options.path("tokens"), data.tokens, data.vocabulary);
  takeAnswers(options, answers, data);
  if (data.windows) data.classes = data.vocabulary, data.labelsPerExample = length;
}

Napi::Value construct(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Fields options(info[0], "options");
  auto object = std::make_shared<DataSetObject>();
  DataSet& data = object->data;
  if (options.has("tokens")) readTokens(options, data);
  else readImages(options, data);
  wrap(info, object,
       std::int64_t(data.bytes.size() +
                    4 * (data.floats.size() + data.targets.size() + data.labels.size() + data.tokens.size())));
  Napi::Object self = info.This().As<Napi::Object>();
  Napi::Array shapeArray = Napi::Array::New(env, 3);
  const int shape[] = {data.shape.channels, data.shape.height, data.shape.width};
  for (std::uint32_t i = 0; i < 3; i++) shapeArray.Set(i, shape[i]);
  shapeArray.Freeze();
  defineReadOnly(self, "count", Napi::Number::New(env, double(data.count)));
  defineReadOnly(self, "shape", shapeArray);
  defineReadOnly(self, "classes", Napi::Number::New(env, data.classes));
  return env.Undefined();
}

}  // namespace

void checkTokens(Napi::Env env, const std::string& path, const std::vector<std::int32_t>& tokens, int vocabulary) {
  for (std::size_t i = 0; i < tokens.size(); i++)
    if (tokens[i] < 0 || tokens[i] >= vocabulary)
      throwRange(env, "0 to " + std::to_string(vocabulary - 1), path + "[" + std::to_string(i) + "]",
                 std::to_string(tokens[i]));
}

void exportDataSet(Napi::Object exports) { exportClass<DataSetObject, construct>(exports, {}); }

}  // namespace selfcompress::node
