/**
 * Ternary weights, 1.58 bits: s · max(−1, min(1, round(w / s))), s learned for each channel (Esser et al. 2020, "LSQ", at the three levels of Li, Zhang & Liu
 * 2016), which our quantizer's whole codes of two's complement do not have. Rounding is passed straight through:
 *
 *     ∂/∂w = [|w/s| ≤ 1]        ∂/∂s = round(w/s) − w/s where |w/s| ≤ 1, else the sign of w
 */
import { Trained } from './adam.mjs';
import { codedLayer } from './quantized.mjs';

/** Of the mean size of a channel's weights, as a first step: half of it is where rounding begins, 0.7 of that mean as they have it. */
const START = 1.4;
const clamp = (x) => Math.max(-1, Math.min(1, x));

/** @param weights { name: { values, channels } } */
export function ternary(weights) {
  const layers = Object.entries(weights).map(([name, { values, channels }]) => {
    const perChannel = values.length / channels;
    const size = (c) => values.subarray(c * perChannel, (c + 1) * perChannel).reduce((sum, w) => sum + Math.abs(w), 0) / perChannel;
    const steps = Float32Array.from({ length: channels }, (_, c) => Math.log2(Math.max(2 ** -20, START * size(c))));
    return {
      ...{ name, perChannel, made: new Float32Array(values.length) },
      ...{ weight: new Trained(Float32Array.from(values), 0.003), step: new Trained(steps, 0.01) },
    };
  });
  const codesOf = ({ weight, step, perChannel }) =>
    Int32Array.from(weight.values, (w, i) => clamp(Math.round(w / 2 ** step.values[Math.floor(i / perChannel)])));
  return {
    trained: layers.flatMap(({ weight, step }) => [weight, step]),
    made() {
      for (const layer of layers) {
        const { step, made, perChannel } = layer;
        codesOf(layer).forEach((code, i) => {
          made[i] = code * 2 ** step.values[Math.floor(i / perChannel)];
        });
      }
      return Object.fromEntries(layers.map(({ name, made }) => [name, made]));
    },
    take(gradients) {
      for (const { name, weight, step, perChannel } of layers) {
        const gradient = gradients[name];
        step.gradient.fill(0);
        for (let i = 0; i < gradient.length; i++) {
          const c = Math.floor(i / perChannel);
          const scale = 2 ** step.values[c];
          const x = weight.values[i] / scale;
          const inside = Math.abs(x) <= 1;
          weight.gradient[i] = inside ? gradient[i] : 0;
          step.gradient[c] += gradient[i] * scale * Math.LN2 * (inside ? Math.round(x) - x : Math.sign(x));
        }
      }
      return Math.log2(3);
    },
    layers: () => Object.fromEntries(layers.map((layer) => [layer.name, codedLayer(codesOf(layer), layer.step.values)])),
  };
}
