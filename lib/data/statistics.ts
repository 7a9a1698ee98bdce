/** Mean and deviation of the channels, by which inputs are normalised. */

import type { TensorPart } from '../binding.js';
import { wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { packedAxes, partRanges } from '../network/parts.js';
import { SLICE, type Steps } from '../pace.js';
import type { Dataset } from './dataset.js';

/**
 * A channel whose deviation is at most this share of its largest magnitude counts as constant: it is about eight times the
 * rounding of a float32, so that what varies is rounding, not information. Dividing by it would make noise of it.
 */
const CONSTANT = 1e-6;

/** Below it, the reciprocal of a deviation is no float32. */
const SMALLEST_DEVIATION = 2 ** -126;

export interface ChannelStatistics {
  mean: number[];
  std: number[];
}

/**
 * Mean and standard deviation per channel of [count × channels × pixels] values, bytes divided by 255; the deviation of a
 * constant channel is 1. Sums are taken of differences to the channel's first value, so that constants give exactly zero.
 */
export function* channelStatistics(
  images: Uint8Array | Float32Array,
  [channels, height, width]: readonly [number, number, number],
): Steps<ChannelStatistics> {
  const pixels = height * width;
  const scale = images instanceof Uint8Array ? 1 / 255 : 1;
  const sums = Array.from({ length: channels }, (_, c) => ({ origin: item(images, c * pixels), sum: 0, squares: 0, largest: 0 }));
  let since = 0;
  for (let plane = 0, c = 0; plane < images.length; plane += pixels, c = c + 1 === channels ? 0 : c + 1) {
    const channel = item(sums, c);
    const { origin } = channel;
    for (let at = plane; at < plane + pixels; at += SLICE) {
      const end = Math.min(plane + pixels, at + SLICE);
      let s = 0;
      let q = 0;
      let most = channel.largest;
      for (let i = at; i < end; i++) {
        const x = images[i] as number;
        const d = x - origin;
        s += d;
        q += d * d;
        if (x > most) most = x;
        else if (-x > most) most = -x;
      }
      channel.sum += s;
      channel.squares += q;
      channel.largest = most;
      since += end - at + 16;
      if (since < SLICE) continue;
      since = 0;
      yield;
    }
  }
  const count = images.length / channels;
  const mean = sums.map(({ origin, sum }) => (origin + sum / count) * scale);
  const std = sums.map(({ sum, squares, largest }) => {
    const deviation = Math.sqrt(Math.max(squares / count - (sum / count) ** 2, 0));
    return deviation <= CONSTANT * largest || deviation * scale < SMALLEST_DEVIATION ? 1 : deviation * scale;
  });
  return { mean, std };
}

/** Of the training images; of several inputs for the channels of each, one input behind another. */
export function* statisticsOf({ inputs, shape, train }: Pick<Dataset, 'inputs' | 'shape' | 'train'>): Steps<ChannelStatistics> {
  if (!inputs) return yield* channelStatistics(train.images, shape);
  const all: ChannelStatistics = { mean: [], std: [] };
  const elements = train.images.length / train.count;
  for (const [i, { from, to }] of partRanges(inputs).entries()) {
    const values = yield* columns(train.images, elements, from, to);
    const [channels, ...positions] = item(inputs, i).axes;
    const { mean, std } = yield* channelStatistics(values, [channels, 1, positions.reduce((a, b) => a * b, 1)]);
    all.mean.push(...mean);
    all.std.push(...std);
  }
  return all;
}

/** The elements `from` to `to` of every example. */
function* columns(images: Uint8Array | Float32Array, elements: number, from: number, to: number): Steps<Uint8Array | Float32Array> {
  const width = to - from;
  const count = images.length / elements;
  const values = images instanceof Uint8Array ? new Uint8Array(count * width) : new Float32Array(count * width);
  let since = 0;
  for (let i = 0; i < count; i++) {
    values.set(images.subarray(i * elements + from, i * elements + to), i * width);
    since += width + 64;
    if (since < SLICE) continue;
    since = 0;
    yield;
  }
  return values;
}

/** Numbers of the channels of each input as those of the channels of the whole. */
export function ofWhole(values: number[], inputs: readonly TensorPart[] | undefined): number[] {
  if (!inputs || packedAxes(inputs).length > 1) return values;
  let at = 0;
  return inputs.flatMap(({ axes: [channels, ...positions] }) => {
    const size = positions.reduce((a, b) => a * b, 1);
    const own = values.slice(at, at + channels);
    at += channels;
    return own.flatMap((value) => new Array<number>(size).fill(value));
  });
}

/**
 * Checks `mean` and `std` as a user gives them: one finite number per channel, deviations above zero.
 * @param of what stands behind the name of the argument
 */
export function checkNormalisation(values: unknown, kind: 'mean' | 'std', channels: number, of = ''): number[] | undefined {
  const argument = `${kind}${of}`;
  if (values === undefined) return undefined;
  const what = `${channels} ${kind === 'std' ? 'positive' : 'finite'} numbers, one for each channel,`;
  if (!Array.isArray(values) && !(ArrayBuffer.isView(values) && (values instanceof Float32Array || values instanceof Float64Array)))
    throw wrongType(what, argument, values);
  if (values.length !== channels) throw wrongValue(what, argument, values);
  return Array.from(values as ArrayLike<unknown>, (value, c) => {
    const one = kind === 'std' ? 'a positive number' : 'a finite number';
    if (typeof value !== 'number') throw wrongType(one, `${argument}[${c}]`, value);
    // They are used as float32: what becomes infinite or zero there is no use.
    const single = Math.fround(value);
    if (!Number.isFinite(single) || (kind === 'std' && single < SMALLEST_DEVIATION)) throw wrongValue(one, `${argument}[${c}]`, value);
    return value;
  });
}
