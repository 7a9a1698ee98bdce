/**
 * Bytes of a file from its beginning to its end, plain or compressed. A reader asks for as many as the header has promised;
 * nothing is allocated before the file is known to be able to hold them, and no more is decompressed than was asked for.
 */
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createGunzip, createInflateRaw } from 'node:zlib';
import { DataError } from '../errors.js';
import { pauses } from '../pace.js';

/** Bytes that are read at once: a slice takes well under a millisecond to handle. */
const PIECE = 1 << 18;

/** DEFLATE expands a byte to at most this many (RFC 1951: 258 bytes from 2 bits, rounded up). */
const MOST_EXPANSION = 1032;

/**
 * Where no header says how much there is, compressed data that expand more than this are taken for an attack once they are large:
 * texts and images shrink to a tenth or a fiftieth.
 */
const MOST_SENSIBLE_EXPANSION = 200;
const UNSUSPECTED = 2 ** 24;

/** Most bytes of one array here; larger data do not fit the indices that native code uses. */
const MOST_BYTES = 2 ** 32 - 1;

async function* pieces(handle: FileHandle, path: string, from: number, to: number): AsyncGenerator<Buffer> {
  for (let at = from; at < to; ) {
    const piece = Buffer.allocUnsafe(Math.min(PIECE, to - at));
    let bytesRead = 0;
    try {
      ({ bytesRead } = await handle.read(piece, 0, piece.length, at));
    } catch (cause) {
      throw new DataError(`cannot be read: ${(cause as Error).message}`, path, { cause });
    }
    if (bytesRead === 0) throw new DataError('it became shorter while it was read', path);
    at += bytesRead;
    yield piece.subarray(0, bytesRead);
  }
}

async function* decompressed(handle: FileHandle, path: string, [from, to]: [number, number], kind: 'gzip' | 'deflate'): AsyncGenerator<Buffer> {
  const unzip = kind === 'gzip' ? createGunzip({ chunkSize: PIECE }) : createInflateRaw({ chunkSize: PIECE });
  const source = Readable.from(pieces(handle, path, from, to), { objectMode: false }); // a read stream would close the file
  source.on('error', (error) => unzip.destroy(error));
  source.pipe(unzip);
  try {
    for await (const piece of unzip) yield piece as Buffer;
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`the ${kind} data are damaged or cut off (${(cause as Error).message})`, path, { cause });
  } finally {
    source.unpipe(unzip);
    source.destroy();
    unzip.destroy();
  }
  if (unzip.bytesWritten !== to - from) throw new DataError(`there are other bytes behind the end of the ${kind} data`, path);
}

const table = Int32Array.from({ length: 256 }, (_, i) => {
  let c = i;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c;
});

/** CRC-32 goes on from `crc` over more bytes; start with 0. */
export function crc32(bytes: Uint8Array, crc = 0): number {
  let c = ~crc;
  for (let i = 0; i < bytes.length; i++) c = (table[(c ^ (bytes[i] as number)) & 255] as number) ^ (c >>> 8);
  return ~c >>> 0;
}

/** The same pieces, which in the end must have been `size` bytes with that sum. */
async function* checkedPieces(from: AsyncGenerator<Buffer>, path: string, size: number, crc: number): AsyncGenerator<Buffer> {
  let sum = 0;
  let length = 0;
  for await (const piece of from) {
    length += piece.length;
    if (length > size) throw new DataError(`too long: there are more bytes than the ${size} that the archive promises`, path);
    sum = crc32(piece, sum);
    yield piece;
  }
  if (length < size) throw new DataError(`cut off: expected ${size} bytes but found ${length}`, path);
  if (sum !== crc) throw new DataError('damaged: the sum of its bytes (CRC-32) is another', path);
}

export class ByteSource {
  #next: Buffer[] = [];
  #done = false;
  /** Bytes that have been handed out. */
  position = 0;

  private constructor(
    readonly path: string,
    private readonly iterator: AsyncGenerator<Buffer>,
    /** Bytes that there may be at most, and whether there are exactly as many. */
    private readonly bound: number,
    private readonly exact: boolean,
  ) {}

  /** The bytes `from`..`to` of an open file as they are. */
  static plain(handle: FileHandle, path: string, from: number, to: number): ByteSource {
    return new ByteSource(path, pieces(handle, path, from, to), to - from, true);
  }

  /** What the bytes `from`..`to` of an open file decompress to. */
  static compressed(handle: FileHandle, path: string, from: number, to: number, kind: 'gzip' | 'deflate'): ByteSource {
    return new ByteSource(path, decompressed(handle, path, [from, to], kind), (to - from) * MOST_EXPANSION, false);
  }

  /** An entry of an archive, stored or deflated: its bytes are `size` and have the CRC-32 `crc`. */
  static checked(handle: FileHandle, path: string, range: [number, number], isDeflated: boolean, size: number, crc: number): ByteSource {
    const [from, to] = range;
    const bytes = isDeflated ? decompressed(handle, path, range, 'deflate') : pieces(handle, path, from, to);
    const bound = isDeflated ? Math.min(size, (to - from) * MOST_EXPANSION) : size;
    return new ByteSource(path, checkedPieces(bytes, path, size, crc), bound, !isDeflated);
  }

  /** The rest of the source in pieces, for formats that do not say how long they are. */
  async *rest(): AsyncGenerator<Buffer> {
    for (let piece = await this.#piece(); piece; piece = await this.#piece()) {
      this.position += piece.length;
      const packed = this.bound / MOST_EXPANSION;
      if (!this.exact && this.position > Math.max(UNSUSPECTED, MOST_SENSIBLE_EXPANSION * packed))
        throw new DataError(`its ${packed} bytes expand to more than ${MOST_SENSIBLE_EXPANSION} times as many`, this.path);
      yield piece;
    }
  }

  /** Exactly `count` bytes, in memory of their own. @throws DataError where there are fewer; `what` names them in the message */
  async read(count: number, what: string): Promise<Uint8Array> {
    const cutOff = (found: number) => new DataError(`cut off: expected ${count} bytes of ${what} but found ${found}`, this.path);
    const left = this.bound - this.position;
    if (!(count <= left))
      throw this.exact ? cutOff(left) : new DataError(`cut off: ${count} bytes of ${what} cannot be in so short a file`, this.path);
    if (count > MOST_BYTES) throw new DataError(`${count} bytes of ${what} are more than fit in memory at once (${MOST_BYTES})`, this.path);
    const gathered: Buffer[] = [];
    let found = 0;
    // What may not be there is gathered first; what is there goes where it belongs at once.
    const rest = pauses();
    const result = this.exact ? allocate(count, this.path) : undefined;
    while (found < count) {
      const piece = await this.#piece();
      if (!piece) throw cutOff(found);
      const used = piece.length > count - found ? piece.subarray(0, count - found) : piece;
      if (used.length < piece.length) this.#next.push(piece.subarray(used.length));
      if (result) result.set(used, found);
      else gathered.push(used);
      found += used.length;
      this.position += used.length;
      await rest();
    }
    return result ?? joined(gathered, count, this.path);
  }

  /** Whether all bytes have been read. */
  async atEnd(): Promise<boolean> {
    const piece = await this.#piece();
    if (piece) this.#next.push(piece);
    return !piece;
  }

  /** Throws where there are more bytes than the header has promised. */
  async expectEnd(): Promise<void> {
    if (!(await this.atEnd())) throw new DataError(`too long: there are more bytes than the ${this.position} that its header promises`, this.path);
  }

  /** Stops reading; the file stays open. */
  async close(): Promise<void> {
    this.#done = true;
    await this.iterator.return(undefined);
  }

  async #piece(): Promise<Buffer | undefined> {
    const kept = this.#next.pop();
    if (kept || this.#done) return kept;
    const { value, done } = await this.iterator.next();
    if (!done) return value;
    this.#done = true;
    return undefined;
  }
}

/** Memory of a size that the file has been checked to hold. */
export function allocate(bytes: number, path: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new DataError(`there is no memory for its ${bytes} bytes of data`, path, { cause });
  }
}

async function joined(gathered: Buffer[], count: number, path: string): Promise<Uint8Array> {
  const result = allocate(count, path);
  const rest = pauses();
  let at = 0;
  for (const [i, piece] of gathered.entries()) {
    result.set(piece, at);
    at += piece.length;
    gathered[i] = undefined as unknown as Buffer; // its memory is free for the next one
    await rest();
  }
  return result;
}
