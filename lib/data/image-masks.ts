/** Images with a mask each: DIR/train/images/NAME.jpg with DIR/train/masks/NAME.png, and the same under DIR/test. */

import { join, parse } from 'node:path';
import { checkPath, readArgument } from '../arguments.js';
import { checkInteger, checkNames, DataError, wrongType } from '../errors.js';
import { item } from '../indexing.js';
import { pauses, runPaced } from '../pace.js';
import { allocate } from './byte-source.js';
import { type Dataset, IGNORED, type Split } from './dataset.js';
import {
  checkImageOptions,
  checkSides,
  commonShape,
  decodeImage,
  forEachAtOnce,
  forEachPixel,
  type ImageForm,
  type ImageOptions,
  listImages,
  loadSharp,
  readImageHeader,
  type Sharp,
} from './images.js';
import { channelStatistics } from './statistics.js';

export interface ImageMaskOptions extends ImageOptions {
  /** Number of classes; default: that of `classNames` or of `values`. */
  classes?: number;
  classNames?: string[];
  /**
   * What the mask holds for each class: grey values such as [0, 255], or colours such as [[0, 0, 0], [128, 0, 0]]. Default:
   * the grey value is the class.
   */
  values?: (number | [number, number, number])[];
  /** Value of pixels that do not count, grey or colour. Default 255, unless it stands for a class. */
  ignoreValue?: number | [number, number, number];
}

interface Plan {
  classes: number;
  /** Class of a grey value or colour; −1: does not count. */
  classOf: Map<number, number>;
  isColour: boolean;
}

const key = (value: number | [number, number, number]) => (typeof value === 'number' ? value : (value[0] << 16) | (value[1] << 8) | value[2]);

function checkValue(value: unknown, argument: string): number | [number, number, number] {
  if (Array.isArray(value) && value.length === 3) {
    value.forEach((v, i) => {
      checkInteger(v, `${argument}[${i}]`, 0, 255);
    });
    return value as [number, number, number];
  }
  if (typeof value !== 'number') throw wrongType('a grey value 0..255 or [red, green, blue]', argument, value);
  return checkInteger(value, argument, 0, 255);
}

function planOf(options: ImageMaskOptions): Plan {
  checkNames(options as object, 'options', ['size', 'fit', 'classes', 'classNames', 'values', 'ignoreValue', 'limit', 'seed', 'validation']);
  const { classNames, values, ignoreValue } = options;
  const classes = checkInteger(options.classes ?? classNames?.length ?? values?.length, 'classes', 1, 255);
  if (values !== undefined && (!Array.isArray(values) || values.length !== classes)) throw wrongType(`${classes} values`, 'values', values);
  const list = values?.map((value, i) => checkValue(value, `values[${i}]`)) ?? Array.from({ length: classes }, (_, i) => i);
  const isColour = Array.isArray(list[0]);
  if (list.some((value) => Array.isArray(value) !== isColour)) throw wrongType('grey values alone or colours alone', 'values', values);
  const classOf = new Map(list.map((value, i) => [key(value), i]));
  if (classOf.size !== classes) throw wrongType('a value of its own for every class', 'values', values);
  const ignored = ignoreValue === undefined ? (isColour ? undefined : 255) : checkValue(ignoreValue, 'ignoreValue');
  if (ignored !== undefined && Array.isArray(ignored) !== isColour) throw wrongType('the same kind of value as in values', 'ignoreValue', ignored);
  if (ignored !== undefined && !classOf.has(key(ignored))) classOf.set(key(ignored), IGNORED);
  return { classes, classOf, isColour };
}

/** Classes of the pixels of a mask, brought to the same form as its image, without mixing of neighbours. */
async function decodeMask(sharp: Sharp, path: string, { shape: [, height, width], fit }: ImageForm, plan: Plan, labels: Int32Array): Promise<void> {
  let data: Buffer;
  let info: import('sharp').OutputInfo;
  try {
    const { depth, space, width: columns, height: rows } = await sharp(path).metadata();
    checkSides({ width: columns, height: rows });
    if (depth !== 'uchar') throw new Error(`expected 8 bits a channel but found ${depth}`);
    if (!plan.isColour && space !== 'b-w') throw new Error('it has colours, say which class each stands for (values)');
    const mask = sharp(path)
      .rotate()
      .removeAlpha()
      .resize(width, height, { fit: fit === 'contain' ? 'inside' : 'cover', kernel: 'nearest' })
      .toColourspace(plan.isColour ? 'srgb' : 'b-w');
    ({ data, info } = await mask.raw().toBuffer({ resolveWithObject: true }));
  } catch (cause) {
    throw new DataError(`not a readable mask: ${(cause as Error).message}`, path, { cause });
  }
  labels.fill(IGNORED); // what 'contain' leaves free does not count
  forEachPixel(info, height, width, (at, i) => {
    const value = plan.isColour ? data.readUIntBE(at, 3) : data.readUInt8(at);
    const label = plan.classOf.get(value);
    if (label === undefined) {
      const text = plan.isColour ? `colour [${data[at]}, ${data[at + 1]}, ${data[at + 2]}]` : `value ${value}`;
      throw new DataError(`the pixel in row ${Math.floor(i / width)}, column ${i % width} has the ${text}, which stands for no class`, path);
    }
    labels[i] = label;
  });
}

interface Pair {
  image: string;
  mask: string;
}

async function listPairs(directory: string): Promise<Pair[]> {
  const [images, masks] = [join(directory, 'images'), join(directory, 'masks')];
  const maskOf = new Map((await listImages(masks)).map((file) => [parse(file).name, join(masks, file)]));
  const pairs = (await listImages(images)).map((file) => {
    const image = join(images, file);
    const mask = maskOf.get(parse(file).name);
    if (!mask) throw new DataError(`it has no mask of the name ${parse(file).name} in ${masks}`, image);
    maskOf.delete(parse(file).name);
    return { image, mask };
  });
  const [left] = maskOf.values();
  if (left) throw new DataError(`the mask has no image in ${images}`, left);
  if (pairs.length === 0) throw new DataError('it holds no images', images);
  return pairs;
}

async function readSplit(sharp: Sharp, pairs: Pair[], form: ImageForm, plan: Plan, directory: string): Promise<Split> {
  const [channels, height, width] = form.shape;
  const area = height * width;
  const images = allocate(pairs.length * channels * area, directory);
  const labels = new Int32Array(allocate(pairs.length * area * 4, directory).buffer);
  const rest = pauses();
  const decode = async (i: number) => {
    const { image, mask } = item(pairs, i);
    const [a, b] = [await readImageHeader(sharp, image), await readImageHeader(sharp, mask)];
    if (a.height !== b.height || a.width !== b.width)
      throw new DataError(`the mask is ${b.height}×${b.width} but its image ${a.height}×${a.width}`, mask);
    await decodeImage(sharp, image, form, images.subarray(i * channels * area, (i + 1) * channels * area));
    await rest();
    await decodeMask(sharp, mask, form, plan, labels.subarray(i * area, (i + 1) * area));
    await rest();
  };
  await decode(0); // alone: its header set the size of all, and here it is found out whether it holds what it says
  await forEachAtOnce(pairs.length - 1, (i) => decode(i + 1));
  return { images, labels, count: pairs.length };
}

/** Images with a class per pixel: labels [count × height × width], −1 where a pixel does not count. */
export async function loadImageMasks(directory: string, given: ImageMaskOptions): Promise<Dataset> {
  checkPath(directory, 'directory');
  const options = readArgument(given, 'options');
  const plan = planOf(options);
  const { size, fit } = checkImageOptions(options);
  const sharp = await loadSharp(directory);
  const pairs = await listPairs(join(directory, 'train'));
  const testPairs = await listPairs(join(directory, 'test'));
  const shape = await commonShape(
    sharp,
    [...pairs, ...testPairs].map(({ image }) => image),
    size,
  );
  const train = await readSplit(sharp, pairs, { shape, fit }, plan, directory);
  const test = await readSplit(sharp, testPairs, { shape, fit }, plan, directory);
  const statistics = await runPaced(channelStatistics(train.images, shape));
  const { classNames } = options;
  return { name: 'masks', input: 'image', task: 'perPosition', shape, classes: plan.classes, classNames, ...statistics, train, test };
}
