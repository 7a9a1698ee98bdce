// The CUDA backend: every operation queued on one stream by its `enqueue` (kernels.h).
#pragma once

#include "cuda/kernels.h"
#include "cuda/runtime.h"

namespace selfcompress::cuda {

class CudaBackend final : public Backend {
 public:
  // Throws Error if there is no such device or it lacks the precision, OutOfMemory.
  CudaBackend(const StreamOptions&, Precision);

  std::string name() const override;  // "cuda/<device>/<precision>"
  void* allocate(std::size_t bytes) override { return stream_.allocate(bytes); }
  void release(void* memory) override { stream_.release(memory); }
  void upload(void* device, const void* host, std::size_t bytes) override;
  void download(void* host, const void* device, std::size_t bytes) override;
  void zero(void* device, std::size_t bytes) override;
  void synchronize() override { stream_.synchronize(); }

  bool readsHostMemory() const override { return false; }
  void* allocateStaging(std::size_t bytes) override { return stream_.allocatePinned(bytes); }
  void releaseStaging(void* memory) override { stream_.releasePinned(memory); }
  void stage(int slot, void* device, const void* staging, std::size_t bytes) override;
  void useStaged(int slot) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void fetch(void* staging, const void* device, std::size_t bytes) override;
  void finish(int slot) override;
  void waitFor(int slot) override;

  bool beginRecording() override;
  std::unique_ptr<Recording> endRecording() override;
  void cancelRecording() override { stream_.cancelRecording(); }
  void replay(Recording&) override;

  bool supports(const char* operation) const override;
  std::size_t conv2dWorkspace(const Conv2dGeometry&, int batch) const override;

#define SELFCOMPRESS_RUN(Operation) \
  void run(const Operation& a) override { queue(#Operation, a); }
  SELFCOMPRESS_OPERATIONS(SELFCOMPRESS_RUN)
#undef SELFCOMPRESS_RUN

 private:
  template <class Operation>
  static constexpr bool hasKernels() {
    return requires(Stream & s, const Operation& a) { enqueue(s, a); }
    || requires(Stream & s, const Operation& a) { enqueue(s, a, Precision::kFloat32); };
  }
  template <class Operation>
  void queue(const char* name, const Operation& a) {
    if constexpr (!hasKernels<Operation>()) refuse(name);
    else if constexpr (requires { a.exact; }) enqueue(stream_, a, a.exact ? Precision::kFloat32 : precision_);
    else if constexpr (requires { enqueue(stream_, a, precision_); }) enqueue(stream_, a, precision_);
    else enqueue(stream_, a);
  }
  // Throws Error for an operation that has no kernels for CUDA devices yet.
  [[noreturn]] static void refuse(const char* operation);

  Stream stream_;
  Precision precision_;
};

std::unique_ptr<Backend> makeBackend(const StreamOptions&, Precision);

}  // namespace selfcompress::cuda
