// What runs a model file behind the class Model: the engine in floats or in integers.
#pragma once

#include <memory>

#include "engine/model.h"

namespace selfcompress::node {

class Predictor {
 public:
  virtual ~Predictor() = default;
  virtual const Axes& input() const = 0;
  virtual const Axes& output() const = 0;
  virtual const model::Metadata& metadata() const = 0;
  virtual const char* isa() const = 0;
  virtual int vocabulary() const = 0;  // 0: it does not read tokens
  virtual engine::Memory memory() const = 0;
  // As engine::Model.
  virtual void predict(const float* images, std::size_t count, float* result, const engine::Parallel&) const = 0;
};

// Throws model::ModelFileError.
std::shared_ptr<const Predictor> makePredictor(model::ByteSpan, const engine::Options&, bool integers);

}  // namespace selfcompress::node
