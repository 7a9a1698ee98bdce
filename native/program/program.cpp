#include "program/program.h"

#include "program/complete.h"

namespace selfcompress {

const void* partOf(const BatchMemory& b, BatchPart part) {
  const void* parts[] = {b.bytes, b.floats, b.indices, b.labels,       b.targets,
                         b.mean,  b.invStd, b.tokens,  b.targetIndices};
  return parts[int(part)];
}
const char* batchPartName(BatchPart part) {
  constexpr const char* names[] = {"bytes", "floats", "indices", "labels",        "targets",
                                   "mean",  "1/std",  "tokens",  "target indices"};
  return names[int(part)];
}
const char* markName(Mark mark) {
  constexpr const char* names[kMarks] = {"states", "input", "forward", "loss", "backward", "update"};
  return names[int(mark)];
}

const char* operationName(const OperationArgs& args) {
#define SELFCOMPRESS_NAME(Operation) , #Operation
  constexpr const char* names[] = {"" SELFCOMPRESS_OPERATIONS(SELFCOMPRESS_NAME)};
#undef SELFCOMPRESS_NAME
  return names[args.index()];
}

namespace {

void patch(OperationArgs& args, std::size_t offset, const void* pointer) {
  std::visit([&](auto& a) { std::memcpy(reinterpret_cast<std::byte*>(&a) + offset, &pointer, sizeof pointer); }, args);
}

}  // namespace

void Program::bind(std::byte* arena) {
  arena_ = arena;
  for (Operation& op : operations_)
    for (const Operation::Pointer& p : op.pointers) patch(op.args, p.offset, arena + memory_.offset(p.buffer));
}

void complete(OperationArgs& args, const Operation& op, int batch, const BatchMemory& input,
              const Augmentation& augmentation) {
  for (const Operation::BatchPointer& p : op.batch) {
    const void* part = partOf(input, p.part);
    patch(args, p.offset, part ? static_cast<const std::byte*>(part) + p.shift : part);
  }
  std::visit(
      [&](auto& a) {
        if constexpr (requires { a.batch; }) a.batch = batch;
        if constexpr (requires { a.augmentation; }) {
          if (a.counter) a.augmentation = augmentation;
        }
      },
      args);
}

void Program::run(Backend& backend, std::size_t from, std::size_t to, int batch, const BatchMemory& input,
                  const Augmentation& augmentation) {
  for (std::size_t i = from; i < to; i++) {
    Operation& op = operations_[i];
    complete(op.args, op, batch, input, augmentation);
    std::visit(
        [&](auto& a) {
          if constexpr (requires { backend.run(a); }) backend.run(a);
        },
        op.args);
  }
}

}  // namespace selfcompress
