#include "engine/predictor.h"

#include "engine/integer/model.h"
#include "model/error.h"

namespace selfcompress::engine {
namespace {

class Floats final : public Predictor {
 public:
  Floats(model::ByteSpan bytes, const Options& options) : model_(bytes, options) {}
  const Axes& input() const override { return model_.input(); }
  const Axes& output() const override { return model_.output(); }
  const model::Metadata& metadata() const override { return model_.metadata(); }
  const char* isa() const override { return model_.isa(); }
  int vocabulary() const override { return model_.vocabulary(); }
  Memory memory() const override { return model_.memory(); }
  void predict(const float* images, std::size_t count, float* result, const Parallel& p) const override {
    model_.predict(images, count, result, p);
  }

 private:
  Model model_;
};

class Integers final : public Predictor {
 public:
  Integers(model::ByteSpan bytes, const Options& options) : model_(bytes, options.limits) {
    if (std::uint64_t(model_.activationBytes()) > options.activationBytes)
      model::fail("at most " + std::to_string(options.activationBytes) + " bytes of activations", "the network",
                  std::to_string(model_.activationBytes()));
  }
  const Axes& input() const override { return model_.program().input; }
  const Axes& output() const override { return model_.program().output; }
  const model::Metadata& metadata() const override { return model_.metadata(); }
  const char* isa() const override { return model_.isa(); }
  int vocabulary() const override { return 0; }
  Memory memory() const override {
    Memory memory;
    memory.weightBytes = model_.weightBytes();
    memory.activationBytes = std::size_t(model_.activationBytes());
    return memory;
  }
  void predict(const float* images, std::size_t count, float* result, const Parallel& p) const override {
    model_.predict(images, count, result, p);
  }

 private:
  integer::Model model_;
};

}  // namespace

std::shared_ptr<const Predictor> makePredictor(model::ByteSpan bytes, const Options& options, bool integers) {
  if (integers) return std::make_shared<const Integers>(bytes, options);
  return std::make_shared<const Floats>(bytes, options);
}

}  // namespace selfcompress::engine
