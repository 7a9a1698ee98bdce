/** A trained network of another program, made small: it learns from the original itself, and is steered to a target. */
import { checkPath, checkTyped, readArgument } from '../arguments.js';
import type { Augmentation, Device, NetworkDescription, Precision } from '../binding.js';
import type { AnyDataset, Dataset, Split } from '../data/dataset.js';
import { ofWhole } from '../data/statistics.js';
import { checkNames, checkObject, wrongType, wrongValue } from '../errors.js';
import { exportModel } from '../export/export.js';
import { importModel } from '../import/import.js';
import { encodeModel } from '../model-file/model-file.js';
import { evaluatedState } from '../network/averages.js';
import { elements, inspectNetwork, withoutBits } from '../network/description.js';
import type { State } from '../network/initial.js';
import type { EpochMetrics } from '../training/epoch-metrics.js';
import { modelInfoOf } from '../training/model-info.js';
import { NativeData } from '../training/native-data.js';
import { type PartialTrainOptions, plainCopy } from '../training/options.js';
import { checkData } from '../training/same-data.js';
import type { Target } from '../training/target.js';
import { Trainer } from '../training/trainer.js';
import { classesOf, outputsOf, shareOfEqual } from './outputs.js';

export interface CompressOptions {
  /**
   * Where to end: bytes of the file, a share of the bits, or points of accuracy below the original's on the validation split. Default:
   * 6 % of the bits.
   */
  target?: Omit<Target, 'reference'> | undefined;
  /** Default 30. */
  epochs?: number | undefined;
  /**
   * Of the training images: the original says what their outputs are. Default: shifts by up to an eighth of the smaller side, and mirrored
   * where they have three channels and labels are not learned; nothing for other data than images.
   */
  augmentation?: Augmentation | undefined;
  /** Default 128. */
  batchSize?: number | undefined;
  /** Default 0.001. */
  learningRate?: number | undefined;
  seed?: number | undefined;
  device?: Device | undefined;
  /** Of what convolutions and linear layers multiply in training; the original's outputs are always of fp32. Default fp32. */
  precision?: Precision | undefined;
  /** Called after every epoch. */
  onEpoch?: ((metrics: EpochMetrics) => void) | undefined;
}

/** Before and after, on the test examples. */
export interface CompressReport {
  examples: number;
  /** Share of them for which both networks name the same class. */
  agreement: number;
  /** Share of right ones; where the data have labels. */
  accuracyBefore?: number;
  accuracyAfter?: number;
  /** Root mean square of the difference of outputs, over that of the original's outputs. */
  outputError: number;
  /** Of the original's parameters in float32. */
  bytesBefore: number;
  /** Of the model file. */
  bytesAfter: number;
  bitsFraction: number;
  weightsFraction: number;
  /** Channels before and after, of every layer with weights that lost some. */
  channels: Record<string, [before: number, after: number]>;
  /** What was asked for, and what was reached. */
  outcome: string;
}

export interface CompressedModel {
  network: NetworkDescription;
  state: State;
  /** The bytes of the model file `.scnn`. */
  model: Uint8Array;
  /** The bytes of an ONNX file in float32 with the removed channels gone. */
  onnx: Uint8Array;
  report: CompressReport;
}

type Original = { network: NetworkDescription; state: State };

const NAMES = [
  'target',
  'epochs',
  'augmentation',
  'batchSize',
  'learningRate',
  'seed',
  'device',
  'precision',
  'onEpoch',
] as const satisfies (keyof CompressOptions)[];
const DEFAULTS = { epochs: 30, batchSize: 128, learningRate: 0.001, target: { bitsFraction: 0.06 } };

/** `compressModel` on an ONNX file, or any other that `importModel` reads. */
export async function compressOnnx(path: string, givenData: Dataset, options: CompressOptions = {}): Promise<CompressedModel> {
  checkPath(path, 'path');
  return compressImported((input) => importModel(path, { input }), givenData, options);
}

/** `read` gets the axes of an example, and runs once data and options are checked. */
export async function compressImported(
  read: (input: number[] | Record<string, number[]>) => Promise<Original>,
  givenData: Dataset,
  options: CompressOptions,
): Promise<CompressedModel> {
  const data = await checkImages(givenData);
  const checked = checkOptions(options);
  const axes = data.inputs ? Object.fromEntries(data.inputs.map((part) => [part.name, part.axes])) : [...data.shape];
  return compressChecked(await read(axes), data, checked);
}

/**
 * Trains the network smaller. With a target in bytes or bits it learns the original's outputs for the training examples, augmented anew in every
 * epoch: labels are not needed. With `drop` it learns the labels, and needs a validation split (`loadDataset`'s `validation`).
 * @throws TypeError or RangeError naming the option
 */
export async function compressModel(
  original: { network: NetworkDescription; state: State },
  givenData: Dataset,
  options: CompressOptions = {},
): Promise<CompressedModel> {
  const checked = checkOptions(options);
  return compressChecked(checkOriginal(original), await checkImages(givenData), checked);
}

async function compressChecked({ network, state }: Original, data: Dataset, options: CompressOptions): Promise<CompressedModel> {
  const { onEpoch, target: asked, ...given } = options;
  const target: Target = asked ?? DEFAULTS.target;
  const plain = { network: withPlainWeights(network, state), state };
  if ((network.outputs?.length ?? 1) > 1 || data.outputs)
    throw wrongValue(
      'a network and data with one output (Trainer.create trains several)',
      'data',
      `${(data.outputs ?? network.outputs)?.length} outputs`,
    );
  const before = await outputsOf(plain, data.test, ofAllInputs(data));
  const augmentation = defaultAugmentation(data, target);
  const settings = { ...DEFAULTS, ...penaltyFor(target), augmentation, ...given, target };
  const start = { network, state };
  const trainer =
    target.drop === undefined ? followingOutputs(plain, before, start, data, settings) : await followingLabels(plain, start, data, settings);
  try {
    trainer.on('epoch', (metrics) => onEpoch?.(metrics));
    await trainer.run();
    return await finished(trainer, { network, state }, data, before);
  } finally {
    await trainer.dispose();
  }
}

/** Normalisation of the input that all inputs make up. */
const ofAllInputs = ({ mean, std, inputs }: Dataset) => ({ mean: ofWhole(mean, inputs), std: ofWhole(std, inputs) });

/** Native code looks at the arrays of every split. */
async function checkImages(given: Dataset): Promise<Dataset> {
  const data = readArgument(given, 'data') as AnyDataset;
  checkData(data);
  if (data.input === 'tokens') throw wrongType('a data set of images, vectors or sequences of numbers', 'data', given);
  await new NativeData(data).fill();
  return data;
}

function checkOriginal(given: Original): Original {
  const { network, state } = checkObject(readArgument(given, 'original'), 'original') as unknown as Original;
  const description = plainCopy(network, 'original.network') as NetworkDescription;
  inspectNetwork(description);
  checkObject(state, 'original.state');
  for (const [name, values] of Object.entries(state)) checkTyped(values, `original.state["${name}"]`, Float32Array);
  return { network: description, state };
}

function checkOptions(options: CompressOptions): CompressOptions {
  const read = readArgument(options, 'options');
  checkNames(read, 'options', NAMES);
  if (read.onEpoch !== undefined && typeof read.onEpoch !== 'function') throw wrongType('a function', 'options.onEpoch', read.onEpoch);
  return Object.fromEntries(Object.entries(read).filter(([, value]) => value !== undefined)) as CompressOptions;
}

/** Layers that the state has no bit depths of are plain: that is how the network was trained. */
const withPlainWeights = (network: NetworkDescription, state: State): NetworkDescription =>
  Object.keys(state).some((name) => name.endsWith('.bitDepth')) ? network : withoutBits(network);

type Settings = Omit<PartialTrainOptions, 'target'> & { target: Target };
/** What is counted is what is paid for: bit depths for a share of the bits, else the length of the file. */
const penaltyFor = ({ bitsFraction }: Target) => ({ penalty: bitsFraction === undefined ? ('rate' as const) : ('coupled' as const) });
const common = { schedule: { kind: 'cosine', warmup: 0.02 } } as const;

function defaultAugmentation({ input, shape: [channels, height, width] }: Dataset, { drop }: Target): Augmentation {
  const side = Math.min(height, width);
  if ((input ?? 'image') !== 'image' || side < 8) return {};
  return { shift: Math.floor(side / 8), ...(channels === 3 && drop === undefined && { flip: true }) };
}

/**
 * The outputs for training images are the teacher's, and made when they are needed: the data have zeros in their place.
 * @param before the original's outputs for the test examples
 */
function followingOutputs(original: Original, before: Float32Array, start: Original, data: Dataset, settings: Settings): Trainer {
  const split = ({ count, images }: Split, targets: Float32Array) => ({ count, images, targets });
  const { name, input, inputs, shape, mean, std } = data;
  const learned: Dataset = {
    ...{ name, shape, mean, std, classes: 0, task: 'regression' },
    ...(input && { input }),
    ...(inputs && { inputs }),
    train: split(data.train, new Float32Array((data.train.count * before.length) / data.test.count)),
    test: split(data.test, before),
  };
  return Trainer.create({ ...start, data: learned, teacher: original, ...common, ...settings, loss: { kind: 'meanSquaredError' } });
}

async function followingLabels(original: Original, start: Original, data: Dataset, settings: Settings): Promise<Trainer> {
  const { validation } = data;
  if (!validation?.labels || !data.train.labels)
    throw wrongValue('data with labels and a validation split, which options.target.drop needs,', 'data.validation', validation);
  const outputs = await outputsOf(original, validation, ofAllInputs(data));
  const reference = shareOfEqual(classesOf(outputs, outputs.length / validation.count), validation.labels);
  return Trainer.create({ ...start, data, ...common, ...settings, target: { ...settings.target, reference } });
}

async function finished(
  trainer: Trainer,
  original: { network: NetworkDescription; state: State },
  data: Dataset,
  before: Float32Array,
): Promise<CompressedModel> {
  const [network, all, last] = [trainer.description, evaluatedState(await trainer.state()), trainer.history.at(-1)];
  if (!last) throw new Error('Expected an epoch of training but there was none');
  const state = Object.fromEntries(Object.entries(all).filter(([name]) => !/\/moment|\.idle$/.test(name)));
  const { test } = data;
  const info = modelInfoOf(data);
  const after = await outputsOf({ network, state }, test, ofAllInputs(data));
  const features = after.length / test.count;
  const [classesBefore, classesAfter] = [classesOf(before, features), classesOf(after, features)];
  const { parameters } = inspectNetwork(original.network);
  const floats = parameters.filter(({ role }) => !['bitDepth', 'exponent', 'idle'].includes(role));
  const model = await encodeModel(network, state, info);
  return {
    ...{ network, state, model },
    onnx: await exportModel({ network, state, info }, { format: 'onnx' }),
    report: {
      examples: test.count,
      agreement: shareOfEqual(classesBefore, classesAfter),
      ...(test.labels ? { accuracyBefore: shareOfEqual(classesBefore, test.labels), accuracyAfter: shareOfEqual(classesAfter, test.labels) } : {}),
      outputError: Math.sqrt(before.reduce((sum, y, i) => sum + (y - (after[i] as number)) ** 2, 0) / before.reduce((sum, y) => sum + y * y, 0)),
      bytesBefore: 4 * floats.reduce((sum, { shape }) => sum + elements(shape), 0),
      bytesAfter: model.length,
      bitsFraction: last.bitsFraction,
      weightsFraction: last.weightsFraction,
      channels: channelsOf(original.network, network),
      outcome: trainer.outcome?.text ?? '',
    },
  };
}

function channelsOf(before: NetworkDescription, after: NetworkDescription): CompressReport['channels'] {
  const shapes = [inspectNetwork(before).shapes, inspectNetwork(after).shapes];
  const weighted = new Set(
    inspectNetwork(before).parameters.flatMap(({ name, role }) => (role === 'weight' ? [name.slice(0, name.lastIndexOf('.'))] : [])),
  );
  const pairs = [...weighted].map((name) => [name, shapes.map((of) => of[name]?.[0] ?? 0)] as [string, [number, number]]);
  return Object.fromEntries(pairs.filter(([, [had, has]]) => had !== has));
}
