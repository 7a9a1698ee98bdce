/**
 * Images of one size from images of another by averaging: a pixel of the result is the mean over the square of the original that it
 * covers. The result is scaled until it lies within the original, then centred in it, so that what is over at two sides is cut off.
 */
import { SLICE, type Steps } from '../pace.js';
import { allocate } from './byte-source.js';
import type { Dataset, Split } from './dataset.js';
import { statisticsOf } from './statistics.js';

/** What one row or column of the result is the mean of: the pixel `first` and those after it, by `weights`, whose sum is 1. */
interface Cover {
  first: number;
  weights: number[];
}

/** For each of `size` pixels that are `scale` wide in the original of `from` pixels. */
function covers(from: number, size: number, scale: number): Cover[] {
  const begin = (from - scale * size) / 2;
  return Array.from({ length: size }, (_, i) => {
    // Bounds that are off by rounding alone would read a pixel too many.
    const low = Math.max(0, begin + i * scale);
    const high = Math.min(from, begin + (i + 1) * scale);
    const first = Math.min(Math.floor(low + 1e-9), from - 1);
    const end = Math.max(Math.ceil(high - 1e-9), first + 1);
    const parts = Array.from({ length: end - first }, (_, k) => Math.min(high, first + k + 1) - Math.max(low, first + k));
    const sum = parts.reduce((a, b) => a + b, 0);
    return { first, weights: parts.map((part) => part / sum) };
  });
}

/** How planes of one size become those of another. */
export interface AreaResize {
  from: readonly [height: number, width: number];
  to: readonly [height: number, width: number];
}

/**
 * Planes [count × height × width] of bytes, each resized.
 * @param target of `count` planes of the new size
 */
export function* resizePlanes(planes: Uint8Array, { from: [height, width], to: [rows, columns] }: AreaResize, target: Uint8Array): Steps<void> {
  const scale = Math.min(height / rows, width / columns);
  const [vertical, horizontal] = [covers(height, rows, scale), covers(width, columns, scale)];
  const line = new Float64Array(width);
  let since = 0;
  for (let plane = 0, at = 0; plane < planes.length; plane += height * width) {
    for (const { first, weights } of vertical) {
      line.fill(0);
      for (let k = 0; k < weights.length; k++) {
        const row = plane + (first + k) * width;
        const weight = weights[k] as number;
        for (let x = 0; x < width; x++) line[x] = (line[x] as number) + weight * (planes[row + x] as number);
      }
      for (const { first: left, weights: across } of horizontal) {
        let sum = 0;
        for (let k = 0; k < across.length; k++) sum += (across[k] as number) * (line[left + k] as number);
        target[at++] = Math.round(sum);
      }
      since += (weights.length + 2) * width;
      if (since < SLICE) continue;
      since = 0;
      yield;
    }
  }
}

/** The images of a data set of bytes brought to `size`, and the statistics of those for training. */
export function* resizeDataset(data: Dataset, size: [height: number, width: number]): Steps<Dataset> {
  const { shape, train, test } = data;
  const [channels, height, width] = shape;
  if (height === size[0] && width === size[1]) return data;
  function* resized(split: Split): Steps<Split> {
    const images = allocate(split.count * channels * size[0] * size[1], data.name);
    yield* resizePlanes(split.images as Uint8Array, { from: [height, width], to: size }, images);
    return { ...split, images };
  }
  const small: Dataset = { ...data, shape: [channels, ...size], resize: 'area', train: yield* resized(train), test: yield* resized(test) };
  return { ...small, ...(yield* statisticsOf(small)) };
}

/** What `loadDataset` is to be told, so that a model gets images as those it was trained on. */
export function sizeFor({ resize }: { resize?: 'area' | undefined }, [, height, width]: readonly number[]): { size?: [number, number] } {
  return resize === 'area' && height !== undefined && width !== undefined ? { size: [height, width] } : {};
}
