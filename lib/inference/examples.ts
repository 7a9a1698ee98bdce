/** Examples as arrays of numbers, and what the file says of them: floats, [channels × positions], normalised. */
import type { AxesSizes, Metadata } from '../binding.js';
import { ModelFileError, wrongValue } from '../errors.js';

/** One of several inputs or outputs, and where its elements lie in an example of the whole: [from, to). */
export interface ModelPart {
  name: string;
  axes: AxesSizes;
  from: number;
  to: number;
}

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** What the file says of several inputs or outputs; undefined: there is one, without a name. */
export function partsOf(metadata: Metadata, which: 'input' | 'output', whole: AxesSizes): ModelPart[] | undefined {
  const { [`${which}s`]: names, [`${which}Axes`]: axes } = metadata;
  if (names === undefined) return undefined;
  const list = Array.isArray(axes) ? axes.map(Number) : [];
  let at = 0;
  let from = 0;
  const parts = [names].flat().map((name): ModelPart => {
    const count = list[at++] ?? 0;
    const own = list.slice(at, at + count) as AxesSizes;
    at += count;
    const part = { name: String(name), axes: own, from, to: from + product(own) };
    from = part.to;
    return part;
  });
  const sound = parts.every((part) => part.axes.length > 0 && part.axes.every((size) => Number.isInteger(size) && size > 0));
  if (!sound || at !== list.length || from !== product(whole))
    throw new ModelFileError(`Expected ${which}s that make up ${whole.join('×')} for the metadata's ${which}Axes but received ${list.join(', ')}`);
  return parts;
}

/** Per channel, after the division by 255. */
export interface Normalisation {
  mean: number[];
  std: number[];
}

/** What the file says of it, for every channel. */
export function normalisationOf({ mean, std }: Metadata, channels: number): Normalisation {
  return { mean: perChannel(mean, 'mean', channels, 0), std: perChannel(std, 'std', channels, 1) };
}

/** The same of several inputs, whose channels' numbers lie behind one another. */
export function normalisationsOf(metadata: Metadata, parts: readonly ModelPart[]): Normalisation[] {
  const channels = parts.reduce((sum, { axes }) => sum + axes[0], 0);
  const { mean, std } = normalisationOf(metadata, channels);
  let first = 0;
  return parts.map(({ axes }) => {
    const own = { mean: mean.slice(first, first + axes[0]), std: std.slice(first, first + axes[0]) };
    first += axes[0];
    return own;
  });
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
