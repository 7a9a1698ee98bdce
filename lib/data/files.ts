/** Finding and opening data files, plain or gzipped. */
import type { Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../errors.js';
import { pauses } from '../pace.js';
import { ByteSource } from './byte-source.js';

const MISSING = ['ENOENT', 'ENOTDIR'];

/** What is at a path, or undefined where nothing is. */
export async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (cause) {
    if (MISSING.includes((cause as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw new DataError(`cannot be read: ${(cause as Error).message}`, path, { cause });
  }
}

/** The first file by one of `names` (each also with `.gz`) in one of `directories`; a folder of such a name is passed over. */
export async function findDataFile(directories: string[], names: string[]): Promise<string> {
  for (const directory of directories) {
    for (const name of names.flatMap((n) => [n, `${n}.gz`])) {
      const path = join(directory, name);
      const found = await statIfThere(path);
      if (found && !found.isDirectory()) return path;
    }
  }
  throw new DataError(`not found: looked for ${names.join(', ')}, plain or with .gz`, directories.join(', '));
}

/** Opens a file for `use` and closes it in any case. @throws DataError for what is no file, is empty or cannot be read */
export async function withFile<T>(path: string, use: (handle: FileHandle, size: number) => Promise<T>): Promise<T> {
  if (typeof path !== 'string' || path.includes('\0')) throw new DataError('not a path of a file', JSON.stringify(path));
  const found = await statIfThere(path); // before it is opened: to open a pipe would wait for whoever writes to it
  if (!found) throw new DataError('not found', path);
  if (!found.isFile()) throw new DataError(found.isDirectory() ? 'a folder, not a file' : 'not a regular file', path);
  if (found.size === 0) throw new DataError('the file is empty', path);
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (cause) {
    throw new DataError(`cannot be read: ${(cause as Error).message}`, path, { cause });
  }
  try {
    return await use(handle, found.size);
  } finally {
    await handle.close();
  }
}

/** Gives `use` the bytes of a file; a gzipped one, whatever its name, is decompressed on the way. */
export async function withDataFile<T>(path: string, use: (source: ByteSource) => Promise<T>): Promise<T> {
  return withFile(path, async (handle, size) => {
    const start = Buffer.alloc(2);
    const { bytesRead } = await handle.read(start, 0, 2, 0);
    const zipped = bytesRead === 2 && start[0] === 0x1f && start[1] === 0x8b;
    const source = zipped ? ByteSource.compressed(handle, path, 0, size, 'gzip') : ByteSource.plain(handle, path, 0, size);
    try {
      return await use(source);
    } finally {
      await source.close();
    }
  });
}

/** All bytes that are left of a source, however long it says to be. @throws DataError for more than `most` */
export async function bytesOf(source: ByteSource, most: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  const rest = pauses();
  for await (const piece of source.rest()) {
    parts.push(piece);
    if (source.position > most) throw new DataError(`more than ${most} bytes`, source.path);
    await rest();
  }
  return Buffer.concat(parts);
}

/** Most bytes of a text file: its text, twice as large in memory at worst, must fit what the engine gives a string. */
const MOST_TEXT = 2 ** 28;

/** The text of a file in UTF-8, plain or gzipped, in pieces. A byte order mark is left out. */
export async function* textPieces(source: ByteSource, most = MOST_TEXT): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (piece?: Buffer) => {
    try {
      return decoder.decode(piece, { stream: piece !== undefined });
    } catch (cause) {
      throw new DataError(`not a text in UTF-8 (near byte ${source.position})`, source.path, { cause });
    }
  };
  for await (const piece of source.rest()) {
    if (source.position > most) throw new DataError(`a text of more than ${most} bytes`, source.path);
    yield decode(piece);
  }
  yield decode();
}

/** The whole text of a file in UTF-8. */
export async function readText(path: string): Promise<string> {
  return withDataFile(path, async (source) => {
    let text = '';
    const rest = pauses();
    for await (const piece of textPieces(source)) {
      text += piece;
      await rest();
    }
    return text;
  });
}
