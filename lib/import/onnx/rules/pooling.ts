/** Maxima and means over windows, and over all positions. */
import { item } from '../../../indexing.js';
import { applyAffine, spread } from '../affine.js';
import { arrange, pick } from '../arrange.js';
import { activationOf, type RuleContext, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import { type Activation, MOST_INDICES } from '../layout.js';
import { onlyFirstOutput, type Rule, value } from '../results.js';
import { elementsOf } from '../tensors.js';
import { type Window, windowOf } from '../windows.js';
import { imageOf, imageResult, padded } from './convolution.js';
import { MAXIMUM, MEAN, type Reducer, reducedTo } from './reductions.js';

/** What lies inside the input of the window at every position, and how much of it counts. */
function counts(w: Window, sizes: number[], includePad: boolean): number[][] {
  return w.positions.map((count, axis) => {
    const { begin, end } = item(w.sides, axis);
    return Array.from({ length: count }, (_, i) => {
      const start = i * item(w.strides, axis) - begin;
      // ONNX counts padding that the file names, never what ceil_mode adds behind it.
      const [from, to] = includePad ? [-begin, item(sizes, axis) + end] : [0, item(sizes, axis)];
      const below = (limit: number) => Math.min(Math.max(Math.ceil((limit - start) / item(w.dilations, axis)), 0), item(w.kernelShape, axis));
      return below(to) - below(from);
    });
  });
}

/** Windows of any kind as elements side by side; outside of the input are zeros, or with `repeat` once more what is inside. */
function windowElements(c: RuleContext, x: Activation, w: Window, repeat: boolean): Activation {
  const sizes = x.shape.slice(2);
  const count = elementsOf([item(x.shape, 1), ...w.positions, ...w.kernelShape]);
  if (count > MOST_INDICES) throw new Unsupported(`at most ${MOST_INDICES} elements in windows that no node has (they are ${count})`);
  const placesOfWindow = (start: number, i: number): number[] => {
    const all = Array.from({ length: item(w.kernelShape, i) }, (_, k) => start + k * item(w.dilations, i));
    const isInside = (p: number) => p >= 0 && p < item(sizes, i);
    const inside = all.find(isInside);
    if (inside === undefined) throw new Unsupported('windows with something of the input in them');
    return all.map((p) => (isInside(p) ? p : repeat ? inside : -1));
  };
  // Of every axis: the places of each window, one window after the other.
  const places = w.positions.map((count, i) => {
    const inner = elementsOf(sizes.slice(i + 1));
    const windows = Array.from({ length: count }, (_, o) => placesOfWindow(o * item(w.strides, i) - item(w.sides, i).begin, i));
    return Int32Array.from(windows.flat(), (p) => (p < 0 ? -1 : p * inner));
  });
  const channels = item(x.shape, 1);
  const area = elementsOf(sizes);
  const index = new Int32Array(count);
  const one = windowsOf(w, places);
  for (let channel = 0; channel < channels; channel++)
    one.forEach((at, i) => {
      index[channel * one.length + i] = at < 0 ? -1 : at + channel * area;
    });
  return pick(c, x, [item(x.shape, 0), channels, ...w.positions, elementsOf(w.kernelShape)], x.batchAxis, index);
}

/** The elements of all windows of one channel: positions by positions, and for each its taps. */
function windowsOf(w: Window, places: Int32Array[]): Int32Array {
  let sums = Int32Array.of(0); // of the axes so far: for every position, its taps
  let tapsBefore = 1;
  for (const [i, table] of places.entries()) {
    const [taps, positions] = [item(w.kernelShape, i), item(w.positions, i)];
    const next = new Int32Array(sums.length * table.length);
    let at = 0;
    for (let before = 0; before < sums.length; before += tapsBefore) {
      for (let o = 0; o < positions; o++) {
        for (let k = 0; k < tapsBefore; k++) {
          const sum = sums[before + k] as number;
          for (let tap = o * taps; tap < (o + 1) * taps; tap++) {
            const place = table[tap] as number;
            next[at++] = sum < 0 || place < 0 ? -1 : sum + place;
          }
        }
      }
    }
    sums = next;
    tapsBefore *= taps;
  }
  return sums;
}

/**
 * Windows over three axes: over the first by itself, as the rows of an image whose columns are all the others, then over the other two.
 * `padding`: what stands outside.
 */
function poolOfVolume(c: RuleContext, x: Activation, w: Window, kind: string, padding: 'edge' | 'zeros'): Activation {
  const channels = item(x.shape, 1);
  const [depth = 1, height = 1, width = 1] = x.shape.slice(2);
  const [depths = 1, heights = 1, widths = 1] = w.positions;
  const over = (node: string, axes: (number | undefined)[]) => {
    const of = (list: number[], otherwise: number) => axes.map((axis) => (axis === undefined ? otherwise : item(list, axis)));
    const begins = w.sides.map(({ begin }) => begin);
    const ends = w.sides.map(({ end, more }) => end + more);
    const around = { before: of(begins, 0), after: of(ends, 0), mode: padding };
    const isPadded = [...around.before, ...around.after].some((p) => p > 0);
    const source = isPadded ? c.build.add('pad', `${c.node.label}_pad`, [node], around) : node;
    return c.build.add(kind, c.node.label, [source], { kernel: of(w.kernelShape, 1), stride: of(w.strides, 1), padding: [0, 0] });
  };
  const shaped = (node: string, of: number, positions: number[]) => c.build.add('reshape', c.node.label, [node], { channels: of, positions });
  const ordered = arrange(c, x, [[1], [2], [3], [4]]);
  const first = over(shaped(ordered, channels, [depth, height * width]), [0, undefined]);
  const second = over(shaped(first, channels * depths, [height, width]), [1, 2]);
  return imageResult(x, shaped(second, channels, [depths, heights, widths]), channels, w.positions);
}

/** By lists of elements, for windows that a node does not have: with gaps. */
const poolOfElements = (c: RuleContext, x: Activation, w: Window, by: Reducer): Activation =>
  reducedTo(c, windowElements(c, x, w, by.idempotent), [w.kernelShape.length + 2], by, false);

export const maxPool: Rule = (c) => {
  const x = activationOf(c);
  onlyFirstOutput(c);
  if (x.rank < 3 || (x.exampleShape[0] ?? 1) !== 1) throw new Unsupported(`a batch, channels and positions (the input is [${x.shape}])`);
  const w = windowOf(c.node, x.shape, c.node.ints('kernel_shape') ?? [], 3);
  // The edge is inside of every window that reaches over it, so that repeating it changes no maximum.
  const atEdge = w.sides.every(({ begin, end, more }, i) => begin < item(w.kernelShape, i) && end + more < item(w.kernelShape, i));
  if (w.dilations.some((d) => d !== 1) || !atEdge) return value(poolOfElements(c, x, w, MAXIMUM));
  if (w.positions.length > 2) return value(poolOfVolume(c, x, w, 'maxPool', 'edge'));
  const { kernel, stride, padding } = w;
  const even = !w.uneven && padding.every((p, i) => p <= item(kernel, i) >> 1);
  const name = c.build.add('maxPool', c.node.label, [even ? imageOf(c, x) : padded(c, imageOf(c, x), w.all, 'edge')], {
    kernel,
    stride,
    padding: even ? padding : [0, 0],
  });
  return value(imageResult(x, name, item(x.shape, 1), w.positions));
};

/** With zeros around the input where the node's padding is not enough, and factors where they are not counted. */
export const averagePool: Rule = (c) => {
  const x = activationOf(c);
  onlyFirstOutput(c);
  if (x.rank < 3 || (x.exampleShape[0] ?? 1) !== 1) throw new Unsupported(`a batch, channels and positions (the input is [${x.shape}])`);
  const w = windowOf(c.node, x.shape, c.node.ints('kernel_shape') ?? [], 3);
  const includePad = c.node.int('count_include_pad', 0) === 1;
  const { kernel, stride, padding } = w;
  const isDense = w.dilations.every((d) => d === 1);
  const isPlain = isDense && w.positions.length < 3;
  if (isPlain && !w.uneven && padding.every((p, i) => p <= item(kernel, i) >> 1)) {
    const name = c.build.add('averagePool', c.node.label, [imageOf(c, x)], { kernel, stride, padding, countIncludePad: includePad });
    return value(imageResult(x, name, item(x.shape, 1), w.positions));
  }
  const padAll = () => c.build.add('averagePool', c.node.label, [padded(c, imageOf(c, x), w.all)], { kernel, stride, padding: [0, 0] });
  const means = isPlain
    ? imageResult(x, padAll(), item(x.shape, 1), w.positions)
    : isDense
      ? poolOfVolume(c, x, w, 'averagePool', 'zeros')
      : poolOfElements(c, x, w, MEAN);
  const area = elementsOf(w.kernelShape);
  if (elementsOf(w.positions) > MOST_INDICES) throw new Unsupported(`at most ${MOST_INDICES} windows that reach outside unevenly`);
  const factors = counts(w, x.shape.slice(2), includePad)
    .reduce<number[]>((all, next) => all.flatMap((a) => next.map((b) => a * b)), [1])
    .map((n) => area / n);
  const constant = { shape: w.positions, data: Float32Array.from(factors), isInteger: false };
  return value(applyAffine(c, spread(c, means, constant), (factor) => ({ scale: factor, shift: 0 })));
};

/** Over all positions of every channel. */
export const globalPool =
  (by: Reducer): Rule =>
  (c): Value[] => {
    const x = activationOf(c);
    if (x.rank < 3) throw new Unsupported(`positions (the input is [${x.shape}])`);
    return value(
      reducedTo(
        c,
        x,
        x.shape.flatMap((_, i) => (i > 1 ? [i] : [])),
        by,
        true,
      ),
    );
  };
