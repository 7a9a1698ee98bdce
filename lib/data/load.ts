/** Data sets by name. */

import { existsSync } from 'node:fs';
import { checkPath, readArgument } from '../arguments.js';
import { checkInteger, checkNames, wrongType, wrongValue } from '../errors.js';
import { runPaced } from '../pace.js';
import { resizeDataset } from './area-resize.js';
import { loadCifar } from './cifar.js';
import type { Dataset } from './dataset.js';
import { loadDigits } from './digits.js';
import { loadIdx } from './idx.js';
import { loadImageFolder } from './image-folder.js';
import { checkImageOptions, type ImageOptions } from './images.js';
import { holdBack, limitTraining } from './sampling.js';

export const datasetNames = ['digits', 'mnist', 'fashion-mnist', 'cifar10', 'cifar100', 'images'] as const;
export type DatasetName = (typeof datasetNames)[number];

const digitNames = Array.from({ length: 10 }, (_, i) => String(i));
const fashionNames = ['T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot'];

/** Where Debian's package dataset-fashion-mnist puts its files. */
const DEBIAN_FASHION_MNIST = '/usr/share/datasets/fashion-mnist';

/** `size`: of `images` as they are decoded (`fit`); of the other data sets by averaging over areas. */
export interface LoadOptions extends ImageOptions {
  /** Folder with the data set's standard files. `digits` needs none; `fashion-mnist` is also found where Debian's package puts it. */
  dataDir?: string | undefined;
  /** Use `limit` training images only, as many of each class; which ones, `seed` says. */
  limit?: number | undefined;
  /** Hold back that many of the training images as the validation split; which ones, `seed` says. */
  validation?: number | undefined;
  /** Default 1. */
  seed?: number | undefined;
  /** [channels, height, width] to bring images to; of `images` only, the other data sets have one shape. */
  shape?: [number, number, number] | undefined;
}

/**
 * Loads a data set from its standard files. The event loop goes on turning meanwhile.
 * @throws DataError when files are missing, damaged, empty or mislabelled; TypeError or RangeError for wrong arguments
 */
export async function loadDataset(name: string, given: LoadOptions = {}): Promise<Dataset> {
  const options = readArgument(given, 'options');
  if (!(datasetNames as readonly string[]).includes(name)) throw wrongValue(`one of ${datasetNames.join(', ')}`, 'dataset', name);
  checkNames(options as object, 'options', ['dataDir', 'limit', 'validation', 'seed', 'shape', 'size', 'fit']);
  const { dataDir, limit, validation, seed = 1 } = options;
  if (dataDir !== undefined) checkPath(dataDir, 'dataDir');
  if (limit !== undefined) checkInteger(limit, 'limit', 1);
  if (validation !== undefined) checkInteger(validation, 'validation', 0);
  checkInteger(seed, 'seed', 0);
  const { size: wanted } = checkImageOptions({ size: options.size });
  for (const option of ['shape', 'fit'] as const) {
    if (options[option] !== undefined && name !== 'images') throw wrongType(`no value, "${name}" has one shape,`, option, options[option]);
  }
  let whole = await loadWhole(name as DatasetName, options);
  if (wanted && name !== 'images') whole = await runPaced(resizeDataset(whole, wanted));
  return runPaced(prepare(whole, limit, validation, seed));
}

function* prepare(data: Dataset, limit: number | undefined, validation: number | undefined, seed: number) {
  return yield* holdBack(yield* limitTraining(data, limit, seed), validation, seed);
}

async function loadWhole(name: DatasetName, options: LoadOptions): Promise<Dataset> {
  const { dataDir } = options;
  if (name === 'digits' || (name === 'mnist' && dataDir === undefined)) return loadDigits();
  const directory = dataDir ?? (name === 'fashion-mnist' && existsSync(DEBIAN_FASHION_MNIST) ? DEBIAN_FASHION_MNIST : undefined);
  if (directory === undefined) throw wrongType(`the folder with the files of ${name}`, 'dataDir', dataDir);
  switch (name) {
    case 'mnist':
      return loadIdx(name, [directory], digitNames);
    case 'fashion-mnist':
      return loadIdx(name, [directory], fashionNames);
    case 'images':
      return loadImageFolder(directory, options);
    default:
      return loadCifar(name, directory);
  }
}
