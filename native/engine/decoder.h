// A model file of a network in which no position sees a later one, one position after another: what attention has seen
// of the positions before (keys and values) and the states of recurrent layers are kept.
#pragma once

#include "engine/model.h"

namespace selfcompress::engine {

class Decoder {
 public:
  // Throws model::ModelFileError for bytes that are no whole model file, a network that does not read tokens, and one
  // with nodes that have to see the whole window, all of which it names.
  explicit Decoder(model::ByteSpan bytes, const Options& options = {}, const Kernels& kernels = chosenKernels());
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  int length() const;    // positions of a window
  int outputs() const;   // numbers behind a position
  int position() const;  // tokens seen since the last reset
  Memory memory() const;

  void reset();
  // Tokens behind those that it has seen; result: what the network says behind the last of them, [outputs]. With one
  // token at a time or several, the result is the same to the bit; with that of Model::predict it agrees to rounding.
  // Throws std::out_of_range for a token that the network does not know, and for more than the window has left; then
  // nothing has been seen. Not for several threads at a time.
  void next(const std::int32_t* tokens, std::size_t count, float* result, const Parallel& parallel = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace selfcompress::engine
