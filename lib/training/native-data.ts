/** The splits of a data set as native code reads them, and in which order an epoch takes the examples. */
import { binding, type DataSet, type EvaluationResult } from '../binding.js';
import type { AnyDataset, Split, TokenSplit } from '../data/dataset.js';
import { accuracyOf, type LanguageMetrics, languageMetrics } from './epoch-metrics.js';
import { allIndices, shuffledIndices, windowStarts } from './shuffle.js';
import { batchCount } from './step-plan.js';

type SplitName = 'train' | 'test' | 'validation';

/** A split and the numbers of all its examples. */
export interface NativeSplit {
  set: DataSet;
  /** Of a text the windows that do not overlap. */
  indices: Int32Array;
}

/** All tokens of a text, whose windows may begin at any of them. */
type Text = Record<SplitName, Int32Array>;

function textOf(data: AnyDataset): Text | undefined {
  const { tokens } = data as { tokens?: Partial<Text> };
  return data.input === 'tokens' && tokens?.train instanceof Int32Array && tokens.test instanceof Int32Array ? (tokens as Text) : undefined;
}

function setOf(data: AnyDataset, which: SplitName): DataSet {
  const split = data[which] as Split | TokenSplit;
  const { labels, targets } = split;
  const answers = { labels, targets, ...(data.classes > 0 && { classes: data.classes }) };
  if ('images' in split) {
    const { shape, mean, std } = data as { shape: [number, number, number]; mean: number[]; std: number[] };
    return new binding.DataSet({ shape, mean, std, images: split.images, ...answers });
  }
  const { length, vocabulary } = data as { length: number; vocabulary: number };
  const text = textOf(data)?.[which];
  return new binding.DataSet(text ? { tokens: text, length, vocabulary, windows: true } : { tokens: split.tokens, length, vocabulary, ...answers });
}

/** One split for an evaluation. */
export function nativeSplit(data: AnyDataset, which: SplitName): NativeSplit {
  const indices = allIndices((data[which] as Split).count);
  const length = textOf(data) && (data as { length: number }).length;
  return { set: setOf(data, which), indices: length ? indices.map((window) => window * length) : indices };
}

export class NativeData {
  readonly train: DataSet;
  readonly test: NativeSplit;
  readonly validation: NativeSplit | undefined;
  /** Training examples that make an epoch. */
  readonly #count: number;
  readonly #isText: boolean;

  constructor(data: AnyDataset) {
    this.train = setOf(data, 'train');
    this.test = nativeSplit(data, 'test');
    this.validation = data.validation && nativeSplit(data, 'validation');
    this.#count = data.train.count;
    this.#isText = textOf(data) !== undefined;
  }

  /** @param limit the option `stepsPerEpoch` */
  stepsPerEpoch(batchSize: number, limit: number): number {
    const all = batchCount(this.#count, batchSize);
    if (limit === 0) return all;
    return this.#isText ? limit : Math.min(limit, all);
  }

  /** The examples of an epoch in its order, from the seed alone: of a text windows at random places, as many as fill its steps. */
  order(seed: number, epoch: number, steps: number, batchSize: number): Int32Array {
    if (!this.#isText) return shuffledIndices(this.#count, seed, epoch);
    return windowStarts(this.train.count, steps * batchSize, seed, epoch);
  }
}

export interface Evaluated extends Partial<LanguageMetrics> {
  loss: number;
  /** 0..1 */
  accuracy: number;
  meanIoU?: number;
}

/** Loss and accuracy of a network on a split; `ofTokens`: and what texts are measured in. */
export async function evaluateOn(
  network: { evaluate(data: DataSet, indices: Int32Array): Promise<EvaluationResult> },
  { set, indices }: NativeSplit,
  ofTokens = false,
): Promise<Evaluated> {
  const result = await network.evaluate(set, indices);
  return { loss: result.loss, accuracy: accuracyOf(result), ...(ofTokens && languageMetrics(result)) };
}
