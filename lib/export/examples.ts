/** Examples of a data set as a network reads them. */
import type { AxesSizes } from '../binding.js';
import type { Split } from '../data/dataset.js';
import { normaliseInto } from '../data/normalised.js';
import { wrongType } from '../errors.js';
import { normalisationOf } from '../inference/examples.js';
import { decodeInput } from '../inference/input.js';
import { elements } from '../network/description.js';

/** `count` examples of a split, evenly spread, normalised by `mean` and `std`: [count × input]. */
export function examplesOf(
  { images, count: all }: Split,
  input: AxesSizes,
  { mean, std }: { mean: number[]; std: number[] },
  count: number,
): Float32Array {
  const size = elements(input);
  const some = Math.min(count, all);
  const result = new Float32Array(some * size);
  const normalisation = normalisationOf({ mean, std }, input[0]);
  for (let i = 0; i < some; i++) {
    const from = Math.floor((i * all) / some) * size;
    const part = images.subarray(from, from + size);
    const example = part instanceof Float32Array ? part : new Uint8Array(part.buffer, part.byteOffset, size); // a Buffer would be an image file
    const own = result.subarray(i * size, (i + 1) * size);
    if (example instanceof Float32Array) normaliseInto(own, example, size / input[0], { mean, std });
    else decodeInput(example, `images[${i}]`, input, normalisation, own);
  }
  return result;
}

/** The labels of the same examples. */
export function labelsOf({ labels, count: all }: Split, count: number): Int32Array {
  if (!labels) throw wrongType('examples with labels', 'the data set', labels);
  const some = Math.min(count, all);
  return Int32Array.from({ length: some }, (_, i) => labels[Math.floor((i * all) / some)] as number);
}
