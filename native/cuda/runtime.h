// What the CUDA backend needs of a device: memory, a compute and a copy stream, launches, recorded steps.
// Implementations: runtime.cpp over the CUDA runtime, host/runtime.cpp over the host's model of it.
#pragma once
