// The engine behind WebAssembly's exports: plain numbers and addresses, which lib/browser/engine.ts makes a model of.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>

#include "engine/predictor.h"

#define SELFCOMPRESS_EXPORT(name) extern "C" __attribute__((export_name(#name), used))

namespace {

using namespace selfcompress;

struct Loaded {
  std::shared_ptr<const engine::Predictor> model;
  std::string description;
};

std::string lastError;

void appendText(std::string& json, const std::string& text) {
  json += '"';
  for (char c : text) {
    char code[8];
    if (c == '"' || c == '\\') json += '\\', json += c;
    else if (static_cast<unsigned char>(c) < 32) std::snprintf(code, sizeof code, "\\u%04x", c), json += code;
    else json += c;
  }
  json += '"';
}

void appendNumber(std::string& json, double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  json += std::isfinite(value) ? text : "null";
}

template <class List, class Append>
void appendList(std::string& json, const List& list, Append append) {
  json += '[';
  for (std::size_t i = 0; i < list.size(); i++) {
    if (i) json += ',';
    append(json, list[i]);
  }
  json += ']';
}

struct AppendValue {
  std::string& json;
  void operator()(bool value) const { json += value ? "true" : "false"; }
  void operator()(std::int64_t value) const { json += std::to_string(value); }
  void operator()(double value) const { appendNumber(json, value); }
  void operator()(const std::string& value) const { appendText(json, value); }
  void operator()(const std::vector<double>& values) const { appendList(json, values, appendNumber); }
  void operator()(const std::vector<std::string>& values) const { appendList(json, values, appendText); }
};

void appendAxes(std::string& json, const Axes& axes) {
  std::vector<double> sizes{double(axes.channels)};
  for (int i = 0; i < axes.rank; i++) sizes.push_back(axes.positions[std::size_t(i)]);
  appendList(json, sizes, appendNumber);
}

// {"input":[...],"output":[...],"vocabulary":0,"metadata":{...}}
std::string describe(const engine::Predictor& model) {
  std::string json = "{\"input\":";
  appendAxes(json, model.input());
  json += ",\"output\":";
  appendAxes(json, model.output());
  json += ",\"vocabulary\":" + std::to_string(model.vocabulary()) + ",\"metadata\":{";
  bool first = true;
  for (const auto& [key, value] : model.metadata()) {
    if (!first) json += ',';
    first = false;
    appendText(json, key);
    json += ':';
    std::visit(AppendValue{json}, value);
  }
  return json + "}}";
}

// 0 where `work` went well; the reason is in lastError else.
template <class Work>
int attempt(Work work) {
  try {
    work();
    return 0;
  } catch (const std::bad_alloc&) {
    lastError = "Expected memory for the model but received none";
  } catch (const std::exception& error) {
    lastError = error.what();
  }
  return 1;
}

}  // namespace

SELFCOMPRESS_EXPORT(allocate) void* allocate(std::size_t bytes) { return std::malloc(bytes ? bytes : 1); }
SELFCOMPRESS_EXPORT(release) void release(void* memory) { std::free(memory); }

// Texts are UTF-8 that ends with a zero byte.
SELFCOMPRESS_EXPORT(errorText) const char* errorText() { return lastError.c_str(); }

// nullptr: see errorText. The bytes are not needed afterwards.
SELFCOMPRESS_EXPORT(load)
Loaded* load(const std::uint8_t* bytes, std::size_t count, int packed, int integers, double weights,
             double activationBytes) {
  Loaded* result = nullptr;
  attempt([&] {
    engine::Options options;
    options.keepPanels = !packed;
    if (weights > 0) options.limits.weights = std::uint64_t(weights);
    options.activationBytes = activationBytes > 0 ? std::uint64_t(activationBytes) : std::uint64_t(1) << 30;
    auto model = engine::makePredictor(model::ByteSpan(bytes, count), options, integers != 0);
    result = new Loaded{model, describe(*model)};
  });
  return result;
}
SELFCOMPRESS_EXPORT(dispose) void dispose(Loaded* loaded) { delete loaded; }
SELFCOMPRESS_EXPORT(describe) const char* describeLoaded(const Loaded* loaded) { return loaded->description.c_str(); }

// what: 0 weights as they are kept, 1 unpacked weights, 2 activations; bytes.
SELFCOMPRESS_EXPORT(memoryOf) double memoryOf(const Loaded* loaded, int what) {
  const engine::Memory memory = loaded->model->memory();
  return double(what == 0 ? memory.weightBytes : what == 1 ? memory.panelBytes : memory.activationBytes);
}

SELFCOMPRESS_EXPORT(predict)
int predict(const Loaded* loaded, const float* images, std::size_t count, float* result) {
  return attempt([&] { loaded->model->predict(images, count, result, {}); });
}
