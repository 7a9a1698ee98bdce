/** Products of matrices on native code. */
import { broadcast_util, type TensorInfo } from '@tensorflow/tfjs-core';
import { binding } from '../binding.js';
import { activated, type FusedActivation, isWithin } from './activation.js';
import { areFloats, type KernelCall, type OwnKernel, sizeOf } from './backend.js';

interface MatmulAttributes {
  transposeA: boolean;
  transposeB: boolean;
}

type Call = KernelCall<'a' | 'b' | 'bias', MatmulAttributes>;

function product({ inputs: { a, b, bias }, attrs, backend }: Call, relu = false): TensorInfo | undefined {
  if (!areFloats(a, b, bias)) return undefined;
  const { transposeA, transposeB } = attrs;
  const [rows, inner] = lastTwo(a.shape, transposeA);
  const [innerB, columns] = lastTwo(b.shape, transposeB);
  const [batchA, batchB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const outer = broadcast_util.assertAndGetBroadcastShape(batchA, batchB);
  const batch = sizeOf(outer);
  // A batch is either the whole one or one matrix for all of it.
  const fits = (given: number[]) => sizeOf(given) === batch || sizeOf(given) === 1;
  if (inner !== innerB || !fits(batchA) || !fits(batchB) || (bias !== undefined && sizeOf(bias.shape) !== columns)) return undefined;
  const output = new Float32Array(batch * rows * columns);
  binding.matmulSync({
    batch,
    rows,
    inner,
    columns,
    transposeA,
    transposeB,
    a: backend.floats(a),
    b: backend.floats(b),
    ...(bias === undefined ? {} : { bias: backend.floats(bias) }),
    relu,
    output,
  });
  return backend.output([...outer, rows, columns], output);
}

function lastTwo(shape: number[], transpose: boolean): [number, number] {
  const [first, second] = shape.slice(-2) as [number, number];
  return transpose ? [second, first] : [first, second];
}

type FusedCall = KernelCall<'a' | 'b' | 'bias' | 'preluActivationWeights', MatmulAttributes & FusedActivation>;

export const matmulKernels: OwnKernel[] = [
  { name: 'BatchMatMul', run: (call: Call) => product(call) },
  {
    name: '_FusedMatMul',
    run(call: FusedCall) {
      const result = product(call, isWithin(call.attrs));
      return result && activated(call.backend, result, call.attrs, call.inputs.preluActivationWeights);
    },
  },
];
