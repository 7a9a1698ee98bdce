/**
 * Checkpoints: one file in the safetensors layout (8 bytes header length, JSON header, float32 data), so that other tools
 * can read its tensors. What training needs besides them is JSON in the header's metadata, with a SHA-256 of the data.
 */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { NetworkDescription } from '../binding.js';
import { CheckpointError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import type { State } from '../network/initial.js';
import type { EpochMetrics } from './epoch-metrics.js';
import type { Origin } from './metrics.js';
import type { TrainOptions } from './options.js';

export interface DataInfo {
  name: string;
  classes: number;
  classNames?: string[];
  mean: number[];
  std: number[];
  /** Training images in use. */
  trainCount: number;
  testCount: number;
}

export interface Checkpoint {
  /** The network as it is now, after removals. */
  description: NetworkDescription;
  options: TrainOptions;
  origin: Origin;
  data: DataInfo;
  /** Epochs and steps completed. */
  epoch: number;
  step: number;
  history: EpochMetrics[];
  /** All parameters and optimizer moments. */
  state: State;
}

const VERSION = 1;

/** @throws CheckpointError when it cannot be written; a former file at `path` is then untouched */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const { state, ...rest } = checkpoint;
  const names = Object.keys(state).sort();
  const hash = createHash('sha256');
  const tensors: Record<string, unknown> = {};
  const data: Uint8Array[] = [];
  let offset = 0;
  for (const name of names) {
    const bytes = new Uint8Array(state[name].buffer, state[name].byteOffset, state[name].byteLength);
    tensors[name] = { dtype: 'F32', shape: [state[name].length], data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    hash.update(bytes);
    data.push(bytes);
  }
  const info = JSON.stringify(rest);
  hash.update(JSON.stringify(tensors)).update(info);
  let header = JSON.stringify({
    __metadata__: { format: 'selfcompress-checkpoint', version: String(VERSION), info, sha256: hash.digest('hex') },
    ...tensors,
  });
  header = header.padEnd(Math.ceil(Buffer.byteLength(header) / 8) * 8 - (Buffer.byteLength(header) - header.length));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  try {
    await writeFileAtomic(path, [length, header, ...data]);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why = code === 'ENOSPC' ? 'the disk is full' : (cause as Error).message;
    throw new CheckpointError(`The checkpoint ${path} could not be written: ${why}. The previous one, if any, is untouched.`, { cause });
  }
}

/**
 * Reads a checkpoint file, or the file `checkpoint` in the folder `path`.
 * @throws CheckpointError when there is none, or it is damaged or of another format
 */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  let file = path;
  let bytes: Buffer;
  try {
    if ((await stat(path)).isDirectory()) file = join(path, 'checkpoint');
    bytes = await readFile(file);
  } catch (cause) {
    throw new CheckpointError(`There is no checkpoint at ${file}: ${(cause as Error).message}`, { cause });
  }
  const damaged = (why: string, cause?: unknown) => new CheckpointError(`The checkpoint ${file} is damaged: ${why}`, { cause });
  if (bytes.length < 8) throw damaged(`it has ${bytes.length} bytes`);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  if (headerLength > bytes.length - 8) throw damaged(`its header of ${headerLength} bytes does not fit its ${bytes.length} bytes`);
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength));
  } catch (cause) {
    throw damaged('its header is not JSON', cause);
  }
  const metadata = header.__metadata__ as Record<string, string> | undefined;
  if (metadata?.format !== 'selfcompress-checkpoint') throw new CheckpointError(`${file} is not a checkpoint of selfcompress`);
  if (metadata.version !== String(VERSION))
    throw new CheckpointError(`${file} is a checkpoint of version ${metadata.version}; this program reads version ${VERSION}`);
  const data = bytes.subarray(8 + headerLength);
  const state: State = {};
  const hash = createHash('sha256');
  let expected = 0;
  const { __metadata__: _, ...tensors } = header;
  for (const [name, tensor] of Object.entries(tensors)) {
    const [from, to] = (tensor as { data_offsets?: [number, number] }).data_offsets ?? [-1, -1];
    if (from !== expected || !(to >= from) || to > data.length || (to - from) % 4) throw damaged(`the tensor "${name}" lies outside of its data`);
    expected = to;
    hash.update(data.subarray(from, to));
    state[name] = new Float32Array(data.buffer.slice(data.byteOffset + from, data.byteOffset + to) as ArrayBuffer);
  }
  hash.update(JSON.stringify(tensors)).update(metadata.info ?? '');
  if (expected !== data.length || hash.digest('hex') !== metadata.sha256) throw damaged('its contents do not match their checksum');
  return { ...JSON.parse(metadata.info), state };
}
