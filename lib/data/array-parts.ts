/** Arrays of several inputs and outputs, by name, as parts behind one another in every example. */
import { checkInteger, checkNames, isPlainObject, wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { checkPartName } from '../network/parts.js';
import { SLICE, type Steps } from '../pace.js';
import { type AnswerPlan, checkAnswers, type GivenAnswers } from './array-answers.js';
import { isArrayLike } from './checks.js';
import type { Answers, DataOutput, Task } from './dataset.js';

type Numbers = Uint8Array | Int32Array | Float32Array;

/** Rows of several arrays one behind another: [count × all widths]. */
export function* packRows<T extends Numbers>(to: T, arrays: readonly ArrayLike<number>[], count: number, scale: (k: number) => number): Steps<T> {
  const widths = arrays.map(({ length }) => length / count);
  const row = widths.reduce((a, b) => a + b, 0);
  let first = 0;
  let since = 0;
  for (const [k, array] of arrays.entries()) {
    const width = item(widths, k);
    const factor = scale(k);
    for (let i = 0; i < count; i++) {
      const at = i * row + first;
      for (let j = 0; j < width; j++) to[at + j] = (array[i * width + j] as number) * factor;
      since += width;
      if (since < SLICE) continue;
      since = 0;
      yield;
    }
    first += width;
  }
  return to;
}

/** Images of several inputs: bytes where all are bytes, else floats, of bytes divided by 255. */
export function* packImages(arrays: readonly (Uint8Array | Float32Array)[], count: number): Steps<Uint8Array | Float32Array> {
  const length = arrays.reduce((sum, array) => sum + array.length, 0);
  if (arrays.every((array) => array instanceof Uint8Array)) return yield* packRows(new Uint8Array(length), arrays, count, () => 1);
  return yield* packRows(new Float32Array(length), arrays, count, (k) => (arrays[k] instanceof Uint8Array ? 1 / 255 : 1));
}

/** An object with an array for an output; any other is no array of labels, and an error as such. */
const hasArrays = (value: unknown) => isPlainObject(value) && Object.values(value).some(isArrayLike);

/** Which outputs the labels and targets of a split are for; undefined: there is one, without a name. */
export function outputNames(split: unknown, argument: string): string[] | undefined {
  const { labels, targets } = (isPlainObject(split) ? split : {}) as GivenAnswers;
  if (!hasArrays(labels) && !hasArrays(targets)) return undefined;
  for (const [field, given] of Object.entries({ labels, targets })) {
    if (given !== undefined && !isPlainObject(given)) throw wrongType('an array for each output, by name', `${argument}.${field}`, given);
  }
  const names = Object.keys({ ...(labels as object), ...(targets as object) });
  if (names.length === 0) throw wrongType('labels or targets of at least one output', argument, 'none');
  names.forEach((name, i) => {
    checkPartName(name, argument, names.slice(0, i));
  });
  return names;
}

/** What options say of one output: `value` has it for each, by name. */
export function ofOutput<T>(value: unknown, argument: string, names: readonly string[], name: string): T | undefined {
  if (value === undefined) return undefined;
  if (!isPlainObject(value)) throw wrongType('an object with what there is for each output, by name', argument, value);
  checkNames(value, argument, names);
  return value[name] as T | undefined;
}

/** Labels and targets of several outputs, each packed. */
export function* checkNamedAnswers(
  split: GivenAnswers,
  argument: string,
  count: number,
  plans: readonly { name: string; plan: AnswerPlan; classNames: string[] | undefined }[],
): Steps<Answers & { outputs: DataOutput[] }> {
  const of = (values: unknown, name: string) => (isPlainObject(values) ? values[name] : undefined);
  for (const field of ['labels', 'targets'] as const) {
    if (split[field] === undefined) continue;
    checkNames(
      split[field],
      `${argument}.${field}`,
      plans.map(({ name }) => name),
    );
  }
  const outputs: DataOutput[] = [];
  const labels: Int32Array[] = [];
  const targets: Float32Array[] = [];
  for (const { name, plan, classNames } of plans) {
    const own = yield* checkAnswers({ labels: of(split.labels, name), targets: of(split.targets, name) }, argument, count, plan);
    const values = own.labels ?? own.targets;
    if (own.labels) labels.push(own.labels);
    else if (own.targets) targets.push(own.targets);
    const classes = own.task === 'regression' ? 0 : checkInteger(plan.classes, `classes.${name}`, 1);
    outputs.push({ name, task: own.task, classes, ...(classNames && { classNames }), size: (values?.length ?? 0) / count });
  }
  const size = (arrays: readonly Numbers[]) => arrays.reduce((sum, { length }) => sum + length, 0);
  return {
    count,
    outputs,
    ...(labels.length > 0 && { labels: yield* packRows(new Int32Array(size(labels)), labels, count, () => 1) }),
    ...(targets.length > 0 && { targets: yield* packRows(new Float32Array(size(targets)), targets, count, () => 1) }),
  };
}

/** Whether the outputs of a split are those of the training examples. */
export function checkSameOutputs(outputs: readonly DataOutput[], expected: readonly DataOutput[], argument: string): void {
  outputs.forEach(({ name, task, size }, i) => {
    const { task: expectedTask, size: expectedSize } = item(expected, i);
    const field = (of: Task) => (of === 'classification' || of === 'perPosition' ? 'labels' : 'targets');
    if (task !== expectedTask) throw wrongType(`what fits train (${expectedTask})`, `${argument}.${field(task)}.${name}`, task);
    if (size !== expectedSize) throw wrongValue(`${expectedSize} values of an example, as in train,`, `${argument}.${field(task)}.${name}`, size);
  });
}
