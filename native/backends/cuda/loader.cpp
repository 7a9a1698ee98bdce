#include "cuda/loader.h"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "cuda/library.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace selfcompress::cuda {
namespace {

#if defined(_WIN32)
constexpr const char* kFileName = "selfcompress-cuda.dll";

std::string ownFolder() {
  HMODULE self = nullptr;
  char path[4096];
  if (!GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                          reinterpret_cast<const char*>(&ownFolder), &self))
    return "";
  std::string file(path, GetModuleFileNameA(self, path, sizeof path));
  return file.substr(0, file.find_last_of("\\/") + 1);
}
void* openLibrary(const std::string& path, std::string& error) {
  HMODULE library = LoadLibraryA(path.c_str());
  if (!library) error = "error " + std::to_string(GetLastError());
  return reinterpret_cast<void*>(library);
}
void* symbolOf(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}
bool fileExists(const std::string& path) { return GetFileAttributesA(path.c_str()) != INVALID_FILE_ATTRIBUTES; }
#else
constexpr const char* kFileName = "selfcompress-cuda.so";

std::string ownFolder() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<const void*>(&ownFolder), &info) || !info.dli_fname) return "";
  std::string file = info.dli_fname;
  return file.substr(0, file.find_last_of('/') + 1);
}
void* openLibrary(const std::string& path, std::string& error) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) error = dlerror();
  return library;
}
void* symbolOf(void* library, const char* name) { return dlsym(library, name); }
bool fileExists(const std::string& path) {
  if (std::FILE* file = std::fopen(path.c_str(), "rb")) {
    std::fclose(file);
    return true;
  }
  return false;
}
#endif

struct Library {
  std::string path, reason;
  const LibraryTable* table = nullptr;
};

Library load() {
  const char* given = std::getenv("SELFCOMPRESS_CUDA_LIBRARY");
  Library library{given && *given ? given : ownFolder() + kFileName, "", nullptr};
  if (!fileExists(library.path)) {
    library.reason = "looked for the library " + library.path + ", which does not exist (npm run build:cuda builds it)";
    return library;
  }
  std::string error;
  void* handle = openLibrary(library.path, error);
  void* entry = handle ? symbolOf(handle, kLibraryEntry) : nullptr;
  if (!handle) {
    library.reason = "the library " + library.path + " could not be loaded: " + error;
  } else if (!entry) {
    library.reason = library.path + " is not the CUDA library of selfcompress";
  } else {
    library.table = reinterpret_cast<LibraryEntry>(entry)(kLibraryAbi);
    bool fits = library.table && library.table->operations == kOperations &&
                std::string(library.table->version) == SELFCOMPRESS_VERSION;
    if (!fits) {
      library.reason = "the library " + library.path + " belongs to another version of selfcompress";
      library.table = nullptr;
    }
  }
  return library;
}

const Library& library() {
  static const Library loaded = load();
  return loaded;
}

void check(const LibraryTable& table, LibraryStatus status) {
  if (status == kLibraryOk) return;
  if (status == kLibraryOutOfMemory) throw OutOfMemory(table.message());
  throw std::runtime_error(table.message());
}

class LoadedRecording final : public Recording {
 public:
  LoadedRecording(const LibraryTable& table, void* recording) : table_(table), recording_(recording) {}
  ~LoadedRecording() override { table_.destroyRecording(recording_); }
  void* get() const { return recording_; }

 private:
  const LibraryTable& table_;
  void* recording_;
};

// A backend of the library: every call through the table.
class LoadedBackend final : public Backend {
 public:
  LoadedBackend(const LibraryTable& table, const LibraryOptions& options) : table_(table) {
    check(table_, table_.create(&options, &backend_));
  }
  ~LoadedBackend() override { table_.destroy(backend_); }
  std::string name() const override {
    char text[256];
    check(table_, table_.name(backend_, text, sizeof text));
    return text;
  }

  void* allocate(std::size_t bytes) override {
    void* memory = nullptr;
    check(table_, table_.allocate(backend_, bytes, &memory));
    return memory;
  }
  void release(void* memory) override { table_.release(backend_, memory); }
  void upload(void* device, const void* host, std::size_t bytes) override {
    check(table_, table_.upload(backend_, device, host, bytes));
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    check(table_, table_.download(backend_, host, device, bytes));
  }
  void zero(void* device, std::size_t bytes) override { check(table_, table_.zero(backend_, device, bytes)); }
  void synchronize() override { check(table_, table_.synchronize(backend_)); }

  bool readsHostMemory() const override { return false; }
  void* allocateStaging(std::size_t bytes) override {
    void* memory = nullptr;
    check(table_, table_.allocateStaging(backend_, bytes, &memory));
    return memory;
  }
  void releaseStaging(void* memory) override { table_.releaseStaging(backend_, memory); }
  void stage(int slot, void* device, const void* staging, std::size_t bytes) override {
    check(table_, table_.stage(backend_, slot, device, staging, bytes));
  }
  void useStaged(int slot) override { check(table_, table_.useStaged(backend_, slot)); }
  void copy(void* to, const void* from, std::size_t bytes) override {
    check(table_, table_.copy(backend_, to, from, bytes));
  }
  void fetch(void* staging, const void* device, std::size_t bytes) override {
    check(table_, table_.fetch(backend_, staging, device, bytes));
  }
  void finish(int slot) override { check(table_, table_.finish(backend_, slot)); }
  void waitFor(int slot) override { check(table_, table_.waitFor(backend_, slot)); }

  bool beginRecording() override {
    std::int32_t records = 0;
    check(table_, table_.beginRecording(backend_, &records));
    return records != 0;
  }
  std::unique_ptr<Recording> endRecording() override {
    void* recording = nullptr;
    check(table_, table_.endRecording(backend_, &recording));
    return std::make_unique<LoadedRecording>(table_, recording);
  }
  void cancelRecording() override { table_.cancelRecording(backend_); }
  void replay(Recording& recording) override {
    check(table_, table_.replay(backend_, static_cast<LoadedRecording&>(recording).get()));
  }

  bool supports(const char* operation) const override { return table_.supports(backend_, operation) != 0; }
  std::size_t conv2dWorkspace(const Conv2dGeometry& geometry, int batch) const override {
    std::size_t bytes = 0;
    check(table_, table_.workspace(backend_, &geometry, batch, &bytes));
    return bytes;
  }
#define SELFCOMPRESS_RUN(Operation) \
  void run(const Operation& a) override { send(a); }
  SELFCOMPRESS_OPERATIONS(SELFCOMPRESS_RUN)
#undef SELFCOMPRESS_RUN

 private:
  template <class Operation>
  void send(const Operation& a) {
    check(table_, table_.run(backend_, OperationNumber<Operation>::value, &a, sizeof a));
  }

  const LibraryTable& table_;
  void* backend_ = nullptr;
};

}  // namespace

Availability availability() {
  const Library& found = library();
  Availability result{found.path, "library", found.reason, {}};
  if (!found.table) return result;
  LibraryDevices devices;
  if (found.table->devices(&devices) != kLibraryOk) {
    result.missing = "device", result.reason = found.table->message();
    return result;
  }
  result.missing = devices.missing;
  result.reason = devices.reason;
  for (std::int32_t i = 0; i < devices.count; i++) {
    const LibraryDevice& d = devices.list[i];
    result.devices.push_back({d.name, d.computeCapability, std::size_t(d.memoryBytes)});
  }
  if (!result.available()) result.reason = "the library " + found.path + " was found, but " + result.reason;
  else result.reason = std::to_string(result.devices.size()) + (result.devices.size() == 1 ? " device" : " devices");
  return result;
}

std::unique_ptr<Backend> loadBackend(const LoadOptions& options) {
  const Library& found = library();
  if (!found.table) throw std::runtime_error(found.reason);
  LibraryOptions crossing{options.device, options.memoryLimit, std::int32_t(options.precision)};
  return std::make_unique<LoadedBackend>(*found.table, crossing);
}

}  // namespace selfcompress::cuda
