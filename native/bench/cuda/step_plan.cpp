// What one training step queues on a GPU, read from the program of the step: it is compiled for a backend that only has
// memory, and nothing runs. Tells the work of every operation (work.h) and every launch that the operation's `enqueue`
// makes: which kernel, how many blocks of how many threads, how much dynamic shared memory. scripts/cuda/ reads it.
//
//     step_plan < requests         each request is a line, then a network (read_network.h)
//
//     step BATCH PRECISION SGD|ADAM LIVE     LIVE: share of the channels of compressing layers that are live
//
// Answers each with one line of JSON: [{op, what, bytes, again, flops, padded, launches: [{kernel, blocks, threads,
// shared}]}]; `kernel` is the address of its function in this program.
//
// It is built like the host's model of a GPU, but with a stream of its own (below), which keeps launches and runs none.
#include <sys/mman.h>

#include <cstring>
#include <iostream>
#include <map>
#include <sstream>

#include "bench/cuda/read_network.h"
#include "bench/cuda/work.h"
#include "cuda/kernels.h"
#include "cuda/runtime.h"
#include "ops/states/states.h"
#include "program/complete.h"
#include "train/network.h"

namespace selfcompress::cuda {
namespace {
std::vector<host::Launch> launches;
const DeviceLimits kH100{132, 90, 227 << 10};
}  // namespace

struct Stream::State {
  std::vector<std::byte> scratch = std::vector<std::byte>(kScratchBytes);
};
Stream::Stream(const StreamOptions&) : state_(std::make_unique<State>()) {}
Stream::~Stream() = default;
void* scratch(Stream& stream, std::size_t bytes) {
  if (bytes > kScratchBytes) throw std::length_error("scratch memory");
  return stream.state().scratch.data();
}
const DeviceLimits& limits(const Stream&) { return kH100; }
void host::launchModel(Stream&, Launch&& launch) { launches.push_back(std::move(launch)); }

}  // namespace selfcompress::cuda

namespace selfcompress::bench {
namespace {

// Address space without memory until it is written: activations are never touched, however many there are.
class Memory {
 public:
  void* allocate(std::size_t bytes) {
    void* p = mmap(nullptr, bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    sizes_[p] = bytes + 1;
    return p;
  }
  void release(void* p) {
    munmap(p, sizes_.at(p));
    sizes_.erase(p);
  }

 private:
  std::map<void*, std::size_t> sizes_;
};

// What a program is compiled for: memory, and the sizes of a GPU's workspaces.
class CompilingBackend final : public Backend {
 public:
  std::string name() const override { return "plan"; }
  void* allocate(std::size_t bytes) override { return memory_.allocate(bytes); }
  void release(void* p) override { memory_.release(p); }
  void upload(void* device, const void* host, std::size_t bytes) override { std::memcpy(device, host, bytes); }
  void download(void* host, const void* device, std::size_t bytes) override { std::memcpy(host, device, bytes); }
  void zero(void*, std::size_t) override {}
  void synchronize() override {}
  std::size_t conv2dWorkspace(const Conv2dGeometry& g, int batch) const override {
    return cuda::conv2dWorkspace(cuda::kH100, g, batch);
  }
#define SELFCOMPRESS_RUN(Operation) \
  void run(const Operation&) override { throw std::logic_error("run"); }
  SELFCOMPRESS_OPERATIONS(SELFCOMPRESS_RUN)
#undef SELFCOMPRESS_RUN

 private:
  Memory memory_;
};

// Writes a program's operations, one JSON object each.
class PlanWriter {
 public:
  PlanWriter(Precision precision, std::ostream& out) : stream_({}), precision_(precision), out_(out) {}
  void write(const Program& program, int batch, const BatchMemory& input) {
    for (const Operation& operation : program.operations()) {
      OperationArgs args = operation.args;
      complete(args, operation, batch, input, {});
      std::visit([&](const auto& a) { write(operationName(args), a); }, args);
    }
  }

 private:
  void write(const char*, std::monostate) {}
  template <class Args>
  void write(const char* name, const Args& a) {
    const Work work = workOf(a);
    cuda::launches.clear();
    if constexpr (requires { cuda::enqueue(stream_, a, precision_); }) cuda::enqueue(stream_, a, precision_);
    else if constexpr (requires { cuda::enqueue(stream_, a); }) cuda::enqueue(stream_, a);
    else throw std::runtime_error(std::string("Expected an operation that the CUDA backend has but received ") + name);
    out_ << (first_ ? "" : ",") << "{\"op\":\"" << name << "\",\"what\":\"" << work.what
         << "\",\"bytes\":" << work.bytes << ",\"again\":" << work.again << ",\"flops\":" << work.flops
         << ",\"padded\":" << work.padded << ",\"launches\":[";
    for (std::size_t i = 0; i < cuda::launches.size(); i++) {
      const cuda::host::Launch& l = cuda::launches[i];
      out_ << (i ? "," : "") << "{\"kernel\":\"" << l.kernel
           << "\",\"blocks\":" << std::uint64_t(l.grid.x) * l.grid.y * l.grid.z
           << ",\"threads\":" << l.block.x * l.block.y * l.block.z << ",\"shared\":" << l.sharedBytes << "}";
    }
    out_ << "]}";
    first_ = false;
    carryOut(a);
  }
  // States of channels are the one thing that later operations' work depends on.
  template <class Operation>
  void carryOut(const Operation&) {}
  void carryOut(const StateFromBits& a) { stateFromBits(a); }
  void carryOut(const StateThroughNorm& a) { stateThroughNorm(a); }
  void carryOut(const StateOfSum& a) { stateOfSum(a); }
  void carryOut(const StateOfProduct& a) { stateOfProduct(a); }
  void carryOut(const StateThroughActivation& a) { stateThroughActivation(a); }
  void carryOut(const StateThroughLayerNorm& a) { stateThroughLayerNorm(a); }
  void carryOut(const StateCopy& a) { stateCopy(a); }
  void carryOut(const ListChannels& a) { listChannels(a); }

  cuda::Stream stream_;
  Precision precision_;
  std::ostream& out_;
  bool first_ = true;
};

Precision precisionOf(const std::string& name) {
  for (Precision p : {Precision::kFloat32, Precision::kTf32, Precision::kBfloat16})
    if (name == precisionName(p)) return p;
  throw std::runtime_error("Expected fp32, tf32 or bf16 but received " + name);
}

// The first channels of every layer are live, in steps: the last layer's all are.
void setBitDepths(Network& network, double share) {
  const auto& nodes = network.description().nodes;
  State state;
  for (const std::string& name : network.parameters().tensorNames()) {
    const std::string suffix = ".bitDepth";
    if (name.size() < suffix.size() || name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0) continue;
    const auto count = std::size_t(network.parameters().tensor(name).count);
    const bool last = name == nodes.back().name + suffix;
    std::vector<float>& bits = state[name];
    for (std::size_t c = 0; c < count; c++)
      bits.push_back(last || std::int64_t(double(c + 1) * share) > std::int64_t(double(c) * share) ? 8.0f : 0.0f);
  }
  network.loadState(state);
}

void answerStep(std::istream& request) {
  NetworkOptions options;
  std::string precision, optimizer;
  double share = 1;
  if (!(request >> options.batchSize >> precision >> optimizer >> share))
    throw std::runtime_error("Expected step BATCH PRECISION SGD|ADAM LIVE");
  options.optimizer.kind = optimizer == "sgd" ? Optimizer::kSgd : Optimizer::kAdam;
  options.penalty = SizePenalty::kCoupled;
  options.recordSteps = false;
  const NetworkDescription description = readNetwork(std::cin);
  std::ostringstream out;
  Network network(std::make_unique<CompilingBackend>(), description, options);
  setBitDepths(network, share);
  // A batch of bytes; nobody reads what they are.
  const std::vector<std::uint8_t> bytes(1);
  const std::vector<std::int32_t> indices(1);
  BatchMemory input;
  input.bytes = bytes.data(), input.indices = input.labels = indices.data();
  PlanWriter(precisionOf(precision), out).write(network.trainingProgram(), options.batchSize, input);
  std::cout << "[" << out.str() << "]" << std::endl;
}

}  // namespace
}  // namespace selfcompress::bench

int main() {
  try {
    for (std::string line; std::getline(std::cin, line);) {
      std::istringstream words(line);
      std::string what;
      words >> what;
      if (what != "step") throw std::runtime_error("Expected step but received " + what);
      selfcompress::bench::answerStep(words);
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
