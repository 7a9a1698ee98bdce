#include <cstring>
#include <new>

#include "ops/states/states.h"
#include "reference/reference_backend.h"

namespace selfcompress {

void* ReferenceBackend::allocate(std::size_t bytes) {
  void* memory = ::operator new(bytes + kAlignment, std::align_val_t(kAlignment));
  std::memset(memory, 0, bytes + kAlignment);
  return memory;
}
void ReferenceBackend::release(void* memory) { ::operator delete(memory, std::align_val_t(kAlignment)); }
void ReferenceBackend::upload(void* device, const void* host, std::size_t bytes) {
  if (bytes) std::memcpy(device, host, bytes);
}
void ReferenceBackend::download(void* host, const void* device, std::size_t bytes) {
  if (bytes) std::memcpy(host, device, bytes);
}
void ReferenceBackend::zero(void* device, std::size_t bytes) { std::memset(device, 0, bytes); }

void ReferenceBackend::run(const ClipScale& a) { clipScale(a); }
void ReferenceBackend::run(const ClampBitDepth& a) { clampBitDepth(a); }
void ReferenceBackend::run(const KeepFamilies& a) { keepFamilies(a); }
void ReferenceBackend::run(const RangeGradients& a) { rangeGradients(a); }
void ReferenceBackend::run(const KeepRange& a) { keepRange(a); }
void ReferenceBackend::run(const DecayDead& a) { decayDead(a); }
void ReferenceBackend::run(const StateFromBits& a) { stateFromBits(a); }
void ReferenceBackend::run(const StateThroughNorm& a) { stateThroughNorm(a); }
void ReferenceBackend::run(const StateOfSum& a) { stateOfSum(a); }
void ReferenceBackend::run(const StateOfProduct& a) { stateOfProduct(a); }
void ReferenceBackend::run(const StateThroughActivation& a) { stateThroughActivation(a); }
void ReferenceBackend::run(const StateThroughLayerNorm& a) { stateThroughLayerNorm(a); }
void ReferenceBackend::run(const StateCopy& a) { stateCopy(a); }
void ReferenceBackend::run(const ListChannels& a) { listChannels(a); }

std::unique_ptr<Backend> makeReferenceBackend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace selfcompress
