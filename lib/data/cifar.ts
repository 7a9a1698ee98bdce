/** CIFAR-10 and CIFAR-100 in their official binary files: per image its label bytes, then 3×32×32 bytes. */
import { join } from 'node:path';
import { DataError } from '../errors.js';
import { channelStatistics, checkSplit, type Dataset, type Split } from './dataset.js';
import { readDataFile } from './files.js';

const SHAPE: [number, number, number] = [3, 32, 32];
const PIXELS = 3 * 32 * 32;

interface Variant {
  folder: string;
  train: string[];
  test: string[];
  /** Label bytes before an image; the last one counts. */
  labelBytes: number;
  classNames: string[];
}

const cifar10Names = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];
const variants: Record<'cifar10' | 'cifar100', Variant> = {
  cifar10: {
    folder: 'cifar-10-batches-bin',
    train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`),
    test: ['test_batch.bin'],
    labelBytes: 1,
    classNames: cifar10Names,
  },
  cifar100: {
    folder: 'cifar-100-binary',
    train: ['train.bin'],
    test: ['test.bin'],
    labelBytes: 2,
    classNames: Array.from({ length: 100 }, (_, i) => String(i)),
  },
};

async function readSplit(directories: string[], names: string[], { labelBytes, classNames }: Variant): Promise<Split> {
  const record = labelBytes + PIXELS;
  const files = [];
  for (const name of names) {
    const { path, bytes } = await readDataFile(directories, [name]);
    if (bytes.length % record) throw new DataError(`cut off or of another format: ${bytes.length} bytes are not a multiple of ${record}`, path);
    files.push({ path, bytes, count: bytes.length / record });
  }
  const count = files.reduce((sum, file) => sum + file.count, 0);
  const images = new Uint8Array(count * PIXELS);
  const labels = new Int32Array(count);
  let at = 0;
  for (const { bytes, path, count: inFile } of files) {
    const first = at;
    for (let i = 0; i < inFile; i++, at++) {
      labels[at] = bytes[i * record + labelBytes - 1];
      images.set(bytes.subarray(i * record + labelBytes, (i + 1) * record), at * PIXELS);
    }
    checkSplit(
      { images: images.subarray(first * PIXELS, at * PIXELS), labels: labels.subarray(first, at), count: inFile },
      PIXELS,
      classNames.length,
      path,
    );
  }
  return { images, labels, count };
}

export async function loadCifar(name: 'cifar10' | 'cifar100', dataDir: string): Promise<Dataset> {
  const variant = variants[name];
  const directories = [dataDir, join(dataDir, variant.folder)];
  const train = await readSplit(directories, variant.train, variant);
  const test = await readSplit(directories, variant.test, variant);
  return {
    name,
    shape: SHAPE,
    classes: variant.classNames.length,
    classNames: variant.classNames,
    ...channelStatistics(train.images, SHAPE),
    train,
    test,
  };
}
