// Convolutions as the benches name them: [inChannels, outChannels, size, kernel, padding], 128 images.
const BATCH = 128;

export const passes = ['forward', 'gradInput', 'gradWeight'];

/** As the tables name it. */
export const label = ([ins, outs, size, kernel]) => `${ins} → ${outs}, ${size}², ${kernel}×${kernel}`;

/** The request to a server (servers.mjs). */
export const convLine = (pass, [ins, outs, size, kernel, padding]) => `conv ${pass} ${ins} ${outs} ${size} ${kernel} ${padding} ${BATCH}`;

const outSize = ([, , size, kernel, padding]) => size + 2 * padding - kernel + 1;

/** Multiply-adds of the direct algorithm, the same for each pass. */
export const multiplyAdds = (shape) => BATCH * outSize(shape) ** 2 * shape[0] * shape[1] * shape[3] ** 2;

/** Bytes of input, output and weights. */
export const bytesOf = (shape) => 4 * (BATCH * (shape[0] * shape[2] ** 2 + shape[1] * outSize(shape) ** 2) + shape[0] * shape[1] * shape[3] ** 2);

/** The fewest multiply-adds that a form of ours takes: the direct one, or Winograd's with tiles of 4×4 pixels of what a pass writes. */
export function leastMultiplyAdds(pass, shape) {
  const [ins, outs, size, kernel] = shape;
  const points = { 3: 36, 5: 64 }[kernel];
  if (!points) return multiplyAdds(shape);
  const tiles = Math.ceil((pass === 'gradInput' ? size : outSize(shape)) / 4) ** 2;
  return Math.min(multiplyAdds(shape), BATCH * tiles * points * ins * outs);
}
