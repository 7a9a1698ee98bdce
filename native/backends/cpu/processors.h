// How many threads the machine has room for.
#pragma once

#include <string>
#include <vector>

namespace selfcompress::cpu {

// Processors, as the operating system numbers them, that this process may run on; empty: not known.
std::vector<int> allowedProcessors();

// Of these processors those on different physical cores, and no more than the CPU time which the control groups of the
// process allow it (Linux, versions 1 and 2; a share of a core counts as one). At least 1. The files are looked for
// under `root`.
int usableCores(const std::vector<int>& allowed, const std::string& root = "");

}  // namespace selfcompress::cpu
