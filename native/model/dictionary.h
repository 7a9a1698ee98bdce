// Names that a file need not spell out. The lists are part of the format: entries are only ever appended.
#pragma once

#include <span>

namespace selfcompress::model {

std::span<const char* const> kindNames();   // kinds of nodes
std::span<const char* const> fieldNames();  // fields of nodes
std::span<const char* const> words();       // every other string: choices, roles, encodings, metadata

}  // namespace selfcompress::model
