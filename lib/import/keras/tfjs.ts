/** Layers models of TensorFlow.js: model.json and the files of weights beside it. */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { decodeElements, type ElementType, elementBytes } from '../../data/elements.js';
import { readText } from '../../data/files.js';
import { DataError, isPlainObject } from '../../errors.js';
import { runNow } from '../../pace.js';
import { fileInside } from '../onnx/tensors.js';
import type { Weights } from './graph.js';
import type { KerasFile } from './model.js';

interface Entry {
  name: string;
  shape: number[];
  dtype: string;
  quantization?: { dtype: string; scale?: number; min?: number };
}

const TYPES: Record<string, ElementType> = { float32: 'f32', float16: 'f16', int32: 'i32', uint8: 'u8', uint16: 'u16', bool: 'bool' };
const MOST_BYTES = 2 ** 31 - 1;

function entryOf(value: unknown, path: string): Entry {
  const { name, shape, dtype, quantization } = (isPlainObject(value) ? value : {}) as Partial<Entry>;
  const areSizes = Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  const isQuantized = isPlainObject(quantization) && typeof quantization.dtype === 'string';
  if (typeof name !== 'string' || typeof dtype !== 'string' || !areSizes || (quantization !== undefined && !isQuantized))
    throw new DataError('expected weights with a name, a shape and a dtype in weightsManifest', path);
  return { name, shape, dtype, ...(quantization && { quantization }) };
}

/** The numbers of one tensor at the beginning of the bytes. */
function numbersOf({ name, shape, dtype, quantization }: Entry, bytes: Uint8Array, path: string): { data: Float32Array; length: number } {
  const stored = quantization?.dtype ?? dtype;
  const type = Object.hasOwn(TYPES, stored) ? TYPES[stored] : undefined;
  if (!type) throw new DataError(`weights "${name}" have the dtype ${JSON.stringify(stored)}`, path);
  const length = shape.reduce((a, b) => a * b, 1) * elementBytes[type];
  if (!(length <= bytes.length)) throw new DataError(`weights "${name}" of [${shape}] end behind the files, ${bytes.length} bytes are left`, path);
  const values = Float32Array.from(runNow(decodeElements(Uint8Array.from(bytes.subarray(0, length)), type, false)));
  const { scale = 1, min = 0 } = quantization ?? {};
  if (typeof scale !== 'number' || typeof min !== 'number') throw new DataError(`weights "${name}" are quantized by no numbers`, path);
  return { data: quantization && stored !== 'float16' ? values.map((q) => q * scale + min) : values, length };
}

async function bytesOf(paths: unknown, path: string): Promise<Uint8Array> {
  if (!Array.isArray(paths) || !paths.every((name) => typeof name === 'string')) throw new DataError('expected paths in weightsManifest', path);
  const parts: Uint8Array[] = [];
  let total = 0;
  for (const name of paths as string[]) {
    const part = await readFile(await fileInside(dirname(path), name, `weights at ${JSON.stringify(name)}`, path));
    total += part.length;
    if (total > MOST_BYTES) throw new DataError('more than 2 GiB of weights', path);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** `dense_1/kernel` is the kernel of the layer dense_1, `both/forward_lstm/kernel` of a layer both the one of its part `forward`. */
export function addWeight(all: Map<string, Weights>, name: string, constant: { shape: number[]; data: Float32Array }, layer?: string): void {
  const parts = name.replace(/:\d+$/, '').split('/');
  const last = parts.pop() as string;
  const of = layer ?? parts[0] ?? '';
  const [, direction] =
    parts
      .filter((part) => part !== of)
      .map((part) => part.match(/^(forward|backward)_/))
      .find(Boolean) ?? [];
  const weights: Weights = all.get(of) ?? new Map();
  all.set(of, weights.set(direction ? `${direction}/${last}` : last, { ...constant, isInteger: false }));
}

/** @throws DataError for what is no layers model, and for damaged files */
export async function readTfjs(path: string): Promise<KerasFile> {
  let json: unknown;
  try {
    json = JSON.parse(await readText(path));
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`expected JSON of a TensorFlow.js layers model (${(cause as Error).message})`, path, { cause });
  }
  const { modelTopology, weightsManifest, format, generatedBy } = (isPlainObject(json) ? json : {}) as Record<string, unknown>;
  if (format === 'graph-model') throw new DataError('a graph model; layers models can be imported', path);
  if (!isPlainObject(modelTopology) || !Array.isArray(weightsManifest))
    throw new DataError('expected modelTopology and weightsManifest of a TensorFlow.js layers model', path);
  const weights = new Map<string, Weights>();
  for (const group of weightsManifest as unknown[]) {
    const { paths, weights: entries } = (isPlainObject(group) ? group : {}) as Record<string, unknown>;
    addWeights(weights, entries, await bytesOf(paths, path), path);
  }
  return { topology: modelTopology, producer: typeof generatedBy === 'string' ? generatedBy : 'TensorFlow.js', weights };
}

/** The tensors that `entries` names, which are the bytes one after the other. */
function addWeights(all: Map<string, Weights>, entries: unknown, bytes: Uint8Array, path: string): void {
  let at = 0;
  for (const value of Array.isArray(entries) ? entries : []) {
    const entry = entryOf(value, path);
    const { data, length } = numbersOf(entry, bytes.subarray(at), path);
    addWeight(all, entry.name, { shape: entry.shape, data });
    at += length;
  }
  if (at !== bytes.length) throw new DataError(`${bytes.length - at} bytes of weights that the manifest does not name`, path);
}

/** What `save` of a model gives its handler, of which `path` is what errors call it. @throws DataError for what is no layers model */
export function readArtifacts(artifacts: Record<string, unknown>, path: string): KerasFile {
  const { modelTopology, weightSpecs, weightData, generatedBy } = artifacts;
  const buffers = Array.isArray(weightData) ? weightData : [weightData];
  if (!isPlainObject(modelTopology) || !Array.isArray(weightSpecs) || !buffers.every((part) => part instanceof ArrayBuffer))
    throw new DataError('expected modelTopology, weightSpecs and weightData of a TensorFlow.js layers model', path);
  const weights = new Map<string, Weights>();
  addWeights(weights, weightSpecs, Buffer.concat(buffers.map((part) => new Uint8Array(part))), path);
  return { topology: modelTopology, producer: typeof generatedBy === 'string' ? generatedBy : 'TensorFlow.js', weights };
}
