#include "cuda/cuda_backend.h"

#include <string_view>

namespace selfcompress::cuda {
namespace {

// Events of a stream: the copies of a slot, and the end of its operations.
constexpr int copied(int slot) { return slot; }
constexpr int finished(int slot) { return kStagingSlots + slot; }
static_assert(2 * kStagingSlots <= Stream::kEvents);

class StepRecording final : public Recording {
 public:
  explicit StepRecording(std::unique_ptr<Recorded> work) : work(std::move(work)) {}
  std::unique_ptr<Recorded> work;
};

}  // namespace

CudaBackend::CudaBackend(const StreamOptions& options, Precision precision) : stream_(options), precision_(precision) {
  const DeviceInfo& device = stream_.device();
  if (precision != Precision::kFloat32 && device.computeCapability < 80)
    throw Error(std::string("Expected a device of compute capability 8.0 or above for the precision \"") +
                precisionName(precision) + "\" but received " + device.name + ", which has " +
                std::to_string(device.computeCapability / 10) + "." + std::to_string(device.computeCapability % 10));
}

std::string CudaBackend::name() const { return "cuda/" + stream_.device().name + "/" + precisionName(precision_); }

void CudaBackend::upload(void* device, const void* host, std::size_t bytes) {
  if (bytes) stream_.copy(Queue::kCompute, device, host, bytes);
}
void CudaBackend::download(void* host, const void* device, std::size_t bytes) {
  if (bytes) stream_.copy(Queue::kCompute, host, device, bytes);
  stream_.synchronize();  // also where errors of the operations before show
}
void CudaBackend::zero(void* device, std::size_t bytes) {
  if (bytes) stream_.zero(device, bytes);
}

void CudaBackend::stage(int slot, void* device, const void* staging, std::size_t bytes) {
  if (!bytes) return;
  stream_.copy(Queue::kCopy, device, staging, bytes);
  stream_.record(Queue::kCopy, copied(slot));
}
void CudaBackend::useStaged(int slot) { stream_.wait(Queue::kCompute, copied(slot)); }
void CudaBackend::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes) stream_.copy(Queue::kCompute, to, from, bytes);
}
void CudaBackend::fetch(void* staging, const void* device, std::size_t bytes) {
  if (bytes) stream_.copy(Queue::kCompute, staging, device, bytes);
}
void CudaBackend::finish(int slot) { stream_.record(Queue::kCompute, finished(slot)); }
void CudaBackend::waitFor(int slot) { stream_.waitOnHost(finished(slot)); }

bool CudaBackend::beginRecording() {
  if (!stream_.canRecord()) return false;
  stream_.beginRecording();
  return true;
}
std::unique_ptr<Recording> CudaBackend::endRecording() {
  return std::make_unique<StepRecording>(stream_.endRecording());
}
void CudaBackend::replay(Recording& recording) { stream_.replay(*static_cast<StepRecording&>(recording).work); }

bool CudaBackend::supports(const char* operation) const {
#define SELFCOMPRESS_SUPPORTS(Operation) \
  if (std::string_view(operation) == #Operation) return hasKernels<Operation>();
  SELFCOMPRESS_OPERATIONS(SELFCOMPRESS_SUPPORTS)
#undef SELFCOMPRESS_SUPPORTS
  return false;
}
void CudaBackend::refuse(const char* operation) {
  throw Error(std::string("Expected an operation that has kernels on a CUDA device but received ") + operation);
}

std::size_t CudaBackend::conv2dWorkspace(const Conv2dGeometry& geometry, int batch) const {
  return cuda::conv2dWorkspace(limits(stream_), geometry, batch);
}

std::unique_ptr<Backend> makeBackend(const StreamOptions& options, Precision precision) {
  return std::make_unique<CudaBackend>(options, precision);
}

}  // namespace selfcompress::cuda
