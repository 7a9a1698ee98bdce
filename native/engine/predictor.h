// A model file run in floats or in integers, as its user asks.
#pragma once

#include <memory>

#include "engine/model.h"

namespace selfcompress::engine {

class Predictor {
 public:
  virtual ~Predictor() = default;
  virtual const Axes& input() const = 0;
  virtual const Axes& output() const = 0;
  virtual const model::Metadata& metadata() const = 0;
  virtual const char* isa() const = 0;
  virtual int vocabulary() const = 0;  // 0: it does not read tokens
  virtual Memory memory() const = 0;
  // As Model.
  virtual void predict(const float* images, std::size_t count, float* result, const Parallel&) const = 0;
};

// Throws model::ModelFileError.
std::shared_ptr<const Predictor> makePredictor(model::ByteSpan, const Options&, bool integers);

}  // namespace selfcompress::engine
