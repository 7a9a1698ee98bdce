/** Initial parameters, repeatable from a seed. */
import { unsafeUniformIntDistribution, xoroshiro128plus } from 'pure-rand';
import type { ParameterInfo } from '../binding.js';
import { elements } from './description.js';

/** All tensors of a network by name, as the addon's `Network.state()` gives them. */
export type State = Record<string, Float32Array>;

export interface QuantizerStart {
  /** Bit depth of every channel. */
  bitDepth: number;
  /** Octaves between the channel's largest weight and the end of the range, so that weights may grow. */
  headroom: number;
}

/** Uniform numbers in [0, 1) from a seed. */
export function uniform(seed: number): () => number {
  const generator = xoroshiro128plus(seed);
  return () => unsafeUniformIntDistribution(0, 0xffffff, generator) / 0x1000000;
}

/**
 * Weights and biases uniform in ±1/√fanIn, norms at identity, bit depths as given, and per channel the exponent whose
 * range at that depth ends `headroom` octaves beyond the channel's largest weight: 2^e · 2^(b−1) = 2^headroom · max|w|.
 */
export function initialState(parameters: ParameterInfo[], seed: number, quantizer: QuantizerStart): State {
  const random = uniform(seed);
  const state: State = {};
  const bound: Record<string, number> = {};
  for (const p of parameters) {
    const values = new Float32Array(elements(p.shape));
    if (p.role === 'weight') {
      bound[p.node] = 1 / Math.sqrt(elements(p.shape.slice(1)));
      for (let i = 0; i < values.length; i++) values[i] = (2 * random() - 1) * bound[p.node];
    } else if (p.role === 'bias') {
      for (let i = 0; i < values.length; i++) values[i] = (2 * random() - 1) * bound[p.node];
    } else if (p.role === 'normWeight' || p.role === 'runningVar') values.fill(1);
    else if (p.role === 'bitDepth') values.fill(quantizer.bitDepth);
    else if (p.role === 'exponent') values.set(exponents(state[`${p.node}.weight`], values.length, quantizer));
    state[p.name] = values;
  }
  return state;
}

/** Per channel: log2(max|w|) + headroom − (bitDepth − 1). A channel of zeros gets that of the smallest normal range. */
export function exponents(weight: Float32Array, channels: number, { bitDepth, headroom }: QuantizerStart): Float32Array {
  const result = new Float32Array(channels);
  const perChannel = weight.length / channels;
  for (let c = 0; c < channels; c++) {
    let largest = 0;
    for (let i = c * perChannel; i < (c + 1) * perChannel; i++) largest = Math.max(largest, Math.abs(weight[i]));
    result[c] = Math.log2(Math.max(largest, 2 ** -20)) + headroom - (bitDepth - 1);
  }
  return result;
}
