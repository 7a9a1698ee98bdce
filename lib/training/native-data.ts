/** The splits of a data set as native code reads them, and in which order an epoch takes the examples. */
import { binding, type DataSet, type DataSetOptions, type EvaluationResult, type LossDescription, type TokenDataSetOptions } from '../binding.js';
import type { AnyDataset, Dataset, Split, TokenSplit } from '../data/dataset.js';
import { ofWhole } from '../data/statistics.js';
import { elements } from '../network/description.js';
import { runPaced, type Steps } from '../pace.js';
import { accuracyOf, type LanguageMetrics, languageMetrics } from './epoch-metrics.js';
import { type EvaluatedOutputs, evaluatedOutputs } from './outputs.js';
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

/** Bytes that are copied at a time: well under a millisecond. */
const SLICE_BYTES = 1 << 20;

/** A set whose first examples are in native memory, and the work that copies the others. */
interface GrowingSet {
  set: DataSet;
  rest: Steps<void>;
}

/**
 * Copies the arrays in slices.
 * @throws TypeError or RangeError of `DataSet` for what the first slice shows; `rest` throws them for the others
 */
function growingSet(options: DataSetOptions | TokenDataSetOptions): GrowingSet {
  const ofText = 'tokens' in options && options.windows === true;
  const values = 'tokens' in options ? options.tokens : options.images;
  const arrays = [values, ...[options.labels, options.targets].filter((array) => array !== undefined)];
  // What cannot be sliced is an error, which native code words.
  const sliceable =
    arrays.every((array) => ArrayBuffer.isView(array) && array.length > 0) &&
    ('tokens' in options || (Array.isArray(options.shape) && options.shape.every(Number.isInteger)));
  if (!sliceable) return { set: new binding.DataSet(options), rest: nothing() };
  const size = ofText ? 1 : 'tokens' in options ? options.length : elements(options.shape);
  const lead = ofText ? options.length : 0; // tokens before the first that begins no window
  const count = (values.length - lead) / size;
  const perSlice = Math.max(1, Math.floor(SLICE_BYTES / (values.BYTES_PER_ELEMENT * size)));
  const { labels, targets } = options;
  const widths = [labels, targets].map((answers) => (answers ? answers.length / count : 0));
  if (![count, ...widths].every(Number.isInteger) || !(count > perSlice)) return { set: new binding.DataSet(options), rest: nothing() };
  const part = (from: number, to: number) => ({
    [ofText || 'tokens' in options ? 'tokens' : 'images']: values.subarray(from && from * size + lead, to * size + lead),
    ...(labels && { labels: labels.subarray(from * (widths[0] as number), to * (widths[0] as number)) }),
    ...(targets && { targets: targets.subarray(from * (widths[1] as number), to * (widths[1] as number)) }),
  });
  const set = new binding.DataSet({ ...options, ...part(0, perSlice), examples: count });
  function* rest(): Steps<void> {
    for (let from = perSlice; from < count; from += perSlice) {
      set.append(part(from, Math.min(from + perSlice, count)));
      yield;
    }
  }
  return { set, rest: rest() };
}

function* nothing(): Steps<void> {}

function setOf(data: AnyDataset, which: SplitName): GrowingSet {
  const split = data[which] as Split | TokenSplit;
  const { labels, targets } = split;
  const parts = labels === undefined ? undefined : data.outputs?.filter(({ task }) => task === 'classification' || task === 'perPosition');
  const labelParts = parts?.map(({ size, classes }) => ({ labels: size, classes }));
  const answers = { labels, targets, ...(labelParts ? { labelParts } : labels && data.classes > 0 && { classes: data.classes }) };
  if ('images' in split) {
    const { shape, mean, std, inputs } = data as Dataset;
    return growingSet({ shape, mean: ofWhole(mean, inputs), std: ofWhole(std, inputs), images: split.images, ...answers });
  }
  const { length, vocabulary } = data as { length: number; vocabulary: number };
  const text = textOf(data)?.[which];
  return growingSet(text ? { tokens: text, length, vocabulary, windows: true } : { tokens: split.tokens, length, vocabulary, ...answers });
}

/** All examples of a split, for an evaluation. */
function indicesOf(data: AnyDataset, which: SplitName): Int32Array {
  const indices = allIndices((data[which] as Split).count);
  const length = textOf(data) && (data as { length: number }).length;
  return length ? indices.map((window) => window * length) : indices;
}

/** One split for an evaluation. */
export async function nativeSplit(data: AnyDataset, which: SplitName): Promise<NativeSplit> {
  const { set, rest } = setOf(data, which);
  await runPaced(rest);
  return { set, indices: indicesOf(data, which) };
}

export class NativeData {
  readonly train: DataSet;
  readonly test: NativeSplit;
  readonly validation: NativeSplit | undefined;
  /** Training examples that make an epoch. */
  readonly #count: number;
  readonly #isText: boolean;
  readonly #rest: Steps<void>[] = [];

  /** Takes the first examples of every split over; `fill` copies the others, before which the sets are of no use. */
  constructor(data: AnyDataset) {
    const begin = (which: SplitName) => {
      const { set, rest } = setOf(data, which);
      this.#rest.push(rest);
      return { set, indices: indicesOf(data, which) };
    };
    this.train = begin('train').set;
    this.test = begin('test');
    this.validation = data.validation && begin('validation');
    this.#count = data.train.count;
    this.#isText = textOf(data) !== undefined;
  }

  async fill(): Promise<void> {
    for (const rest of this.#rest) await runPaced(rest);
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
  outputs?: EvaluatedOutputs;
}

/** Loss and accuracy of a network on a split; `ofTokens`: and what texts are measured in. */
export async function evaluateOn(
  network: { evaluate(data: DataSet, indices: Int32Array): Promise<EvaluationResult> },
  { set, indices }: NativeSplit,
  ofTokens = false,
  loss?: LossDescription,
): Promise<Evaluated> {
  const result = await network.evaluate(set, indices);
  return { loss: result.loss, accuracy: accuracyOf(result), ...(ofTokens && languageMetrics(result)), ...(loss && evaluatedOutputs(result, loss)) };
}
