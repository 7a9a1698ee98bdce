// Panels of the direct form: [reduced channel][tap][out] for every block of output channels.
#include <algorithm>

#include "cpu/conv2d_pass.h"
#include "cpu/threads.h"

namespace selfcompress::cpu {
namespace {

// Reduced channels that a task of the data gradient packs. Neighbouring blocks read the same cache lines of them, so
// their tasks follow one another; forward, every block reads lines of its own.
constexpr std::int64_t kPartChannels = 64;

// Reduced channels [first, last) of a group's list, for one block.
struct Part {
  const Pass& pass;
  const OutBlock& block;
  const std::vector<int>& reduced;
  std::size_t first, last;

  int area() const { return pass.plan.geometry.kernelHeight * pass.plan.geometry.kernelWidth; }
  PanelRows rows() const {
    PanelRows rows;
    rows.memoryEnd = pass.weights.end;
    rows.outs = block.count;
    rows.to = pass.panels + block.panel + std::int64_t(first) * area() * block.count;
    rows.end = pass.panels + block.panel + std::int64_t(last) * area() * block.count;
    return rows;
  }
};

// An output's weights lie one after another, as far as its reduced channels are neighbours.
void packForward(const Part& part, const Kernels& kernels) {
  PanelRows rows = part.rows();
  for (std::size_t r = part.first, next = r; r < part.last; r = next) {
    do next++;
    while (next < part.last && part.reduced[next] == part.reduced[next - 1] + 1);
    for (int o = 0; o < part.block.count; o++) rows.from[o] = part.pass.filter(part.block, part.reduced[r], o);
    std::int64_t count = std::int64_t(next - r) * part.area();
    kernels.packColumns(rows, count);
    rows.to += count * rows.outs;
  }
}

// A row's weights lie `area` apart, as far as its output channels are neighbours.
void packGradInput(const Part& part, const Kernels& kernels) {
  const int area = part.area(), outs = part.block.count;
  const int* channels = part.block.channels;
  std::int32_t offsets[16];
  for (int o = 0; o < outs; o++) offsets[o] = (channels[o] - channels[0]) * area;
  bool neighbours = offsets[outs - 1] == outs - 1;
  PanelRows rows = part.rows();
  int count = 0;
  auto flush = [&] {
    kernels.packRows(rows, count, neighbours ? nullptr : offsets);
    rows.to += std::int64_t(count) * outs;
    count = 0;
  };
  for (std::size_t r = part.first; r < part.last; r++) {
    WeightSource filter = part.pass.filter(part.block, part.reduced[r], 0);
    for (int tap = 0; tap < area; tap++) {
      rows.from[count] = tapsFrom(tap, filter);
      if (++count == 16) flush();
    }
  }
  flush();
}

}  // namespace

void packPanels(const Pass& pass, const Kernels& kernels) {
  const PassPlan& plan = pass.plan;
  std::size_t most = 0;
  for (const auto& reduced : plan.reduced) most = std::max(most, reduced.size());
  std::int64_t blocks = std::int64_t(plan.blocks.size()),
               parts = plan.forward ? 1 : (std::int64_t(most) + kPartChannels - 1) / kPartChannels;
  parallelFor(parts * blocks,
              [&](std::int64_t task) {
                const OutBlock& block = plan.blocks[std::size_t(task % blocks)];
                const std::vector<int>& reduced = plan.reduced[std::size_t(block.group)];
                std::size_t number = std::size_t(task / blocks), all = std::size_t(parts);
                Part part{pass, block, reduced, reduced.size() * number / all, reduced.size() * (number + 1) / all};
                if (plan.forward) packForward(part, kernels);
                else packGradInput(part, kernels);
              },
              {passTime(plan, plan.geometry.kernelHeight * plan.geometry.kernelWidth) / double(parts * blocks)});
}

}  // namespace selfcompress::cpu
