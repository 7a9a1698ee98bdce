/** Arithmetic of two tensors, and sums and means over leading axes, on native code. */
import { broadcast_util, type TensorInfo } from '@tensorflow/tfjs-core';
import { binding } from '../binding.js';
import { areFloats, type KernelCall, type OwnKernel, type SelfcompressBackend, sizeOf } from './backend.js';

type Kind = 'add' | 'subtract' | 'multiply' | 'divide';

function withoutLeadingOnes(shape: number[]): number[] {
  const first = shape.findIndex((size) => size !== 1);
  return first === -1 ? [] : shape.slice(first);
}

/** Whether `small` meets `large` as one number, as the same, or as a row for all rows: its axes are the last ones. */
function meets(large: number[], small: number[]): boolean {
  const rest = withoutLeadingOnes(small);
  return rest.every((size, i) => size === large[large.length - rest.length + i]);
}

function arithmetic(name: string, kind: Kind): OwnKernel {
  return {
    name,
    run({ inputs: { a, b }, backend }: KernelCall<'a' | 'b', unknown>) {
      if (!areFloats(a, b)) return undefined;
      const shape = broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape);
      const count = sizeOf(shape);
      const reversed = sizeOf(a.shape) < count;
      const [large, small] = reversed ? [b, a] : [a, b];
      if (sizeOf(large.shape) !== count || !meets(shape, small.shape)) return undefined;
      const columns = sizeOf(small.shape) === 1 ? 1 : sizeOf(small.shape);
      // Of the same size: rows may be of any length.
      const width = columns === count || columns === 1 ? evenWidth(count) : columns;
      const output = new Float32Array(count);
      binding.elementwiseSync({
        kind,
        rows: count / width,
        columns: width,
        reversed,
        a: backend.floats(large),
        b: backend.floats(small),
        output,
      });
      return backend.output(shape, output);
    },
  };
}

/** A length of rows that divides the count, for work to be shared. */
function evenWidth(count: number): number {
  for (const width of [4096, 64, 10, 3, 2]) if (count % width === 0) return width;
  return 1;
}

/** undefined where not all of the first axes and none of the others are summed over; without `axis`: over all. */
function sumOfLeading(
  x: TensorInfo,
  axis: number | number[] | null | undefined,
  backend: SelfcompressBackend,
): { sums: Float32Array; rows: number } | undefined {
  const rank = x.shape.length;
  if (axis === null || axis === undefined) return undefined;
  const axes = new Set([axis].flat().map((a) => (a < 0 ? a + rank : a)));
  if (!areFloats(x) || axes.size === 0 || axes.size === rank || [...axes].some((a) => a >= axes.size)) return undefined;
  const columns = sizeOf(x.shape.slice(axes.size));
  const rows = sizeOf(x.shape.slice(0, axes.size));
  const sums = new Float32Array(columns);
  binding.sumOfRowsSync({ rows, columns, input: backend.floats(x), output: sums });
  return { sums, rows };
}

function reduction(name: string, mean: boolean): OwnKernel {
  return {
    name,
    run({ inputs: { x }, attrs: { axis, keepDims }, backend }: KernelCall<'x', { axis: number | number[]; keepDims: boolean }>) {
      const reduced = sumOfLeading(x, axis, backend);
      if (reduced === undefined) return undefined;
      const axes = [axis].flat().length;
      const shape = [...(keepDims ? new Array<number>(axes).fill(1) : []), ...x.shape.slice(axes)];
      return backend.output(shape, mean ? reduced.sums.map((sum) => sum / reduced.rows) : reduced.sums);
    },
  };
}

export const arithmeticKernels: OwnKernel[] = [
  arithmetic('Add', 'add'),
  arithmetic('Sub', 'subtract'),
  arithmetic('Multiply', 'multiply'),
  arithmetic('RealDiv', 'divide'),
  reduction('Sum', false),
  reduction('Mean', true),
];
