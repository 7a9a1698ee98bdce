/** Examples as a model reads them: floats, [channels × positions], normalised. */
import type { AxesSizes, Metadata } from '../binding.js';
import { decodeImage, loadSharp } from '../data/images.js';
import { ModelFileError, wrongType, wrongValue } from '../errors.js';

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
 * Writes the example to `target`. Where an image has to be decoded first, a function that does it; undefined where all is done.
 * @throws TypeError, RangeError for what is no example of these axes
 */
export function decodeInput(
  input: unknown,
  argument: string,
  axes: AxesSizes,
  normalisation: Normalisation,
  target: Float32Array,
): (() => Promise<void>) | undefined {
  if (typeof input === 'string' || (ArrayBuffer.isView(input) && Buffer.isBuffer(input))) {
    checkImageAxes(axes, argument, input);
    return () => decode(input, argument, axes, normalisation, target);
  }
  if (!ArrayBuffer.isView(input)) throw wrongType('a Float32Array, a Uint8Array, a Buffer or the path of an image', argument, input);
  if (input instanceof Float32Array) {
    checkLength(input, argument, target.length);
    target.set(input);
  } else if (input instanceof Uint8Array || input instanceof Uint8ClampedArray) {
    checkLength(input, argument, target.length);
    normalise(input, normalisation, target);
  } else {
    throw wrongType('a Float32Array, a Uint8Array, a Buffer or the path of an image', argument, input);
  }
  return undefined;
}

function checkLength(input: { length: number }, argument: string, elements: number): void {
  if (input.length !== elements) throw wrongValue(`${elements} elements, those of the model's input,`, argument, input);
}

function normalise(bytes: ArrayLike<number>, { mean, std }: Normalisation, target: Float32Array): void {
  const positions = target.length / mean.length;
  for (let i = 0; i < target.length; i++) {
    const channel = Math.floor(i / positions);
    target[i] = ((bytes[i] ?? 0) / 255 - (mean[channel] ?? 0)) / (std[channel] ?? 1);
  }
}

function checkImageAxes(axes: AxesSizes, argument: string, source: unknown): void {
  if (axes.length !== 3 || (axes[0] !== 1 && axes[0] !== 3))
    throw wrongType(`a typed array (the model's input is ${axes.join('×')}, no image)`, argument, source);
}

async function decode(source: string | Buffer, argument: string, axes: AxesSizes, normalisation: Normalisation, target: Float32Array): Promise<void> {
  const [channels, height, width] = axes;
  const name = typeof source === 'string' ? source : argument;
  const planes = new Uint8Array(target.length);
  await decodeImage(await loadSharp(name), name, { shape: [channels, height, width] as [number, number, number], fit: 'cover' }, planes, source);
  normalise(planes, normalisation, target);
}
