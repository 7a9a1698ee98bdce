/** Windows that move over images and sequences: kernels, strides and padding as ONNX says them. */
import { item } from '../../indexing.js';
import type { OnnxNode } from './context.js';
import { Unsupported } from './errors.js';

type Pair = [number, number];

/** Positions that an axis gets: of padding, and behind it, of the last window in ceil_mode. */
interface Sides {
  begin: number;
  end: number;
  more: number;
}

export interface Window {
  /** Fields of a node here; a sequence is an image of one row. */
  kernel: Pair;
  stride: Pair;
  padding: Pair;
  dilation: Pair;
  /** Padding that differs between the sides of an axis, ceil_mode's with it; `padding` is 0 then. */
  uneven: { before: Pair; after: Pair } | undefined;
  /** Positions of the result. */
  positions: number[];

  /** The same for each axis of the file. */
  kernelShape: number[];
  strides: number[];
  dilations: number[];
  reach: number[];
  sides: Sides[];
  /** All padding, as a node's fields. */
  all: { before: Pair; after: Pair };
}

/** Of a kernel, a stride, a padding. */
const MOST = 2 ** 20;

const asPair = (values: number[], ones: number): Pair => (values.length === 1 ? [ones, item(values, 0)] : [item(values, 0), item(values, 1)]);

/** @throws Unsupported unless there is a whole number of at least `low` for each of `count` */
export function checkEach(what: string, values: number[], count: number, low: number): void {
  const pass = values.length === count && values.every((value) => Number.isInteger(value) && value >= low && value <= MOST);
  if (!pass) throw new Unsupported(`${count} whole numbers from ${low} to ${MOST} as ${what} (they are [${values}])`);
}

/** Padding at the beginning and the end of an axis. */
function padding(node: OnnxNode, i: number, axes: number, length: number, reach: number, stride: number): [number, number] {
  const auto = node.text('auto_pad', 'NOTSET');
  if (auto === 'VALID') return [0, 0];
  if (auto === 'NOTSET') {
    const given = node.ints('pads') ?? new Array<number>(2 * axes).fill(0);
    checkEach('padding', given, 2 * axes, 0);
    return [item(given, i), item(given, i + axes)];
  }
  if (auto !== 'SAME_UPPER' && auto !== 'SAME_LOWER') throw new Unsupported(`an auto_pad of the standard (it is "${auto}")`);
  const total = Math.max(0, (Math.ceil(length / stride) - 1) * stride + reach - length);
  const less = Math.floor(total / 2);
  return auto === 'SAME_LOWER' ? [total - less, less] : [less, total - less];
}

/** Positions of the result, and what the last window needs behind the padding. */
function lengthOf(length: number, [begin, end]: [number, number], reach: number, stride: number, ceil: boolean): [number, number] | undefined {
  const left = length + begin + end - reach;
  if (left < 0) return undefined;
  const whole = Math.floor(left / stride) + 1;
  if (!ceil || left % stride === 0) return [whole, 0];
  // A window that would start behind the input and its padding at the beginning is left out.
  if (whole * stride >= length + begin) return [whole, 0];
  return [whole + 1, whole * stride + reach - (length + begin + end)];
}

/** @throws Unsupported for sizes that are not one for each axis, and for windows that do not fit */
export function windowOf(node: OnnxNode, shape: number[], kernelShape: number[], mostAxes = 2): Window {
  const size = shape.slice(2);
  if (size.length < 1 || size.length > mostAxes) throw new Unsupported(`windows over one or two axes (the input is [${shape}])`);
  const strides = node.ints('strides') ?? size.map(() => 1);
  const dilations = node.ints('dilations') ?? size.map(() => 1);
  checkEach('the kernel', kernelShape, size.length, 1);
  checkEach('strides', strides, size.length, 1);
  checkEach('dilations', dilations, size.length, 1);
  const reach = kernelShape.map((k, i) => (k - 1) * item(dilations, i) + 1);
  const positions: number[] = [];
  const sides = size.map((length, i): Sides => {
    const pads = padding(node, i, size.length, length, item(reach, i), item(strides, i));
    const result = lengthOf(length, pads, item(reach, i), item(strides, i), node.int('ceil_mode', 0) === 1);
    if (!result) throw new Unsupported(`windows that fit their input (kernel [${kernelShape}] on [${shape}])`);
    positions.push(result[0]);
    return { begin: pads[0], end: pads[1], more: result[1] };
  });
  const fields = size.length > 2 ? size.slice(0, 2).map((_, i) => i) : size.map((_, i) => i);
  const pair = (of: (i: number) => number, ones: number) => asPair(fields.map(of), ones);
  const before = pair((i) => item(sides, i).begin, 0);
  const after = pair((i) => item(sides, i).end + item(sides, i).more, 0);
  const uneven = before.join() !== after.join();
  return {
    kernel: pair((i) => item(kernelShape, i), 1),
    stride: pair((i) => item(strides, i), 1),
    padding: uneven ? [0, 0] : before,
    dilation: pair((i) => item(dilations, i), 1),
    uneven: uneven ? { before, after } : undefined,
    positions,
    kernelShape,
    strides,
    dilations,
    reach,
    sides,
    all: { before, after },
  };
}
