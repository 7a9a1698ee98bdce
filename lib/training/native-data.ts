/** The splits of a data set as native code reads them. */
import { binding, type DataSet, type EvaluationResult } from '../binding.js';
import type { Dataset, Split } from '../data/dataset.js';
import { allIndices } from './shuffle.js';

/** A split and the numbers of all its examples. */
export interface NativeSplit {
  set: DataSet;
  indices: Int32Array;
}

export interface NativeData {
  train: DataSet;
  test: NativeSplit;
  validation?: NativeSplit;
}

export function nativeData({ shape, classes, mean, std, train, test, validation }: Dataset): NativeData {
  const common = classes > 0 ? { shape, mean, std, classes } : { shape, mean, std };
  const setOf = ({ images, labels, targets }: Split) => new binding.DataSet({ ...common, images, labels, targets });
  const splitOf = (split: Split) => ({ set: setOf(split), indices: allIndices(split.count) });
  return { train: setOf(train), test: splitOf(test), ...(validation && { validation: splitOf(validation) }) };
}

/** Loss and accuracy (0..1) of a network on a split. */
export async function evaluateOn(
  network: { evaluate(data: DataSet, indices: Int32Array): Promise<EvaluationResult> },
  { set, indices }: NativeSplit,
): Promise<{ loss: number; accuracy: number }> {
  const { loss, correct, count } = await network.evaluate(set, indices);
  return { loss, accuracy: correct / count };
}
