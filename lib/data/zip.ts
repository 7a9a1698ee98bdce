/** Zip archives of arrays: entries stored or deflated, below 4 GB (PKWARE's APPNOTE 6.3). Sizes and sums are checked. */
import type { FileHandle } from 'node:fs/promises';
import { DataError } from '../errors.js';
import { ByteSource } from './byte-source.js';
import { withFile } from './files.js';

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;

/** Most entries and bytes of the list of contents: an archive of arrays has few. */
const MOST_ENTRIES = 10_000;
const MOST_DIRECTORY = 1 << 22;

interface Entry {
  name: string;
  method: number;
  crc: number;
  packed: number;
  size: number;
  offset: number;
}

async function readAt(handle: FileHandle, at: number, length: number, path: string): Promise<Buffer> {
  const source = ByteSource.plain(handle, path, at, at + length);
  try {
    return Buffer.from((await source.read(length, 'the archive')).buffer);
  } finally {
    await source.close();
  }
}

async function readDirectory(handle: FileHandle, fileSize: number, path: string): Promise<Entry[]> {
  const tail = await readAt(handle, Math.max(0, fileSize - 65557), Math.min(fileSize, 65557), path);
  let end = tail.length - 22;
  while (end >= 0 && !(tail.readUInt32LE(end) === END && end + 22 + tail.readUInt16LE(end + 20) === tail.length)) end--;
  if (end < 0) throw new DataError('not a zip archive, or cut off: its list of contents is missing', path);
  const [count, size, offset] = [tail.readUInt16LE(end + 10), tail.readUInt32LE(end + 12), tail.readUInt32LE(end + 16)];
  if (count === 0xffff || size === 0xffffffff || offset === 0xffffffff) throw new DataError('a zip archive of 4 GB or more is not read', path);
  if (count > MOST_ENTRIES || size > MOST_DIRECTORY) throw new DataError(`a list of contents of ${count} entries and ${size} bytes`, path);
  if (offset + size > fileSize) throw new DataError('the list of contents lies outside of the file', path);
  const bytes = await readAt(handle, offset, size, path);
  const entries: Entry[] = [];
  for (let at = 0; entries.length < count; ) {
    if (at + 46 > bytes.length || bytes.readUInt32LE(at) !== CENTRAL) throw new DataError('the list of contents is damaged', path);
    const [flags, method] = [bytes.readUInt16LE(at + 8), bytes.readUInt16LE(at + 10)];
    const next = at + 46 + bytes.readUInt16LE(at + 28) + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
    const name = bytes.toString('utf8', at + 46, at + 46 + bytes.readUInt16LE(at + 28));
    if (next > bytes.length) throw new DataError('the list of contents is damaged', path);
    if (flags & 1) throw new DataError(`"${name}" is encrypted`, path);
    if (method !== 0 && method !== 8) throw new DataError(`"${name}" is packed by method ${method}, neither stored nor deflated`, path);
    const numbers = { crc: bytes.readUInt32LE(at + 16), packed: bytes.readUInt32LE(at + 20), size: bytes.readUInt32LE(at + 24) };
    entries.push({ name, method, ...numbers, offset: bytes.readUInt32LE(at + 42) });
    at = next;
  }
  return entries;
}

/** Calls `use` with the bytes of every entry in turn. */
export async function readZip(path: string, use: (name: string, source: ByteSource) => Promise<void>): Promise<void> {
  await withFile(path, async (handle, fileSize) => {
    const entries = await readDirectory(handle, fileSize, path);
    // Entries that lie over each other would be decompressed again and again.
    if (entries.reduce((sum, { packed }) => sum + packed + 30, 0) > fileSize) throw new DataError('its entries are longer than the file', path);
    for (const entry of entries) {
      if (entry.name.endsWith('/')) continue;
      const where = `${path}: ${entry.name}`;
      const wrong = (message: string) => new DataError(`${entry.name}: ${message}`, path);
      if (entry.packed > fileSize || entry.offset + 30 > fileSize) throw wrong('cut off');
      const local = await readAt(handle, entry.offset, 30, path);
      if (local.readUInt32LE(0) !== LOCAL) throw wrong('the entry is not where the list of contents says');
      const from = entry.offset + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
      const to = from + entry.packed;
      if (to > fileSize || (entry.method === 0 && entry.size !== entry.packed)) throw wrong('cut off');
      const source = ByteSource.checked(handle, where, [from, to], entry.method === 8, entry.size, entry.crc);
      try {
        await use(entry.name, source);
      } catch (error) {
        // The message names the entry as well, the path of the error is that of the archive.
        if (error instanceof DataError && error.path === where) throw new DataError(error.message.slice(path.length + 2), path, { cause: error });
        throw error;
      } finally {
        await source.close();
      }
    }
  });
}
