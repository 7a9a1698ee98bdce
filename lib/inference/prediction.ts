/** What a model says of one example. */
import type { AxesSizes, Metadata } from '../binding.js';
import { checkInteger } from '../errors.js';
import { item } from '../indexing.js';
import { type ModelPart, partsOf } from './examples.js';

export interface ClassScore {
  /** Of the class, 0.. */
  index: number;
  /** Its name, or its index where the file has no names. */
  label: string;
  probability: number;
}

export interface PredictionJSON {
  scores: number[];
  label: string | undefined;
  probability: number | undefined;
  outputs?: Record<string, PredictionJSON>;
}

export class Prediction {
  /** The network's output as it is: logits of a classifier. */
  readonly scores: Float32Array;
  /** Of a network with several outputs: what it says at each, by name; `scores` has them behind one another. */
  readonly outputs: Readonly<Record<string, Prediction>> | undefined;
  readonly #probabilities: Float64Array | undefined;
  readonly #labels: string[] | undefined;

  /** @internal */
  constructor(scores: Float32Array, classifies: boolean, labels: string[] | undefined, outputs?: Record<string, Prediction>) {
    this.scores = scores;
    this.outputs = outputs;
    this.#labels = labels;
    if (classifies) this.#probabilities = softmax(scores);
  }

  /** Of the likeliest class; undefined where the model does not classify. */
  get label(): string | undefined {
    return this.top(1)[0]?.label;
  }
  get probability(): number | undefined {
    return this.top(1)[0]?.probability;
  }
  /**
   * The k likeliest classes, the likeliest first; none where the model does not classify.
   * @throws TypeError or RangeError when k is no integer from 0
   */
  top(k: number): ClassScore[] {
    const probabilities = this.#probabilities;
    checkInteger(k, 'k', 0);
    if (!probabilities) return [];
    return largest(probabilities, k).map((index) => ({
      index,
      label: this.#labels?.[index] ?? String(index),
      probability: item(probabilities, index),
    }));
  }
  toJSON(): PredictionJSON {
    const { outputs } = this;
    const own = { scores: Array.from(this.scores), label: this.label, probability: this.probability };
    return outputs ? { ...own, outputs: Object.fromEntries(Object.entries(outputs).map(([name, output]) => [name, output.toJSON()])) } : own;
  }
}

/** Indices of the k largest values, the largest first and equal ones in their order. What may be among them is sorted whenever it is 2k long. */
function largest(values: Float64Array, k: number): number[] {
  let best: number[] = [];
  let least = Number.NEGATIVE_INFINITY; // of the k best so far
  const cut = () => {
    best = best.sort((a, b) => item(values, b) - item(values, a) || a - b).slice(0, k);
    if (k > 0 && best.length === k) least = item(values, item(best, k - 1));
  };
  for (let i = 0; i < values.length; i++) {
    if ((values[i] as number) <= least) continue;
    best.push(i);
    if (best.length >= 2 * k + 16) cut();
  }
  cut();
  return best;
}

/** How a model's outputs are read: `of` makes a prediction of each of `count` examples' scores. */
export class OutputReader {
  readonly #labels: string[] | undefined;
  readonly #classifies: boolean;
  readonly #parts: (ModelPart & { reader: OutputReader })[] | undefined;

  constructor(metadata: Metadata, output: AxesSizes, parts = partsOf(metadata, 'output', output)) {
    const { task, labels, classes, tasks } = metadata;
    this.#parts = parts?.map((part, i) => {
      const own = {
        task: Array.isArray(tasks) ? tasks[i] : task,
        labels: metadata[`labels.${part.name}`] ?? (parts.length === 1 ? labels : undefined),
      };
      return { ...part, reader: new OutputReader({ ...own, ...(parts.length === 1 && { classes }) }, part.axes) };
    });
    const isVector = output.length === 1 && output[0] > 1 && !(parts && parts.length > 1);
    this.#classifies = isVector && (task === undefined ? labels !== undefined || classes !== undefined : task === 'classification');
    if (Array.isArray(labels) && labels.length === output[0]) this.#labels = labels.map(String);
  }

  of(scores: Float32Array, count: number): Prediction[] {
    const size = count ? scores.length / count : 0;
    return Array.from({ length: count }, (_, i) => this.#one(scores.slice(i * size, (i + 1) * size)));
  }

  #one(scores: Float32Array): Prediction {
    const outputs = this.#parts?.map(({ name, from, to, reader }) => [name, reader.#one(scores.slice(from, to))] as const);
    return new Prediction(scores, this.#classifies, this.#labels, outputs && Object.fromEntries(outputs));
  }
}

function softmax(scores: Float32Array): Float64Array {
  const most = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = Float64Array.from(scores, (score) => Math.exp(score - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
