/** Rounding after training: of each channel that step whose squared error is least, among fortieths of an octave below that which clips nothing. */
import { codedLayer } from './quantized.mjs';

const TRIES = 120;

/** @param weights { name: { values, channels } } @returns coded layers by name */
export function roundedAfterTraining(weights, bits) {
  const [lowest, highest] = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  return Object.fromEntries(
    Object.entries(weights).map(([name, { values, channels }]) => {
      const perChannel = values.length / channels;
      const codes = new Int32Array(values.length);
      const exponents = new Float32Array(channels);
      for (let c = 0; c < channels; c++) {
        const channel = values.subarray(c * perChannel, (c + 1) * perChannel);
        const most = channel.reduce((a, w) => Math.max(a, Math.abs(w)), 2 ** -20);
        const coded = (exponent) => Int32Array.from(channel, (w) => Math.min(highest, Math.max(lowest, Math.round(w / 2 ** exponent))));
        const error = (exponent) => coded(exponent).reduce((sum, code, i) => sum + (channel[i] - code * 2 ** exponent) ** 2, 0);
        const top = Math.log2(most / Math.max(1, highest));
        const tries = Array.from({ length: TRIES }, (_, i) => top - i / 40);
        exponents[c] = tries.reduce((best, exponent) => (error(exponent) < error(best) ? exponent : best));
        codes.set(coded(exponents[c]), c * perChannel);
      }
      return [name, codedLayer(codes, exponents)];
    }),
  );
}
