/** Data sets from typed arrays. */
import { readArgument } from '../arguments.js';
import { checkChoice, checkInteger, checkNames, checkObject, wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { runPaced, SLICE, type Steps } from '../pace.js';
import { checkArray, checkFinite, checkFloats, checkLabels, countRows, placeInImages } from './checks.js';
import type { Answers, AnyDataset, Dataset, Split, Task, TokenDataset, TokenSplit } from './dataset.js';
import { holdBack } from './sampling.js';
import { channelStatistics, checkNormalisation } from './statistics.js';

interface ArrayAnswers {
  /** [count] or [count × positions] integers 0..classes−1. */
  labels?: ArrayLike<number> | undefined;
  /** [count × features] numbers, or [count × classes] of 0 and 1 for the task 'multiLabel'. */
  targets?: ArrayLike<number> | undefined;
}

export interface ArraySplit extends ArrayAnswers {
  /** Images, vectors or sequences of the data set's shape, one after the other; bytes stand for 0..1. */
  images: Uint8Array | Float32Array;
}

export interface TokenArraySplit extends ArrayAnswers {
  /** [count × length] integers 0..vocabulary−1. */
  tokens: ArrayLike<number>;
}

interface CommonOptions {
  name?: string | undefined;
  /** Number of classes; default: that of `classNames`. Needed for labels and for the task 'multiLabel'. */
  classes?: number | undefined;
  classNames?: string[] | undefined;
  /** Default: by what is given; 'multiLabel' must be said. */
  task?: Task | undefined;
  /** For a label per position: the value of positions that do not count, such as 255. −1 always is one. */
  ignoreLabel?: number | undefined;
  /** Seed of the choice of validation examples. Default 1. */
  seed?: number | undefined;
}

export interface ArrayDataset extends CommonOptions {
  /** [channels, height, width] of an image, [features] of a vector, [channels, length] of a sequence. */
  shape: [number, number, number] | [number] | [number, number];
  /** Normalisation per channel (per feature of a vector). Default: that of the training images. */
  mean?: ArrayLike<number> | undefined;
  std?: ArrayLike<number> | undefined;
  train: ArraySplit;
  test: ArraySplit;
  /** Examples to choose settings by, or how many of the training examples to hold back for it. */
  validation?: ArraySplit | number | undefined;
}

export interface TokenArrayDataset extends CommonOptions {
  /** [length]: tokens of an example. */
  shape: [number];
  /** How many tokens there are. */
  vocabulary: number;
  train: TokenArraySplit;
  test: TokenArraySplit;
  validation?: TokenArraySplit | number | undefined;
}

const COMMON = ['name', 'classes', 'classNames', 'task', 'ignoreLabel', 'seed', 'shape', 'train', 'test', 'validation'];
const TASKS = ['classification', 'perPosition', 'multiLabel', 'regression'] as const;

/** What the checks of every split need to know. */
interface Plan {
  task: Task | undefined;
  classes: number | undefined;
  ignoreLabel: number | undefined;
  /** Values of an example's input, and at how many places of it a label may stand. */
  elements: number;
  positions: number;
  what: 'image' | 'vector' | 'sequence' | 'row';
  place: (i: number) => string;
  vocabulary: number | undefined;
}

function checkShape(shape: unknown, tokens: boolean): number[] {
  const what = tokens ? '[length]' : '[channels, height, width], [channels, length] or [features]';
  if (!Array.isArray(shape) || shape.length < 1 || shape.length > (tokens ? 1 : 3)) throw wrongType(what, 'shape', shape);
  const sizes = Array.from(shape, (size, i) => checkInteger(size, `shape[${i}]`, 1, 2 ** 31 - 1));
  checkInteger(
    sizes.reduce((a, b) => a * b, 1),
    'the product of shape',
    1,
    2 ** 31 - 1,
  );
  return sizes;
}

function checkCommon(options: ArrayDataset | TokenArrayDataset, tokens: boolean): Plan & { sizes: number[] } {
  checkNames(options as object, 'datasetFromArrays', tokens ? [...COMMON, 'vocabulary'] : [...COMMON, 'mean', 'std']);
  const sizes = checkShape(options.shape, tokens);
  const { name, classNames, task, ignoreLabel, seed } = options;
  if (name !== undefined && typeof name !== 'string') throw wrongType('a string', 'name', name);
  if (classNames !== undefined && !(Array.isArray(classNames) && classNames.every((c) => typeof c === 'string')))
    throw wrongType('an array of strings', 'classNames', classNames);
  const { classes = classNames?.length } = options;
  if (classes !== undefined) checkInteger(classes, 'classes', 1, 2 ** 31 - 1);
  if (classNames && classNames.length !== classes) throw wrongValue(`${classes} names`, 'classNames', classNames);
  if (task !== undefined) checkChoice(task, 'task', TASKS);
  if (ignoreLabel !== undefined) checkInteger(ignoreLabel, 'ignoreLabel', -(2 ** 31), 2 ** 31 - 1);
  if (seed !== undefined) checkInteger(seed, 'seed', 0);
  const elements = sizes.reduce((a, b) => a * b, 1);
  const what = tokens ? 'row' : item(['vector', 'sequence', 'image'] as const, sizes.length - 1);
  const shape = imageShape(sizes);
  const positions = tokens ? elements : shape[1] * shape[2];
  const place = tokens ? (i: number) => `row ${Math.floor(i / elements)}, position ${i % elements}` : placeInImages(shape, what as 'image');
  const vocabulary = tokens ? checkInteger((options as TokenArrayDataset).vocabulary, 'vocabulary', 1, 2 ** 31 - 1) : undefined;
  return { task, classes, ignoreLabel, elements, positions, what, place, sizes, vocabulary };
}

const imageShape = (sizes: number[]): [number, number, number] =>
  sizes.length === 3 ? [item(sizes, 0), item(sizes, 1), item(sizes, 2)] : [item(sizes, 0), 1, sizes[1] ?? 1];

/** Which task the labels or targets of a split are for; throws where they do not fit what was said. */
function taskOfSplit(split: ArrayAnswers, argument: string, count: number, plan: Plan): Task {
  const { labels, targets } = split;
  const { task, positions } = plan;
  if ((labels === undefined) === (targets === undefined)) throw wrongType('either labels or targets', argument, labels ? 'both' : 'neither');
  if (targets !== undefined) {
    if (task === 'classification' || task === 'perPosition') throw wrongType(`labels (the task is "${task}")`, argument, 'targets');
    return task ?? 'regression';
  }
  if (task === 'multiLabel' || task === 'regression') throw wrongType(`targets (the task is "${task}")`, argument, 'labels');
  const { length } = checkArray(labels, `${argument}.labels`, 'integers');
  const single = length === count && task !== 'perPosition';
  if (!single && !(length === count * positions && task !== 'classification')) {
    const choices = [task !== 'perPosition' && `${count} labels`, positions > 1 && task !== 'classification' && `${count}×${positions} labels`];
    throw wrongValue(choices.filter(Boolean).join(' or ') || `${count} labels`, `${argument}.labels`, labels);
  }
  return single ? 'classification' : 'perPosition';
}

function* checkAnswers(split: ArrayAnswers, argument: string, count: number, plan: Plan): Steps<Answers & { task: Task }> {
  const task = taskOfSplit(split, argument, count, plan);
  const classes = task === 'regression' ? 0 : checkInteger(plan.classes, 'classes', 1);
  if (task === 'classification') return { task, count, labels: yield* checkLabels(split.labels, `${argument}.labels`, classes) };
  if (task === 'perPosition') {
    return { task, count, labels: yield* checkLabels(split.labels, `${argument}.labels`, classes, plan.ignoreLabel ?? -1) };
  }
  const given = checkArray(split.targets, `${argument}.targets`, 'numbers');
  const width = task === 'multiLabel' ? classes : given.length / count;
  if (width < 1 || given.length !== count * width || !Number.isInteger(width))
    throw wrongValue(`${count} rows of ${task === 'multiLabel' ? classes : 'equally many'} numbers`, `${argument}.targets`, given);
  const targets = yield* checkFloats(given, `${argument}.targets`, (i) => `example ${Math.floor(i / width)}, number ${i % width}`);
  if (task === 'multiLabel') {
    for (let i = 0; i < targets.length; i++) {
      if (targets[i] !== 0 && targets[i] !== 1) throw wrongValue('0 or 1', `${argument}.targets[${i}]`, targets[i]);
      if (i % SLICE === SLICE - 1) yield;
    }
  }
  return { task, count, targets };
}

/** Images or tokens of a split with their answers, all checked. */
function* checkArrays(split: unknown, argument: string, plan: Plan): Steps<(Split | TokenSplit) & { task: Task }> {
  const input = plan.vocabulary === undefined ? 'images' : 'tokens';
  checkNames(split, argument, [input, 'labels', 'targets']);
  const values = split[input];
  if (input === 'images' && !(ArrayBuffer.isView(values) && (values instanceof Uint8Array || values instanceof Float32Array)))
    throw wrongType('Uint8Array or Float32Array', `${argument}.images`, values);
  const count = countRows(checkArray(values, `${argument}.${input}`, 'integers'), `${argument}.${input}`, plan.elements, `${plan.what}s`);
  const answers = yield* checkAnswers(split as ArrayAnswers, argument, count, plan);
  if (plan.vocabulary !== undefined) return { tokens: yield* checkLabels(values, `${argument}.tokens`, plan.vocabulary), ...answers };
  if (values instanceof Float32Array) yield* checkFinite(values, `${argument}.images`, plan.place);
  return { images: values as Uint8Array | Float32Array, ...answers };
}

/** The work of `datasetFromArrays` in slices. */
export function* datasetSteps(options: ArrayDataset | TokenArrayDataset): Steps<AnyDataset> {
  checkObject(options, 'datasetFromArrays');
  const tokens = 'vocabulary' in options || (typeof options.train === 'object' && options.train !== null && 'tokens' in options.train);
  const { sizes, ...plan } = checkCommon(options, tokens);
  const { name = 'arrays', classNames, validation, seed = 1 } = options;
  const train = yield* checkArrays(options.train, 'train', plan);
  const test = yield* checkArrays(options.test, 'test', plan);
  const hasValidation = validation !== undefined && typeof validation !== 'number';
  const splits = { train, test, ...(hasValidation && { validation: yield* checkArrays(validation, 'validation', plan) }) };
  const { task, ...first } = train;
  for (const [which, split] of Object.entries(splits)) {
    if (split.task !== task) throw wrongType(`what fits train (${task})`, which, split.task);
    const width = (s: Answers) => (s.targets?.length ?? 0) / s.count;
    if (width(split) !== width(first)) throw wrongValue(`${width(first)} targets of an example, as in train,`, `${which}.targets`, width(split));
  }
  const bare = ({ task: _, ...split }: (Split | TokenSplit) & { task: Task }) => split as Split & TokenSplit;
  const common = {
    name,
    classes: task === 'regression' ? 0 : (plan.classes as number),
    classNames,
    task,
    train: bare(train),
    test: bare(test),
    ...(splits.validation && { validation: bare(splits.validation) }),
  };
  const held = typeof validation === 'number' ? checkInteger(validation, 'validation', 1) : undefined;
  if (plan.vocabulary !== undefined) {
    return yield* holdBack<TokenDataset>({ ...common, input: 'tokens', length: plan.elements, vocabulary: plan.vocabulary }, held, seed);
  }
  const shape = imageShape(sizes);
  const given = options as ArrayDataset;
  const mean = checkNormalisation(given.mean, 'mean', shape[0]);
  const std = checkNormalisation(given.std, 'std', shape[0]);
  const data: Dataset = { ...common, input: plan.what as 'image', shape, mean: [], std: [] };
  const split = yield* holdBack(data, held, seed);
  const statistics = mean && std ? { mean, std } : yield* channelStatistics(split.train.images, shape);
  return { ...split, mean: mean ?? statistics.mean, std: std ?? statistics.std };
}

/**
 * Examples in memory: images, vectors, sequences or tokens, each with a class, a class per position, several classes or
 * numbers to predict. All values are checked and the statistics taken, in slices between which the event loop turns; the arrays
 * must stay as they are. Images, and labels and targets of the right type, are used in place.
 * @throws TypeError or RangeError that names the value at fault, such as `train.labels[17]`
 */
export function datasetFromArrays(options: ArrayDataset): Promise<Dataset>;
export function datasetFromArrays(options: TokenArrayDataset): Promise<TokenDataset>;
export async function datasetFromArrays(options: ArrayDataset | TokenArrayDataset): Promise<AnyDataset> {
  return runPaced(datasetSteps(readArgument(options, 'options')));
}
