import { uniform } from '../network/initial.js';

/** Whole numbers below a bound, from the seed and the number of the epoch alone. */
function integersOfEpoch(seed: number, epoch: number): (bound: number) => number {
  // Of seeds above 2^32, the high half goes into the generator's other words: seeds that share a low half have orders of their own.
  const random = uniform(Math.imul(seed, 0x9e3779b1) ^ Math.imul(epoch, 0x85ebca6b), Math.floor(seed / 2 ** 32));
  return (bound) => Math.floor(((random() * 0x1000000 + random()) / 0x1000000) * bound);
}

/** Places 0..places-1 where windows begin, `count` of them, each as likely as another. */
export function windowStarts(places: number, count: number, seed: number, epoch: number): Int32Array {
  const below = integersOfEpoch(seed, epoch);
  const starts = new Int32Array(count);
  for (let i = 0; i < count; i++) starts[i] = below(places);
  return starts;
}

/** 0..count-1 in the order of this epoch (Fisher–Yates). */
export function shuffledIndices(count: number, seed: number, epoch: number): Int32Array {
  const below = integersOfEpoch(seed, epoch);
  const order = allIndices(count);
  for (let i = count - 1; i > 0; i--) {
    const j = below(i + 1);
    const other = order[j] as number; // j ≤ i
    order[j] = order[i] as number;
    order[i] = other;
  }
  return order;
}

/** 0..count-1 in order. */
export function allIndices(count: number): Int32Array {
  const indices = new Int32Array(count);
  for (let i = 0; i < count; i++) indices[i] = i;
  return indices;
}
