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

// Finite images, whose largest magnitudes per channel are kept; those before `from` have been looked at.
void checkImages(Napi::Env env, const std::string& path, DataSetObject& object, std::size_t from) {
  const DataSet& data = object.data;
  if (object.largest.empty())
    object.largest.assign(std::size_t(data.shape.channels), data.floats.empty() ? 1.0f : 0.0f);
  const std::int64_t pixels = data.shape.pixels();
  for (std::int64_t plane = std::int64_t(from) / pixels; plane < std::int64_t(data.floats.size()) / pixels; plane++) {
    const float* values = data.floats.data() + plane * pixels;
    float& most = object.largest[std::size_t(plane % data.shape.channels)];
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
}

// (x - mean) / std has to be a number, and more than what rounding leaves of a constant: a std below 2^-20 of the mean
// is that of no data.
void checkNormalisation(const Fields& options, const DataSetObject& object) {
  constexpr double kLeastShare = 1.0 / (1 << 20);
  const std::vector<double>&mean = object.mean, &deviation = object.deviation;
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
    if ((double(object.largest[c]) + std::fabs(mean[c])) / deviation[c] > double(FLT_MAX) / 4)
      throwRange(options.env(), "a number that the images divided by are finite", options.path("std") + at,
                 shortNumber(deviation[c]));
  }
}

// Classes, and for examples of many labels kIgnoredLabel.
void checkLabels(Napi::Env env, const std::string& path, DataSet& data, std::size_t from) {
  const bool mayIgnore = data.labelsPerExample > 1 || !data.labelParts.empty();
  std::vector<int> classes;  // of each label of an example
  for (const DataSet::LabelPart& part : data.partsOfLabels())
    classes.insert(classes.end(), std::size_t(part.labels), part.classes);
  for (std::size_t i = from; i < data.labels.size(); i++) {
    const std::int32_t label = data.labels[i];
    const int most = classes[i % classes.size()];
    if (mayIgnore && label == kIgnoredLabel) data.ignores = true;
    else if (label < 0 || label >= most)
      throwRange(env, "0 to " + std::to_string(most - 1) + (mayIgnore ? ", or -1," : ""),
                 path + "[" + std::to_string(i) + "]", std::to_string(label));
  }
}

// What has been read of the answers; the memory is only touched once all of it is verified.
struct Answers {
  const std::int32_t* labels = nullptr;
  const float* targets = nullptr;
  std::size_t labelCount = 0, targetCount = 0;
};

// For several outputs: how many labels of an example each of them has, and its classes.
void readLabelParts(const Fields& options, DataSet& data) {
  Napi::Array given = options.array("labelParts");
  if (given.Length() < 1 || given.Length() > kMostParts)
    throwRange(options.env(), "1 to " + std::to_string(kMostParts) + " parts", options.path("labelParts"),
               received(given));
  std::int64_t labels = 0;
  for (std::uint32_t i = 0; i < given.Length(); i++) {
    const std::string at = options.path("labelParts") + "[" + std::to_string(i) + "]";
    Fields part(elementOf(given, i, at), at);
    part.allowOnly({"labels", "classes"});
    data.labelParts.push_back({part.integer("labels", 1, 1 << 24), part.integer("classes", 1, kMostChannels)});
    labels += data.labelParts.back().labels;
    data.classes = std::max(data.classes, data.labelParts.back().classes);
  }
  if (labels > 1 << 24)
    throwRange(options.env(), "at most 2^24 labels of an example", options.path("labelParts"), std::to_string(labels));
  data.labelsPerExample = int(labels);
}

// Of `count` examples: one label for each, or one for each of its positions. What the first examples had, all have.
Answers readAnswers(const Fields& options, TypedArrays& arrays, DataSetObject& object, std::int64_t count,
                    std::int64_t positions) {
  Napi::Env env = options.env();
  DataSet& data = object.data;
  const bool first = object.filled == 0;
  Answers answers;
  if (first ? options.has("labels") : !data.labels.empty()) {
    const bool inParts = first ? options.has("labelParts") : !data.labelParts.empty();
    if (first && inParts) readLabelParts(options, data);
    else if (first) data.classes = options.integer("classes", 1, kMostChannels);
    answers.labels =
        arrays.integers(options, "labels", inParts ? count * data.labelsPerExample : -1, TypedArrays::Access::kRead);
    answers.labelCount = arrays.lengthOf("labels");
    if (!inParts) {
      const bool perPosition =
          first ? positions > 1 && std::int64_t(answers.labelCount) == count * positions : data.labelsPerExample > 1;
      if (std::int64_t(answers.labelCount) != (perPosition ? count * positions : count))
        throwRange(env,
                   "Int32Array of length " + std::to_string(perPosition ? count * positions : count) +
                       (first && positions > 1 ? " or " + std::to_string(count * positions) : std::string()),
                   options.path("labels"), "length " + std::to_string(answers.labelCount));
      data.labelsPerExample = perPosition ? int(positions) : 1;
    }
  } else if (options.has("labelParts")) {
    throwType(env, "labels beside labelParts", options.path("labels"), "undefined");
  } else if (options.has("classes")) {
    throwType(env, "labels beside classes", options.path("labels"), "undefined");
  } else if (options.has("labels")) {
    throwType(env, "no labels, which the first examples did not have,", options.path("labels"), "some");
  }
  answers.targets = first || !data.targets.empty()
                        ? (first ? arrays.optionalFloats(options, "targets", -1, TypedArrays::Access::kRead)
                                 : arrays.floats(options, "targets", count * data.features, TypedArrays::Access::kRead))
                        : nullptr;
  if (!first && data.targets.empty() && options.has("targets"))
    throwType(env, "no targets, which the first examples did not have,", options.path("targets"), "some");
  answers.targetCount = answers.targets ? arrays.lengthOf("targets") : 0;
  if (answers.targets && first) {
    if (answers.targetCount == 0 || std::int64_t(answers.targetCount) % count)
      throwRange(env, "the same number of values for each of " + std::to_string(count) + " images",
                 options.path("targets"), "length " + std::to_string(answers.targetCount));
    data.features = std::int64_t(answers.targetCount) / count;
  }
  return answers;
}

template <typename T>
void take(std::vector<T>& all, const T* values, std::size_t count, std::int64_t total) {
  all.reserve(std::size_t(total));  // pages that are not yet written cost nothing
  all.insert(all.end(), values, values + count);
}

void takeAnswers(const Fields& options, const Answers& answers, DataSet& data) {
  if (answers.labels) {
    const std::size_t from = data.labels.size();
    take(data.labels, answers.labels, answers.labelCount, data.count * data.labelsPerExample);
    checkLabels(options.env(), options.path("labels"), data, from);
  }
  if (answers.targets) take(data.targets, answers.targets, answers.targetCount, data.count * data.features);
}

// Examples on their way into a set, from when the last getter has run: what fails half way leaves nothing behind.
class Growth {
 public:
  Growth(Napi::Env env, DataSetObject& object, std::int64_t filledBefore)
      : object_(object),
        bytes_(object.data.bytes.size()),
        floats_(object.data.floats.size()),
        tokens_(object.data.tokens.size()),
        labels_(object.data.labels.size()),
        targets_(object.data.targets.size()) {
    if (object.filled != filledBefore)
      throwRange(env, "a set that its own arguments leave alone", "this", "one that a getter has added examples to");
  }
  ~Growth() {
    if (done_) return;
    DataSet& data = object_.data;
    data.bytes.resize(bytes_), data.floats.resize(floats_), data.tokens.resize(tokens_);
    data.labels.resize(labels_), data.targets.resize(targets_);
  }
  void done(std::int64_t count) { object_.filled += count, done_ = true; }

 private:
  DataSetObject& object_;
  std::size_t bytes_, floats_, tokens_, labels_, targets_;
  bool done_ = false;
};

// How many examples there will be: those given, or more, which append() adds.
std::int64_t readCount(const Fields& options, std::int64_t given) {
  if (!options.has("examples")) return given;
  return options.integer("examples", int(given), INT32_MAX);
}

// The images of the constructor, or more of them.
void takeImages(const Fields& options, DataSetObject& object) {
  Napi::Env env = options.env();
  DataSet& data = object.data;
  const std::int64_t before = object.filled;
  const bool first = before == 0;
  TypedArrays arrays;
  bool isFloat = false;
  const std::uint8_t* images = arrays.bytesOrFloats(options, "images", -1, isFloat);
  const std::int64_t elements = data.shape.elements(), length = std::int64_t(arrays.lengthOf("images"));
  const std::int64_t most = first ? INT32_MAX : data.count - before;
  if (length == 0 || length % elements || length / elements > most)
    throwRange(env,
               "a whole number of images of " + std::to_string(elements) + " values, at least one" +
                   (first ? "" : " and at most " + std::to_string(most)) + ",",
               options.path("images"), "length " + std::to_string(length));
  if (!first && isFloat != data.bytes.empty())
    throwType(env, data.bytes.empty() ? "Float32Array, as the first images," : "Uint8Array, as the first images,",
              options.path("images"), isFloat ? "Float32Array" : "Uint8Array");
  const std::int64_t count = length / elements;
  if (first) data.count = readCount(options, count);
  const Answers answers = readAnswers(options, arrays, object, count, data.shape.pixels());
  if (first) {
    object.mean = perChannel(options, "mean", data.shape.channels, 0);
    object.deviation = perChannel(options, "std", data.shape.channels, 1);
  }
  arrays.verify();  // all getters have run: the pointers hold until this function ends
  Growth growth(env, object, before);
  const std::size_t from = data.floats.size();
  if (isFloat) take(data.floats, reinterpret_cast<const float*>(images), std::size_t(length), data.count * elements);
  else take(data.bytes, images, std::size_t(length), data.count * elements);
  checkImages(env, options.path("images"), object, from);
  checkNormalisation(options, object);
  takeAnswers(options, answers, data);
  growth.done(count);
}

void readImages(const Fields& options, DataSetObject& object) {
  options.allowOnly({"shape", "images", "labels", "labelParts", "classes", "targets", "mean", "std", "examples"});
  auto shape = options.imageShape("shape");
  object.data.shape = {shape[0], shape[1], shape[2]};
  takeImages(options, object);
  for (double m : object.mean) object.data.mean.push_back(float(m));
  for (double s : object.deviation) object.data.invStd.push_back(1 / float(s));
}

// The tokens of the constructor, or more of them. Of a text with windows every token begins an example but the last
// `length`, which are there from the beginning.
void takeTokens(const Fields& options, DataSetObject& object) {
  Napi::Env env = options.env();
  DataSet& data = object.data;
  const std::int64_t before = object.filled;
  const bool first = before == 0;
  const int length = data.shape.width;
  TypedArrays arrays;
  const std::int32_t* tokens = arrays.integers(options, "tokens", -1, TypedArrays::Access::kRead);
  const std::int64_t given = std::int64_t(arrays.lengthOf("tokens"));
  const std::int64_t most = first ? INT32_MAX : data.count - before;
  const std::int64_t count = !data.windows ? given / length : first ? given - length : given;
  if (count < 1 || count > most || (!data.windows && given % length)) {
    const std::string bound = first ? "" : " and at most " + std::to_string(most) + (data.windows ? " tokens" : "");
    throwRange(env,
               !data.windows ? "whole examples of " + std::to_string(length) + " tokens, at least one" + bound + ","
               : first       ? "more than " + std::to_string(length) + " tokens"
                             : "at least one" + bound,
               options.path("tokens"), "length " + std::to_string(given));
  }
  if (first) data.count = readCount(options, count);
  const Answers answers = readAnswers(options, arrays, object, count, length);
  arrays.verify();
  Growth growth(env, object, before);
  const std::size_t from = data.tokens.size();
  take(data.tokens, tokens, std::size_t(given), data.windows ? data.count + length : data.count * length);
  checkTokens(env, options.path("tokens"), data.tokens, data.vocabulary, from);
  takeAnswers(options, answers, data);
  growth.done(count);
}

void readTokens(const Fields& options, DataSetObject& object) {
  DataSet& data = object.data;
  options.allowOnly(
      {"tokens", "length", "vocabulary", "windows", "labels", "labelParts", "classes", "targets", "examples"});
  data.shape = {1, 1, options.integer("length", 1, kMostPixels)};
  data.vocabulary = options.integer("vocabulary", 1, kMostChannels);
  data.windows = options.boolean("windows", false);
  for (const char* name : {"labels", "classes", "targets"})
    if (data.windows && options.has(name))
      throwType(options.env(), "no answers beside windows, whose labels are the next tokens,", options.path(name),
                "some");
  takeTokens(options, object);
  if (data.windows) data.classes = data.vocabulary, data.labelsPerExample = data.shape.width;
}

Napi::Value construct(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Fields options(info[0], "options");
  auto object = std::make_shared<DataSetObject>();
  const DataSet& data = object->data;
  if (options.has("tokens")) readTokens(options, *object);
  else readImages(options, *object);
  wrap(info, object,
       std::int64_t(data.bytes.capacity() + 4 * (data.floats.capacity() + data.targets.capacity() +
                                                 data.labels.capacity() + data.tokens.capacity())));
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

// As long as examples are missing nothing else uses the set.
Napi::Value append(const Napi::CallbackInfo& info) {
  auto object = unwrap<DataSetObject>(info.This(), "this");
  Fields more(info[0], "more");
  const bool tokens = object->data.vocabulary > 0;
  more.allowOnly({tokens ? "tokens" : "images", "labels", "targets"});
  if (object->filled == object->data.count)
    throwRange(info.Env(), "a set that lacks examples", "this",
               "one that has all of its " + std::to_string(object->data.count));
  tokens ? takeTokens(more, *object) : takeImages(more, *object);
  return info.Env().Undefined();
}

}  // namespace

void checkComplete(Napi::Env env, const std::string& path, const DataSetObject& object) {
  if (object.filled != object.data.count)
    throwRange(env, "a set with all of its " + std::to_string(object.data.count) + " examples", path,
               "one with " + std::to_string(object.filled));
}

void checkTokens(Napi::Env env, const std::string& path, const std::vector<std::int32_t>& tokens, int vocabulary,
                 std::size_t from) {
  for (std::size_t i = from; i < tokens.size(); i++)
    if (tokens[i] < 0 || tokens[i] >= vocabulary)
      throwRange(env, "0 to " + std::to_string(vocabulary - 1), path + "[" + std::to_string(i) + "]",
                 std::to_string(tokens[i]));
}

void exportDataSet(Napi::Object exports) {
  exportClass<DataSetObject, construct>(exports, {classMethod<append>("append")});
}

}  // namespace selfcompress::node
