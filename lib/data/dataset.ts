/** A data set in memory, as every reader returns it. */

import { reading } from '../arguments.js';
import type { TensorPart } from '../binding.js';
import { checkChoice, checkObject, DataError, wrongType } from '../errors.js';
import { item } from '../indexing.js';
import { TASKS, type Task } from '../network/task.js';

import { SLICE, type Steps } from '../pace.js';

export type { Task };

/** The answers of a split's examples: labels or targets, never both. */
export interface Answers {
  count: number;
  /**
   * Classes 0..classes−1: [count], or for the task 'perPosition' [count × positions], row by row, where −1 marks a position
   * that does not count.
   */
  labels?: Int32Array;
  /** [count × features] for the mean squared error, or [count × classes] for the task 'multiLabel'. */
  targets?: Float32Array;
}

export interface Split extends Answers {
  /** [count × channels × height × width]; bytes stand for 0..1. Vectors and sequences stand here as well, see `Dataset.shape`. */
  images: Uint8Array | Float32Array;
}

export interface TokenSplit extends Answers {
  /** [count × length], each in 0..vocabulary−1. */
  tokens: Int32Array;
}

/** What is learned of an example for one of several outputs. */
export interface DataOutput {
  name: string;
  task: Task;
  /** 0 for numbers as targets. */
  classes: number;
  classNames?: string[];
  /** Labels of an example, or targets. */
  size: number;
}

interface DatasetOf<S extends Answers> {
  name: string;
  /** 0 for data with numbers as targets, and of several outputs. */
  classes: number;
  classNames?: string[] | undefined;
  /** Default: 'classification' with labels, 'regression' with targets. */
  task?: Task | undefined;
  /**
   * Of data for several outputs: labels are [count × labels of all that have them], targets [count × targets of all others], each one
   * behind another.
   */
  outputs?: DataOutput[] | undefined;
  train: S;
  test: S;
  /** Training examples held back to choose settings by, so that the test examples stay unseen. */
  validation?: S | undefined;
}

/** Images, vectors or sequences of numbers. */
export interface Dataset extends DatasetOf<Split> {
  /** What an example is. Default 'image'. */
  input?: 'image' | 'vector' | 'sequence';
  /** Several inputs behind one another in every example, of which `shape` is that of the whole (`NetworkDescription.inputs`). */
  inputs?: TensorPart[] | undefined;
  /** How images were brought to this size, where their files have another: by averaging over areas. Predictions of image files do the same. */
  resize?: 'area' | undefined;
  /** [channels, height, width]: of an image; of a vector [features, 1, 1]; of a sequence [channels, 1, length]. */
  shape: [number, number, number];
  /**
   * Per channel, of the training images after the division by 255: images are normalised with them, (x − mean) / std. A
   * channel that is constant has std 1. Of several inputs: for the channels of each, one input behind another.
   */
  mean: number[];
  std: number[];
}

/** Texts and other rows of token numbers. */
export interface TokenDataset extends DatasetOf<TokenSplit> {
  input: 'tokens';
  /** Tokens of an example. */
  length: number;
  /** How many tokens there are. */
  vocabulary: number;
}

export type AnyDataset = Dataset | TokenDataset;

/** The label of positions that do not count. */
export const IGNORED = -1;

/** Most examples of a split: native code numbers them in 32 bits. */
export const MOST_EXAMPLES = 2 ** 31 - 1;

/** The task of a data set, where it says none; with several outputs that of the first. */
export function taskOf(data: AnyDataset): Task {
  checkObject(data, 'data');
  const { task = data.outputs?.[0]?.task, train } = reading('data', () => ({ task: data.task, train: data.train }));
  if (task !== undefined) checkChoice(task, 'data.task', TASKS);
  if (typeof train !== 'object' || train === null) throw wrongType('an object', 'data.train', train);
  return task ?? (train.labels ? 'classification' : 'regression');
}

/** The examples `indices` of a split, in that order. */
export function* selectExamples<S extends Split | TokenSplit>(split: S, indices: Int32Array): Steps<S> {
  const result: Record<string, unknown> = { ...split, count: indices.length };
  for (const [key, values] of Object.entries(split)) {
    if (!ArrayBuffer.isView(values)) continue;
    const from = values as Uint8Array;
    const width = from.length / split.count;
    const to = new (from.constructor as Uint8ArrayConstructor)(indices.length * width);
    for (let i = 0, since = 0; i < indices.length; i++) {
      const index = item(indices, i);
      to.set(from.subarray(index * width, (index + 1) * width), i * width);
      since += width + 64;
      if (since < SLICE) continue;
      since = 0;
      yield;
    }
    result[key] = to;
  }
  return result as unknown as S;
}

/** Checks what every data set from files must be: not empty, of one length, labels in range. */
export function* checkSplit<S extends Split>(split: S, elements: number, classes: number, path: string): Steps<S> {
  if (split.count === 0) throw new DataError('it holds no images', path);
  if (split.count > MOST_EXAMPLES) throw new DataError(`${split.count} images are more than ${MOST_EXAMPLES}`, path);
  if (split.images.length !== split.count * elements)
    throw new DataError(`expected ${split.count} images of ${elements} values but found ${split.images.length} values`, path);
  const { labels } = split;
  if (!labels) return split;
  if (labels.length !== split.count) throw new DataError(`there are ${split.count} images but ${labels.length} labels`, path);
  for (let i = 0; i < labels.length; i++) {
    const label = item(labels, i);
    if (!(label >= 0 && label < classes)) throw new DataError(`image ${i} has label ${label}, outside of 0..${classes - 1}`, path);
    if (i % SLICE === SLICE - 1) yield;
  }
  return split;
}
