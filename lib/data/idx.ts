/** IDX files: MNIST, Fashion-MNIST and everything else in their format (Y. LeCun, C. Cortes, C. Burges). */
import { DataError } from '../errors.js';
import { runPaced } from '../pace.js';
import { checkSplit, type Dataset, type Split } from './dataset.js';
import { findDataFile, withDataFile } from './files.js';
import { channelStatistics } from './statistics.js';

/** Dimensions and bytes of an IDX file of unsigned bytes. @throws DataError where it is not exactly what its header says */
export async function readIdx(path: string, dimensions: number): Promise<{ shape: number[]; data: Uint8Array }> {
  return withDataFile(path, async (source) => {
    const start = await source.read(4, 'an IDX header');
    if (start[0] !== 0 || start[1] !== 0) throw new DataError('not an IDX file: it does not start with two zero bytes', path);
    if (start[2] !== 8) throw new DataError(`expected unsigned bytes (type 8) but found IDX type ${start[2]}`, path);
    if (start[3] !== dimensions) {
      throw new DataError(`expected ${dimensions === 1 ? 'labels (1 dimension)' : 'images (3 dimensions)'} but found ${start[3]} dimensions`, path);
    }
    const header = Buffer.from(await source.read(4 * dimensions, 'an IDX header'));
    const shape = Array.from({ length: dimensions }, (_, i) => header.readUInt32BE(4 * i));
    const expected = shape.reduce((product, size) => product * size, 1);
    if (expected === 0) throw new DataError(`it holds no ${dimensions === 1 ? 'labels' : 'images'} (${shape.join('×')})`, path);
    const data = await source.read(expected, `data (${shape.join('×')})`);
    await source.expectEnd();
    return { shape, data };
  });
}

async function readSplit(directories: string[], prefix: string, classes: number): Promise<Split & { shape: [number, number, number] }> {
  const names = (kind: string, dimensions: number) => [`${prefix}-${kind}-idx${dimensions}-ubyte`, `${prefix}-${kind}.idx${dimensions}-ubyte`];
  const imagePath = await findDataFile(directories, names('images', 3));
  const labelPath = await findDataFile(directories, names('labels', 1));
  const images = await readIdx(imagePath, 3);
  const labels = await readIdx(labelPath, 1);
  const [count, height, width] = images.shape as [number, number, number];
  const split = { images: images.data, labels: new Int32Array(labels.data), count };
  await runPaced(checkSplit(split, height * width, classes, labelPath));
  return { ...split, shape: [1, height, width] };
}

/** `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-…`, plain or gzipped, in the first folder that has them. */
export async function loadIdx(name: string, directories: string[], classNames: string[]): Promise<Dataset> {
  const { shape, ...train } = await readSplit(directories, 'train', classNames.length);
  const { shape: testShape, ...test } = await readSplit(directories, 't10k', classNames.length);
  if (shape.join() !== testShape.join())
    throw new DataError(`training images are ${shape.join('×')} but test images ${testShape.join('×')}`, directories.join(', '));
  const statistics = await runPaced(channelStatistics(train.images, shape));
  return { name, input: 'image', task: 'classification', shape, classes: classNames.length, classNames, ...statistics, train, test };
}
