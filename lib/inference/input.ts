/** Examples of every kind as a model reads them: images are decoded first. */
import type { AxesSizes } from '../binding.js';
import { decodeAndAverage, decodeImage, loadSharp } from '../data/images.js';
import { wrongType } from '../errors.js';
import { copyNumbers, type Normalisation, normalise } from './examples.js';

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
  resize?: 'area',
): (() => Promise<void>) | undefined {
  if (typeof input === 'string' || (ArrayBuffer.isView(input) && Buffer.isBuffer(input))) {
    checkImageAxes(axes, argument, input);
    return () => decode(input, argument, axes, normalisation, target, resize);
  }
  if (!ArrayBuffer.isView(input) || !copyNumbers(input, argument, normalisation, target))
    throw wrongType('a Float32Array, a Uint8Array, a Buffer or the path of an image', argument, input);
  return undefined;
}

function checkImageAxes(axes: AxesSizes, argument: string, source: unknown): void {
  if (axes.length !== 3 || (axes[0] !== 1 && axes[0] !== 3))
    throw wrongType(`a typed array (the model's input is ${axes.join('×')}, no image)`, argument, source);
}

async function decode(
  source: string | Buffer,
  argument: string,
  axes: AxesSizes,
  normalisation: Normalisation,
  target: Float32Array,
  resize: 'area' | undefined,
): Promise<void> {
  const [channels, height, width] = axes;
  const name = typeof source === 'string' ? source : argument;
  const planes = new Uint8Array(target.length);
  const shape = [channels, height, width] as [number, number, number];
  const sharp = await loadSharp(name);
  if (resize === 'area') await decodeAndAverage(sharp, name, shape, planes, source);
  else await decodeImage(sharp, name, { shape, fit: 'cover' }, planes, source);
  normalise(planes, normalisation, target);
}
