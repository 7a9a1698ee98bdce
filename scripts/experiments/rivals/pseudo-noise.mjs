/**
 * Bits of each channel learned through noise in the place of rounding (Défossez, Adi & Synnaeve 2022, "DiffQ"): a step sees
 *
 *     w + Δ/2 · ε    ε uniform in ±1    Δ = (max w − min w) / (2^b − 1)    b = FEWEST + (MOST − FEWEST)·σ(logit)
 *
 * and the penalty is the mean of b. At the end b is rounded and w becomes Δ · round(w / Δ), which has a zero, as the file's codes do. Theirs has groups
 * of weights and at least 2 bits; here a group is a channel, and 1 bit is allowed.
 */
import { randomFrom, Trained } from './adam.mjs';
import { codedLayer } from './quantized.mjs';

const FEWEST = 1;
const MOST = 15;
const START = 8;
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const bitsOf = (logit) => FEWEST + (MOST - FEWEST) * sigmoid(logit);

/** @param weights { name: { values, channels } } */
export function pseudoNoise(weights, seed) {
  const random = randomFrom(seed);
  const total = Object.values(weights).reduce((sum, { values }) => sum + values.length, 0);
  const share = (START - FEWEST) / (MOST - FEWEST);
  const layers = Object.entries(weights).map(([name, { values, channels }]) => ({
    ...{ name, channels, perChannel: values.length / channels, made: new Float32Array(values.length), noise: new Float32Array(values.length) },
    ...{ ranges: new Float32Array(channels), weight: new Trained(Float32Array.from(values), 0.003) },
    logit: new Trained(new Float32Array(channels).fill(Math.log(share / (1 - share))), 0.01),
  }));
  const measure = ({ weight: { values }, perChannel, ranges }) => {
    for (let c = 0; c < ranges.length; c++) {
      let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (let i = c * perChannel; i < (c + 1) * perChannel; i++) {
        least = Math.min(least, values[i]);
        most = Math.max(most, values[i]);
      }
      ranges[c] = most - least;
    }
  };
  return {
    penalty: 'own',
    gamma: 0.05,
    trained: layers.flatMap(({ weight, logit }) => [weight, logit]),
    made() {
      for (const layer of layers) {
        measure(layer);
        const { weight, logit, perChannel, ranges, made, noise } = layer;
        for (let i = 0; i < made.length; i++) {
          const c = Math.floor(i / perChannel);
          noise[i] = 2 * random() - 1;
          made[i] = weight.values[i] + ((ranges[c] / (2 ** bitsOf(logit.values[c]) - 1)) * noise[i]) / 2;
        }
      }
      return Object.fromEntries(layers.map(({ name, made }) => [name, made]));
    },
    take(gradients, gamma) {
      let bits = 0;
      for (const { name, weight, logit, channels, perChannel, ranges, noise } of layers) {
        const gradient = gradients[name];
        weight.gradient.set(gradient);
        for (let c = 0; c < channels; c++) {
          let sum = 0;
          for (let i = c * perChannel; i < (c + 1) * perChannel; i++) sum += gradient[i] * noise[i];
          const depth = bitsOf(logit.values[c]);
          const ofBits = ((sum / 2) * -ranges[c] * 2 ** depth * Math.LN2) / (2 ** depth - 1) ** 2 + (gamma * perChannel) / total;
          const s = sigmoid(logit.values[c]);
          logit.gradient[c] = ofBits * (MOST - FEWEST) * s * (1 - s);
          bits += depth * perChannel;
        }
      }
      return bits / total;
    },
    layers() {
      return Object.fromEntries(
        layers.map((layer) => {
          measure(layer);
          const { name, weight, logit, perChannel, ranges } = layer;
          const steps = ranges.map((range, c) => Math.max(range, 2 ** -20) / (2 ** Math.round(bitsOf(logit.values[c])) - 1));
          const codes = Int32Array.from(weight.values, (w, i) => Math.round(w / steps[Math.floor(i / perChannel)]));
          return [name, codedLayer(codes, steps.map(Math.log2))];
        }),
      );
    },
  };
}
