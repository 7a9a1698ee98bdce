/** CIFAR-10 and CIFAR-100 in their official binary files: per image its label bytes, then 3×32×32 bytes. */
import { join } from 'node:path';
import { DataError } from '../errors.js';
import { item } from '../indexing.js';
import { pauses, runPaced, type Steps } from '../pace.js';
import { checkSplit, type Dataset, type Split } from './dataset.js';
import { findDataFile, withDataFile } from './files.js';
import { channelStatistics } from './statistics.js';

const SHAPE: [number, number, number] = [3, 32, 32];
const PIXELS = 3 * 32 * 32;

/** Most images of a file; the largest official one has 50,000. */
const MOST_RECORDS = 50_000;

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

/** Images and labels of one file. */
async function readFile(path: string, { labelBytes, classNames }: Variant): Promise<Split> {
  const record = labelBytes + PIXELS;
  const bytes = await withDataFile(path, async (source) => {
    // The format has no header: there are as many records as there are bytes.
    const pieces: Uint8Array[] = [];
    for await (const piece of source.rest()) {
      if (source.position > MOST_RECORDS * record) throw new DataError(`it has more than ${MOST_RECORDS} records of ${record} bytes`, path);
      pieces.push(piece);
    }
    return pieces;
  });
  const length = bytes.reduce((sum, piece) => sum + piece.length, 0);
  if (length === 0) throw new DataError('the file is empty', path);
  if (length % record) throw new DataError(`cut off or of another format: ${length} bytes are not a multiple of ${record}`, path);
  const count = length / record;
  const split = { images: new Uint8Array(count * PIXELS), labels: new Int32Array(count), count };
  await runPaced(sortRecords(bytes, labelBytes, split));
  return runPaced(checkSplit(split, PIXELS, classNames.length, path));
}

/** Copies label and pixels of every record, wherever the pieces of the file are cut. */
function* sortRecords(pieces: Uint8Array[], labelBytes: number, { images, labels }: Split): Steps<void> {
  const record = labelBytes + PIXELS;
  let at = 0;
  for (const piece of pieces) {
    for (let i = 0; i < piece.length; ) {
      const inRecord = at % record;
      const index = Math.floor(at / record);
      if (inRecord < labelBytes) {
        // The last label byte counts.
        if (inRecord === labelBytes - 1) (labels as Int32Array)[index] = item(piece, i);
        i++;
        at++;
        continue;
      }
      const length = Math.min(piece.length - i, record - inRecord);
      images.set(piece.subarray(i, i + length), index * PIXELS + inRecord - labelBytes);
      i += length;
      at += length;
    }
    yield;
  }
}

async function readSplit(directories: string[], names: string[], variant: Variant): Promise<Split> {
  const files: Split[] = [];
  for (const name of names) files.push(await readFile(await findDataFile(directories, [name]), variant));
  const count = files.reduce((sum, file) => sum + file.count, 0);
  const images = new Uint8Array(count * PIXELS);
  const labels = new Int32Array(count);
  let at = 0;
  const rest = pauses();
  for (const file of files) {
    labels.set(file.labels as Int32Array, at);
    for (let i = 0; i < file.count; i += 64) {
      images.set(file.images.subarray(i * PIXELS, Math.min(file.count, i + 64) * PIXELS), (at + i) * PIXELS);
      await rest();
    }
    at += file.count;
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
    input: 'image',
    task: 'classification',
    shape: SHAPE,
    classes: variant.classNames.length,
    classNames: variant.classNames,
    ...(await runPaced(channelStatistics(train.images, SHAPE))),
    train,
    test,
  };
}
