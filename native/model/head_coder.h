// The entropy coding of a head: an order-2 model of its bytes (docs/model-file.md, "Head").
#pragma once

#include "model/bytes.h"

namespace selfcompress::model {

Bytes encodeHead(ByteSpan plain);
// `length` bytes; fails where so many cannot be meant.
Bytes decodeHead(ByteSpan coded, std::uint64_t length);

}  // namespace selfcompress::model
