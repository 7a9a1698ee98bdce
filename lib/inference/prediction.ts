/** What a model says of one example. */
export interface ClassScore {
  /** Of the class, 0.. */
  index: number;
  /** Its name, or its index where the file has no names. */
  label: string;
  probability: number;
}

export class Prediction {
  /** The network's output as it is: logits of a classifier. */
  readonly scores: Float32Array;
  readonly #probabilities: Float64Array | undefined;
  readonly #labels: string[] | undefined;

  /** @internal */
  constructor(scores: Float32Array, classifies: boolean, labels: string[] | undefined) {
    this.scores = scores;
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
  /** The k likeliest classes, the likeliest first; none where the model does not classify. */
  top(k: number): ClassScore[] {
    const probabilities = this.#probabilities;
    if (!probabilities) return [];
    return Array.from(probabilities, (probability, index) => ({ index, label: this.#labels?.[index] ?? String(index), probability }))
      .sort((a, b) => b.probability - a.probability || a.index - b.index)
      .slice(0, k);
  }
  toJSON(): { scores: number[]; label: string | undefined; probability: number | undefined } {
    return { scores: Array.from(this.scores), label: this.label, probability: this.probability };
  }
}

function softmax(scores: Float32Array): Float64Array {
  const largest = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = Float64Array.from(scores, (score) => Math.exp(score - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
