/** Data sets from files of rows or tensors: examples that come as a whole are split by seed, and what is wrong is the file's fault. */
import { checkInteger, checkNumber, DataError, wrongValue } from '../errors.js';
import { runPaced } from '../pace.js';
import { type ArrayDataset, datasetSteps, type TokenArrayDataset } from './arrays.js';
import type { AnyDataset } from './dataset.js';
import { holdBack, permutation } from './sampling.js';

export interface SplitOptions {
  /** Where there are no test examples of their own: the share of all examples to hold out for it, chosen by the seed. Default 0.2. */
  holdOut?: number;
  /** How many training examples to hold back for validation, chosen by the seed. */
  validation?: number;
  /** Default 1. */
  seed?: number;
}

export const splitOptionNames = ['holdOut', 'validation', 'seed'];

export function checkSplitOptions({ holdOut = 0.2, validation, seed = 1 }: SplitOptions): Required<Omit<SplitOptions, 'validation'>> {
  checkNumber(holdOut, 'holdOut', 0, 1);
  if (holdOut === 0 || holdOut === 1) throw wrongValue('a share above 0 and below 1', 'holdOut', holdOut);
  if (validation !== undefined) checkInteger(validation, 'validation', 0);
  checkInteger(seed, 'seed', 0);
  return { holdOut, seed };
}

/** Which of `count` examples are for training and which are held out; at least one of each. */
export async function splitIndices(
  count: number,
  { holdOut, seed }: Required<Omit<SplitOptions, 'validation'>>,
  path: string,
): Promise<{ train: Int32Array; test: Int32Array }> {
  if (count < 2) throw new DataError(`${count} examples are too few to hold some of them out`, path);
  const order = await runPaced(permutation(count, seed ^ 0x3c6ef372));
  const held = Math.min(count - 1, Math.max(1, Math.round(count * holdOut)));
  return { train: order.slice(held).sort(), test: order.slice(0, held).sort() };
}

/**
 * A data set of arrays that were read from a file: values that do not fit are a fault of the file. How many examples to hold back is the
 * user's to say.
 */
export async function datasetFromFile<D extends AnyDataset>(path: string, options: ArrayDataset | TokenArrayDataset): Promise<D> {
  const { validation, seed = 1 } = options;
  const held = typeof validation === 'number' ? validation : undefined;
  let data: D;
  try {
    data = (await runPaced(datasetSteps(held === undefined ? options : { ...options, validation: undefined }))) as D;
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
    throw new DataError(cause.message, path, { cause });
  }
  return runPaced(holdBack(data, held, seed));
}
