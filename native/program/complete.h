// An operation's arguments as a backend gets them.
#pragma once

#include "program/operation.h"

namespace selfcompress {

// Fills in the number of examples, the addresses of their batch and how they are augmented. Allocates nothing.
void complete(OperationArgs&, const Operation&, int batch, const BatchMemory&, const Augmentation&);

}  // namespace selfcompress
