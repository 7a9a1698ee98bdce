/** Data sets by name. */
import { existsSync } from 'node:fs';
import { checkInteger, wrongType, wrongValue } from '../errors.js';
import { loadCifar } from './cifar.js';
import { type Dataset, limitTraining } from './dataset.js';
import { loadDigits } from './digits.js';
import { loadIdx } from './idx.js';
import { loadImageFolder } from './image-folder.js';

export const datasetNames = ['digits', 'mnist', 'fashion-mnist', 'cifar10', 'cifar100', 'images'] as const;
export type DatasetName = (typeof datasetNames)[number];

const digitNames = Array.from({ length: 10 }, (_, i) => String(i));
const fashionNames = ['T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot'];

/** Where Debian's package dataset-fashion-mnist puts its files. */
const DEBIAN_FASHION_MNIST = '/usr/share/datasets/fashion-mnist';

export interface LoadOptions {
  /** Folder with the data set's standard files. `digits` needs none; `fashion-mnist` is also found where Debian's package puts it. */
  dataDir?: string;
  /** Use the first `limit` training images only. */
  limit?: number;
}

/**
 * Loads a data set from its standard files.
 * @throws DataError when files are missing, damaged, empty or mislabelled; RangeError for an unknown name
 */
export async function loadDataset(name: string, options: LoadOptions = {}): Promise<Dataset> {
  if (!(datasetNames as readonly string[]).includes(name)) throw wrongValue(`one of ${datasetNames.join(', ')}`, 'dataset', name);
  if (options.limit !== undefined) checkInteger(options.limit, 'limit', 1);
  return limitTraining(await loadWhole(name as DatasetName, options.dataDir), options.limit);
}

async function loadWhole(name: DatasetName, dataDir: string | undefined): Promise<Dataset> {
  if (name === 'digits' || (name === 'mnist' && dataDir === undefined)) return loadDigits();
  const directory = dataDir ?? (name === 'fashion-mnist' && existsSync(DEBIAN_FASHION_MNIST) ? DEBIAN_FASHION_MNIST : undefined);
  if (directory === undefined) throw wrongType(`the folder with the files of ${name}`, 'dataDir', dataDir);
  switch (name) {
    case 'mnist':
      return loadIdx(name, [directory], digitNames);
    case 'fashion-mnist':
      return loadIdx(name, [directory], fashionNames);
    case 'images':
      return loadImageFolder(directory);
    default:
      return loadCifar(name, directory);
  }
}
