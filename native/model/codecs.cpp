// The table of codecs: one line each.
#include "model/codec.h"

namespace selfcompress::model {

namespace {

constexpr const Codec* kCodecs[] = {
    &kRange,         //
    &kFastRange,     //
    &kPacked,        //
    &kFloat32,       //
    &kFloat16,       //
    &kBrainFloat16,  //
    &kScaledRange,
};

}  // namespace

std::span<const Codec* const> codecs() { return kCodecs; }

const Codec* findCodec(const std::string& name) {
  for (const Codec* codec : kCodecs)
    if (name == codec->name) return codec;
  return nullptr;
}

}  // namespace selfcompress::model
