/** Networks with several inputs and outputs in training: whether data are for them, their losses, and what is measured of each. */
import type { EvaluationResult, LossDescription, NetworkDescription, OutputLossDescription, OutputResult, TensorPart } from '../binding.js';
import type { AnyDataset, DataOutput, Task } from '../data/dataset.js';
import { checkChoice, checkNames, checkNumber, isPlainObject, wrongType, wrongValue } from '../errors.js';
import { packedAxes } from '../network/parts.js';
import { accuracyOf, type EpochMetrics } from './epoch-metrics.js';
import type { TrainOptions } from './options.js';

/** Sums of one output over the steps of an epoch so far. */
export interface OutputSums {
  lossSum: number;
  weight: number;
  correct: number;
  count: number;
}

/** What an epoch reached at one of several outputs; losses are its own, without its weight in their sum. */
export type OutputMetrics = Pick<EpochMetrics, 'trainLoss' | 'trainAccuracy' | 'testLoss' | 'testAccuracy' | 'validationLoss' | 'validationAccuracy'>;

export type EvaluatedOutputs = Record<string, { loss: number; accuracy: number }>;

const LOSSES = ['crossEntropy', 'meanSquaredError', 'binaryCrossEntropy', 'l1', 'huber'] as const;
const LOSS_FIELDS = ['kind', 'labelSmoothing', 'delta', 'perPosition', 'classWeights'];

/** @throws TypeError or RangeError naming the field; native code checks numbers */
export function checkLoss(loss: LossDescription): void {
  checkNames(loss, 'options.loss', [...LOSS_FIELDS, 'outputs']);
  checkChoice(loss.kind, 'options.loss.kind', [...LOSSES, 'sum']);
  checkNames(loss, 'options.loss', loss.kind === 'sum' ? ['kind', 'outputs'] : LOSS_FIELDS);
  if (loss.kind !== 'sum') return;
  if (!isPlainObject(loss.outputs)) throw wrongType('a loss for each output, by name', 'options.loss.outputs', loss.outputs);
  for (const [name, one] of Object.entries(loss.outputs)) {
    const at = `options.loss.outputs.${name}`;
    checkNames(one, at, [...LOSS_FIELDS, 'weight']);
    checkChoice(one.kind, `${at}.kind`, LOSSES);
    if (one.weight !== undefined) checkNumber(one.weight, `${at}.weight`, 0, 1e6);
  }
}

/**
 * The loss with this label smoothing where it compares with labels and has none of its own.
 * @throws RangeError where nothing compares with labels
 */
export function smoothedLoss(loss: LossDescription, labelSmoothing: number): LossDescription {
  if (labelSmoothing === 0) return loss;
  const smoothed = <T extends OutputLossDescription>(one: T): T => (one.kind === 'crossEntropy' ? { labelSmoothing, ...one } : one);
  const kinds = loss.kind === 'sum' ? Object.values(loss.outputs).map(({ kind }) => kind) : [loss.kind];
  if (!kinds.includes('crossEntropy')) throw wrongValue('0, as the loss compares with no labels,', 'options.labelSmoothing', labelSmoothing);
  if (loss.kind !== 'sum') return smoothed(loss);
  return { ...loss, outputs: Object.fromEntries(Object.entries(loss.outputs).map(([name, one]) => [name, smoothed(one)])) };
}

/** The loss that suits a task, unless another is given. */
export function lossFor(task: Task, given: OutputLossDescription | undefined): OutputLossDescription {
  if (given)
    return given.kind === 'crossEntropy' && given.perPosition === undefined && task === 'perPosition' ? { ...given, perPosition: true } : given;
  if (task === 'multiLabel') return { kind: 'binaryCrossEntropy' };
  if (task === 'regression') return { kind: 'meanSquaredError' };
  return { kind: 'crossEntropy', ...(task === 'perPosition' && { perPosition: true }) };
}

/** Those of all outputs. @param given undefined: as their tasks have it */
export function sumFor(outputs: readonly DataOutput[], given: LossDescription | undefined): LossDescription {
  if (given && given.kind !== 'sum') throw wrongType("'sum', a loss for each output,", 'options.loss.kind', given.kind);
  const names = outputs.map(({ name }) => name);
  const losses = given?.outputs ?? {};
  checkNames(losses, 'options.loss.outputs', names);
  return { kind: 'sum', outputs: Object.fromEntries(outputs.map(({ name, task }) => [name, lossFor(task, losses[name])])) };
}

const listOf = (parts: readonly { name: string }[]) => parts.map(({ name }) => name).join(', ');

function checkInputs(own: readonly TensorPart[] | undefined, given: readonly TensorPart[] | undefined): void {
  if (!given) return; // native code compares the shape of the whole
  if (!own) throw wrongValue('data with one input, as the network has,', 'data', `inputs ${listOf(given)}`);
  const text = (parts: readonly TensorPart[]) => parts.map(({ name, axes }) => `${name} ${axes.join('×')}`).join(', ');
  if (text(own) !== text(given)) throw wrongValue(`data with the network's inputs, in their order (${text(own)}),`, 'data', text(given));
}

function checkOutputs(own: readonly TensorPart[] | undefined, given: readonly DataOutput[] | undefined, loss: LossDescription): void {
  if (!given) {
    if (loss.kind !== 'sum' && (own?.length ?? 0) > 1 && loss.kind === 'crossEntropy')
      throw wrongValue(`data with answers for the network's outputs (${listOf(own ?? [])})`, 'data', 'one kind of answers');
    return;
  }
  if (!own) throw wrongValue('data with answers for one output, as the network has,', 'data', `outputs ${listOf(given)}`);
  const losses = (loss.kind === 'sum' ? loss.outputs : {}) as Record<string, OutputLossDescription>;
  // Labels lie in the order of the outputs that have them, and so do targets.
  const ordered = (parts: readonly { name: string }[]) => {
    const withLabels = parts.filter(({ name }) => losses[name]?.kind === 'crossEntropy');
    return listOf([...withLabels, ...parts.filter((part) => !withLabels.includes(part))]);
  };
  if (ordered(own) !== ordered(given))
    throw wrongValue(`data with answers for the network's outputs, in their order (${ordered(own)}),`, 'data', ordered(given));
  for (const { name, task } of given) {
    const hasLabels = task === 'classification' || task === 'perPosition';
    if ((losses[name]?.kind === 'crossEntropy') !== hasLabels)
      throw wrongType(`a loss for ${hasLabels ? 'labels' : 'targets'}`, `options.loss.outputs.${name}.kind`, losses[name]?.kind);
  }
}

/** Whether images can change colour, and be mixed with others, whose labels are mixed alike or made by a teacher. */
function checkMixing(data: AnyDataset, { loss, augmentation }: TrainOptions, hasTeacher: boolean): void {
  const losses: OutputLossDescription[] = loss.kind === 'sum' ? Object.values(loss.outputs) : [loss];
  for (const name of ['colour', 'mixup', 'cutmix'] as const) {
    const value = augmentation[name];
    const refuse = (why: string) => wrongValue(`0, ${why},`, `options.augmentation.${name}`, value);
    if (!value) continue;
    if (data.input === 'tokens' || (name !== 'mixup' && (data.input ?? 'image') !== 'image')) throw refuse('as the examples are no images');
    const [channels] = data.shape;
    if (name === 'colour' && channels !== 1 && channels !== 3) throw refuse(`as images have ${channels} channels, not 1 or 3`);
    if (name === 'colour') continue;
    if (!hasTeacher && losses.some(({ kind }) => kind !== 'crossEntropy')) throw refuse('as a loss compares with no labels and there is no teacher');
    if (losses.some((one) => one.kind === 'crossEntropy' && one.perPosition)) throw refuse('as every position has a label of its own');
  }
}

/** Whether the data are for the network's inputs and outputs. Shapes of the whole are compared by native code. */
export function checkPartsOf(network: NetworkDescription, data: AnyDataset, options: TrainOptions, hasTeacher: boolean): void {
  const { loss, augmentation } = options;
  checkMixing(data, options, hasTeacher);
  const inputs = data.input === 'tokens' ? undefined : data.inputs;
  checkInputs(network.inputs, inputs);
  checkOutputs(network.outputs, data.outputs, loss);
  if (inputs && Object.values(augmentation).some(Boolean) && packedAxes(inputs).length < 3)
    throw wrongValue('none, since the inputs are not images of one size,', 'options.augmentation', augmentation);
}

/** Sums after a step. */
export function addOutputs(
  before: Record<string, OutputSums> | undefined,
  results: Record<string, OutputResult> | undefined,
): Record<string, OutputSums> | undefined {
  if (!results) return undefined;
  return Object.fromEntries(
    Object.entries(results).map(([name, { loss, weight, correct, count }]) => {
      const { lossSum = 0, ...sums } = before?.[name] ?? { weight: 0, correct: 0, count: 0 };
      return [name, { lossSum: lossSum + loss * weight, weight: sums.weight + weight, correct: sums.correct + correct, count: sums.count + count }];
    }),
  );
}

/** Of an evaluation. */
export function evaluatedOutputs({ outputs }: EvaluationResult, loss: LossDescription): { outputs?: EvaluatedOutputs } {
  if (!outputs) return {};
  const hasClasses = (name: string) => loss.kind === 'sum' && loss.outputs[name]?.kind === 'crossEntropy';
  const of = (name: string, result: OutputResult) => ({ loss: result.loss, accuracy: hasClasses(name) ? accuracyOf(result) : 0 });
  return { outputs: Object.fromEntries(Object.entries(outputs).map(([name, result]) => [name, of(name, result)])) };
}

/** Of an epoch. */
export function outputMetrics(
  train: Record<string, OutputSums> | undefined,
  test: EvaluatedOutputs | undefined,
  validation: EvaluatedOutputs | undefined,
): { outputs?: Record<string, OutputMetrics> } {
  if (!test) return {};
  const of = (name: string, own: { loss: number; accuracy: number }): OutputMetrics => {
    const { lossSum, weight, correct, count } = train?.[name] ?? { lossSum: 0, weight: 0, correct: 0, count: 0 };
    const held = validation?.[name];
    return {
      trainLoss: weight > 0 ? lossSum / weight : 0,
      trainAccuracy: accuracyOf({ correct, count }),
      testLoss: own.loss,
      testAccuracy: own.accuracy,
      ...(held && { validationLoss: held.loss, validationAccuracy: held.accuracy }),
    };
  };
  return { outputs: Object.fromEntries(Object.entries(test).map(([name, own]) => [name, of(name, own)])) };
}
