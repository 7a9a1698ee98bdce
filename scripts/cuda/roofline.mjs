// The time of one operation on an H100 SXM, predicted from its bytes, floating-point operations and launches.

/** Published figures of the H100 SXM5 80GB (NVIDIA H100 datasheet; products without sparsity). */
export const h100 = {
  name: 'H100 SXM5 80GB',
  bandwidth: 3.35e12,
  l2Bytes: 50e6,
  flops: { fp32: 67e12, tf32: 495e12, bf16: 989e12 },
  multiprocessors: 132,
};

/** What the prediction assumes; none of it was measured on this project's kernels. */
export const assumptions = {
  bandwidthShare: 0.8, // of the published bandwidth, that kernels which stream memory reach
  fp32Share: 0.6, // of the published FP32 rate
  tensorShare: 0.4, // of the published tensor rate: mma.sync (not wgmma), operands through shared memory
  l2Speedup: 2, // of bytes that a second kernel reads again, where they fit half of the L2 cache
  launchSeconds: 2e-6, // that each kernel of a recorded step costs beside its work: start, drain, dependency
};

const fits = (bytes) => bytes <= h100.l2Bytes / 2;

/**
 * { seconds, ideal, bound }: predicted; at the published rates without launches, padding or rereading; and what takes most of it.
 * A kernel of fewer blocks than the device has multiprocessors gets that share of them.
 */
export function timeOf(operation, precision, assumed = assumptions) {
  const { bytes, again, flops, padded, launches } = operation;
  const tensor = launches.some(({ kernel }) => /Tensor/.test(kernel));
  const widest = Math.max(...launches.map(({ blocks }) => blocks));
  const filled = Math.min(1, widest / h100.multiprocessors);
  const rate = tensor ? h100.flops[precision] * assumed.tensorShare : h100.flops.fp32 * assumed.fp32Share;
  const crossing = bytes - again + (fits(again) ? again / assumed.l2Speedup : again);
  const parts = {
    launch: launches.length * assumed.launchSeconds,
    memory: crossing / (h100.bandwidth * assumed.bandwidthShare * filled),
    arithmetic: (tensor ? padded : flops) / (rate * filled),
  };
  const work = Math.max(parts.memory, parts.arithmetic);
  const [bound] = Object.entries(parts).reduce((most, next) => (next[1] > most[1] ? next : most));
  const ideal = Math.max((bytes - again) / h100.bandwidth, flops / h100.flops[tensor ? precision : 'fp32']);
  return { seconds: parts.launch + work, ideal, bound };
}
