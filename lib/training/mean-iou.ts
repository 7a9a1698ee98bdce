/** Of classes at every pixel: intersection over union of what is predicted and what is right. */
import type { Dataset, Split } from '../data/dataset.js';
import { ofWhole } from '../data/statistics.js';
import { item } from '../indexing.js';

/** Images that are predicted together: few enough that looking at their pixels does not hold up anything else. */
const AT_ONCE = 8;

/** Images `first`… of a split, normalised as the network was trained. */
export function normalised({ images }: Split, data: Pick<Dataset, 'shape' | 'mean' | 'std' | 'inputs'>, first: number, count: number): Float32Array {
  const [channels, height, width] = data.shape;
  const [mean, std] = [ofWhole(data.mean, data.inputs), ofWhole(data.std, data.inputs)];
  const pixels = height * width;
  const scale = images instanceof Uint8Array ? 1 / 255 : 1;
  const values = new Float32Array(count * channels * pixels);
  const from = images.subarray(first * channels * pixels, (first + count) * channels * pixels);
  for (let plane = 0; plane < count * channels; plane++) {
    const [centre, deviation] = [item(mean, plane % channels), item(std, plane % channels)];
    for (let i = plane * pixels; i < (plane + 1) * pixels; i++) values[i] = (item(from, i) * scale - centre) / deviation;
  }
  return values;
}

/** Counts of pixels by class: those of both kinds, those that are right, those that are predicted. */
class Counts {
  readonly both: Float64Array;
  readonly right: Float64Array;
  readonly predicted: Float64Array;

  constructor(readonly classes: number) {
    [this.both, this.right, this.predicted] = [new Float64Array(classes), new Float64Array(classes), new Float64Array(classes)];
  }

  /** @param logits [classes × pixels] of one image; @param labels [pixels], negative: does not count */
  add(logits: Float32Array, labels: Int32Array): void {
    const pixels = labels.length;
    for (let p = 0; p < pixels; p++) {
      const label = labels[p] as number;
      if (label < 0) continue;
      let best = 0;
      for (let k = 1; k < this.classes; k++) if ((logits[k * pixels + p] as number) > (logits[best * pixels + p] as number)) best = k;
      (this.right[label] as number)++;
      (this.predicted[best] as number)++;
      if (best === label) (this.both[label] as number)++;
    }
  }

  mean(): number {
    let sum = 0;
    let present = 0;
    for (let k = 0; k < this.classes; k++) {
      const union = item(this.right, k) + item(this.predicted, k) - item(this.both, k);
      if (union === 0) continue;
      sum += item(this.both, k) / union;
      present++;
    }
    return present > 0 ? sum / present : 0;
  }
}

/** Mean over the classes that occur, in labels or predictions, of the pixels of both ÷ the pixels of either. */
export async function meanIoU(
  network: { predict(images: Float32Array, count: number): Promise<Float32Array> },
  data: Pick<Dataset, 'shape' | 'mean' | 'std' | 'classes' | 'inputs'>,
  split: Split,
): Promise<number> {
  const labels = split.labels as Int32Array;
  const pixels = labels.length / split.count;
  let counts: Counts | undefined;
  for (let first = 0; first < split.count; first += AT_ONCE) {
    const count = Math.min(AT_ONCE, split.count - first);
    const logits = await network.predict(normalised(split, data, first, count), count);
    const perImage = logits.length / count;
    counts ??= new Counts(perImage / pixels);
    for (let n = 0; n < count; n++) {
      counts.add(logits.subarray(n * perImage, (n + 1) * perImage), labels.subarray((first + n) * pixels, (first + n + 1) * pixels));
    }
  }
  return counts?.mean() ?? 0;
}
