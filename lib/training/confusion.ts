/** Which classes are taken for which. */
import type { Dataset } from '../data/dataset.js';
import { normalised } from './mean-iou.js';

/** Images that are predicted together. */
const AT_ONCE = 64;

/**
 * [right class][predicted class]: test images of the data; labels below 0 do not count.
 * @param network gives [count × classes]
 */
export async function confusionOf(
  network: { predict(images: Float32Array, count: number): Promise<Float32Array> },
  data: Pick<Dataset, 'shape' | 'mean' | 'std' | 'inputs' | 'classes' | 'test'>,
): Promise<number[][]> {
  const { classes, test } = data;
  const labels = test.labels as Int32Array;
  const counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let first = 0; first < test.count; first += AT_ONCE) {
    const count = Math.min(AT_ONCE, test.count - first);
    const scores = await network.predict(normalised(test, data, first, count), count);
    for (let n = 0; n < count; n++) {
      const row = counts[labels[first + n] as number];
      const own = scores.subarray(n * classes, (n + 1) * classes);
      const best = own.reduce((most, score, k) => (score > (own[most] as number) ? k : most), 0);
      if (row) row[best] = (row[best] as number) + 1;
    }
  }
  return counts;
}
