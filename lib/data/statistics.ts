/** Mean and deviation of the channels, by which inputs are normalised. */
import { wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { SLICE, type Steps } from '../pace.js';

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

/** Checks `mean` and `std` as a user gives them: one finite number per channel, deviations above zero. */
export function checkNormalisation(values: unknown, argument: 'mean' | 'std', channels: number): number[] | undefined {
  if (values === undefined) return undefined;
  const what = `${channels} ${argument === 'std' ? 'positive' : 'finite'} numbers, one for each channel,`;
  if (!Array.isArray(values) && !(ArrayBuffer.isView(values) && (values instanceof Float32Array || values instanceof Float64Array)))
    throw wrongType(what, argument, values);
  if (values.length !== channels) throw wrongValue(what, argument, values);
  return Array.from(values as ArrayLike<unknown>, (value, c) => {
    const one = argument === 'std' ? 'a positive number' : 'a finite number';
    if (typeof value !== 'number') throw wrongType(one, `${argument}[${c}]`, value);
    // They are used as float32: what becomes infinite or zero there is no use.
    const single = Math.fround(value);
    if (!Number.isFinite(single) || (argument === 'std' && single < SMALLEST_DEVIATION)) throw wrongValue(one, `${argument}[${c}]`, value);
    return value;
  });
}
