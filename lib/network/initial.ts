/** Initial parameters, repeatable from a seed. */
import { unsafeUniformIntDistribution, xoroshiro128plus } from 'pure-rand';
import { readArgument } from '../arguments.js';
import type { ParameterInfo } from '../binding.js';

import { checkInteger, checkNames, checkNumber, isPlainObject, wrongType, wrongValue } from '../errors.js';
import { entry } from '../indexing.js';

import { runNow, SLICE, type Steps } from '../pace.js';
import { evaluatedState } from './averages.js';
import { elements } from './description.js';

/** Most elements that are made while the caller waits: some seconds. Trainers make theirs in steps. */
const MOST_AT_ONCE = 2 ** 28;

/** All tensors of a network by name, as the addon's `Network.state()` gives them. */
export type State = Record<string, Float32Array>;

export interface QuantizerStart {
  /** Bit depth of every channel. */
  bitDepth: number;
  /** Octaves between the channel's largest weight and the end of the range, so that weights may grow. */
  headroom: number;
  /** 'rms': a step is half the root mean square of the weights, whatever the range. Default 'range'. */
  start?: 'range' | 'rms';
  /** 'layer': one exponent for all channels of a layer. Default 'channel'. */
  exponents?: 'channel' | 'layer';
}

/** Uniform numbers in [0, 1) from a seed: its low 32 bits, and `high`, which is 0 for seeds below 2^32. */
export function uniform(seed: number, high = 0): () => number {
  const low = seed | 0;
  const generator = xoroshiro128plus.fromState([~high, ~low, low, high | 0]); // for high = 0, what pure-rand makes of the seed `low`
  return () => unsafeUniformIntDistribution(0, 0xffffff, generator) / 0x1000000;
}

/**
 * Weights and biases uniform in ±1/√fanIn, norms at identity, slopes at ¼, bit depths as given, and per channel the exponent whose
 * range at that depth ends `headroom` octaves beyond the channel's largest weight: 2^e · 2^(b−1) = 2^headroom · max|w|;
 * or what `start` and `exponents` say.
 *
 * Tensors in `given` are taken as they are; the others are those of the same seed without them. Bit depths and exponents
 * that are not given are chosen from the given weights: a channel of zeros starts at b = 0.
 * @throws TypeError or RangeError for a given tensor that the network does not have, or of another length, and for more than 2^28
 * elements in all
 */
export function initialState(parameters: ParameterInfo[], seed: number, quantizer: QuantizerStart, given: State = {}): State {
  return runNow(initialStateSteps(parameters, seed, quantizer, given, MOST_AT_ONCE));
}

/** The same in steps, for large networks. Arguments are checked at once. */
export function initialStateSteps(
  ofParameters: ParameterInfo[],
  ofSeed: number,
  ofQuantizer: QuantizerStart,
  given: State = {},
  most = Number.POSITIVE_INFINITY,
): Steps<State> {
  const { parameters, seed, quantizer } = checkStart(readArgument({ parameters: ofParameters, seed: ofSeed, quantizer: ofQuantizer }, 'options'));
  const total = parameters.reduce((sum, { shape }) => sum + elements(shape), 0);
  if (total > most) throw wrongValue(`at most ${most} elements in all`, 'parameters', total);
  const taken = checkGiven(parameters, readArgument(given, 'state'));
  return fill(parameters, seed, quantizer, taken);
}

/**
 * The given tensors, checked in steps as well, and what is missing beside them: for states that the library itself has read, which it
 * keeps without a copy.
 */
export function* givenStateSteps(parameters: ParameterInfo[], given: State): Steps<State> {
  const taken = yield* checkGivenSteps(parameters, given);
  const missing = parameters.filter(({ name }) => taken[name] === undefined);
  const made = missing.length ? yield* fill(parameters, 0, { bitDepth: 8, headroom: 0 }, taken) : {};
  return Object.fromEntries(parameters.map(({ name }) => [name, taken[name] ?? entry(made, name)]));
}

function* fill(parameters: ParameterInfo[], seed: number, quantizer: QuantizerStart, taken: State): Steps<State> {
  const random = uniform(seed, Math.floor(seed / 2 ** 32));
  const state: State = {};
  const weights = new Map(parameters.filter(({ role }) => role === 'weight').map((p) => [p.node, p])); // by node, whatever its name is
  const weightOf = ({ node, name }: ParameterInfo): ParameterInfo => {
    const weight = weights.get(node);
    if (!weight) throw wrongValue(`a weight beside ${JSON.stringify(name)}`, 'parameters', [...weights.keys()]);
    return weight;
  };
  // Behind the last tensor that is not given no random number is wanted any more.
  const lastOwn = parameters.reduce(
    (last, { name, role }, i) => ((role === 'weight' || role === 'bias') && taken[name] === undefined ? i : last),
    -1,
  );
  for (const [i, p] of parameters.entries()) {
    const isRandom = i <= lastOwn && (p.role === 'weight' || p.role === 'bias');
    const own = taken[p.name];
    if (own !== undefined && !isRandom) {
      state[p.name] = new Float32Array(own); // whatever its prototype is
      yield;
      continue;
    }
    const values = new Float32Array(elements(p.shape));
    if (isRandom) yield* fillUniform(values, random, 1 / Math.sqrt(elements(weightOf(p).shape.slice(1))));
    else if (p.role === 'normWeight' || p.role === 'runningVar') values.fill(1);
    else if (p.role === 'slope') values.fill(0.25);
    state[p.name] = own === undefined ? values : new Float32Array(own);
  }
  // After all weights: the order of the parameters does not matter.
  for (const p of parameters) {
    if (p.role !== 'bitDepth' || taken[p.name]) continue;
    yield;
    const weight = weightOf(p).name;
    state[p.name] = bitDepths(entry(state, weight), elements(p.shape), quantizer.bitDepth, taken[weight]);
  }
  for (const p of parameters) {
    if (p.role !== 'exponent' || taken[p.name]) continue;
    yield;
    state[p.name] = startExponents(entry(state, weightOf(p).name), elements(p.shape), quantizer, state[`${p.node}.bitDepth`]);
  }
  return state;
}

function* fillUniform(values: Float32Array, random: () => number, bound: number): Steps<void> {
  for (let from = 0; from < values.length; from += SLICE) {
    fillSlice(values, from, Math.min(from + SLICE, values.length), random, bound);
    yield;
  }
}

function fillSlice(values: Float32Array, from: number, to: number, random: () => number, bound: number): void {
  for (let i = from; i < to; i++) values[i] = (2 * random() - 1) * bound;
}

function checkStart(start: { parameters: ParameterInfo[]; seed: number; quantizer: QuantizerStart }): typeof start {
  const { parameters, seed, quantizer } = start;
  checkInteger(seed, 'seed', 0);
  checkNames(quantizer, 'quantizer', ['bitDepth', 'headroom', 'start', 'exponents']);
  checkNumber(quantizer.bitDepth, 'quantizer.bitDepth', 0, 1e6);
  checkNumber(quantizer.headroom, 'quantizer.headroom', -1e6, 1e6);
  checkParameters(parameters);
  return start;
}

/** What `inspectNetwork` says of parameters, or what has its form. */
export function checkParameters(parameters: unknown): asserts parameters is ParameterInfo[] {
  if (!Array.isArray(parameters)) throw wrongType('an array of parameters, as inspectNetwork returns it,', 'parameters', parameters);
  parameters.forEach((parameter: unknown, i) => {
    const at = `parameters[${i}]`;
    if (!isPlainObject(parameter)) throw wrongType('a plain object', at, parameter);
    const { name, node, role, shape } = parameter;
    for (const [field, value] of Object.entries({ name, node, role })) {
      if (typeof value !== 'string') throw wrongType('a string', `${at}.${field}`, value);
    }
    if (!Array.isArray(shape) || shape.length === 0) throw wrongType('an array of sizes', `${at}.shape`, shape);
    shape.forEach((size, k) => {
      checkInteger(size, `${at}.shape[${k}]`, 1, 2 ** 31 - 1);
    });
    if (elements(shape) > 2 ** 31 - 1) throw wrongValue('at most 2147483647 elements', `${at}.shape`, elements(shape));
  });
}

/** Whether it is the counter of idle channels of a layer: that of another run's penalty. */
const isCounter = (name: string, lengths: Map<string, number>) => name.endsWith('.idle') && lengths.has(name.replace(/idle$/, 'bitDepth'));

/** Without a call for every value. */
function* allFinite(values: Float32Array): Steps<boolean> {
  let sum = 0;
  for (let from = 0; from < values.length; from += SLICE) {
    const to = Math.min(from + SLICE, values.length);
    for (let i = from; i < to; i++) sum += (values[i] as number) * 0;
    yield;
  }
  return sum === 0;
}

/** The tensors of `given` that are parameters. Optimizer moments and counters in it are left out, and averages stand for their
 * parameters: a new run starts with none. */
const checkGiven = (parameters: ParameterInfo[], given: State): State => runNow(checkGivenSteps(parameters, given));

function* checkGivenSteps(parameters: ParameterInfo[], given: State): Steps<State> {
  if (!isPlainObject(given)) throw wrongType('a plain object of Float32Arrays by name', 'state', given);
  const lengths = new Map(parameters.map((p) => [p.name, elements(p.shape)]));
  const result: State = {};
  for (const [name, values] of Object.entries(evaluatedState(given))) {
    if (values === undefined) continue;
    if (isCounter(name, lengths)) continue;
    const length = lengths.get(name.replace(/\/moment[12]$/, ''));
    if (length === undefined) throw wrongValue(`names of the network's parameters (${[...lengths.keys()].join(', ')})`, 'state', name);
    const argument = `state[${JSON.stringify(name)}]`;
    if (!(ArrayBuffer.isView(values) && values instanceof Float32Array)) throw wrongType(`Float32Array of length ${length}`, argument, values);
    if (values.length !== length) throw wrongValue(`Float32Array of length ${length}`, argument, values);
    const mayBeNegative = !name.endsWith('.runningVar');
    const areFinite = yield* allFinite(values);
    const at = areFinite && mayBeNegative ? -1 : values.findIndex((value) => !Number.isFinite(value) || !(mayBeNegative || value >= 0));
    if (at >= 0) throw wrongValue(name.endsWith('.runningVar') ? 'finite numbers >= 0' : 'finite numbers', `${argument}[${at}]`, values[at]);
    if (lengths.has(name)) result[name] = values;
  }
  return result;
}

/** Exponents of a layer at the start of a training. */
function startExponents(weight: Float32Array, channels: number, quantizer: QuantizerStart, depths: Float32Array | undefined): Float32Array {
  const { start = 'range', exponents: kept = 'channel' } = quantizer;
  const result = start === 'range' ? exponents(weight, channels, quantizer, depths) : halfRms(weight, kept === 'layer' ? 1 : channels, channels);
  return kept === 'layer' ? result.fill(result.reduce((most, e) => Math.max(most, e), Number.NEGATIVE_INFINITY)) : result;
}

/** log2(½ · rms(w)) of each of `parts` equal parts of the weights, for the channels of each; at least that of rms = 2^-20. */
function halfRms(weight: Float32Array, parts: number, channels: number): Float32Array {
  const perPart = weight.length / parts;
  const result = new Float32Array(channels);
  for (let part = 0; part < parts; part++) {
    let squares = 0;
    for (let i = part * perPart; i < (part + 1) * perPart; i++) squares += (weight[i] as number) ** 2;
    result.fill(Math.log2(Math.max(Math.sqrt(squares / perPart), 2 ** -20) / 2), (part * channels) / parts, ((part + 1) * channels) / parts);
  }
  return result;
}

/** The same depth everywhere, but 0 where a weight that was given has a channel of zeros. */
function bitDepths(weight: Float32Array, channels: number, bitDepth: number, given: Float32Array | undefined): Float32Array {
  const result = new Float32Array(channels).fill(bitDepth);
  const perChannel = weight.length / channels;
  for (let c = 0; given && c < channels; c++) {
    if (given.subarray(c * perChannel, (c + 1) * perChannel).every((w) => w === 0)) result[c] = 0;
  }
  return result;
}

/**
 * Per channel: log2(max|w|) + headroom − (b − 1), b the channel's own depth in `depths` or else that of the start.
 * A channel of zeros gets that of the smallest normal range.
 */
export function exponents(weight: Float32Array, channels: number, { bitDepth, headroom }: QuantizerStart, depths?: Float32Array): Float32Array {
  const result = new Float32Array(channels);
  const perChannel = weight.length / channels;
  for (let c = 0; c < channels; c++) {
    let largest = 0;
    for (let i = c * perChannel; i < (c + 1) * perChannel; i++) largest = Math.max(largest, Math.abs(weight[i] as number));
    const own = depths?.[c] ?? 0;
    const depth = own > 0 ? own : bitDepth;
    result[c] = Math.log2(Math.max(largest, 2 ** -20)) + headroom - (depth - 1);
  }
  return result;
}
