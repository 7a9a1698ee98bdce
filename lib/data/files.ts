/** Reading data files, plain or gzipped. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { DataError } from '../errors.js';

const unzip = promisify(gunzip);

/** The first of `names` (each also with `.gz`) that exists in one of `directories`. */
export async function readDataFile(directories: string[], names: string[]): Promise<{ path: string; bytes: Buffer }> {
  for (const directory of directories) {
    for (const name of names.flatMap((n) => [n, `${n}.gz`])) {
      const path = join(directory, name);
      let bytes: Buffer;
      try {
        bytes = await readFile(path);
      } catch (error) {
        if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) continue;
        throw new DataError(`cannot be read: ${(error as Error).message}`, path, { cause: error });
      }
      if (bytes.length === 0) throw new DataError('the file is empty', path);
      if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return { path, bytes };
      try {
        return { path, bytes: await unzip(bytes) };
      } catch (error) {
        throw new DataError(`the gzip data are damaged or cut off (${(error as Error).message})`, path, { cause: error });
      }
    }
  }
  throw new DataError(`not found: looked for ${names.join(', ')}, plain or with .gz`, directories.join(', '));
}
