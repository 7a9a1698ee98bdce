/** A folder of images: DIR/train/CLASS/*.png and DIR/test/CLASS/*.png. */
import { join } from 'node:path';
import { readArgument } from '../arguments.js';
import { checkInteger, DataError, wrongType } from '../errors.js';
import { item } from '../indexing.js';
import { runPaced } from '../pace.js';
import { allocate } from './byte-source.js';
import type { Dataset, Split } from './dataset.js';
import {
  checkImageOptions,
  commonShape,
  decodeImage,
  forEachAtOnce,
  type ImageForm,
  type ImageOptions,
  listFolders,
  listImages,
  loadSharp,
  type Sharp,
} from './images.js';
import { balancedSample } from './sampling.js';
import { channelStatistics } from './statistics.js';

export interface ImageFolderOptions extends ImageOptions {
  /** [channels, height, width] that images are brought to, where the channels are to be given as well. */
  shape?: [number, number, number] | undefined;
  /** Read this many training images only, as many of each class; which ones, `seed` says. */
  limit?: number | undefined;
  seed?: number | undefined;
}

interface Files {
  paths: string[];
  labels: number[];
}

/** Classes are the folders that hold images; others are passed over. */
async function listClasses(directory: string): Promise<Map<string, string[]>> {
  const classes = new Map<string, string[]>();
  for (const name of await listFolders(directory)) {
    const files = await listImages(join(directory, name));
    if (files.length > 0)
      classes.set(
        name,
        files.map((file) => join(directory, name, file)),
      );
  }
  return classes;
}

function filesOf(classes: Map<string, string[]>, classNames: string[], directory: string): Files {
  const result: Files = { paths: [], labels: [] };
  for (const [name, paths] of classes) {
    const label = classNames.indexOf(name);
    if (label < 0) throw new DataError(`the class "${name}" has no training images`, join(directory, name));
    for (const path of paths) {
      result.paths.push(path);
      result.labels.push(label);
    }
  }
  if (result.paths.length === 0) throw new DataError('it holds no images', directory);
  return result;
}

async function readSplit(sharp: Sharp, { paths, labels }: Files, form: ImageForm, directory: string): Promise<Split> {
  const elements = form.shape[0] * form.shape[1] * form.shape[2];
  const images = allocate(paths.length * elements, directory);
  const decode = (i: number) => decodeImage(sharp, item(paths, i), form, images.subarray(i * elements, (i + 1) * elements));
  await decode(0); // alone: its header set the size of all, and here it is found out whether it holds what it says
  await forEachAtOnce(paths.length - 1, (i) => decode(i + 1));
  return { images, labels: Int32Array.from(labels), count: paths.length };
}

function checkShape(shape: unknown): [number, number, number] | undefined {
  if (shape === undefined) return undefined;
  if (!Array.isArray(shape) || shape.length !== 3) throw wrongType('[channels, height, width]', 'shape', shape);
  if (shape[0] !== 1 && shape[0] !== 3) throw wrongType('1 or 3 channels', 'shape[0]', shape[0]);
  return [shape[0], checkInteger(shape[1], 'shape[1]', 1, 65535), checkInteger(shape[2], 'shape[2]', 1, 65535)];
}

/** Images by class. Every folder in `train` that holds images is a class, in the order of their names. */
export async function loadImageFolder(directory: string, givenOptions: ImageFolderOptions = {}): Promise<Dataset> {
  const options = readArgument(givenOptions, 'options');
  const { size, fit } = checkImageOptions(options);
  const given = checkShape(options.shape);
  const sharp = await loadSharp(directory);
  const trainDirectory = join(directory, 'train');
  const testDirectory = join(directory, 'test');
  const classes = await listClasses(trainDirectory);
  const classNames = [...classes.keys()];
  if (classNames.length < 2) {
    throw new DataError(`expected a folder with images for each of at least 2 classes but found ${classNames.length}`, trainDirectory);
  }
  let files = filesOf(classes, classNames, trainDirectory);
  const testFiles = filesOf(await listClasses(testDirectory), classNames, testDirectory);
  const shape = given ?? (await commonShape(sharp, [...files.paths, ...testFiles.paths], size));
  const { limit, seed = 1 } = options;
  if (limit !== undefined && limit < files.paths.length) {
    const chosen = [...(await runPaced(balancedSample(files.labels, limit, seed)))];
    files = { paths: chosen.map((i) => item(files.paths, i)), labels: chosen.map((i) => item(files.labels, i)) };
  }
  const train = await readSplit(sharp, files, { shape, fit }, trainDirectory);
  const test = await readSplit(sharp, testFiles, { shape, fit }, testDirectory);
  const statistics = await runPaced(channelStatistics(train.images, shape));
  return { name: 'images', input: 'image', task: 'classification', shape, classes: classNames.length, classNames, ...statistics, train, test };
}
