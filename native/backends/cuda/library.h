// The border between the addon and the shared library with the CUDA backend.
//
// The two are built by different compilers, perhaps at different times, and each may have a C++ library of its own. So
// nothing of C++ crosses: one C function hands out a table of C functions; exceptions become a status and a message,
// and memory is freed on the side where it was made. Operations cross as their plain argument structs, by number and
// size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "selfcompress/backend.h"

namespace selfcompress::cuda {

// Raised when this file, or the meaning of an argument struct, changes.
inline constexpr std::uint32_t kLibraryAbi = 3;
inline constexpr const char* kLibraryEntry = "selfcompress_cuda_library";

enum LibraryStatus : std::int32_t { kLibraryOk = 0, kLibraryError = 1, kLibraryOutOfMemory = 2 };

struct LibraryDevice {
  char name[128];
  std::int32_t computeCapability;  // 10 * major + minor
  std::uint64_t memoryBytes;
};
struct LibraryDevices {
  LibraryDevice list[16];
  std::int32_t count;
  char missing[16];  // "", "driver" or "device"
  char reason[512];
};
struct LibraryOptions {
  std::int32_t device;  // -1: what the environment says
  std::uint64_t memoryLimit;
  std::int32_t precision;
};

// Functions with a status: kLibraryOk, or `message` of this thread says what went wrong.
struct LibraryTable {
  std::uint32_t abi;
  std::uint32_t operations;  // how many there are
  const char* version;       // of the package
  const char* (*message)();

  LibraryStatus (*devices)(LibraryDevices*);
  LibraryStatus (*create)(const LibraryOptions*, void** backend);
  void (*destroy)(void* backend);
  LibraryStatus (*name)(void* backend, char* text, std::size_t capacity);

  LibraryStatus (*allocate)(void* backend, std::size_t bytes, void** memory);
  void (*release)(void* backend, void* memory);
  LibraryStatus (*upload)(void* backend, void* device, const void* host, std::size_t bytes);
  LibraryStatus (*download)(void* backend, void* host, const void* device, std::size_t bytes);
  LibraryStatus (*zero)(void* backend, void* device, std::size_t bytes);
  LibraryStatus (*synchronize)(void* backend);

  LibraryStatus (*allocateStaging)(void* backend, std::size_t bytes, void** memory);
  void (*releaseStaging)(void* backend, void* memory);
  LibraryStatus (*stage)(void* backend, std::int32_t slot, void* device, const void* staging, std::size_t bytes);
  LibraryStatus (*useStaged)(void* backend, std::int32_t slot);
  LibraryStatus (*copy)(void* backend, void* to, const void* from, std::size_t bytes);
  LibraryStatus (*fetch)(void* backend, void* staging, const void* device, std::size_t bytes);
  LibraryStatus (*finish)(void* backend, std::int32_t slot);
  LibraryStatus (*waitFor)(void* backend, std::int32_t slot);

  LibraryStatus (*beginRecording)(void* backend, std::int32_t* records);
  LibraryStatus (*endRecording)(void* backend, void** recording);
  void (*cancelRecording)(void* backend);
  LibraryStatus (*replay)(void* backend, void* recording);
  void (*destroyRecording)(void* recording);

  LibraryStatus (*workspace)(void* backend, const Conv2dGeometry*, std::int32_t batch, std::size_t* bytes);
  std::int32_t (*supports)(void* backend, const char* operation);  // 1: it runs
  LibraryStatus (*run)(void* backend, std::uint32_t operation, const void* arguments, std::size_t size);
};

// The entry: nullptr for a caller with another ABI.
using LibraryEntry = const LibraryTable* (*)(std::uint32_t abi);

// Numbers of the operations.
template <class Operation>
struct OperationNumber;
enum OperationNumbers : std::uint32_t {
#define SELFCOMPRESS_NUMBER(Operation) kNumberOf##Operation,
  SELFCOMPRESS_OPERATIONS(SELFCOMPRESS_NUMBER)
#undef SELFCOMPRESS_NUMBER
      kOperations
};
#define SELFCOMPRESS_NUMBER(Operation)                                                      \
  template <>                                                                               \
  struct OperationNumber<Operation> {                                                       \
    static_assert(std::is_trivially_copyable_v<Operation>, "crosses as it lies in memory"); \
    static constexpr std::uint32_t value = kNumberOf##Operation;                            \
  };
SELFCOMPRESS_OPERATIONS(SELFCOMPRESS_NUMBER)
#undef SELFCOMPRESS_NUMBER

}  // namespace selfcompress::cuda
