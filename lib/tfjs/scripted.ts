/** Kernels without arithmetic to speak of, in JavaScript that does not go through indices of every element as the CPU backend does. */
import { areFloats, type KernelCall, type OwnKernel, sizeOf } from './backend.js';

export const scriptedKernels: OwnKernel[] = [
  {
    name: 'Tile',
    // Along leading axes: the whole, again and again.
    run({ inputs: { x }, attrs: { reps }, backend }: KernelCall<'x', { reps: number[] }>) {
      const shape = x.shape.map((size, i) => size * (reps[i] ?? 1));
      const last = reps.reduce((found, times, i) => (times === 1 ? found : i), -1);
      if (!areFloats(x) || reps.length !== x.shape.length || x.shape.slice(0, last + 1).some((size) => size !== 1) || sizeOf(shape) === 0)
        return undefined;
      const values = backend.floats(x);
      const output = new Float32Array(sizeOf(shape));
      output.set(values);
      for (let done = values.length; done < output.length; done *= 2) output.copyWithin(done, 0, Math.min(done, output.length - done));
      return backend.output(shape, output);
    },
  },
  {
    name: 'Step',
    run({ inputs: { x }, attrs: { alpha }, backend }: KernelCall<'x', { alpha: number }>) {
      if (!areFloats(x)) return undefined;
      const input = backend.floats(x);
      const output = new Float32Array(input.length);
      for (let i = 0; i < input.length; i++) {
        const value = input[i] as number;
        output[i] = value > 0 ? 1 : Number.isNaN(value) ? value : alpha;
      }
      return backend.output(x.shape, output);
    },
  },
];
