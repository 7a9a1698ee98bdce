/** Writing files so that a crash or a full disk never leaves half of one: aside, synced, renamed. */
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { threadId } from 'node:worker_threads';
import { FileError } from './errors.js';

/** Where the new contents of `path` are written before they take its place; of this process and thread alone. */
const asideOf = (path: string) => `${path}.${process.pid}${threadId ? `-${threadId}` : ''}.tmp`;

/** Whether a file in the same folder was left behind by a process that was killed while it wrote `name`. */
export const isAside = (file: string, name: string): boolean => file.startsWith(`${name}.`) && file.endsWith('.tmp') && basename(file) === file;

/** The writing that is under way, by path: two writers of one file take turns. */
const underWay = new Map<string, Promise<void>>();

/**
 * Replaces `path` by `chunks` as a whole, or leaves what was there.
 * @throws FileError
 */
export async function writeFileAtomic(path: string, chunks: readonly (Uint8Array | string)[]): Promise<void> {
  const key = resolve(path);
  const before = underWay.get(key) ?? Promise.resolve();
  const writing = before.then(
    () => write(path, chunks),
    () => write(path, chunks),
  );
  underWay.set(key, writing);
  try {
    await writing;
  } finally {
    if (underWay.get(key) === writing) underWay.delete(key);
  }
}

async function write(path: string, chunks: readonly (Uint8Array | string)[]): Promise<void> {
  const aside = asideOf(path);
  let file: FileHandle | undefined;
  try {
    file = await open(aside, 'w');
    for (const chunk of chunks) await writeAll(file, chunk);
    await file.sync();
    await file.close();
    file = undefined;
    await rename(aside, path);
  } catch (error) {
    await file?.close().catch(() => {});
    await rm(aside, { force: true }).catch(() => {});
    throw writeError(path, error);
  }
  await syncDirectory(dirname(path));
}

/**
 * Adds `text` to the end of a file and syncs it. A crash may leave a part of it.
 * @throws FileError
 */
export async function appendSynced(path: string, text: string | Uint8Array): Promise<void> {
  try {
    const file = await open(path, 'a');
    try {
      await writeAll(file, text);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw writeError(path, error);
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array | string): Promise<void> {
  const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
  let done = 0;
  while (done < bytes.length) done += (await file.write(bytes, done)).bytesWritten;
}

/**
 * Makes a folder and those above it, where they are missing.
 * @throws FileError of the first one that cannot be made
 */
export async function makeFolder(path: string): Promise<void> {
  // Not `recursive`: in a folder that takes none, such as /proc, Node.js then tries for ever.
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (await isFolder(path)) return;
    const above = dirname(resolve(path));
    // On a read-only file system making a folder may say that the one above is not there.
    if (code !== 'ENOENT' || (await isFolder(above))) throw writeError(path, error);
    await makeFolder(above);
    await mkdir(path).catch(async (again: NodeJS.ErrnoException) => {
      if (!(await isFolder(path))) throw writeError(path, again); // else another process has made it
    });
  }
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

/** Makes a rename last through a power cut, where the system can. */
async function syncDirectory(path: string): Promise<void> {
  try {
    const directory = await open(path, 'r');
    await directory.sync().finally(() => directory.close());
  } catch {
    // Windows cannot open directories; the rename itself has happened.
  }
}

const advice: Record<string, string> = {
  ENOSPC: 'the disk is full; free some space',
  EDQUOT: 'the disk quota is used up; free some space',
  EFBIG: 'the file would be larger than allowed; raise the limit',
  EACCES: 'permission is denied; make the folder and its files writable',
  EPERM: 'permission is denied; make the folder and its files writable',
  EROFS: 'the file system is read-only; remount it or choose another folder',
  ENOENT: 'its folder is not there; make it or choose another',
  ENOTDIR: 'a part of its path is no folder; choose another',
  EEXIST: 'a file has its name; remove it or choose another',
  EISDIR: 'a folder has its name; remove it',
  EMFILE: 'too many files are open; raise the limit',
  ENFILE: 'too many files are open; raise the limit',
};

/** What stands in the way of a file operation and what to do about it, as half a sentence. */
export function obstacle(error: unknown): string {
  const { code, message } = (error instanceof FileError ? error.cause : error) as NodeJS.ErrnoException;
  return (code && advice[code]) || message;
}

const writeError = (path: string, cause: unknown) => new FileError(`could not be written: ${obstacle(cause)}`, path, { cause });
