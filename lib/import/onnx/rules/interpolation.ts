/** Resize as a matrix for each axis: cubic, with antialiasing, of a part of the input, and of any axis. */
import { item } from '../../../indexing.js';
import { applyAffine, spread } from '../affine.js';
import { optionalConstant, type RuleContext } from '../context.js';
import { Unsupported } from '../errors.js';
import type { Activation } from '../layout.js';
import { broadcastShape, type Constant, expand } from '../tensors.js';
import { contract } from './products.js';

/** Entries of a matrix that the importer makes. */
const MOST_ENTRIES = 2 ** 24;

/** One axis that is resized. */
export interface Resized {
  axis: number;
  from: number;
  to: number;
  /** to / from, or what the file gives. */
  scale: number;
}

/** As the file says it. */
export interface Resizing {
  mode: string;
  coordinates: string;
  /** How nearest rounds. */
  nearest: string;
}

/** Where in the input each place of the result lies, and whether that is outside of what is cut out. */
type Coordinates = (i: number) => number;

function coordinatesOf(c: RuleContext, mode: string, { axis, from, to, scale }: Resized, rank: number): Coordinates {
  const half: Coordinates = (i) => (i + 0.5) / scale - 0.5;
  switch (mode) {
    case 'half_pixel':
      return half;
    case 'pytorch_half_pixel':
      return to > 1 ? half : () => 0;
    case 'half_pixel_symmetric': {
      // What a rounded size cuts off or adds is shared by both sides.
      const offset = (from / 2) * (1 - to / (scale * from));
      return (i) => offset + half(i);
    }
    case 'tf_half_pixel_for_nn':
      return (i) => (i + 0.5) / scale;
    case 'asymmetric':
      return (i) => i / scale;
    case 'align_corners':
      return (i) => (scale * from === 1 ? 0 : (i * (from - 1)) / (scale * from - 1));
    case 'tf_crop_and_resize': {
      const roi = optionalConstant(c, 1, 'a region')?.data ?? [];
      if (roi.length !== 2 * rank) throw new Unsupported(`a beginning and an end for each of ${rank} axes as a region (it has ${roi.length})`);
      const [start, end] = [item(roi, axis), item(roi, axis + rank)];
      return (i) => (to > 1 ? start * (from - 1) + (i * (end - start) * (from - 1)) / (to - 1) : 0.5 * (start + end) * (from - 1));
    }
    default:
      throw new Unsupported(`coordinates of the standard (they are by "${mode}")`);
  }
}

/** The weight of what lies `distance` away. */
type Kernel = (distance: number) => number;

const linear: Kernel = (d) => Math.max(0, 1 - Math.abs(d));
/** Keys' kernel with the coefficient a. */
const cubic =
  (a: number): Kernel =>
  (distance) => {
    const d = Math.abs(distance);
    if (d <= 1) return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1;
    return d < 2 ? a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a : 0;
  };

const roundings: Record<string, (x: number) => number> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** How a value is made of those beside it. */
interface Method {
  kernel: Kernel | undefined;
  /** Neighbours on each side that count. */
  reach: number;
  rounding: (x: number) => number;
  antialias: boolean;
  excludeOutside: boolean;
}

function methodOf({ node }: RuleContext, mode: string, nearest: string): Method {
  const kernels = new Map<string, [Kernel | undefined, number]>([
    ['nearest', [undefined, 0]],
    ['linear', [linear, 1]],
    ['cubic', [cubic(node.float('cubic_coeff_a', -0.75)), 2]],
  ]);
  const [kernel, reach] = kernels.get(mode) ?? [undefined, -1];
  if (reach < 0) throw new Unsupported(`the mode nearest, linear or cubic (it is ${mode})`);
  const rounding = roundings[nearest];
  if (!rounding) throw new Unsupported(`a nearest_mode of the standard (it is "${nearest}")`);
  return { kernel, reach, rounding, antialias: node.int('antialias', 0) !== 0, excludeOutside: node.int('exclude_outside', 0) !== 0 };
}

/** One row of the matrix: the value at x. Neighbours outside are the edge, or with exclude_outside count nothing. */
function row(weights: Float32Array, x: number, from: number, scale: number, { kernel, reach, rounding, antialias, excludeOutside }: Method): void {
  const within = (i: number) => Math.min(Math.max(i, 0), from - 1);
  if (!kernel) {
    weights[within(rounding(x))] = 1;
    return;
  }
  const stretch = antialias ? Math.min(1, scale) : 1;
  const radius = reach / stretch;
  const taps: [number, number][] = [];
  for (let i = Math.ceil(x - radius); i <= Math.floor(x + radius); i++) {
    const inside = i >= 0 && i < from;
    if (inside || !excludeOutside) taps.push([within(i), kernel((i - x) * stretch)]);
  }
  const sum = antialias || excludeOutside ? taps.reduce((total, [, w]) => total + w, 0) : 1;
  for (const [i, w] of taps) weights[i] = (weights[i] as number) + w / sum;
}

/** The axes one by one, each a product with a matrix; outside of a region that is cut out is the value of the file. */
export function interpolated(c: RuleContext, x: Activation, axes: Resized[], { mode, coordinates, nearest }: Resizing): Activation {
  const method = methodOf(c, mode, nearest);
  const isCut = coordinates === 'tf_crop_and_resize';
  let y = x;
  let outside: Constant = { shape: x.shape.map(() => 1), data: Float32Array.of(0), isInteger: false };
  for (const resized of axes) {
    const { axis, from, to, scale } = resized;
    if (from * to > MOST_ENTRIES) throw new Unsupported(`a matrix of at most ${MOST_ENTRIES} numbers for axis ${axis} (it is ${to}×${from})`);
    const at = coordinatesOf(c, coordinates, resized, x.rank);
    const data = new Float32Array(to * from);
    const gone = new Float32Array(to);
    for (let i = 0; i < to; i++) {
      const place = at(i);
      gone[i] = Number(isCut && (place < 0 || place > from - 1));
      if (gone[i] === 0) row(data.subarray(i * from, (i + 1) * from), place, from, scale, method);
    }
    if (to !== from || data.some((w, i) => w !== Number(i % (from + 1) === 0)))
      y = contract(c, y, axis, { shape: [to, from], data, isInteger: false }, { compress: false });
    const own = { shape: x.shape.map((_, i) => (i === axis ? to : 1)), data: gone, isInteger: false };
    const shape = broadcastShape(outside.shape, own.shape) as number[];
    const more = expand(own, shape);
    outside = { ...more, data: expand(outside, shape).data.map((a, i) => Math.max(a, item(more.data, i))) as Float32Array };
  }
  const fill = c.node.float('extrapolation_value', 0);
  if (!isCut || fill === 0) return y;
  return applyAffine(c, spread(c, y, outside), (on) => ({ scale: 1, shift: on ? fill : 0 }));
}
