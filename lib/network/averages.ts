/** Averages of parameters in a state, which trainings with `ema` have: `<parameter>/average` (binding.d.ts). */
import type { State } from './initial.js';

const AVERAGE = '/average';

/** The state that is evaluated: of each parameter its average, where there is one. */
export function evaluatedState(state: State): State {
  const entries = Object.entries(state);
  if (!entries.some(([name]) => name.endsWith(AVERAGE))) return state;
  const own = (name: string) => (Object.hasOwn(state, name) ? state[name] : undefined);
  const kept = entries.filter(([name]) => !name.endsWith(AVERAGE));
  return Object.fromEntries(kept.map(([name, values]) => [name, own(name + AVERAGE) ?? values]));
}
