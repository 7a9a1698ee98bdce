/**
 * Rate-aware rounding: codes of a trained network move to neighbours that take fewer bits in the file, as long as it still classifies
 * its examples well enough (docs/model-file.md, "Squeezing").
 */
import { checkTyped } from '../arguments.js';
import { binding, type NetworkDescription, type NodeDescription } from '../binding.js';
import { checkInteger, checkNames, checkNumber, wrongType, wrongValue } from '../errors.js';
import { entry, item } from '../indexing.js';
import { encodeModel, type ModelInfo } from '../model-file/model-file.js';
import { elements } from '../network/description.js';
import type { State } from '../network/initial.js';
import { pauses } from '../pace.js';
import { affineOf } from './fold.js';
import type { Codes, ExportLayer, ExportNetwork } from './layers.js';

export interface SqueezeOptions {
  /** Points of accuracy on the examples that may be given up: 0.1 allows 99.10 % to become 99.00 %. 0 to 100. */
  points: number;
  /** [n × input], normalised as in training; none that the network is to be judged by later. */
  examples: Float32Array;
  /** [n] */
  labels: Int32Array | Uint8Array;
  /** Is told what came of it. */
  report?: ((result: SqueezeResult) => void) | undefined;
}

export interface SqueezeResult {
  /** Bytes of the model file, without ranges. */
  bytesBefore: number;
  bytes: number;
  /** Shares of the examples, 0 to 1. */
  accuracyBefore: number;
  accuracy: number;
  /** Codes that changed. */
  changed: number;
  examples: number;
}

/** Examples whose gradients are taken at a time, and most times that it is done. */
const BATCH = 16;
const MOST_BATCHES = 256;
/** Examples that are predicted at a time. */
const AT_ONCE = 256;
/** The logits keep an influence on the loss where a class is certain. */
const SMOOTHING = 0.1;
/** Of the mean of the tensor's curvatures: what one counts for at least, since the examples do not show everything. */
const LEAST_CURVATURE = 0.01;

export function checkSqueeze(options: unknown): SqueezeOptions {
  checkNames(options, 'options.squeeze', ['points', 'examples', 'labels', 'report']);
  const { points, examples, labels, report } = options;
  checkNumber(points, 'options.squeeze.points', 0, 100);
  checkTyped(examples, 'options.squeeze.examples', Float32Array);
  if (!(labels instanceof Int32Array)) checkTyped(labels, 'options.squeeze.labels', Uint8Array);
  if (report !== undefined && typeof report !== 'function') throw wrongType('a function', 'options.squeeze.report', report);
  return options as unknown as SqueezeOptions;
}

/** A layer whose codes may move; `state` has its weights under `name`. */
interface Squeezable {
  name: string;
  codes: Codes;
  channels: number;
  places: number;
}

const squeezables = ({ layers }: ExportNetwork): Squeezable[] =>
  layers.flatMap(({ node, codes, shapes }) => {
    const shape = shapes.weight ?? [];
    return codes && shape.length > 1 ? [{ name: `${node.name}.weight`, codes, channels: item(shape, 0), places: elements(shape.slice(2)) }] : [];
  });

const valuesOf = ({ scale }: Codes, codes: Int32Array): Float32Array => {
  const each = codes.length / scale.length;
  return Float32Array.from(codes, (code, i) => code * item(scale, Math.floor(i / each)));
};

/** A norm by running statistics as a layer of its own without bits: gradients are then those of evaluation. */
function asLayer({ node, output }: ExportLayer, factor: Float64Array, shift: Float64Array): { node: NodeDescription; state: State } {
  const channels = factor.length;
  const common = { name: node.name, inputs: node.inputs, bias: true, compress: false };
  const isImage = output.length === 3;
  const weight = isImage ? Float32Array.from(factor) : new Float32Array(channels * channels);
  if (!isImage) {
    factor.forEach((value, c) => {
      weight[c * channels + c] = value;
    });
  }
  const layer = isImage
    ? { ...common, kind: 'conv2d', outChannels: channels, kernel: [1, 1], groups: channels }
    : { ...common, kind: 'linear', outFeatures: channels, perPosition: output.length > 1 };
  return { node: layer as NodeDescription, state: { [`${node.name}.weight`]: weight, [`${node.name}.bias`]: Float32Array.from(shift) } };
}

/** What `gradients` is asked of: the network in evaluation, no weight at the edge of what its bits can hold. */
function forGradients({ description, layers, state }: ExportNetwork): { network: NetworkDescription; state: State } {
  const given: State = { ...state };
  const nodes = layers.map((layer) => {
    const { node, codes } = layer;
    if (codes) {
      given[`${node.name}.weight`] = valuesOf(codes, codes.codes);
      given[`${node.name}.bitDepth`] = Float32Array.from(codes.bits, (bits) => Math.min(24, bits + 1));
    }
    const affine = affineOf(layer);
    if (!affine) return node;
    const made = asLayer(layer, affine.factor, affine.shift);
    Object.assign(given, made.state);
    return made.node;
  });
  return { network: { ...description, nodes }, state: given };
}

/**
 * What a change of each code by 1 adds to the loss: half of its curvature, for which the mean square of the examples' gradients
 * stands (Fisher's information), times the square of the scale.
 */
async function costsOf(whole: ExportNetwork, tensors: Squeezable[], examples: Float32Array, labels: Int32Array): Promise<Float32Array[]> {
  const { network, state } = forGradients(whole);
  const [channels, ...positions] = network.input;
  const shape: [number, number, number] = [channels, elements(positions.slice(0, -1)), elements(positions.slice(-1))];
  const classes = item(whole.output, 0);
  const compiled = new binding.Network(network, {
    device: 'cpu',
    loss: { kind: 'crossEntropy', labelSmoothing: SMOOTHING },
    optimizer: { kind: 'sgd', momentum: 0 },
    batchSize: BATCH,
  });
  const squares = tensors.map(({ codes }) => new Float32Array(codes.codes.length));
  const rest = pauses();
  try {
    await compiled.loadState(Object.fromEntries(compiled.parameters.map(({ name }) => [name, entry(state, name)])));
    const size = elements(network.input);
    const batches = Math.min(MOST_BATCHES, Math.ceil(labels.length / BATCH));
    const settings = { step: 1, seed: 0, gamma: 0, learningRate: 0, bitDepthLearningRate: 0, exponentLearningRate: 0 };
    for (let b = 0; b < batches; b++) {
      const first = Math.floor((b * Math.max(0, labels.length - BATCH)) / Math.max(1, batches - 1));
      const count = Math.min(BATCH, labels.length);
      const data = new binding.DataSet({
        shape,
        images: examples.subarray(first * size, (first + count) * size),
        labels: labels.subarray(first, first + count),
        classes,
      });
      const indices = Int32Array.from({ length: count }, (_, i) => i);
      const gradients = await compiled.gradients(data, indices, settings);
      for (let t = 0; t < tensors.length; t++) {
        const gradient = entry(gradients, item(tensors, t).name);
        const sum = item(squares, t);
        for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (gradient[i] as number) ** 2;
        await rest();
      }
    }
    return tensors.map(({ codes }, t) => costOf(item(squares, t), codes, (0.5 * BATCH) / batches));
  } finally {
    await compiled.dispose();
  }
}

function costOf(squares: Float32Array, { scale }: Codes, factor: number): Float32Array {
  const least = (LEAST_CURVATURE * squares.reduce((a, b) => a + b, 0)) / squares.length;
  const each = squares.length / scale.length;
  return squares.map((square, i) => factor * Math.max(square, least) * item(scale, Math.floor(i / each)) ** 2);
}

/** How many of the examples the model file gets right. */
async function correctOf(bytes: Uint8Array, examples: Float32Array, labels: Int32Array): Promise<number> {
  const model = await binding.loadModelFile({ bytes });
  try {
    const [size, classes] = [elements(model.input), item(model.output, 0)];
    let correct = 0;
    for (let first = 0; first < labels.length; first += AT_ONCE) {
      const count = Math.min(AT_ONCE, labels.length - first);
      const scores = await model.predict(examples.subarray(first * size, (first + count) * size), count);
      for (let i = 0; i < count; i++) {
        const own = scores.subarray(i * classes, (i + 1) * classes);
        if (own.indexOf(own.reduce((a, b) => Math.max(a, b))) === labels[first + i]) correct++;
      }
    }
    return correct;
  } finally {
    model.dispose();
  }
}

/** A file that was tried. */
interface Trial {
  state: State;
  bytes: number;
  correct: number;
  changed: number;
}

/**
 * The least of the files whose λ is tried: λ grows until a file loses too much or everything is zero, then the interval that holds the
 * border is halved.
 */
async function search(start: Trial, least: number, attempt: (lambda: number) => Promise<Trial>): Promise<Trial> {
  const [FACTOR, GROWTHS, HALVINGS] = [8, 12, 6];
  let best = start;
  const works = async (lambda: number): Promise<boolean> => {
    const trial = await attempt(lambda);
    if (trial.correct < least) return false;
    if (trial.bytes < best.bytes) best = trial;
    return true;
  };
  let good = 0; // logarithms
  let bad = Number.NEGATIVE_INFINITY;
  const first = Math.log(1e-6);
  if (await works(Math.exp(first))) {
    good = first;
    bad = first;
    for (let i = 0; i < GROWTHS; i++) {
      bad += Math.log(FACTOR);
      if (!(await works(Math.exp(bad)))) break;
      good = bad;
    }
  } else {
    bad = first;
    good = first;
    for (let i = 0; i < GROWTHS; i++) {
      good -= Math.log(FACTOR);
      if (await works(Math.exp(good))) break;
      bad = good;
    }
  }
  for (let i = 0; i < HALVINGS && good < bad; i++) {
    const middle = (good + bad) / 2;
    if (await works(Math.exp(middle))) good = middle;
    else bad = middle;
  }
  return best;
}

/**
 * The network with codes that take fewer bytes in a model file.
 * @throws TypeError or RangeError for a network that does not classify examples of numbers, and for labels that are none of its classes
 */
export async function squeeze(whole: ExportNetwork, info: ModelInfo, { points, examples, labels, report }: SqueezeOptions): Promise<ExportNetwork> {
  const { description, output } = whole;
  if (description.inputType === 'token' || output.length !== 1 || output[0] < 2)
    throw wrongValue('a network of numbers with a score for each class', 'source', output);
  const count = examples.length / elements(description.input);
  if (count < 1 || !Number.isInteger(count)) throw wrongValue(`n × ${elements(description.input)} numbers`, 'options.squeeze.examples', examples);
  if (labels.length !== count) throw wrongValue(`${count} labels`, 'options.squeeze.labels', labels);
  labels.forEach((label, i) => {
    checkInteger(label, `options.squeeze.labels[${i}]`, 0, output[0] - 1);
  });
  const [own, answers] = [examples.slice(), Int32Array.from(labels)]; // copies: the caller's memory may change meanwhile
  const bare: ModelInfo = { ...info, ranges: undefined };
  const tensors = squeezables(whole);
  const costs = await costsOf(whole, tensors, own, answers);
  const attempt = async (lambda: number): Promise<Trial> => {
    const state = { ...whole.state };
    let changed = 0;
    for (const [t, { name, codes, channels, places }] of tensors.entries()) {
      const moved = lambda ? await binding.squeezeCodes({ codes: codes.codes, cost: item(costs, t), channels, places, lambda }) : codes.codes;
      moved.forEach((code, i) => {
        if (code !== codes.codes[i]) changed++;
      });
      state[name] = valuesOf(codes, moved);
    }
    const bytes = await encodeModel(description, state, bare);
    return { state, bytes: bytes.length, correct: await correctOf(bytes, own, answers), changed };
  };
  const start = await attempt(0);
  const least = start.correct - Math.floor((points / 100) * count + 1e-9);
  const { state, bytes, correct, changed } = await search(start, least, attempt);
  report?.({ bytesBefore: start.bytes, bytes, accuracyBefore: start.correct / count, accuracy: correct / count, changed, examples: count });
  return { ...whole, state };
}
