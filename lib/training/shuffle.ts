import { uniform } from '../network/initial.js';

/** 0..count-1 in the order of this epoch (Fisher–Yates), from the seed and the number of the epoch alone. */
export function shuffledIndices(count: number, seed: number, epoch: number): Int32Array {
  const random = uniform((Math.imul(seed, 0x9e3779b1) ^ Math.imul(epoch, 0x85ebca6b)) | 0);
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(((random() * 0x1000000 + random()) / 0x1000000) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
