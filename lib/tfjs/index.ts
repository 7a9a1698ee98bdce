/**
 * A backend of TensorFlow.js: with `selfcompress/tfjs` imported, `await tf.setBackend('selfcompress')`.
 *
 * Convolutions, products of matrices, poolings, their gradients, batch norm and common functions of single elements run on the native
 * kernels, with all cores and before they return. Every other kernel is the CPU backend's of TensorFlow.js, on the same memory.
 */
import '@tensorflow/tfjs-backend-cpu';
import {
  copyRegisteredKernels,
  findBackend,
  getKernelsForBackend,
  type KernelFunc,
  registerBackend,
  registerKernel,
  unregisterKernel,
} from '@tensorflow/tfjs-core';
import { activationKernels } from './activation.js';
import { arithmeticKernels } from './arithmetic.js';
import { nativeCallCounts, type OwnKernel, SelfcompressBackend, withOther } from './backend.js';
import { convolutionKernels } from './convolution.js';
import { matmulKernels } from './matmul.js';
import { normKernels } from './norm.js';
import { poolingKernels } from './pooling.js';
import { scriptedKernels } from './scripted.js';

const name = 'selfcompress';
const native: OwnKernel[] = [...convolutionKernels, ...matmulKernels, ...poolingKernels, ...normKernels, ...activationKernels, ...arithmeticKernels];

function register(): void {
  const others = new Map<string, KernelFunc>(getKernelsForBackend('cpu').map((kernel) => [kernel.kernelName, kernel.kernelFunc]));
  copyRegisteredKernels('cpu', name);
  for (const kernel of [...native, ...scriptedKernels]) {
    const other = others.get(kernel.name);
    if (other === undefined) continue; // another release of TensorFlow.js does not have it
    unregisterKernel(kernel.name, name);
    registerKernel({ kernelName: kernel.name, backendName: name, kernelFunc: withOther(kernel, native.includes(kernel), other) });
  }
  registerBackend(name, () => new SelfcompressBackend(), 0);
}

if (findBackend(name) === null) register();

/** The kernels that have native code. */
export const nativeKernels: readonly string[] = native.map((kernel) => kernel.name);

/** How often each of them ran on native code in this process, by its name. */
export function nativeCalls(): Record<string, number> {
  return Object.fromEntries(nativeCallCounts);
}
