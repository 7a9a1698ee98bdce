/** Batch norm by given statistics on native code. */
import { binding } from '../binding.js';
import { areFloats, type KernelCall, type OwnKernel, sizeOf } from './backend.js';

type Inputs = 'x' | 'scale' | 'offset' | 'mean' | 'variance';

export const normKernels: OwnKernel[] = [
  {
    name: 'FusedBatchNorm',
    run({ inputs: { x, scale, offset, mean, variance }, attrs: { varianceEpsilon }, backend }: KernelCall<Inputs, { varianceEpsilon: number }>) {
      const channels = x.shape[x.shape.length - 1] ?? 0;
      const perChannel = [scale, offset, mean, variance].every((tensor) => tensor === undefined || sizeOf(tensor.shape) === channels);
      if (!areFloats(x, scale, offset, mean, variance) || !perChannel || !(varianceEpsilon >= 1e-12 && varianceEpsilon <= 1)) return undefined;
      const input = backend.floats(x);
      const output = new Float32Array(input.length);
      const vectors = input.length / channels;
      if (vectors > 1 << 20) return undefined;
      binding.batchNormForwardSync({
        layout: 'nhwc',
        batch: vectors,
        channels,
        height: 1,
        width: 1,
        training: false,
        epsilon: varianceEpsilon,
        input,
        ...(scale === undefined ? {} : { weight: backend.floats(scale) }),
        ...(offset === undefined ? {} : { bias: backend.floats(offset) }),
        // Written in training alone; copies, since one tensor may stand for both.
        runningMean: backend.floats(mean).slice(),
        runningVar: backend.floats(variance).slice(),
        output,
      });
      return backend.output(x.shape, output);
    },
  },
];
