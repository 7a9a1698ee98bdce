/** Models that Keras saved as HDF5: its configuration is an attribute, the weights of each layer are a group. Read by h5wasm, an optional peer. */
import { readFile } from 'node:fs/promises';
import { DataError } from '../../errors.js';
import type { Weights } from './graph.js';
import type { KerasFile } from './model.js';
import { addWeight } from './tfjs.js';

/** What is used of h5wasm: the HDF5 library in WebAssembly, with files in its own memory. */
interface Entity {
  attrs: Record<string, { value: unknown }>;
}
export interface Dataset extends Entity {
  shape: number[] | null;
  value: unknown;
}
export interface Group extends Entity {
  keys(): string[];
  get(path: string): Group | Dataset | null;
}
interface Hdf5 {
  ready: Promise<{ FS: { writeFile(path: string, bytes: Uint8Array): void; unlink(path: string): void } }>;
  File: new (path: string, mode: string) => Group & { close(): void };
}

async function library(path: string): Promise<Hdf5> {
  const name: string = 'h5wasm';
  try {
    const module = (await import(name)) as { default?: Hdf5 } & Hdf5;
    return module.default ?? module;
  } catch (cause) {
    throw new DataError('HDF5 files are read by the package h5wasm, which is not installed. Run: npm install h5wasm', path, { cause });
  }
}

export const isGroup = (entity: Group | Dataset | null): entity is Group => entity !== null && 'keys' in entity;
const attribute = (entity: Entity, name: string): unknown => (Object.hasOwn(entity.attrs, name) ? entity.attrs[name]?.value : undefined);

/** Compressed data expand to at most so many times their bytes (DEFLATE's bound). */
const MOST_EXPANSION = 1032;

/** `held`: bytes of the file, which the elements are to fit in before they are read. @throws DataError for what is no floats */
export function numbersOf(dataset: Dataset, name: string, path: string, held: number): { shape: number[]; data: Float32Array } {
  const { shape } = dataset;
  if (shape && !(shape.reduce((a, b) => a * b, 1) <= held * MOST_EXPANSION))
    throw new DataError(`weights "${name}" of [${shape}] are more than its ${held} bytes can hold`, path);
  const { value } = dataset;
  if (!(value instanceof Float32Array || value instanceof Float64Array) || !shape) throw new DataError(`weights "${name}" are no floats`, path);
  const count = shape.reduce((a, b) => a * b, 1);
  if (count !== value.length) throw new DataError(`weights "${name}" of [${shape}] have ${value.length} elements`, path);
  return { shape: [...shape], data: Float32Array.from(value) };
}

function weightsOf(file: Group, path: string, held: number): Map<string, Weights> {
  const all = new Map<string, Weights>();
  const saved = file.get('model_weights');
  const root = isGroup(saved) ? saved : file;
  const names = attribute(root, 'layer_names');
  for (const layer of Array.isArray(names) ? names.map(String) : root.keys()) {
    const group = root.get(layer);
    if (!isGroup(group)) continue;
    const list = attribute(group, 'weight_names');
    for (const name of Array.isArray(list) ? list.map(String) : []) {
      const dataset = group.get(name);
      if (!dataset || isGroup(dataset)) throw new DataError(`no data set for the weights "${name}" of layer "${layer}"`, path);
      addWeight(all, name, numbersOf(dataset, name, path, held), layer);
    }
  }
  return all;
}

let opened = 0;

/** Opens the bytes of an HDF5 file. @throws DataError where h5wasm is not installed, and for what is no HDF5 file */
export async function withHdf5<T>(path: string, bytes: Uint8Array, use: (file: Group) => T): Promise<T> {
  const hdf5 = await library(path);
  const { FS } = await hdf5.ready;
  const name = `model-${opened++}.h5`;
  FS.writeFile(name, bytes);
  try {
    const file = new hdf5.File(name, 'r');
    try {
      return use(file);
    } finally {
      file.close();
    }
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`no HDF5 file of Keras (${(cause as Error).message})`, path, { cause });
  } finally {
    FS.unlink(name);
  }
}

/** @throws DataError for what is no HDF5 file with a Keras model */
export async function readHdf5(path: string): Promise<KerasFile> {
  const bytes = await readFile(path).catch((cause) => {
    throw new DataError(`it cannot be read (${(cause as Error).message})`, path, { cause });
  });
  return withHdf5(path, bytes, (file) => {
    const config = attribute(file, 'model_config');
    if (typeof config !== 'string') throw new DataError('no model of Keras: it has no model_config (of weights alone none is made)', path);
    const version = String(attribute(file, 'keras_version') ?? '');
    const topology = { model_config: JSON.parse(config) as unknown, keras_version: version };
    return { topology, producer: `Keras ${version}`.trim(), weights: weightsOf(file, path, bytes.length) };
  });
}
