// Networks as model files (native/model): from a description and its parameters to bytes, and back. What a kind's
// fields and parameters are, the table of operators says.
#pragma once

#include <span>

#include "graph/description.h"
#include "model/reader.h"
#include "train/prune.h"

namespace selfcompress {

// `state` may hold optimizer moments; they are left out. Weights with bit depths are stored as their codes, norms as
// scale and shift. Throws model::ModelFileError.
model::Bytes encodeModelFile(const NetworkDescription&, const State&, const model::Metadata&,
                             const model::WriteOptions& = {});

struct DecodedModel {
  NetworkDescription network;
  State state;  // parameters; quantizing the weights again gives the very codes of the file
  model::Metadata metadata;
  model::WriteOptions options;  // encodeModelFile with these gives the same bytes
};
// Throws model::ModelFileError for anything that is not a whole, unchanged file of a network that this version knows.
DecodedModel decodeModelFile(model::ByteSpan, const model::Limits& = {});

}  // namespace selfcompress
