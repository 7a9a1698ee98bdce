import { entry, item } from '../indexing.js';
import type { State } from '../network/initial.js';

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
