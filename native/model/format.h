// The container: what the writer and the reader share (docs/model-file.md).
#pragma once

#include <cstdint>

namespace selfcompress::model {

inline constexpr char kMagic[4] = {'S', 'C', 'N', 'N'};
inline constexpr std::uint16_t kVersion = 2;
inline constexpr std::size_t kChecksumAt = 6, kHeaderBytes = 10;

enum Section : std::uint64_t { kStructureSection = 1, kMetadataSection = 2, kTensorSection = 3 };

}  // namespace selfcompress::model
