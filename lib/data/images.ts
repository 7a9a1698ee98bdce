/** Image files, decoded by `sharp`, an optional package. */
import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { checkChoice, checkInteger, DataError, wrongType } from '../errors.js';
import { item } from '../indexing.js';
import { pauses, runPaced } from '../pace.js';
import { resizePlanes } from './area-resize.js';
import { statIfThere } from './files.js';

/** @internal */
export type Sharp = typeof import('sharp').default;

const EXTENSIONS = new Set(['.png', '.jpg', '.jpeg', '.webp', '.gif', '.avif', '.tif', '.tiff']);

/** Images that are decoded at once. */
const AT_ONCE = 8;

/** Largest image that sets the size of all others; a damaged header would otherwise ask for any. */
const MOST_PIXELS = 1 << 24;
/** Of an image as it is stored: decoders hold whole rows, however few there are. JPEG's own limit. */
const MOST_SIDE = 65_535;

export interface ImageOptions {
  /**
   * Height and width that images are scaled to, one number for squares. Default: those of the first image; of data sets of one size,
   * theirs.
   */
  size?: number | [number, number] | undefined;
  /** 'cover' (default): scaled until the image covers the size, then cropped. 'contain': scaled until it fits, black around it. */
  fit?: 'cover' | 'contain' | undefined;
}

/** How images are brought to one shape. */
export interface ImageForm {
  shape: [number, number, number];
  fit: 'cover' | 'contain';
}

/** @internal */
export async function loadSharp(directory: string): Promise<Sharp> {
  try {
    return (await import('sharp')).default;
  } catch (cause) {
    throw new DataError('reading image files needs the optional package sharp. Run: npm install sharp', directory, { cause });
  }
}

export function checkImageOptions({ size, fit = 'cover' }: ImageOptions): { size?: [number, number]; fit: 'cover' | 'contain' } {
  checkChoice(fit, 'fit', ['cover', 'contain']);
  if (size === undefined) return { fit };
  if (typeof size === 'number') return { fit, size: [checkInteger(size, 'size', 1, 65535), size] };
  if (!Array.isArray(size) || size.length !== 2) throw wrongType('a number of pixels or [height, width]', 'size', size);
  return { fit, size: [checkInteger(size[0], 'size[0]', 1, 65535), checkInteger(size[1], 'size[1]', 1, 65535)] };
}

/** What systems and tools leave in folders: hidden files (.DS_Store, .git, .ipynb_checkpoints, macOS's ._ files), __MACOSX, Thumbs.db. */
const isLitter = (name: string) => name.startsWith('.') || name.startsWith('__MACOSX') || name === '@eaDir';

/** Names in a folder in the order of their code units, without litter; links count as what they lead to. */
async function listFolder(path: string): Promise<{ name: string; isFolder: boolean }[]> {
  let entries: import('node:fs').Dirent[];
  try {
    entries = await readdir(path, { withFileTypes: true });
  } catch (cause) {
    throw new DataError(`the folder cannot be read: ${(cause as Error).message}`, path, { cause });
  }
  const result = [];
  for (const entry of entries) {
    if (isLitter(entry.name)) continue;
    const isFolder = entry.isSymbolicLink() ? ((await statIfThere(join(path, entry.name)))?.isDirectory() ?? false) : entry.isDirectory();
    result.push({ name: entry.name, isFolder });
  }
  return result.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The folders in a folder. */
export async function listFolders(path: string): Promise<string[]> {
  return (await listFolder(path)).filter(({ isFolder }) => isFolder).map(({ name }) => name);
}

/** The image files in a folder. */
export async function listImages(path: string): Promise<string[]> {
  return (await listFolder(path)).filter(({ name, isFolder }) => !isFolder && EXTENSIONS.has(extname(name).toLowerCase())).map(({ name }) => name);
}

export interface ImageHeader {
  height: number;
  width: number;
  isColour: boolean;
}

/** @throws Error when a few bytes say that rows or columns are longer than those of any image */
export function checkSides({ width = 0, height = 0 }: { width?: number; height?: number }): void {
  if (Math.max(width, height) > MOST_SIDE) throw new Error(`${height}×${width} pixels, and no side may have more than ${MOST_SIDE}`);
}

/** Size as it is shown (cameras store turned images and say so in EXIF), and whether there is colour. @internal */
export async function readImageHeader(sharp: Sharp, path: string): Promise<ImageHeader> {
  try {
    const { width, height, space, orientation = 1 } = await sharp(path).metadata();
    checkSides({ width, height });
    const turned = orientation >= 5;
    const [shownHeight, shownWidth] = turned ? [width, height] : [height, width];
    return { height: shownHeight as number, width: shownWidth as number, isColour: space !== 'b-w' && space !== 'grey16' };
  } catch (cause) {
    throw new DataError(`not a readable image: ${(cause as Error).message}`, path, { cause });
  }
}

/** Calls `work` for 0..count−1, a few at once, and ends with the first error after those under way have ended. */
export async function forEachAtOnce(count: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  let failed = false;
  const workers = Array.from({ length: Math.min(AT_ONCE, count) }, async () => {
    while (next < count && !failed) {
      try {
        await work(next++);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  });
  const failure = (await Promise.allSettled(workers)).find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}

/**
 * The shape that all images are brought to: the given size or that of the first image; one channel where all are grey,
 * three as soon as one has colour.
 * @internal
 */
export async function commonShape(sharp: Sharp, paths: string[], size: [number, number] | undefined): Promise<[number, number, number]> {
  let first: ImageHeader | undefined;
  let isColour = false;
  await forEachAtOnce(paths.length, async (i) => {
    const header = await readImageHeader(sharp, item(paths, i));
    if (i === 0) first = header;
    isColour ||= header.isColour;
  });
  const { height, width } = first as ImageHeader;
  if (!size && height * width > MOST_PIXELS)
    throw new DataError(`${height}×${width} pixels are more than all images are brought to unasked; give a size`, item(paths, 0));
  return [isColour ? 3 : 1, ...(size ?? ([height, width] as [number, number]))];
}

/** Pixels of an image file, turned as EXIF says, alpha laid over black, 16 bits brought to 8, of an animation the first picture. */
async function pixelsOf(
  sharp: Sharp,
  path: string,
  channels: number,
  source: string | Uint8Array,
  scaled: (image: import('sharp').Sharp) => import('sharp').Sharp,
): Promise<{ data: Buffer; info: import('sharp').OutputInfo }> {
  try {
    checkSides(await sharp(source).metadata());
    const image = scaled(sharp(source).rotate().flatten({ background: '#000000' })).toColourspace(channels === 1 ? 'b-w' : 'srgb');
    return await image.raw().toBuffer({ resolveWithObject: true });
  } catch (cause) {
    throw new DataError(`not a readable image: ${(cause as Error).message}`, path, { cause });
  }
}

/**
 * One image as planes of bytes [channels, height, width] into `planes`.
 * @internal
 */
export async function decodeImage(
  sharp: Sharp,
  path: string,
  { shape: [channels, height, width], fit }: ImageForm,
  planes: Uint8Array,
  /** The file's contents, where it is not read from `path`. */
  source: string | Uint8Array = path,
): Promise<void> {
  const fitted = fit === 'contain' ? 'inside' : 'cover';
  const { data: pixels, info } = await pixelsOf(sharp, path, channels, source, (image) => image.resize(width, height, { fit: fitted }));
  const area = height * width;
  forEachPixel(info, height, width, (at, i) => {
    for (let c = 0; c < channels; c++) planes[c * area + i] = pixels[at + Math.min(c, info.channels - 1)] as number;
  });
}

/** Side of the largest image that is averaged as it is; `sharp` brings larger ones to that first. */
const MOST_AVERAGED = 4096;

/**
 * The same, brought to the size by averaging over areas, as data sets are (area-resize.ts).
 * @internal
 */
export async function decodeAndAverage(
  sharp: Sharp,
  path: string,
  [channels, height, width]: [number, number, number],
  planes: Uint8Array,
  source: string | Uint8Array = path,
): Promise<void> {
  const limited = { fit: 'inside', withoutEnlargement: true } as const;
  const { data: pixels, info } = await pixelsOf(sharp, path, channels, source, (image) => image.resize(MOST_AVERAGED, MOST_AVERAGED, limited));
  const area = info.height * info.width;
  const whole = new Uint8Array(channels * area);
  const rest = pauses();
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < info.height; y++) {
      for (let i = y * info.width; i < (y + 1) * info.width; i++)
        whole[c * area + i] = pixels[i * info.channels + Math.min(c, info.channels - 1)] as number;
      await rest();
    }
  }
  await runPaced(resizePlanes(whole, { from: [info.height, info.width], to: [height, width] }, planes));
}

/** For every pixel of a decoded image: where its channels begin, and its index in an area of `height`×`width` that the image lies in the middle of. */
export function forEachPixel(
  info: { height: number; width: number; channels: number },
  height: number,
  width: number,
  use: (at: number, i: number) => void,
): void {
  const top = (height - info.height) >> 1;
  const left = (width - info.width) >> 1;
  for (let y = 0; y < info.height; y++) {
    for (let x = 0; x < info.width; x++) use((y * info.width + x) * info.channels, (y + top) * width + x + left);
  }
}
