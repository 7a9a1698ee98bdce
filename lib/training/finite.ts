/** Whether a state may be saved: a checkpoint of values that are no numbers would take the place of the last good one. */
import type { State } from '../network/initial.js';

export class NotFiniteError extends Error {
  override name = 'NotFiniteError';
  constructor(
    readonly tensor: string,
    readonly value: number,
  ) {
    super(`${tensor} holds ${value}`);
  }
}

/** Values that are looked at before other work gets its turn: a fraction of a millisecond. */
const SLICE = 1 << 17;

/** @throws NotFiniteError naming the first tensor with a value that is no finite number */
export async function checkFinite(state: State): Promise<State> {
  let looked = 0;
  for (const [name, values] of Object.entries(state)) {
    for (let from = 0; from < values.length; from += SLICE) {
      const slice = values.subarray(from, from + SLICE);
      let sum = 0;
      for (let i = 0; i < slice.length; i++) sum += (slice[i] as number) * 0; // NaN from the first value that is not finite
      if (sum !== 0) throw new NotFiniteError(name, slice.find((value) => !Number.isFinite(value)) as number);
      looked += slice.length;
      if (looked < SLICE) continue;
      looked = 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  return state;
}
