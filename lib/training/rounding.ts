import { entry, item } from '../indexing.js';
import type { State } from '../network/initial.js';

/**
 * The biases of layers that compress as whole multiples of a power of two, at most 2^(bits−1) − 1 of them: those of a layer share
 * it. The model file then needs about `bits` bits for each. Averages of biases are rounded by themselves.
 */
export function roundedBiases(state: State, bits: number): State {
  const rounded: State = {};
  for (const [name, biases] of Object.entries(state)) {
    const node = /^(.*\.)bias(\/average)?$/.exec(name)?.[1];
    if (node === undefined || !state[`${node}bitDepth`]) continue;
    const largest = biases.reduce((most, b) => Math.max(most, Math.abs(b)), 0);
    if (largest === 0) continue;
    const step = 2 ** Math.max(-100, Math.ceil(Math.log2(largest / (2 ** (bits - 1) - 1))));
    rounded[name] = biases.map((b) => Math.round(b / step) * step + 0); // no −0
  }
  return rounded;
}

/** All bit depths as whole numbers, dead channels as they are; with the exponents that keep the ranges, if `keepRange`. */
export function roundedDepths(state: State, keepRange: boolean): State {
  const rounded: State = {};
  for (const [name, depths] of Object.entries(state)) {
    if (!name.endsWith('.bitDepth')) continue;
    const whole = depths.map((b) => (b > 0 ? Math.max(1, Math.round(b)) : 0));
    rounded[name] = whole;
    if (!keepRange) continue;
    const exponentName = name.replace(/bitDepth$/, 'exponent');
    rounded[exponentName] = entry(state, exponentName).map((e, c) => e + item(depths, c) - item(whole, c));
  }
  return rounded;
}
