// What the PTX of a kernel has to show: tensor-core products, asynchronous copies, accesses of 128 bits. A kernel that loses
// them still computes the right numbers, slowly.

const patterns = {
  'mma.sync tf32': /\bmma\.sync\.aligned\.m16n8k8\.row\.col\.f32\.tf32\.tf32\.f32\b/,
  'mma.sync bf16': /\bmma\.sync\.aligned\.m16n8k16\.row\.col\.f32\.bf16\.bf16\.f32\b/,
  'cp.async 16': /\bcp\.async\.cg\.shared\.global\b/,
  'load 128': /\bld\.global(\.nc)?(\.L\w+)?\.v4\.(f32|u32|b32|s32)\b/,
  'store 128': /\bst\.global(\.\w\w)?\.v4\.(f32|u32|b32|s32)\b/,
};
const loads = ['load 128'];
const stores = ['store 128'];
const both = [...loads, ...stores];

/** Beginnings of kernel names → what they claim. */
const claims = [
  [/^conv::passTensor<tf32/, ['mma.sync tf32', 'cp.async 16', ...stores]],
  [/^conv::passTensor<bf16/, ['mma.sync bf16', 'cp.async 16', ...stores]],
  [/^conv::weightTensor<tf32/, ['mma.sync tf32', 'cp.async 16']],
  [/^conv::weightTensor<bf16/, ['mma.sync bf16', 'cp.async 16']],
  [/^conv::(passSimt|weightSimt)/, ['cp.async 16']],
  [/^quantize(Forward|Backward)Kernel/, both],
  [/^norm(Moments|GradientSums)Kernel/, loads],
  [/^norm(Apply|Gradient)Kernel/, both],
  [/^(activation(Forward|Backward)|dropout|add|copyChannels|pool(Forward|Backward)|squaredError|optimizerStep)Kernel/, both],
  [/^squaresKernel/, loads],
  [/^(gatherImages|toLanes)Kernel/, stores],
  [/^fromLanesKernel/, loads],
];

/** What a kernel claims to have, [] if nothing. */
export const claimsOf = (kernel) => claims.filter(([name]) => name.test(kernel)).flatMap(([, names]) => names);
/** What its PTX shows. */
export const instructionNames = (ptx) => Object.keys(patterns).filter((name) => patterns[name].test(ptx));
export const missingInstructions = (kernel, ptx) => claimsOf(kernel).filter((name) => !patterns[name].test(ptx));
/** Claims that no kernel of this list makes: the kernel was renamed. */
export const unclaimed = (kernels) => claims.filter(([name]) => !kernels.some((kernel) => name.test(kernel))).map(([name]) => String(name));
