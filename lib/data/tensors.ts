/** Data sets from named tensors: .npz archives, .npy files and safetensors. */

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkPath, readArgument } from '../arguments.js';
import { checkChoice, checkInteger, checkNames, DataError, wrongType } from '../errors.js';
import { item } from '../indexing.js';
import { TASKS } from '../network/task.js';
import { runPaced, SLICE, type Steps } from '../pace.js';
import type { ArraySplit, TokenArraySplit } from './arrays.js';
import type { AnyDataset, Dataset, Task, TokenDataset } from './dataset.js';
import { isFloat, type Numbers, type Tensor } from './elements.js';
import { readNpy } from './npy.js';
import { readNpz } from './npz.js';
import { readSafetensors } from './safetensors.js';
import { checkSplitOptions, datasetFromFile, type SplitOptions, splitIndices, splitOptionNames } from './splits.js';

const LAYOUTS = ['NCHW', 'NHWC', 'NHW', 'NCL', 'NLC', 'NF'] as const;
const SPLITS = ['train', 'test', 'validation', 'all'] as const;
const ROLES = ['images', 'tokens', 'labels', 'targets'] as const;

/** More classes or tokens are not taken from the numbers of a file alone: a damaged one would ask for a network of that size. */
const MOST_FOUND = 1_000_000;

type Role = (typeof ROLES)[number];
type SplitName = (typeof SPLITS)[number];

export interface TensorOptions extends SplitOptions {
  name?: string;
  /**
   * What the axes of the inputs are: N examples, C channels, H rows, W columns, L positions, F features. Default: NF, NHW, and of
   * four axes the one that has 1, 3 or 4 channels.
   */
  layout?: (typeof LAYOUTS)[number];
  /**
   * Names of the tensors by use, where they are not the usual ones: `{ 'train.images': 'pictures', 'train.labels': 'kinds' }`;
   * `images`, `labels` without a split are split by seed.
   */
  names?: Record<string, string>;
  /** Default: that of `classNames`, or as many as the labels name. */
  classes?: number;
  classNames?: string[];
  task?: Task;
  ignoreLabel?: number;
  /** How many tokens there are, for token inputs. Default: as many as the tokens name. */
  vocabulary?: number;
}

const splitWords: Record<string, SplitName> = {
  train: 'train',
  training: 'train',
  test: 'test',
  val: 'validation',
  valid: 'validation',
  validation: 'validation',
};
const roleWords: Record<string, Role | 'y'> = {
  images: 'images',
  image: 'images',
  inputs: 'images',
  input: 'images',
  vectors: 'images',
  sequences: 'images',
  features: 'images',
  data: 'images',
  x: 'images',
  tokens: 'tokens',
  labels: 'labels',
  label: 'labels',
  targets: 'targets',
  target: 'targets',
  y: 'y',
};

type Found = Partial<Record<SplitName, Partial<Record<Role, Tensor>>>>;

/** `train_images`, `x_train`, `test.labels`, `y`: the split and the use that a name tells; undefined where it tells none. */
function readName(name: string, tensor: Tensor): [SplitName, Role] | undefined {
  const words = name.toLowerCase().split(/[._/\s-]+/);
  const roles = words.filter((word) => Object.hasOwn(roleWords, word));
  const splits = words.filter((word) => Object.hasOwn(splitWords, word));
  if (roles.length !== 1 || splits.length > 1 || words.length !== roles.length + splits.length) return undefined;
  const role = item(
    roles.map((word) => roleWords[word] as Role | 'y'),
    0,
  );
  const [split = 'all'] = splits.map((word) => splitWords[word] as SplitName);
  return [split, role === 'y' ? (isFloat(tensor.type) ? 'targets' : 'labels') : role];
}

function assign(found: Found, split: SplitName, role: Role, tensor: Tensor, name: string, path: string): void {
  found[split] ??= {};
  const uses = found[split] as Partial<Record<Role, Tensor>>;
  if (uses[role]) throw new DataError(`"${name}" is a second tensor for ${split}.${role}`, path);
  uses[role] = tensor;
}

function findTensors(tensors: Map<string, Tensor>, names: Record<string, string> | undefined, path: string): Found {
  const found: Found = {};
  const list = () => [...tensors.keys()].map((name) => JSON.stringify(name)).join(', ');
  if (names) {
    for (const [use, name] of Object.entries(names)) {
      const [split, role] = use.includes('.') ? use.split('.') : ['all', use];
      checkChoice(split, `the split of names["${use}"]`, SPLITS);
      checkChoice(role, `the use of names["${use}"]`, ROLES);
      const tensor = tensors.get(name);
      if (!tensor) throw new DataError(`there is no tensor "${name}", only ${list()}`, path);
      assign(found, split as SplitName, role as Role, tensor, name, path);
    }
    return found;
  }
  for (const [name, tensor] of tensors) {
    const use = readName(name, tensor);
    if (!use) throw new DataError(`what "${name}" is for does not follow from its name; say it by the option names (there are ${list()})`, path);
    assign(found, ...use, tensor, name, path);
  }
  return found;
}

const isChannels = (size: number) => size === 1 || size === 3 || size === 4;

function layoutOf(shape: number[], layout: TensorOptions['layout'], path: string): NonNullable<TensorOptions['layout']> {
  if (layout) {
    if (layout.length !== shape.length) throw new DataError(`the layout ${layout} does not fit inputs of ${shape.join('×')}`, path);
    return layout;
  }
  if (shape.length === 2) return 'NF';
  if (shape.length === 3) return 'NHW';
  if (shape.length !== 4) throw new DataError(`inputs of ${shape.length} axes (${shape.join('×')}) are not known here`, path);
  const [second, last] = [isChannels(item(shape, 1)), isChannels(item(shape, 3))];
  if (second !== last) return second ? 'NCHW' : 'NHWC';
  throw new DataError(`which axis of ${shape.join('×')} has the channels is not clear; say it by the option layout`, path);
}

/** Elements as bytes or float32; channels that lie last come first. */
function* toInputs(
  { data, type }: Tensor,
  outer: number,
  positions: number,
  channels: number,
  channelsLast: boolean,
): Steps<Uint8Array | Float32Array> {
  const bytes = type === 'u8';
  if (bytes && !channelsLast) return data as Uint8Array;
  if (data instanceof Float32Array && !channelsLast) return data;
  const result = bytes ? new Uint8Array(data.length) : new Float32Array(data.length);
  if (!channelsLast) {
    for (let at = 0; at < data.length; at += SLICE) {
      result.set(data.subarray(at, at + SLICE), at);
      yield;
    }
    return result;
  }
  let since = 0;
  for (let n = 0, at = 0; n < outer; n++) {
    for (let p = 0; p < positions; p++) {
      for (let c = 0; c < channels; c++) result[(n * channels + c) * positions + p] = data[at++] as number;
      since += channels;
      if (since < SLICE) continue;
      since = 0;
      yield;
    }
  }
  return result;
}

/** Inputs of one split in this library's layout. */
async function readInputs(tensor: Tensor, options: TensorOptions, path: string): Promise<{ images: Uint8Array | Float32Array; shape: number[] }> {
  if (tensor.shape.length === 1) return { images: await runPaced(toInputs(tensor, 1, 1, 1, false)), shape: [1] };
  const layout = layoutOf(tensor.shape, options.layout, path);
  const size = (axis: string) => (layout.includes(axis) ? item(tensor.shape, layout.indexOf(axis)) : 1);
  const channels = size('C');
  const positions = size('H') * size('W') * size('L');
  const channelsLast = layout.endsWith('C') && channels > 1;
  const images = await runPaced(toInputs(tensor, size('N'), positions, channels, channelsLast));
  if (layout === 'NF') return { images, shape: [size('F')] };
  return { images, shape: layout.includes('L') ? [channels, size('L')] : [channels, size('H'), size('W')] };
}

type Uses = Partial<Record<Role, Tensor>>;
type AnySplit = (ArraySplit | TokenArraySplit) & { shape: number[]; count: number };

/** The arrays of one split, with the shape of an example. */
async function readSplit(uses: Uses, which: string, options: TensorOptions, path: string): Promise<AnySplit> {
  const { images, tokens, labels, targets } = uses;
  const input = tokens ?? images;
  if (!input || (tokens && images)) throw new DataError(`expected either images or tokens of ${which} but found ${input ? 'both' : 'neither'}`, path);
  const count = input.shape[0] ?? 0;
  for (const [role, tensor] of Object.entries({ labels, targets })) {
    if (tensor && tensor.shape[0] !== count) throw new DataError(`there are ${count} examples of ${which} but ${tensor.shape[0] ?? 0} ${role}`, path);
  }
  if (count === 0) throw new DataError(`there are no examples of ${which}`, path);
  const answers = { ...(labels && { labels: labels.data as Int32Array }), ...(targets && { targets: targets.data as Float32Array }) };
  if (tokens) return { tokens: tokens.data as Int32Array, ...answers, shape: tokens.shape.slice(1), count };
  return { ...(await readInputs(input, options, path)), ...answers, count };
}

/** The examples `indices` of a tensor. */
function* takeRows(tensor: Tensor, indices: Int32Array): Steps<Tensor> {
  const width = tensor.data.length / item(tensor.shape, 0);
  const data = new (tensor.data.constructor as new (count: number) => Numbers)(indices.length * width);
  for (let i = 0, since = 0; i < indices.length; i++) {
    const index = item(indices, i);
    data.set(tensor.data.subarray(index * width, (index + 1) * width), i * width);
    since += width + 16;
    if (since < SLICE) continue;
    since = 0;
    yield;
  }
  return { ...tensor, shape: [indices.length, ...tensor.shape.slice(1)], data };
}

/** Splits what came without a split. */
async function splitAll(found: Found, options: TensorOptions, path: string): Promise<Found> {
  const split = checkSplitOptions(options);
  const whole = found.all ?? found.train;
  if (!whole) throw new DataError('there are no tensors for training', path);
  if (found.test) {
    if (found.all && found.train) throw new DataError('there are tensors for training and others without a split', path);
    return { train: whole, test: found.test, ...(found.validation && { validation: found.validation }) };
  }
  const [count = 0, ...others] = Object.values(whole).map(({ shape }) => shape[0] ?? 0);
  if (others.some((other) => other !== count)) throw new DataError(`its tensors have ${[count, ...others].join(', ')} examples`, path);
  const { train, test } = await splitIndices(count, split, path);
  const take = async (indices: Int32Array) => {
    const uses: Uses = {};
    for (const [role, tensor] of Object.entries(whole)) uses[role as Role] = await runPaced(takeRows(tensor, indices));
    return uses;
  };
  return { train: await take(train), test: await take(test), ...(found.validation && { validation: found.validation }) };
}

function* largest(values: ArrayLike<number>, ignored: number | undefined): Steps<number> {
  let most = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value > most && value !== ignored) most = value;
    if (i % SLICE === SLICE - 1) yield;
  }
  return most;
}

function checkOptions(options: TensorOptions): void {
  checkNames(options as object, 'options', [
    ...['name', 'layout', 'names', 'classes', 'classNames', 'task', 'ignoreLabel', 'vocabulary'],
    ...splitOptionNames,
  ]);
  const { layout, names, task, classes, classNames, vocabulary, ignoreLabel } = options;
  if (options.name !== undefined && typeof options.name !== 'string') throw wrongType('a string', 'name', options.name);
  if (layout !== undefined) checkChoice(layout, 'layout', LAYOUTS);
  if (names !== undefined && (typeof names !== 'object' || names === null)) throw wrongType('an object', 'names', names);
  if (task !== undefined) checkChoice(task, 'task', TASKS);
  if (classes !== undefined) checkInteger(classes, 'classes', 1, 2 ** 31 - 1);
  if (vocabulary !== undefined) checkInteger(vocabulary, 'vocabulary', 1, 2 ** 31 - 1);
  if (ignoreLabel !== undefined) checkInteger(ignoreLabel, 'ignoreLabel', -(2 ** 31), 2 ** 31 - 1);
  if (classNames !== undefined && !(Array.isArray(classNames) && classNames.every((c) => typeof c === 'string')))
    throw wrongType('an array of strings', 'classNames', classNames);
  checkSplitOptions(options);
}

/** Checked before anything is read. */
function readOptions(path: unknown, options: TensorOptions): TensorOptions {
  checkPath(path, 'path');
  const given = readArgument(options, 'options');
  checkOptions(given);
  return given;
}

/** The data set that named tensors make. */
export async function datasetFromTensors(tensors: Map<string, Tensor>, path: string, options: TensorOptions = {}): Promise<AnyDataset> {
  checkOptions(options);
  const found = await splitAll(findTensors(tensors, options.names, path), options, path);
  const splits: Partial<Record<SplitName, AnySplit>> = {};
  for (const which of ['train', 'test', 'validation'] as const) {
    const uses = found[which];
    if (uses) splits[which] = await readSplit(uses, which, options, path);
  }
  const all = Object.entries(splits);
  const { shape, ...train } = splits.train as AnySplit;
  for (const [which, split] of all) {
    if (split.shape.join() !== shape.join())
      throw new DataError(`examples of train are ${shape.join('×')} but of ${which} ${split.shape.join('×')}`, path);
    if ('images' in split && 'images' in train && split.images.constructor !== train.images.constructor)
      throw new DataError(`inputs of train and of ${which} are of different types: bytes stand for 0..1, other numbers for themselves`, path);
  }
  const { names: _, layout: __, holdOut: ___, ...rest } = options;
  let { classes = options.classNames?.length, vocabulary } = options;
  const most = async (values: (split: AnySplit) => ArrayLike<number> | undefined) => {
    let result = 0;
    for (const [, split] of all) result = Math.max(result, Math.floor(await runPaced(largest(values(split) ?? [], options.ignoreLabel))) + 1);
    if (result > MOST_FOUND) throw new DataError(`its numbers name ${result} classes or tokens; say how many there are`, path);
    return result;
  };
  if (classes === undefined && train.labels) classes = await most(({ labels }) => labels as ArrayLike<number> | undefined);
  if ('tokens' in train && vocabulary === undefined) vocabulary = await most((split) => ('tokens' in split ? split.tokens : undefined));
  const bare = ({ shape: _, count: __, ...split }: AnySplit) => split;
  const common = Object.fromEntries(all.map(([which, split]) => [which, bare(split)]));
  return datasetFromFile(path, { ...rest, shape, classes, ...('tokens' in train && { vocabulary }), ...common } as never);
}

/** An .npz archive (train_images, train_labels, test_images, …, or x_train, y_train, …). @throws DataError */
export async function loadNpz(path: string, options: TensorOptions = {}): Promise<Dataset | TokenDataset> {
  const given = readOptions(path, options);
  return datasetFromTensors(await readNpz(path), path, { name: 'npz', ...given });
}

/** A safetensors file whose tensors are named as in `loadNpz`. @throws DataError */
export async function loadSafetensors(path: string, options: TensorOptions = {}): Promise<Dataset | TokenDataset> {
  const given = readOptions(path, options);
  return datasetFromTensors(await readSafetensors(path), path, { name: 'safetensors', ...given });
}

/** A folder of .npy files (train_images.npy, train_labels.npy, …), named as in `loadNpz`. @throws DataError */
export async function loadNpy(directory: string, options: TensorOptions = {}): Promise<Dataset | TokenDataset> {
  const given = readOptions(directory, options);
  const entries = await stat(directory)
    .then((found) => (found.isDirectory() ? readdir(directory) : Promise.reject(new Error('it is no folder'))))
    .catch((cause) => {
      throw new DataError(`the folder cannot be read: ${(cause as Error).message}`, directory, { cause });
    });
  const tensors = new Map<string, Tensor>();
  for (const file of entries.sort()) {
    const [, name] = /^([^.].*)\.npy(?:\.gz)?$/.exec(file) ?? [];
    if (name === undefined) continue;
    if (tensors.has(name)) throw new DataError(`there are two files for "${name}"`, directory);
    tensors.set(name, await readNpy(join(directory, file)));
  }
  if (tensors.size === 0) throw new DataError('it holds no .npy files', directory);
  return datasetFromTensors(tensors, directory, { name: 'npy', ...given });
}
