// A program's rows as JavaScript values.
#pragma once

#include "node/addon.h"
#include "program/print.h"

namespace selfcompress::node {

// `names` are those of the network's nodes.
Napi::Value toPlan(Napi::Env, const ProgramRows&, const std::vector<std::string>& names);

}  // namespace selfcompress::node
