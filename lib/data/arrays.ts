/** Data sets from typed arrays. */
import { readArgument } from '../arguments.js';
import type { TensorPart } from '../binding.js';
import { checkChoice, checkInteger, checkNames, checkObject, isPlainObject, wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { checkPartName, packedAxes } from '../network/parts.js';
import { TASKS } from '../network/task.js';
import { runPaced, type Steps } from '../pace.js';
import { type AnswerPlan, checkAnswers, type GivenAnswers } from './array-answers.js';
import { checkNamedAnswers, checkSameOutputs, ofOutput, outputNames, packImages } from './array-parts.js';
import { checkArray, checkFinite, checkLabels, countRows, placeInImages } from './checks.js';
import type { Answers, AnyDataset, DataOutput, Dataset, Split, Task, TokenDataset, TokenSplit } from './dataset.js';
import { holdBack } from './sampling.js';
import { checkNormalisation, statisticsOf } from './statistics.js';

/** Of an image, a vector or a sequence. */
export type ExampleShape = [number, number, number] | [number] | [number, number];
/** One value; or, of several inputs or outputs, one for each, by name. */
export type PerName<T> = T | Readonly<Record<string, T>>;

interface ArrayAnswers {
  /** [count] or [count × positions] integers 0..classes−1; of several outputs −1 for examples that do not count. */
  labels?: PerName<ArrayLike<number>> | undefined;
  /** [count × features] numbers, or [count × classes] of 0 and 1 for the task 'multiLabel'. */
  targets?: PerName<ArrayLike<number>> | undefined;
}

export interface ArraySplit extends ArrayAnswers {
  /** Images, vectors or sequences of the data set's shape, one after the other; bytes stand for 0..1. */
  images: PerName<Uint8Array | Float32Array>;
}

export interface TokenArraySplit extends ArrayAnswers {
  /** [count × length] integers 0..vocabulary−1. */
  tokens: ArrayLike<number>;
}

interface CommonOptions {
  name?: string | undefined;
  /** Number of classes; default: that of `classNames`. Needed for labels and for the task 'multiLabel'. */
  classes?: PerName<number> | undefined;
  classNames?: PerName<string[]> | undefined;
  /** Default: by what is given; 'multiLabel' must be said. */
  task?: PerName<Task> | undefined;
  /** For a label per position: the value of positions that do not count, such as 255. −1 always is one. */
  ignoreLabel?: number | undefined;
  /** Seed of the choice of validation examples. Default 1. */
  seed?: number | undefined;
}

export interface ArrayDataset extends CommonOptions {
  /** [channels, height, width] of an image, [features] of a vector, [channels, length] of a sequence; of several inputs by name. */
  shape: PerName<ExampleShape>;
  /** Normalisation per channel (per feature of a vector). Default: that of the training images. */
  mean?: PerName<ArrayLike<number>> | undefined;
  std?: PerName<ArrayLike<number>> | undefined;
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

type Sizes = number[];

/** An input: what its values are. */
interface InputPlan {
  /** '' where there is one alone; else what stands behind the names of arguments, as in `.image`. */
  of: string;
  name: string;
  sizes: Sizes;
  elements: number;
  what: 'image' | 'vector' | 'sequence' | 'row';
  place: (i: number) => string;
}

/** What the checks of every split need to know. */
interface Plan {
  inputs: InputPlan[];
  vocabulary: number | undefined;
  /** One for each output; the name is undefined where there is one alone. */
  outputs: { name: string | undefined; plan: AnswerPlan; classNames: string[] | undefined }[];
}

type ReadSplit = (Split | TokenSplit) & { task?: Task; outputs?: DataOutput[] };

function checkShape(shape: unknown, argument: string, tokens: boolean): Sizes {
  const what = tokens ? '[length]' : '[channels, height, width], [channels, length] or [features]';
  if (!Array.isArray(shape) || shape.length < 1 || shape.length > (tokens ? 1 : 3)) throw wrongType(what, argument, shape);
  const sizes = Array.from(shape, (size, i) => checkInteger(size, `${argument}[${i}]`, 1, 2 ** 31 - 1));
  checkInteger(
    sizes.reduce((a, b) => a * b, 1),
    `the product of ${argument}`,
    1,
    2 ** 31 - 1,
  );
  return sizes;
}

const imageShape = (sizes: number[]): [number, number, number] =>
  sizes.length === 3 ? [item(sizes, 0), item(sizes, 1), item(sizes, 2)] : [item(sizes, 0), 1, sizes[1] ?? 1];

function inputPlan(name: string | undefined, shape: unknown, tokens: boolean): InputPlan {
  const of = name === undefined ? '' : `.${name}`;
  const sizes = checkShape(shape, `shape${of}`, tokens);
  const elements = sizes.reduce((a, b) => a * b, 1);
  const what = tokens ? 'row' : item(['vector', 'sequence', 'image'] as const, sizes.length - 1);
  const place = tokens
    ? (i: number) => `row ${Math.floor(i / elements)}, position ${i % elements}`
    : placeInImages(imageShape(sizes), what as 'image');
  return { of, name: name ?? '', sizes, elements, what, place };
}

function inputPlans(shape: unknown, tokens: boolean): InputPlan[] {
  if (!isPlainObject(shape) || tokens) return [inputPlan(undefined, shape, tokens)];
  const names = Object.keys(shape);
  if (names.length === 0) throw wrongType('the shape of at least one input', 'shape', shape);
  const plans = names.map((name, i) => inputPlan(checkPartName(name, 'shape', names.slice(0, i)), shape[name], false));
  checkInteger(
    plans.reduce((sum, { elements }) => sum + elements, 0),
    'the elements of all shapes',
    1,
    2 ** 31 - 1,
  );
  return plans;
}

function answerPlan(
  of: string,
  given: { task: unknown; classes: unknown; classNames: unknown },
  ignoreLabel: unknown,
  positions: number | undefined,
) {
  const { task, classNames } = given;
  if (classNames !== undefined && !(Array.isArray(classNames) && classNames.every((c) => typeof c === 'string')))
    throw wrongType('an array of strings', `classNames${of}`, classNames);
  const names = classNames as string[] | undefined;
  const { classes = names?.length } = given;
  if (classes !== undefined) checkInteger(classes, `classes${of}`, 1, 2 ** 31 - 1);
  if (names && names.length !== classes) throw wrongValue(`${classes} names`, `classNames${of}`, names);
  if (task !== undefined) checkChoice(task, `task${of}`, TASKS);
  if (ignoreLabel !== undefined) checkInteger(ignoreLabel, 'ignoreLabel', -(2 ** 31), 2 ** 31 - 1);
  const plan: AnswerPlan = {
    task: task as Task | undefined,
    classes: classes as number | undefined,
    ignoreLabel: ignoreLabel as number | undefined,
    positions,
    of,
  };
  return { plan, classNames: names };
}

function checkCommon(options: ArrayDataset | TokenArrayDataset, tokens: boolean): Plan {
  checkNames(options as object, 'datasetFromArrays', tokens ? [...COMMON, 'vocabulary'] : [...COMMON, 'mean', 'std']);
  const inputs = inputPlans(options.shape, tokens);
  const { name, task, classes, classNames, ignoreLabel, seed, train } = options;
  if (name !== undefined && typeof name !== 'string') throw wrongType('a string', 'name', name);
  const names = outputNames(train, 'train');
  const outputs = names?.map((output) => {
    const of = <T>(value: unknown, argument: string) => ofOutput<T>(value, argument, names, output);
    const own = { task: of(task, 'task'), classes: of(classes, 'classes'), classNames: of(classNames, 'classNames') };
    return { name: output, ...answerPlan(`.${output}`, own, ignoreLabel, undefined) };
  });
  if (seed !== undefined) checkInteger(seed, 'seed', 0);
  const [{ sizes, elements }] = inputs as [InputPlan];
  const positions = tokens ? elements : imageShape(sizes)[1] * imageShape(sizes)[2];
  const vocabulary = tokens ? checkInteger((options as TokenArrayDataset).vocabulary, 'vocabulary', 1, 2 ** 31 - 1) : undefined;
  const only = () => ({ name: undefined, ...answerPlan('', { task, classes, classNames }, ignoreLabel, inputs.length > 1 ? 1 : positions) });
  return { inputs, vocabulary, outputs: outputs ?? [only()] };
}

/** The values of one input, and how many examples they are. */
function* checkImages(values: unknown, argument: string, { elements, what, place }: InputPlan): Steps<[Uint8Array | Float32Array, number]> {
  if (!(ArrayBuffer.isView(values) && (values instanceof Uint8Array || values instanceof Float32Array)))
    throw wrongType('Uint8Array or Float32Array', argument, values);
  const count = countRows(checkArray(values, argument, 'integers'), argument, elements, `${what}s`);
  if (values instanceof Float32Array) yield* checkFinite(values, argument, place);
  return [values, count];
}

/** Those of all inputs, behind one another in every example. */
function* checkInputs(given: unknown, argument: string, plans: readonly InputPlan[]): Steps<[Uint8Array | Float32Array, number]> {
  const [first] = plans as [InputPlan];
  if (first.of === '') return yield* checkImages(given, argument, first);
  if (!isPlainObject(given)) throw wrongType('an array for each input, by name', argument, given);
  checkNames(
    given,
    argument,
    plans.map(({ name }) => name),
  );
  const arrays: (Uint8Array | Float32Array)[] = [];
  let count = 0;
  for (const [i, plan] of plans.entries()) {
    const [values, own] = yield* checkImages(given[plan.name], `${argument}${plan.of}`, plan);
    if (i > 0 && own !== count) throw wrongValue(`${count} examples, as of ${first.name},`, `${argument}${plan.of}`, own);
    count = own;
    arrays.push(values);
  }
  return [yield* packImages(arrays, count), count];
}

/** Images or tokens of a split with their answers, all checked. */
function* checkArrays(split: unknown, argument: string, plan: Plan): Steps<ReadSplit> {
  const input = plan.vocabulary === undefined ? 'images' : 'tokens';
  checkNames(split, argument, [input, 'labels', 'targets']);
  const given = split[input];
  const [row] = plan.inputs as [InputPlan];
  const [images, count] =
    input === 'images'
      ? yield* checkInputs(given, `${argument}.images`, plan.inputs)
      : [undefined, countRows(checkArray(given, `${argument}.tokens`, 'integers'), `${argument}.tokens`, row.elements, 'rows')];
  const answers = yield* answersOf(split as GivenAnswers, argument, count, plan);
  if (images) return { images, ...answers };
  return { tokens: yield* checkLabels(given, `${argument}.tokens`, plan.vocabulary as number), ...answers };
}

function* answersOf(split: GivenAnswers, argument: string, count: number, { outputs }: Plan): Steps<Answers & Pick<ReadSplit, 'task' | 'outputs'>> {
  const [first] = outputs as [Plan['outputs'][number]];
  if (first.name === undefined) return yield* checkAnswers(split, argument, count, first.plan);
  if (!outputNames(split, argument)) throw wrongType('labels and targets by outputs, as in train,', argument, 'arrays');
  return yield* checkNamedAnswers(split, argument, count, outputs as { name: string; plan: AnswerPlan; classNames: string[] | undefined }[]);
}

/** Every split has what the first has. */
function checkAlike(splits: Record<string, ReadSplit>, first: ReadSplit): void {
  for (const [which, split] of Object.entries(splits)) {
    if (first.outputs && split.outputs) checkSameOutputs(split.outputs, first.outputs, which);
    if (split.task !== first.task) throw wrongType(`what fits train (${first.task})`, which, split.task);
    const width = (s: Answers) => (s.targets?.length ?? 0) / s.count;
    if (width(split) !== width(first)) throw wrongValue(`${width(first)} targets of an example, as in train,`, `${which}.targets`, width(split));
  }
}

/** Normalisation that the user gives, of every channel of every input; undefined where any is missing. */
function givenNormalisation(given: unknown, argument: 'mean' | 'std', plans: readonly InputPlan[]): number[] | undefined {
  const [first] = plans as [InputPlan];
  if (first.of === '' || given === undefined) return checkNormalisation(given, argument, item(first.sizes, 0));
  if (!isPlainObject(given)) throw wrongType('numbers for each input, by name', argument, given);
  checkNames(
    given,
    argument,
    plans.map(({ name }) => name),
  );
  return plans.flatMap(({ name, of, sizes }) => {
    const values = checkNormalisation(given[name], argument, item(sizes, 0), of);
    if (!values) throw wrongType('numbers for each input', `${argument}${of}`, undefined);
    return values;
  });
}

/** The work of `datasetFromArrays` in slices. */
export function* datasetSteps(options: ArrayDataset | TokenArrayDataset): Steps<AnyDataset> {
  checkObject(options, 'datasetFromArrays');
  const tokens = 'vocabulary' in options || (typeof options.train === 'object' && options.train !== null && 'tokens' in options.train);
  const plan = checkCommon(options, tokens);
  const { name = 'arrays', validation, seed = 1 } = options;
  const train = yield* checkArrays(options.train, 'train', plan);
  const test = yield* checkArrays(options.test, 'test', plan);
  const hasValidation = validation !== undefined && typeof validation !== 'number';
  const splits = { train, test, ...(hasValidation && { validation: yield* checkArrays(validation, 'validation', plan) }) };
  checkAlike(splits, train);
  const { task, outputs } = train;
  const [only] = plan.outputs as [Plan['outputs'][number]];
  const bare = ({ task: _, outputs: __, ...split }: ReadSplit) => split as Split & TokenSplit;
  const common = {
    name,
    classes: outputs || task === 'regression' ? 0 : (only.plan.classes as number),
    classNames: outputs ? undefined : only.classNames,
    task,
    ...(outputs && { outputs }),
    train: bare(train),
    test: bare(test),
    ...(splits.validation && { validation: bare(splits.validation) }),
  };
  const held = typeof validation === 'number' ? checkInteger(validation, 'validation', 1) : undefined;
  const [first] = plan.inputs as [InputPlan];
  if (plan.vocabulary !== undefined) {
    return yield* holdBack<TokenDataset>({ ...common, input: 'tokens', length: first.elements, vocabulary: plan.vocabulary }, held, seed);
  }
  const inputs: TensorPart[] = plan.inputs.map((part) => ({ name: part.name, axes: part.sizes as TensorPart['axes'] }));
  const axes = packedAxes(inputs);
  const input = item(['vector', 'sequence', 'image'] as const, axes.length - 1);
  const given = options as ArrayDataset;
  const mean = givenNormalisation(given.mean, 'mean', plan.inputs);
  const std = givenNormalisation(given.std, 'std', plan.inputs);
  const data: Dataset = { ...common, input, shape: imageShape(axes), ...(first.of !== '' && { inputs }), mean: [], std: [] };
  const split = yield* holdBack(data, held, seed);
  const statistics = mean && std ? { mean, std } : yield* statisticsOf(split);
  return { ...split, mean: mean ?? statistics.mean, std: std ?? statistics.std };
}

/**
 * Examples in memory: images, vectors, sequences or tokens, each with a class, a class per position, several classes or
 * numbers to predict. All values are checked and the statistics taken, in slices between which the event loop turns; the arrays
 * must stay as they are. Images, and labels and targets of the right type, are used in place. Of several inputs `shape` and `images`
 * are objects with an entry for each, of several outputs `labels` and `targets` are: they are copied.
 * @throws TypeError or RangeError that names the value at fault, such as `train.labels[17]`
 */
export function datasetFromArrays(options: ArrayDataset): Promise<Dataset>;
export function datasetFromArrays(options: TokenArrayDataset): Promise<TokenDataset>;
export async function datasetFromArrays(options: ArrayDataset | TokenArrayDataset): Promise<AnyDataset> {
  return runPaced(datasetSteps(readArgument(options, 'options')));
}
