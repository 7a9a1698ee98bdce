/** Examples as networks read them. */

/** Writes one example's elements, [channels × positions]: bytes stand for 0..1; per channel minus `mean`, divided by `std`, where there are any. */
export function normaliseInto(
  result: Float32Array,
  example: Uint8Array | Float32Array,
  positions: number,
  { mean, std }: { mean: number[]; std: number[] },
): void {
  const unit = example instanceof Float32Array ? 1 : 1 / 255;
  for (let first = 0, channel = 0; first < example.length; first += positions, channel++) {
    const [shift, scale] = [mean[channel] ?? 0, std[channel] ?? 1];
    for (let k = first; k < first + positions; k++) result[k] = ((example[k] as number) * unit - shift) / scale;
  }
}
