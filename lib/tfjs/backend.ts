/** The backend: the tensors of TensorFlow.js's CPU backend, in the same memory, with heavy kernels of its own. */
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs-core';

/** How often each kernel ran on native code, by its name. Not of one backend: TensorFlow.js makes a new one at every reset. */
export const nativeCallCounts = new Map<string, number>();

export class SelfcompressBackend extends MathBackendCPU {
  /** Values of a float32 tensor. One that was cast from integers may still hold those. */
  floats(tensor: TensorInfo): Float32Array {
    const { values } = this.data.get(tensor.dataId);
    return values instanceof Float32Array ? values : Float32Array.from(values as Int32Array);
  }
  output(shape: number[], values: Float32Array): TensorInfo {
    return this.makeTensorInfo(shape, 'float32', values);
  }
}

/** The arguments of a kernel, of which TensorFlow.js has checked the kinds. */
export interface KernelCall<Inputs extends string, Attributes> {
  inputs: Record<Inputs, TensorInfo>;
  attrs: Attributes;
  backend: SelfcompressBackend;
}

/**
 * A kernel in place of the CPU backend's where it can be.
 *
 * @param run the kernel's result, or undefined for arguments that it does not take; then the CPU backend's own kernel runs, on the same
 *   memory.
 */
export interface OwnKernel {
  name: string;
  // biome-ignore lint/suspicious/noExplicitAny: the kernels of TensorFlow.js have no common type of arguments
  run(call: KernelCall<any, any>): TensorInfo | undefined;
}

/** The kernel with the CPU backend's as the one that takes what is left; `native`: its calls are counted. */
export function withOther(kernel: OwnKernel, native: boolean, other: KernelFunc): KernelFunc {
  return (args) => {
    const result = kernel.run(args as unknown as KernelCall<string, unknown>);
    if (result === undefined) return other(args);
    if (native) nativeCallCounts.set(kernel.name, (nativeCallCounts.get(kernel.name) ?? 0) + 1);
    return result;
  };
}

/** Whether native code takes these tensors: float32, and not empty. */
export function areFloats(...tensors: (TensorInfo | undefined)[]): boolean {
  return tensors.every((tensor) => tensor === undefined || (tensor.dtype === 'float32' && tensor.shape.every((size) => size > 0)));
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
