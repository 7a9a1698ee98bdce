/** Options of a training run: what they mean, their defaults, and their checks. */

import { reading } from '../arguments.js';
import type { Augmentation, Device, LossDescription, OptimizerDescription, Precision } from '../binding.js';
import { checkChoice, checkDevice, checkInteger, checkNames, checkNumber, isPlainObject, wrongType, wrongValue } from '../errors.js';
import { checkLayers, type LayerOptions } from './layers.js';
import { checkLoss } from './outputs.js';
import { checkSchedule, type Schedule } from './schedule.js';
import { checkStopAt, checkTarget, type StopAt, type Target } from './target.js';

export interface BitOptions {
  /** Bit depth of every channel at the start. Default 8. */
  initial: number;
  /** Octaves of room for the weights to grow at the start. Default 1. */
  headroom: number;
  /**
   * Exponents at the start: 'range', so that the range ends `headroom` octaves beyond the largest weight, or 'rms', so that a
   * step is half the root mean square of the weights. Default 'range'; with the penalty 'rate' 'rms'.
   */
  start: 'range' | 'rms';
  /** One exponent for each channel or for each layer; the latter needs keepRange false. Default 'channel'; with 'rate' 'layer'. */
  exponents: 'channel' | 'layer';
  /** Learning rate of bit depths. Default 0.05. */
  learningRate: number;
  /** Learning rate of exponents. Default 0.02. */
  exponentLearningRate: number;
  /** How both rates change; default constant. */
  schedule: Schedule;
  /** Share of the training after which bit depths no longer change and gamma is 0: the weights settle. 1: never. Default 0.5. */
  freezeAt: number;
  /**
   * When a bit depth changes, keep the channel's range and change the size of its steps; otherwise keep the steps and clip.
   * Default true.
   */
  keepRange: boolean;
  /** Round bit depths to whole numbers when they freeze: a depth of 2.4 takes 3 bits in the file. Default true. */
  round: boolean;
}

export interface TrainOptions {
  epochs: number;
  /** Images of a step. Default 512. */
  batchSize: number;
  /** Steps of an epoch, after which the network is evaluated and saved: of texts any number, else at most all images. Default 0: all images. */
  stepsPerEpoch: number;
  /** Of initial weights, shuffling, augmentation and dropout. Default 1. */
  seed: number;
  device: Device;
  /** Of what convolutions and linear layers multiply. Default fp32. */
  precision: Precision;
  /** Most bytes of a CUDA device's memory to use. Default 0: SELFCOMPRESS_CUDA_MEMORY, else no limit. */
  memoryLimit: number;
  loss: LossDescription;
  /**
   * Share s of every label's target that all C classes have alike in training: (1 − s)·onehot + s/C. Of cross-entropies that say none
   * themselves; without one an error. Default 0.
   */
  labelSmoothing: number;
  /**
   * With a teacher and cross-entropy: the share w of the loss (1 − w)·crossEntropy(labels) + w·T²·KL(softmax(teacher/T) ‖ softmax(outputs/T)).
   * Default 0.9.
   */
  teacherWeight: number;
  /** T of it, 0.01 to 100: the higher, the more the classes count that the teacher finds unlikely. Default 4. */
  temperature: number;
  /**
   * Decay for each step of the averages of all parameters, which are evaluated, steered by and saved as the model, while training goes on
   * with the parameters themselves; at most 0.999999. Default 0: no averages.
   */
  ema: number;
  optimizer: Omit<OptimizerDescription, 'keepRange'>;
  /** Of weights, biases and norms. Default 0.003. */
  learningRate: number;
  /** Default one-cycle. */
  schedule: Schedule;
  /** Factor of the size penalty. 0: sizes do not matter. Default 0.05. */
  gamma: number;
  /** Share of the training over which gamma rises from 0. Default 0.1. */
  gammaWarmup: number;
  /** What gamma is a factor of; 'rate': the length of the codes in the file (docs/training.md), with defaults of its own. */
  penalty: 'own' | 'coupled' | 'rate';
  /** With 'rate': how much keeping a channel costs beside its codes. Default 1. */
  coupling: number;
  /** Biases of layers that compress are rounded to so many bits after the last epoch; 0: never. Default 0; with 'rate' 5. */
  biasBits: number;
  bits: BitOptions;
  /** What is different for single layers, by name or pattern; later ones override earlier ones. Default []. */
  layers: LayerOptions[];
  augmentation: Augmentation;
  /** Remove dead channels after every epoch. Default true. */
  remove: boolean;
  /** Where the run is to end: gamma, from the one that is given, is steered there. Default: nowhere, gamma stays. */
  target: Target;
  /** When it may end early. */
  stopAt: StopAt;
}

export const defaultTrainOptions: TrainOptions = {
  epochs: 10,
  batchSize: 512,
  stepsPerEpoch: 0,
  seed: 1,
  device: 'auto',
  precision: 'fp32',
  memoryLimit: 0,
  loss: { kind: 'crossEntropy' },
  labelSmoothing: 0,
  teacherWeight: 0.9,
  temperature: 4,
  ema: 0,
  optimizer: { kind: 'adam' },
  learningRate: 0.003,
  schedule: { kind: 'oneCycle' },
  gamma: 0.05,
  gammaWarmup: 0.1,
  penalty: 'own',
  coupling: 1,
  biasBits: 0,
  bits: {
    initial: 8,
    headroom: 1,
    start: 'range',
    exponents: 'channel',
    learningRate: 0.05,
    exponentLearningRate: 0.02,
    schedule: { kind: 'constant' },
    freezeAt: 0.5,
    keepRange: true,
    round: true,
  },
  layers: [],
  augmentation: {},
  remove: true,
  target: {},
  stopAt: {},
};

/**
 * What is different with the penalty 'rate': depths stay, so that nothing clips, and steps start coarse and move fast; the penalty
 * acts to the end.
 */
const rateOptions = {
  gamma: 1,
  biasBits: 5,
  schedule: { kind: 'cosine', warmup: 0.01 },
  bits: {
    start: 'rms',
    exponents: 'layer',
    learningRate: 0,
    exponentLearningRate: 0.01,
    schedule: { kind: 'cosine', warmup: 0.01 },
    freezeAt: 1,
    keepRange: false,
  },
  quantizerEpsilon: 1e-8,
} as const;

/** Defaults with this penalty. */
export function defaultsWith(penalty: TrainOptions['penalty'] | undefined): TrainOptions {
  const defaults = structuredClone(defaultTrainOptions);
  if (penalty !== 'rate') return defaults;
  const { gamma, biasBits, schedule, bits } = structuredClone(rateOptions);
  return { ...defaults, gamma, biasBits, schedule, bits: { ...defaults.bits, ...bits } };
}

/** What a caller may give: any part of the options. */
type Optional<T> = { [K in keyof T]?: T[K] | undefined };
export type PartialTrainOptions = Optional<Omit<TrainOptions, 'bits'>> & { bits?: Optional<BitOptions> | undefined };

const OPTIMIZER_NAMES = [
  'kind',
  'momentum',
  'nesterov',
  'beta1',
  'beta2',
  'epsilon',
  'weightDecay',
  'quantizerEpsilon',
  'maxGradientNorm',
] as const satisfies (keyof OptimizerDescription)[];

/** Largest height or width of an image, as the native side has it. */
const MOST_PIXELS = 1 << 15;

function checkAugmentation(augmentation: Augmentation): void {
  checkNames(augmentation, 'options.augmentation', ['shift', 'flip', 'cutout', 'rotate', 'scale', 'colour', 'mixup', 'cutmix']);
  const { shift, flip, cutout, rotate, scale, colour, mixup, cutmix } = augmentation;
  if (shift !== undefined) checkInteger(shift, 'options.augmentation.shift', 0, MOST_PIXELS);
  if (cutout !== undefined) checkInteger(cutout, 'options.augmentation.cutout', 0, MOST_PIXELS);
  if (rotate !== undefined) checkNumber(rotate, 'options.augmentation.rotate', 0, 180);
  if (scale !== undefined) checkNumber(scale, 'options.augmentation.scale', 0, 0.9);
  if (colour !== undefined) checkNumber(colour, 'options.augmentation.colour', 0, 1);
  if (mixup !== undefined) checkNumber(mixup, 'options.augmentation.mixup', 0, 2);
  if (cutmix !== undefined) checkNumber(cutmix, 'options.augmentation.cutmix', 0, 2);
  if (flip !== undefined && typeof flip !== 'boolean') throw wrongType('a boolean', 'options.augmentation.flip', flip);
}

/** Options are a few levels deep; what is deeper holds itself. */
const DEEPEST = 16;

/** A copy of numbers, strings, booleans, null, arrays and plain objects; what is undefined is left out. Everything else is an error. */
export function plainCopy(value: unknown, argument: string, depth = 0): unknown {
  if (depth > DEEPEST) throw wrongType(`plain data of at most ${DEEPEST} levels`, argument, value);
  if (reading(argument, () => Array.isArray(value))) {
    const items = reading(argument, () => Array.from(value as unknown[]));
    return items.map((item, i) => plainCopy(item, `${argument}[${i}]`, depth + 1));
  }
  if (isPlainObject(value)) {
    const defined = reading(argument, () => Object.entries(value)).filter(([, item]) => item !== undefined);
    return Object.fromEntries(defined.map(([name, item]) => [name, plainCopy(item, `${argument}.${name}`, depth + 1)]));
  }
  if (depth === 0) throw wrongType('a plain object', argument, value);
  if (value !== null && !['number', 'string', 'boolean'].includes(typeof value))
    throw wrongType('plain data (numbers, strings, booleans, arrays, plain objects)', argument, value);
  return value;
}

/**
 * Fills in defaults and checks everything.
 * @throws TypeError or RangeError naming the option
 */
export function completeOptions(given: PartialTrainOptions): TrainOptions {
  const plain = plainCopy(given, 'options') as Partial<Omit<TrainOptions, 'bits'>> & { bits?: Partial<BitOptions> };
  checkNames(plain, 'options', Object.keys(defaultTrainOptions));
  if (plain.bits !== undefined) checkNames(plain.bits, 'options.bits', Object.keys(defaultTrainOptions.bits));
  const defaults = defaultsWith(plain.penalty);
  const o: TrainOptions = { ...defaults, ...plain, bits: { ...defaults.bits, ...plain.bits } };
  checkInteger(o.epochs, 'options.epochs', 1, 1_000_000);
  checkInteger(o.batchSize, 'options.batchSize', 1, 1 << 20);
  checkInteger(o.stepsPerEpoch, 'options.stepsPerEpoch', 0, 2 ** 31 - 1);
  checkInteger(o.seed, 'options.seed', 0);
  checkDevice(o.device, 'options.device');
  checkChoice(o.precision, 'options.precision', ['fp32', 'tf32', 'bf16']);
  checkInteger(o.memoryLimit, 'options.memoryLimit', 0);
  checkLoss(o.loss);
  checkNumber(o.labelSmoothing, 'options.labelSmoothing', 0, 1);
  checkNumber(o.teacherWeight, 'options.teacherWeight', 0, 1);
  checkNumber(o.temperature, 'options.temperature', 0.01, 100);
  checkNumber(o.ema, 'options.ema', 0, 0.999999);
  if (isPlainObject(o.optimizer) && 'keepRange' in o.optimizer)
    throw wrongType('no keepRange (it is options.bits.keepRange)', 'options.optimizer', 'keepRange');
  checkNames(o.optimizer, 'options.optimizer', OPTIMIZER_NAMES);
  checkChoice(o.optimizer.kind, 'options.optimizer.kind', ['sgd', 'adam', 'adamw']);
  if (o.penalty === 'rate' && o.optimizer.quantizerEpsilon === undefined)
    o.optimizer = { ...o.optimizer, quantizerEpsilon: rateOptions.quantizerEpsilon };
  checkNumber(o.learningRate, 'options.learningRate', 0, 1e6);
  checkSchedule(o.schedule, 'options.schedule');
  checkNumber(o.gamma, 'options.gamma', 0, 1e6);
  checkNumber(o.gammaWarmup, 'options.gammaWarmup', 0, 1);
  checkChoice(o.penalty, 'options.penalty', ['own', 'coupled', 'rate']);
  checkNumber(o.coupling, 'options.coupling', 0, 1e6);
  checkInteger(o.biasBits, 'options.biasBits', 0, 12);
  if (o.biasBits === 1) throw wrongValue('0 or 2 to 12', 'options.biasBits', 1);
  checkNumber(o.bits.initial, 'options.bits.initial', 0.5, 24);
  checkNumber(o.bits.headroom, 'options.bits.headroom', -20, 20);
  checkChoice(o.bits.start, 'options.bits.start', ['range', 'rms']);
  checkChoice(o.bits.exponents, 'options.bits.exponents', ['channel', 'layer']);
  checkNumber(o.bits.learningRate, 'options.bits.learningRate', 0, 1e6);
  checkNumber(o.bits.exponentLearningRate, 'options.bits.exponentLearningRate', 0, 1e6);
  checkSchedule(o.bits.schedule, 'options.bits.schedule');
  checkNumber(o.bits.freezeAt, 'options.bits.freezeAt', 0, 1);
  if (typeof o.bits.keepRange !== 'boolean') throw wrongType('a boolean', 'options.bits.keepRange', o.bits.keepRange);
  if (o.bits.exponents === 'layer' && o.bits.keepRange)
    throw wrongValue("false, which options.bits.exponents 'layer' needs,", 'options.bits.keepRange', true);
  if (typeof o.bits.round !== 'boolean') throw wrongType('a boolean', 'options.bits.round', o.bits.round);
  if (typeof o.remove !== 'boolean') throw wrongType('a boolean', 'options.remove', o.remove);
  checkLayers(o.layers);
  checkAugmentation(o.augmentation);
  checkTarget(o.target, o.gamma);
  checkStopAt(o.stopAt);
  return o;
}
