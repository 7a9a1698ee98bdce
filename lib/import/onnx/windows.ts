/** Windows that move over images and sequences: kernels, strides and padding as ONNX says them. */
import { type OnnxNode, Unsupported } from './context.js';

export interface Window {
  /** Fields of a node here; a sequence is an image of one row. */
  kernel: [number, number];
  stride: [number, number];
  padding: [number, number];
  dilation: [number, number];
  /** Positions of the result. */
  positions: number[];
}

const asPair = (values: number[], ones: number) => (values.length === 1 ? [ones, values[0]] : [values[0], values[1]]) as [number, number];

/** Padding at the beginning and the end of every axis. */
function paddings(node: OnnxNode, size: number[], reach: number[], stride: number[]): [number, number][] {
  const auto = node.text('auto_pad', 'NOTSET');
  const given = node.ints('pads') ?? size.flatMap(() => [0, 0]);
  return size.map((length, i) => {
    if (auto === 'NOTSET') return [given[i] as number, given[i + size.length] as number];
    if (auto === 'VALID') return [0, 0];
    const total = Math.max(0, (Math.ceil(length / stride[i]!) - 1) * stride[i]! + reach[i]! - length);
    const less = Math.floor(total / 2);
    return auto === 'SAME_LOWER' ? [total - less, less] : [less, total - less];
  });
}

/** @throws Unsupported for other than one or two axes, unequal padding, and windows that end outside (ceil_mode) */
export function windowOf(node: OnnxNode, shape: number[], kernelShape: number[]): Window {
  const size = shape.slice(2);
  if (size.length < 1 || size.length > 2) throw new Unsupported(`windows over one or two axes (the input is [${shape}])`);
  const stride = node.ints('strides') ?? size.map(() => 1);
  const dilation = node.ints('dilations') ?? size.map(() => 1);
  const reach = kernelShape.map((k, i) => (k - 1) * dilation[i]! + 1);
  const padding = paddings(node, size, reach, stride);
  const uneven = padding.some(([begin, end]) => begin !== end);
  if (uneven) throw new Unsupported(`padding that differs between the sides of an axis (${padding.map(([a, b]) => `${a} and ${b}`).join(', ')})`);
  const positions = size.map((length, i) => {
    const left = length + padding[i]![0] + padding[i]![1] - reach[i]!;
    if (left < 0) throw new Unsupported(`windows that fit their input (kernel [${kernelShape}] on [${shape}])`);
    if (node.int('ceil_mode', 0) === 1 && left % stride[i]! !== 0) throw new Unsupported('ceil_mode where the last window ends outside');
    return Math.floor(left / stride[i]!) + 1;
  });
  return {
    kernel: asPair(kernelShape, 1),
    stride: asPair(stride, 1),
    padding: asPair(
      padding.map(([begin]) => begin),
      0,
    ),
    dilation: asPair(dilation, 1),
    positions,
  };
}
