/**
 * Checkpoints: one file in the safetensors layout (8 bytes header length, JSON header, float32 data), so that other tools
 * can read its tensors. What training needs besides them is JSON in the header's metadata, with a SHA-256 of the data.
 */
import { createHash, type Hash } from 'node:crypto';
import { access, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkPath } from '../arguments.js';
import type { NetworkDescription } from '../binding.js';
import { CheckpointError, isPlainObject } from '../errors.js';
import { obstacle, writeFileAtomic } from '../files.js';
import type { OutputInfo } from '../model-file/model-file.js';
import type { State } from '../network/initial.js';
import type { Task } from '../network/task.js';
import { checkCheckpointInfo } from './checkpoint-info.js';
import type { EpochMetrics } from './epoch-metrics.js';
import type { Fingerprint } from './fingerprint.js';
import type { Origin } from './metrics.js';
import type { TrainOptions } from './options.js';
import type { OutputSums } from './outputs.js';
import type { Steering } from './steering.js';

export interface DataInfo {
  name: string;
  classes: number;
  classNames?: string[] | undefined;
  /** Of one output, where it is not what classes or their absence say. */
  task?: Task | undefined;
  /** Of several outputs each by itself. */
  outputs?: OutputInfo[] | undefined;
  mean: number[];
  std: number[];
  characters?: string | undefined;
  tokenizer?: string | undefined;
  /** Training images in use. */
  trainCount: number;
  testCount: number;
  /** Of the data themselves; checkpoints of version 1 have none. */
  fingerprint?: Fingerprint | undefined;
}

/** Sums over the steps of an epoch so far. */
export interface EpochProgress {
  steps: number;
  images: number;
  /** Of all images' losses, or of all positions that count; `weight` is what their mean divides by, by default the images. */
  lossSum: number;
  weight?: number;
  correct: number;
  /** What `correct` is a part of, by default the images. */
  count?: number;
  /** Q of the last of these steps. */
  bitsPerWeight: number;
  /** Of several outputs each by itself. */
  outputs?: Record<string, OutputSums>;
  /** Spent on them. */
  seconds: number;
}

export interface Checkpoint {
  /** The network as it is now, after removals. */
  description: NetworkDescription;
  options: TrainOptions;
  origin: Origin;
  data: DataInfo;
  /** Epochs and steps completed; the steps of an epoch that has begun are among them. */
  epoch: number;
  step: number;
  /** Where training stands inside an epoch, if it does. */
  progress?: EpochProgress;
  history: EpochMetrics[];
  /** Of gamma, where the options have a target. */
  steering?: Steering;
  /** Of the network whose outputs the run learns. */
  teacher?: Fingerprint;
  /** All parameters and optimizer moments. */
  state: State;
}

/**
 * Version 2 may stand inside an epoch, which version 1 could not; version 3 may have a target; version 4, written where there is one, has a
 * teacher. The others are read as well.
 */
const VERSION = 4;

/** A run's folder holds the state after its last epoch, and one inside the epoch that follows, if that has been saved. */
export const EPOCH_FILE = 'checkpoint';
export const STEP_FILE = 'checkpoint.step';

/** A part of a millisecond of hashing at a time. */
const SLICE_BYTES = 1 << 18;

async function hashSlices(hash: Hash, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    hash.update(bytes.subarray(at, at + SLICE_BYTES));
    if (at + SLICE_BYTES < bytes.length) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** @throws CheckpointError when it cannot be written; a former file at `path` is then untouched */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const { state, ...rest } = checkpoint;
  const hash = createHash('sha256');
  const tensors: Record<string, unknown> = {};
  const data: Uint8Array[] = [];
  let offset = 0;
  for (const [name, values] of Object.entries(state).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    tensors[name] = { dtype: 'F32', shape: [values.length], data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    await hashSlices(hash, bytes);
    data.push(bytes);
  }
  const info = JSON.stringify(rest);
  hash.update(JSON.stringify(tensors)).update(info);
  let header = JSON.stringify({
    __metadata__: {
      format: 'selfcompress-checkpoint',
      version: String(checkpoint.teacher ? VERSION : VERSION - 1),
      info,
      sha256: hash.digest('hex'),
    },
    ...tensors,
  });
  header = header.padEnd(Math.ceil(Buffer.byteLength(header) / 8) * 8 - (Buffer.byteLength(header) - header.length));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  try {
    await writeFileAtomic(path, [length, header, ...data]);
  } catch (cause) {
    throw new CheckpointError(`The checkpoint ${path} could not be written: ${obstacle(cause)}. The previous one, if any, is untouched.`, { cause });
  }
}

/**
 * Reads a checkpoint file, or the file `checkpoint` in the folder `path`.
 * @throws CheckpointError when there is none, or it is damaged or of another format
 */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  checkPath(path, 'path');
  let file = path;
  let bytes: Buffer;
  try {
    if ((await stat(path)).isDirectory()) file = join(path, EPOCH_FILE);
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
  if (!isPlainObject(header)) throw damaged('its header is no object');
  const metadata = header.__metadata__ as Record<string, unknown> | null | undefined;
  if (metadata?.format !== 'selfcompress-checkpoint') throw new CheckpointError(`${file} is not a checkpoint of selfcompress`);
  const version = Number(metadata.version);
  if (!(version >= 1 && version <= VERSION))
    throw new CheckpointError(`${file} is a checkpoint of version ${metadata.version}; this program reads versions 1 to ${VERSION}`);
  const data = bytes.subarray(8 + headerLength);
  const state: [string, Float32Array][] = [];
  const hash = createHash('sha256');
  let expected = 0;
  const { __metadata__: _, ...tensors } = header;
  for (const [name, tensor] of Object.entries(tensors)) {
    const [from, to] = offsetsOf(tensor) ?? [-1, -1];
    if (from !== expected || !(to >= from) || to > data.length || (to - from) % 4) throw damaged(`the tensor "${name}" lies outside of its data`);
    expected = to;
    await hashSlices(hash, data.subarray(from, to));
    state.push([name, new Float32Array(data.buffer.slice(data.byteOffset + from, data.byteOffset + to) as ArrayBuffer)]);
  }
  const { info } = metadata;
  if (typeof info !== 'string') throw damaged('its header does not say what the state is of');
  hash.update(JSON.stringify(tensors)).update(info);
  if (expected !== data.length || hash.digest('hex') !== metadata.sha256) throw damaged('its contents do not match their checksum');
  try {
    return { ...checkCheckpointInfo(version < 3 ? withStopAt(JSON.parse(info)) : JSON.parse(info)), state: Object.fromEntries(state) };
  } catch (cause) {
    throw damaged((cause as Error).message, cause);
  }
}

/** Before version 3, `target` was what is `stopAt` now. */
function withStopAt(info: unknown): unknown {
  if (!isPlainObject(info) || !isPlainObject(info.options) || info.options.stopAt !== undefined) return info;
  const { target = {}, ...options } = info.options;
  return { ...info, options: { ...options, target: {}, stopAt: target } };
}

/** Where a tensor's bytes are, undefined for what is no description of a tensor. */
function offsetsOf(tensor: unknown): [number, number] | undefined {
  const offsets = isPlainObject(tensor) ? tensor.data_offsets : undefined;
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(Number.isSafeInteger)) return undefined;
  return offsets as [number, number];
}

/** A checkpoint and the file that it was read from. */
export interface FoundCheckpoint {
  path: string;
  checkpoint: Checkpoint;
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

/** The checkpoints of a run's folder: after the last epoch, and inside the next one where that goes further. */
export async function readRunCheckpoints(folder: string): Promise<{ epoch?: FoundCheckpoint; step?: FoundCheckpoint }> {
  const read = async (name: string): Promise<FoundCheckpoint | undefined> => {
    const path = join(folder, name);
    return (await exists(path)) ? { path, checkpoint: await readCheckpoint(path) } : undefined;
  };
  const epoch = await read(EPOCH_FILE);
  const step = await read(STEP_FILE);
  const further = step && step.checkpoint.step > (epoch?.checkpoint.step ?? 0);
  return { ...(epoch && { epoch }), ...(further && { step }) };
}

/**
 * The newest checkpoint at `path`, a file or a run's folder.
 * @throws CheckpointError when there is none, or it is damaged or of another format
 */
export async function readLatestCheckpoint(path: string): Promise<FoundCheckpoint> {
  const isFolder = await stat(path).then(
    (s) => s.isDirectory(),
    () => false,
  );
  const { epoch, step } = isFolder ? await readRunCheckpoints(path) : {};
  return step ?? epoch ?? { path: isFolder ? join(path, EPOCH_FILE) : path, checkpoint: await readCheckpoint(path) };
}
