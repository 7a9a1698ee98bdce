// The library's side of library.h: the CUDA backend as a table of C functions. Built with hidden visibility; the entry
// is the one name it exports.
#include "cuda/library.h"

#include <cstring>
#include <string>

#include "cuda/cuda_backend.h"

#if defined(_WIN32)
#define SELFCOMPRESS_EXPORT __declspec(dllexport)
#else
#define SELFCOMPRESS_EXPORT __attribute__((visibility("default")))
#endif

namespace selfcompress::cuda {
namespace {

std::string& latestMessage() {
  thread_local std::string message;
  return message;
}

// Runs `body`; what it throws becomes a status and this thread's message.
template <class Body>
LibraryStatus guarded(Body body) noexcept {
  try {
    body();
    return kLibraryOk;
  } catch (const OutOfMemory& error) {
    latestMessage() = error.what();
    return kLibraryOutOfMemory;
  } catch (const std::bad_alloc&) {
    latestMessage() = "Out of host memory";
    return kLibraryOutOfMemory;
  } catch (const std::exception& error) {
    latestMessage() = error.what();
    return kLibraryError;
  } catch (...) {
    latestMessage() = "an unknown exception";
    return kLibraryError;
  }
}

template <std::size_t N>
void setText(char (&to)[N], const std::string& from) {
  std::size_t length = std::min(from.size(), N - 1);
  std::memcpy(to, from.data(), length);
  to[length] = 0;
}

Backend& of(void* backend) { return *static_cast<Backend*>(backend); }

LibraryStatus devices(LibraryDevices* result) {
  return guarded([&] {
    DeviceList found = listDevices();
    *result = {};
    setText(result->missing, found.missing);
    setText(result->reason, found.reason);
    for (const DeviceInfo& device : found.devices) {
      if (std::size_t(result->count) == std::size(result->list)) break;
      LibraryDevice& d = result->list[result->count++];
      setText(d.name, device.name);
      d.computeCapability = device.computeCapability;
      d.memoryBytes = device.memoryBytes;
    }
  });
}

LibraryStatus create(const LibraryOptions* options, void** backend) {
  return guarded([&] {
    StreamOptions stream;
    stream.device = options->device;
    stream.memoryLimit = std::size_t(options->memoryLimit);
    *backend = makeBackend(withEnvironment(stream), Precision(options->precision)).release();
  });
}

LibraryStatus name(void* backend, char* text, std::size_t capacity) {
  return guarded([&] {
    std::string full = of(backend).name();
    std::size_t length = std::min(full.size(), capacity - 1);
    std::memcpy(text, full.data(), length);
    text[length] = 0;
  });
}

template <class Operation>
LibraryStatus runAs(void* backend, const void* arguments, std::size_t size) {
  return guarded([&] {
    if (size != sizeof(Operation))
      throw std::runtime_error("Expected a CUDA library built from the same sources but an operation has another size");
    of(backend).run(*static_cast<const Operation*>(arguments));
  });
}

LibraryStatus run(void* backend, std::uint32_t operation, const void* arguments, std::size_t size) {
  switch (operation) {
#define SELFCOMPRESS_CASE(Operation)      \
  case OperationNumber<Operation>::value: \
    return runAs<Operation>(backend, arguments, size);
    SELFCOMPRESS_OPERATIONS(SELFCOMPRESS_CASE)
#undef SELFCOMPRESS_CASE
  }
  return guarded([] { throw std::runtime_error("Expected a known operation"); });
}

const LibraryTable* table() {
  static const LibraryTable functions = [] {
    LibraryTable t{};
    t.abi = kLibraryAbi, t.operations = kOperations, t.version = SELFCOMPRESS_VERSION;
    t.message = [] { return latestMessage().c_str(); };
    t.devices = devices, t.create = create, t.name = name, t.run = run;
    t.supports = [](void* b, const char* operation) { return std::int32_t(of(b).supports(operation)); };
    t.destroy = [](void* b) { delete &of(b); };
    t.allocate = [](void* b, std::size_t n, void** p) { return guarded([&] { *p = of(b).allocate(n); }); };
    t.release = [](void* b, void* p) { guarded([&] { of(b).release(p); }); };
    t.upload = [](void* b, void* to, const void* from, std::size_t n) {
      return guarded([&] { of(b).upload(to, from, n); });
    };
    t.download = [](void* b, void* to, const void* from, std::size_t n) {
      return guarded([&] { of(b).download(to, from, n); });
    };
    t.zero = [](void* b, void* p, std::size_t n) { return guarded([&] { of(b).zero(p, n); }); };
    t.synchronize = [](void* b) { return guarded([&] { of(b).synchronize(); }); };
    t.allocateStaging = [](void* b, std::size_t n, void** p) {
      return guarded([&] { *p = of(b).allocateStaging(n); });
    };
    t.releaseStaging = [](void* b, void* p) { guarded([&] { of(b).releaseStaging(p); }); };
    t.stage = [](void* b, std::int32_t slot, void* to, const void* from, std::size_t n) {
      return guarded([&] { of(b).stage(slot, to, from, n); });
    };
    t.useStaged = [](void* b, std::int32_t slot) { return guarded([&] { of(b).useStaged(slot); }); };
    t.copy = [](void* b, void* to, const void* from, std::size_t n) {
      return guarded([&] { of(b).copy(to, from, n); });
    };
    t.fetch = [](void* b, void* to, const void* from, std::size_t n) {
      return guarded([&] { of(b).fetch(to, from, n); });
    };
    t.finish = [](void* b, std::int32_t slot) { return guarded([&] { of(b).finish(slot); }); };
    t.waitFor = [](void* b, std::int32_t slot) { return guarded([&] { of(b).waitFor(slot); }); };
    t.beginRecording = [](void* b, std::int32_t* records) {
      return guarded([&] { *records = of(b).beginRecording(); });
    };
    t.endRecording = [](void* b, void** recording) {
      return guarded([&] { *recording = of(b).endRecording().release(); });
    };
    t.cancelRecording = [](void* b) { guarded([&] { of(b).cancelRecording(); }); };
    t.replay = [](void* b, void* recording) {
      return guarded([&] { of(b).replay(*static_cast<Recording*>(recording)); });
    };
    t.destroyRecording = [](void* recording) { delete static_cast<Recording*>(recording); };
    t.workspace = [](void* b, const Conv2dGeometry* g, std::int32_t batch, std::size_t* bytes) {
      return guarded([&] { *bytes = of(b).conv2dWorkspace(*g, batch); });
    };
    return t;
  }();
  return &functions;
}

}  // namespace
}  // namespace selfcompress::cuda

extern "C" SELFCOMPRESS_EXPORT const selfcompress::cuda::LibraryTable* selfcompress_cuda_library(std::uint32_t abi) {
  return abi == selfcompress::cuda::kLibraryAbi ? selfcompress::cuda::table() : nullptr;
}
