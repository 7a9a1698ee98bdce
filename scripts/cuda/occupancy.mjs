// Theoretical occupancy, by the rules of NVIDIA's occupancy calculator: registers are given to warps in pieces of 256, shared
// memory to blocks in pieces of 128 bytes with 1 KiB on top for the system.

/** Of one multiprocessor (CUDA programming guide, "Technical Specifications per Compute Capability"). */
const multiprocessors = {
  80: { warps: 64, blocks: 32, registers: 65536, shared: 164 * 1024 },
  90: { warps: 64, blocks: 32, registers: 65536, shared: 228 * 1024 },
};
const roundUp = (value, step) => Math.ceil(value / step) * step;

/** { blocks, occupancy, limit }: blocks of a multiprocessor, the share of its warps, and what allows no more. */
export function occupancyOf(arch, { registers, sharedBytes, threads }) {
  const sm = multiprocessors[arch];
  const warps = Math.ceil(threads / 32);
  // A quarter of the registers belongs to each of the four schedulers; warps are dealt out among them.
  const warpsByRegisters = 4 * Math.floor(sm.registers / 4 / roundUp(registers * 32, 256));
  const limits = {
    warps: Math.floor(sm.warps / warps),
    blocks: sm.blocks,
    registers: Math.floor(warpsByRegisters / warps),
    'shared memory': Math.floor(sm.shared / roundUp(sharedBytes + 1024, 128)),
  };
  const [limit, blocks] = Object.entries(limits).reduce((least, next) => (next[1] < least[1] ? next : least));
  return { blocks, occupancy: Number(((blocks * warps) / sm.warps).toFixed(4)), limit };
}
