/** Digits of MNIST at random places of larger images, with the class of every pixel: a small task of segmentation. */
import { readArgument } from '../arguments.js';
import { checkInteger, checkNames, wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { pauses, runPaced } from '../pace.js';
import { allocate } from './byte-source.js';
import type { Dataset, Split } from './dataset.js';
import { loadDigits } from './digits.js';
import { integersBelow } from './sampling.js';
import { channelStatistics } from './statistics.js';

export interface DigitSceneOptions {
  /** Height and width of an image, at least 28. Default 64. */
  size?: number;
  /** Least and most digits of an image. Default [1, 4]. Where digits meet, the brighter pixel counts. */
  digits?: [number, number];
  /** Images to train with and to test with. Default 4000 and 1000. */
  count?: number;
  testCount?: number;
  /** Default 1. */
  seed?: number;
}

const SIDE = 28;

/** Least brightness of a pixel that belongs to a digit. */
const INK = 64;

async function drawSplit(digits: Split, count: number, size: number, [least, most]: [number, number], seed: number): Promise<Split> {
  const below = integersBelow(seed);
  const area = size * size;
  const images = allocate(count * area, 'digit scenes');
  const labels = new Int32Array(count * area);
  const rest = pauses();
  for (let n = 0; n < count; n++) {
    for (let k = least + below(most - least + 1); k > 0; k--) {
      const digit = below(digits.count);
      const label = item(digits.labels as Int32Array, digit) + 1;
      const [top, left] = [below(size - SIDE + 1), below(size - SIDE + 1)];
      for (let y = 0; y < SIDE; y++) {
        for (let x = 0; x < SIDE; x++) {
          const value = item(digits.images, (digit * SIDE + y) * SIDE + x);
          const at = n * area + (top + y) * size + left + x;
          if (value <= item(images, at)) continue;
          images[at] = value;
          if (value >= INK) labels[at] = label;
        }
      }
    }
    await rest();
  }
  return { images, labels, count };
}

/**
 * Images [1, size, size] with labels [count × size × size]: 0 is background, 1..10 are the digits 0..9. Training and test images
 * are made of different digits; the same seed gives the same images.
 */
export async function digitScenes(given: DigitSceneOptions = {}): Promise<Dataset> {
  const options = readArgument(given, 'options');
  checkNames(options as object, 'options', ['size', 'digits', 'count', 'testCount', 'seed']);
  const { size = 64, digits = [1, 4], count = 4000, testCount = 1000, seed = 1 } = options;
  checkInteger(size, 'size', SIDE, 4096);
  if (!Array.isArray(digits) || digits.length !== 2) throw wrongType('[least, most]', 'digits', digits);
  checkInteger(digits[0], 'digits[0]', 0, 1000);
  checkInteger(digits[1], 'digits[1]', digits[0], 1000);
  checkInteger(count, 'count', 1);
  checkInteger(testCount, 'testCount', 1);
  checkInteger(seed, 'seed', 0);
  if (count * size * size > 2 ** 31 || testCount * size * size > 2 ** 31) throw wrongValue('images of at most 2^31 pixels together', 'count', count);
  const source = await loadDigits();
  const train = await drawSplit(source.train, count, size, digits, 2 * seed);
  const test = await drawSplit(source.test, testCount, size, digits, 2 * seed + 1);
  const shape: [number, number, number] = [1, size, size];
  const classNames = ['background', ...(source.classNames as string[])];
  const statistics = await runPaced(channelStatistics(train.images, shape));
  return { name: 'digit-scenes', input: 'image', task: 'perPosition', shape, classes: 11, classNames, ...statistics, train, test };
}
