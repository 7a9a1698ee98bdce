/** Poolings and their gradients on native code. */
import { backend_util, type TensorInfo } from '@tensorflow/tfjs-core';
import { binding, type PoolGeometry } from '../binding.js';
import { areFloats, type KernelCall, type OwnKernel, sizeOf } from './backend.js';
import { windowOf } from './windows.js';

interface PoolAttributes {
  filterSize: [number, number] | number;
  strides: [number, number] | number;
  pad: Parameters<typeof backend_util.computePool2DInfo>[4];
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

function poolOf(shape: number[], kind: 'max' | 'average', attrs: PoolAttributes): { geometry: PoolGeometry; outShape: number[] } | undefined {
  const { filterSize, strides, pad, dimRoundingMode } = attrs;
  const info = backend_util.computePool2DInfo(shape as [number, number, number, number], filterSize, strides, 1, pad, dimRoundingMode);
  const window = windowOf(info);
  if (window === undefined) return undefined;
  const { padding, paddingEnd, kernel } = window;
  const asymmetric = padding[0] !== paddingEnd[0] || padding[1] !== paddingEnd[1];
  // Averages count what lies inside the image, which takes the same padding on both sides; and no window may lie outside it.
  if (asymmetric && kind === 'average') return undefined;
  if ([padding, paddingEnd].some((sides) => sides.some((size, i) => 2 * size > (kernel[i] as number)))) return undefined;
  return {
    outShape: info.outShape,
    geometry: {
      layout: 'nhwc',
      batch: info.batchSize,
      channels: info.inChannels,
      height: info.inHeight,
      width: info.inWidth,
      kind,
      countIncludePad: false,
      ...window,
    },
  };
}

/** The native maximum of anything and NaN is NaN; TensorFlow.js leaves NaN out. */
const hasNaN = (values: Float32Array): boolean => values.some(Number.isNaN);

function forward({ inputs: { x }, attrs, backend }: KernelCall<'x', PoolAttributes>, kind: 'max' | 'average'): TensorInfo | undefined {
  if (!areFloats(x)) return undefined;
  const pool = poolOf(x.shape, kind, attrs);
  if (pool === undefined) return undefined;
  const output = new Float32Array(sizeOf(pool.outShape));
  binding.poolForwardSync({ ...pool.geometry, input: backend.floats(x), output });
  if (kind === 'max' && hasNaN(output)) return undefined;
  return backend.output(pool.outShape, output);
}

function backward({ inputs: { dy, input }, attrs, backend }: KernelCall<'dy' | 'input', PoolAttributes>, kind: 'max' | 'average') {
  if (!areFloats(dy, input)) return undefined;
  const pool = poolOf(input.shape, kind, attrs);
  if (pool === undefined || sizeOf(pool.outShape) !== sizeOf(dy.shape)) return undefined;
  if (kind === 'max' && hasNaN(backend.floats(input))) return undefined;
  const output = new Float32Array(sizeOf(input.shape));
  binding.poolBackwardSync({ ...pool.geometry, input: backend.floats(input), gradOutput: backend.floats(dy), gradInput: output });
  return backend.output(input.shape, output);
}

export const poolingKernels: OwnKernel[] = [
  { name: 'MaxPool', run: (call) => forward(call, 'max') },
  { name: 'AvgPool', run: (call) => forward(call, 'average') },
  { name: 'MaxPoolGrad', run: (call) => backward(call, 'max') },
  { name: 'AvgPoolGrad', run: (call) => backward(call, 'average') },
];
