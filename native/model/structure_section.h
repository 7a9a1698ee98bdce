// The structure and the metadata as bytes (docs/model-file.md, "Structure", "Metadata").
#pragma once

#include "model/values.h"

namespace selfcompress::model {

// Names equal to the default ones, or empty, are not stored; with keepNames false none are.
void writeStructure(ByteWriter& out, StringWriter& strings, const Structure& structure, bool keepNames);
Structure readStructure(ByteReader& in, StringReader& strings, const Limits& limits);

void writeMetadata(ByteWriter& out, StringWriter& strings, const Metadata& metadata);
Metadata readMetadata(ByteReader& in, StringReader& strings);

}  // namespace selfcompress::model
