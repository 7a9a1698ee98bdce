/** What a run is trained on and tested with, in native memory, and in which order its epochs take the examples. */
import { binding, type DataSet } from '../binding.js';
import type { AnyDataset, Split, TokenSplit } from '../data/dataset.js';
import { allIndices, shuffledIndices, windowStarts } from './shuffle.js';
import { batchCount } from './step-plan.js';

/** A text, whose windows may begin at any token. */
type Text = { train: Int32Array; test: Int32Array };

const textOf = (data: AnyDataset): Text | undefined => {
  const { tokens } = data as { tokens?: Partial<Text> };
  return tokens?.train instanceof Int32Array && tokens.test instanceof Int32Array ? (tokens as Text) : undefined;
};

function nativeSplit(data: AnyDataset, which: 'train' | 'test'): DataSet {
  const { labels, targets } = data[which] as Split | TokenSplit;
  const answers = { labels, targets, ...(data.classes > 0 && labels && { classes: data.classes }) };
  if (data.input !== 'tokens') {
    const { shape, mean, std } = data;
    return new binding.DataSet({ shape, mean, std, images: data[which].images, ...answers });
  }
  const { length, vocabulary } = data;
  const text = textOf(data);
  if (text) return new binding.DataSet({ tokens: text[which], length, vocabulary, windows: true });
  return new binding.DataSet({ tokens: data[which].tokens, length, vocabulary, ...answers });
}

export class TrainingData {
  readonly train: DataSet;
  readonly test: DataSet;
  /** Examples that an evaluation takes: of a text the windows that do not overlap. */
  readonly testIndices: Int32Array;
  readonly #isText: boolean;

  constructor(readonly data: AnyDataset) {
    this.train = nativeSplit(data, 'train');
    this.test = nativeSplit(data, 'test');
    this.#isText = textOf(data) !== undefined;
    this.testIndices = allIndices(data.test.count);
    if (data.input === 'tokens' && this.#isText) this.testIndices = this.testIndices.map((window) => window * data.length);
  }

  /** `limit`: the option `stepsPerEpoch`. */
  stepsPerEpoch(batchSize: number, limit: number): number {
    const all = batchCount(this.data.train.count, batchSize);
    if (limit === 0) return all;
    return this.#isText ? limit : Math.min(limit, all);
  }

  /** The examples of an epoch in its order, from the seed alone: of a text windows at random places, as many as fill its steps. */
  order(seed: number, epoch: number, steps: number, batchSize: number): Int32Array {
    if (!this.#isText) return shuffledIndices(this.data.train.count, seed, epoch);
    return windowStarts(this.train.count, steps * batchSize, seed, epoch);
  }
}
