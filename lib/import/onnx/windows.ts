/** Windows that move over images and sequences: kernels, strides and padding as ONNX says them. */
import { item } from '../../indexing.js';
import { type OnnxNode, Unsupported } from './context.js';

export interface Window {
  /** Fields of a node here; a sequence is an image of one row. */
  kernel: [number, number];
  stride: [number, number];
  padding: [number, number];
  dilation: [number, number];
  /** Padding that differs between the sides of an axis; `padding` is 0 then. */
  uneven: { before: [number, number]; after: [number, number] } | undefined;
  /** Positions of the result. */
  positions: number[];
}

const asPair = (values: number[], ones: number): [number, number] =>
  values.length === 1 ? [ones, item(values, 0)] : [item(values, 0), item(values, 1)];

/** @throws Unsupported unless there is a whole number of at least `low` for each of `count` */
export function checkEach(what: string, values: number[], count: number, low: number): void {
  const pass = values.length === count && values.every((value) => Number.isSafeInteger(value) && value >= low);
  if (!pass) throw new Unsupported(`${count} whole numbers of at least ${low} as ${what} (they are [${values}])`);
}

/** Padding at the beginning and the end of every axis. */
function paddings(node: OnnxNode, size: number[], reach: number[], stride: number[]): [number, number][] {
  const auto = node.text('auto_pad', 'NOTSET');
  const given = node.ints('pads') ?? size.flatMap(() => [0, 0]);
  if (auto === 'NOTSET') checkEach('padding', given, 2 * size.length, 0);
  return size.map((length, i) => {
    if (auto === 'NOTSET') return [item(given, i), item(given, i + size.length)];
    if (auto === 'VALID') return [0, 0];
    const by = item(stride, i);
    const total = Math.max(0, (Math.ceil(length / by) - 1) * by + item(reach, i) - length);
    const less = Math.floor(total / 2);
    return auto === 'SAME_LOWER' ? [total - less, less] : [less, total - less];
  });
}

/** @throws Unsupported for sizes that are not one for each axis, other than one or two axes, and windows that end outside (ceil_mode) */
export function windowOf(node: OnnxNode, shape: number[], kernelShape: number[]): Window {
  const size = shape.slice(2);
  if (size.length < 1 || size.length > 2) throw new Unsupported(`windows over one or two axes (the input is [${shape}])`);
  const stride = node.ints('strides') ?? size.map(() => 1);
  const dilation = node.ints('dilations') ?? size.map(() => 1);
  checkEach('the kernel', kernelShape, size.length, 1);
  checkEach('strides', stride, size.length, 1);
  checkEach('dilations', dilation, size.length, 1);
  const reach = kernelShape.map((k, i) => (k - 1) * item(dilation, i) + 1);
  const padding = paddings(node, size, reach, stride);
  const sides = (side: 0 | 1): [number, number] =>
    asPair(
      padding.map((of) => of[side]),
      0,
    );
  const uneven = padding.some(([begin, end]) => begin !== end) ? { before: sides(0), after: sides(1) } : undefined;
  const positions = size.map((length, i) => {
    const [begin, end] = item(padding, i);
    const by = item(stride, i);
    const left = length + begin + end - item(reach, i);
    if (left < 0) throw new Unsupported(`windows that fit their input (kernel [${kernelShape}] on [${shape}])`);
    if (node.int('ceil_mode', 0) === 1 && left % by !== 0) throw new Unsupported('ceil_mode where the last window ends outside');
    return Math.floor(left / by) + 1;
  });
  return {
    kernel: asPair(kernelShape, 1),
    stride: asPair(stride, 1),
    padding: uneven ? [0, 0] : sides(0),
    dilation: asPair(dilation, 1),
    uneven,
    positions,
  };
}
