/** A folder of images: DIR/train/CLASS/*.png and DIR/test/CLASS/*.png. Decoded by `sharp`, an optional package. */
import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { DataError } from '../errors.js';
import { channelStatistics, checkSplit, type Dataset, type Split } from './dataset.js';

const extensions = new Set(['.png', '.jpg', '.jpeg', '.webp', '.gif', '.avif', '.tif', '.tiff']);

export interface ImageFolderOptions {
  /** [channels, height, width] that images are scaled and cropped to; default: that of the first image. */
  shape?: [number, number, number];
}

type Sharp = typeof import('sharp').default;

async function loadSharp(directory: string): Promise<Sharp> {
  try {
    return (await import('sharp')).default;
  } catch (cause) {
    throw new DataError('reading image files needs the optional package sharp. Run: npm install sharp', directory, { cause });
  }
}

async function listFolder(path: string): Promise<import('node:fs').Dirent[]> {
  try {
    return (await readdir(path, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (cause) {
    throw new DataError(`the folder cannot be read: ${(cause as Error).message}`, path, { cause });
  }
}

/** One image as planes of bytes [channels, height, width]. */
async function decode(sharp: Sharp, path: string, [channels, height, width]: [number, number, number]): Promise<Uint8Array> {
  let pixels: Buffer;
  try {
    const image = sharp(path)
      .removeAlpha()
      .resize(width, height, { fit: 'cover' })
      .toColourspace(channels === 1 ? 'b-w' : 'srgb');
    pixels = await image.raw().toBuffer();
  } catch (cause) {
    throw new DataError(`not a readable image: ${(cause as Error).message}`, path, { cause });
  }
  const found = pixels.length / (height * width);
  const planes = new Uint8Array(channels * height * width);
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < height * width; i++) planes[c * height * width + i] = pixels[i * found + Math.min(c, found - 1)];
  }
  return planes;
}

async function readSplit(sharp: Sharp, directory: string, classNames: string[], shape: [number, number, number]): Promise<Split> {
  const images: Uint8Array[] = [];
  const labels: number[] = [];
  for (const folder of await listFolder(directory)) {
    if (!folder.isDirectory()) continue;
    const label = classNames.indexOf(folder.name);
    const path = join(directory, folder.name);
    if (label < 0) throw new DataError(`the class "${folder.name}" has no training images`, path);
    for (const file of await listFolder(path)) {
      if (!extensions.has(extname(file.name).toLowerCase())) continue;
      images.push(await decode(sharp, join(path, file.name), shape));
      labels.push(label);
    }
  }
  const elements = shape[0] * shape[1] * shape[2];
  return checkSplit(
    { images: new Uint8Array(Buffer.concat(images)), labels: Int32Array.from(labels), count: labels.length },
    elements,
    classNames.length,
    directory,
  );
}

async function shapeOfFirst(sharp: Sharp, directory: string, classNames: string[]): Promise<[number, number, number]> {
  for (const name of classNames) {
    for (const file of await listFolder(join(directory, name))) {
      if (!extensions.has(extname(file.name).toLowerCase())) continue;
      const path = join(directory, name, file.name);
      try {
        const { width, height, channels } = await sharp(path).metadata();
        return [(channels ?? 3) < 3 ? 1 : 3, height as number, width as number];
      } catch (cause) {
        throw new DataError(`not a readable image: ${(cause as Error).message}`, path, { cause });
      }
    }
  }
  throw new DataError('it holds no images', directory);
}

export async function loadImageFolder(directory: string, options: ImageFolderOptions = {}): Promise<Dataset> {
  const sharp = await loadSharp(directory);
  const trainDirectory = join(directory, 'train');
  const classNames = (await listFolder(trainDirectory)).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  if (classNames.length < 2) throw new DataError(`expected a folder for each of at least 2 classes but found ${classNames.length}`, trainDirectory);
  const shape = options.shape ?? (await shapeOfFirst(sharp, trainDirectory, classNames));
  const train = await readSplit(sharp, trainDirectory, classNames, shape);
  const test = await readSplit(sharp, join(directory, 'test'), classNames, shape);
  return { name: 'images', shape, classes: classNames.length, classNames, ...channelStatistics(train.images, shape), train, test };
}
