/** Examples as arrays of numbers, and what the file says of them: floats, [channels × positions], normalised. */
import type { Metadata } from '../binding.js';
import { ModelFileError, wrongValue } from '../errors.js';

/** Per channel, after the division by 255. */
export interface Normalisation {
  mean: number[];
  std: number[];
}

/** What the file says of it, for every channel. */
export function normalisationOf({ mean, std }: Metadata, channels: number): Normalisation {
  return { mean: perChannel(mean, 'mean', channels, 0), std: perChannel(std, 'std', channels, 1) };
}

function perChannel(value: unknown, name: string, channels: number, otherwise: number): number[] {
  const list = value === undefined || (Array.isArray(value) && value.length === 0) ? [otherwise] : [value].flat().map(Number);
  if (list.length !== 1 && list.length !== channels)
    throw new ModelFileError(`Expected 1 or ${channels} numbers for the metadata's ${name} but received ${list.length}`);
  return Array.from({ length: channels }, (_, c) => list[list.length === 1 ? 0 : c] ?? otherwise);
}

/**
 * Writes floats as they are and bytes normalised to `target`; false for anything else.
 * @throws RangeError for another number of elements
 */
export function copyNumbers(input: unknown, argument: string, normalisation: Normalisation, target: Float32Array): boolean {
  const isFloats = input instanceof Float32Array;
  if (!isFloats && !(input instanceof Uint8Array) && !(input instanceof Uint8ClampedArray)) return false;
  if (input.length !== target.length) throw wrongValue(`${target.length} elements, those of the model's input,`, argument, input);
  if (isFloats) target.set(input);
  else normalise(input, normalisation, target);
  return true;
}

export function normalise(bytes: ArrayLike<number>, { mean, std }: Normalisation, target: Float32Array): void {
  const positions = target.length / mean.length;
  for (let i = 0; i < target.length; i++) {
    const channel = Math.floor(i / positions);
    target[i] = ((bytes[i] ?? 0) / 255 - (mean[channel] ?? 0)) / (std[channel] ?? 1);
  }
}
