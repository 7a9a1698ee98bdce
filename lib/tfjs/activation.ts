/** Functions of single elements on native code, and those that are fused behind convolutions and products. */
import { getKernel, type TensorInfo } from '@tensorflow/tfjs-core';
import { binding } from '../binding.js';
import { areFloats, type KernelCall, type OwnKernel, type SelfcompressBackend, sizeOf } from './backend.js';

export interface FusedActivation {
  activation?: string;
  leakyreluAlpha?: number;
}

type Kind = Parameters<typeof binding.activationForwardSync>[0]['kind'];
interface Parameters_ {
  alpha?: number;
  beta?: number;
}

function elementwise(name: string, kind: Kind, parameters: (attrs: { alpha: number }) => Parameters_ = () => ({})): OwnKernel {
  return {
    name,
    run({ inputs: { x }, attrs, backend }: KernelCall<'x', { alpha: number }>) {
      if (!areFloats(x)) return undefined;
      const input = backend.floats(x);
      const output = new Float32Array(input.length);
      const count = sizeOf(x.shape);
      // Any shape of so many elements will do.
      const width = count % 4096 === 0 ? 4096 : 1;
      const channels = Math.min(count / width, 1 << 20);
      if (count % (width * channels) !== 0) return undefined;
      const shape = { batch: count / (width * channels), channels, height: 1, width };
      binding.activationForwardSync({ ...shape, kind, ...parameters(attrs), input, output });
      return backend.output(x.shape, output);
    },
  };
}

export const activationKernels: OwnKernel[] = [
  elementwise('Relu', 'relu'),
  elementwise('Relu6', 'clip', () => ({ alpha: 0, beta: 6 })),
  elementwise('LeakyRelu', 'leakyRelu', ({ alpha }) => ({ alpha })),
  elementwise('Elu', 'elu', () => ({ alpha: 1 })),
  elementwise('Sigmoid', 'sigmoid'),
  elementwise('Tanh', 'tanh'),
  elementwise('Exp', 'exp'),
  elementwise('Sqrt', 'sqrt'),
  elementwise('Square', 'square'),
];

interface Fused {
  /** None: the function is the identity. */
  kernel?: string;
  /** The convolution or product does it itself. */
  within?: boolean;
  /** Has a tensor of slopes. */
  slopes?: boolean;
  /** The name of its parameter among the attributes. */
  alpha?: boolean;
}
/** By TensorFlow.js's names. */
const functions: Record<string, Fused> = {
  linear: {},
  relu: { within: true, kernel: 'Relu' },
  relu6: { kernel: 'Relu6' },
  elu: { kernel: 'Elu' },
  sigmoid: { kernel: 'Sigmoid' },
  prelu: { kernel: 'Prelu', slopes: true },
  leakyrelu: { kernel: 'LeakyRelu', alpha: true },
};
const functionOf = (name: string | null | undefined): Fused => functions[name ?? 'linear'] ?? { kernel: name as string };

/** Whether the operation itself sets negative results to zero. */
export const isWithin = ({ activation }: FusedActivation): boolean => functionOf(activation).within === true;

/** The fused function of a result, which is disposed of where another takes its place. */
export function activated(backend: SelfcompressBackend, x: TensorInfo, attrs: FusedActivation, slopes?: TensorInfo): TensorInfo {
  const { kernel, within, slopes: hasSlopes, alpha } = functionOf(attrs.activation);
  if (kernel === undefined || within) return x;
  const result = getKernel(kernel, 'selfcompress').kernelFunc({
    inputs: hasSlopes ? { x, alpha: slopes as TensorInfo } : { x },
    backend,
    attrs: alpha ? { alpha: attrs.leakyreluAlpha as number } : {},
  }) as TensorInfo;
  backend.disposeIntermediateTensorInfo(x);
  return result;
}
