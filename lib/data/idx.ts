/** IDX files: MNIST, Fashion-MNIST and everything else in their format (Y. LeCun, C. Cortes, C. Burges). */
import { DataError } from '../errors.js';
import { channelStatistics, checkSplit, type Dataset, type Split } from './dataset.js';
import { readDataFile } from './files.js';

/** Dimensions and bytes of an IDX file of unsigned bytes. */
export function parseIdx(bytes: Buffer, path: string, dimensions: number): { shape: number[]; data: Uint8Array } {
  if (bytes.length < 4 + 4 * dimensions) throw new DataError(`cut off: ${bytes.length} bytes are too few for an IDX header`, path);
  if (bytes[0] !== 0 || bytes[1] !== 0) throw new DataError('not an IDX file: it does not start with two zero bytes', path);
  if (bytes[2] !== 8) throw new DataError(`expected unsigned bytes (type 8) but found IDX type ${bytes[2]}`, path);
  if (bytes[3] !== dimensions) {
    throw new DataError(`expected ${dimensions === 1 ? 'labels (1 dimension)' : 'images (3 dimensions)'} but found ${bytes[3]} dimensions`, path);
  }
  const shape = Array.from({ length: dimensions }, (_, i) => bytes.readUInt32BE(4 + 4 * i));
  const expected = shape.reduce((product, size) => product * size, 1);
  const data = bytes.subarray(4 + 4 * dimensions);
  if (data.length !== expected)
    throw new DataError(
      `${data.length < expected ? 'cut off' : 'too long'}: expected ${expected} bytes of data (${shape.join('×')}) but found ${data.length}`,
      path,
    );
  return { shape, data };
}

async function readSplit(directories: string[], prefix: string, classes: number): Promise<Split & { shape: [number, number, number] }> {
  const names = (kind: string, dimensions: number) => [`${prefix}-${kind}-idx${dimensions}-ubyte`, `${prefix}-${kind}.idx${dimensions}-ubyte`];
  const imageFile = await readDataFile(directories, names('images', 3));
  const labelFile = await readDataFile(directories, names('labels', 1));
  const images = parseIdx(imageFile.bytes, imageFile.path, 3);
  const labels = parseIdx(labelFile.bytes, labelFile.path, 1);
  const [count, height, width] = images.shape;
  const split = { images: new Uint8Array(images.data), labels: Int32Array.from(labels.data), count };
  checkSplit(split, height * width, classes, labelFile.path);
  return { ...split, shape: [1, height, width] };
}

/** `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-…`, plain or gzipped, in the first folder that has them. */
export async function loadIdx(name: string, directories: string[], classNames: string[]): Promise<Dataset> {
  const { shape, ...train } = await readSplit(directories, 'train', classNames.length);
  const { shape: testShape, ...test } = await readSplit(directories, 't10k', classNames.length);
  if (shape.join() !== testShape.join())
    throw new DataError(`training images are ${shape.join('×')} but test images ${testShape.join('×')}`, directories.join(', '));
  return { name, shape, classes: classNames.length, classNames, ...channelStatistics(train.images, shape), train, test };
}
