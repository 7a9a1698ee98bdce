/**
 * Entropy-penalised reparameterisation (Oktay, Ballé, Singh & Shrivastava 2020): weights are s · round(φ), s one number of a layer; rounding is
 * passed straight through for the task, and replaced by uniform noise for the rate, the length −log2 p(φ + u) of a code under a density
 * of the layer that is learned beside it:
 *
 *     p(x) = Σ π_k (F((x + ½)/σ_k) − F((x − ½)/σ_k))        F the logistic function, k = 1..3
 *
 * Theirs is a small network in the place of this mixture. Its parts have no means: with means of their own the estimate, under noise, was half of what the file
 * took, γ rose to 200 and 84 to 86 % were left at 6 to 7 kB (Fashion-MNIST, as rivals.mjs has it). φ starts as with `rate`: a step s is half the root mean square of the layer's weights.
 */
import { randomFrom, Trained } from './adam.mjs';
import { codedLayer } from './quantized.mjs';

const PARTS = 3;
const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** @param weights { name: { values, channels } } */
export function entropyPenalised(weights, seed) {
  const random = randomFrom(seed);
  const total = Object.values(weights).reduce((sum, { values }) => sum + values.length, 0);
  const layers = Object.entries(weights).map(([name, { values, channels }]) => {
    const step = Math.sqrt(values.reduce((sum, w) => sum + w * w, 0) / values.length) / 2;
    return {
      ...{ name, channels, made: new Float32Array(values.length) },
      latent: new Trained(
        Float32Array.from(values, (w) => w / step),
        0.003 / step,
      ),
      step: new Trained(Float32Array.of(Math.log2(step)), 0.01),
      // Mixture: logits of π, then ln σ.
      density: new Trained(Float32Array.of(0, 0, 0, -1, 0, 1), 0.01),
    };
  });
  return {
    penalty: 'rate',
    gamma: 1,
    trained: layers.flatMap(({ latent, step, density }) => [latent, step, density]),
    made() {
      for (const { latent, step, made } of layers) {
        const scale = 2 ** step.values[0];
        for (let i = 0; i < made.length; i++) made[i] = scale * Math.round(latent.values[i]);
      }
      return Object.fromEntries(layers.map(({ name, made }) => [name, made]));
    },
    take(gradients, gamma) {
      let bits = 0;
      for (const { name, latent, step, density, made } of layers) {
        const gradient = gradients[name];
        const scale = 2 ** step.values[0];
        let ofStep = 0;
        for (let i = 0; i < made.length; i++) {
          ofStep += gradient[i] * made[i];
          latent.gradient[i] = gradient[i] * scale;
        }
        step.gradient[0] = ofStep * Math.LN2;
        bits += rate({ latent, density, random, weight: gamma / total });
      }
      return bits / total;
    },
    layers: () =>
      Object.fromEntries(
        layers.map(({ name, channels, latent, step }) => [
          name,
          codedLayer(Int32Array.from(latent.values, Math.round), new Float32Array(channels).fill(step.values[0])),
        ]),
      ),
  };
}

/** Bits of all latents under the density; adds `weight` times their gradient to that of the latents, and sets that of the density. */
function rate({ latent, density, random, weight }) {
  const shares = [0, 1, 2].map((k) => Math.exp(density.values[k]));
  const sum = shares.reduce((a, b) => a + b);
  const share = shares.map((s) => s / sum);
  const widths = density.values.subarray(PARTS).map(Math.exp);
  const [ofShare, ofWidth] = [new Float64Array(PARTS), new Float64Array(PARTS)];
  const [mass, slope, spread] = [new Float64Array(PARTS), new Float64Array(PARTS), new Float64Array(PARTS)];
  let bits = 0;
  for (let i = 0; i < latent.values.length; i++) {
    const x = latent.values[i] + random() - 0.5;
    let p = 1e-9;
    let ofX = 0;
    for (let k = 0; k < PARTS; k++) {
      const high = (x + 0.5) / widths[k];
      const low = (x - 0.5) / widths[k];
      const above = x > 0; // both at the small end of F, where a difference is exact
      const [a, b] = above ? [sigmoid(-low), sigmoid(-high)] : [sigmoid(high), sigmoid(low)];
      const [atHigh, atLow] = above ? [b * (1 - b), a * (1 - a)] : [a * (1 - a), b * (1 - b)];
      mass[k] = a - b;
      slope[k] = (atHigh - atLow) / widths[k];
      spread[k] = atHigh * high - atLow * low;
      p += share[k] * mass[k];
      ofX += share[k] * slope[k];
    }
    const inverse = 1 / p;
    latent.gradient[i] -= (weight * ofX * inverse) / Math.LN2;
    for (let k = 0; k < PARTS; k++) {
      ofShare[k] += mass[k] * inverse;
      ofWidth[k] += spread[k] * inverse;
    }
    bits -= Math.log2(p);
  }
  // The density is fitted whatever γ is: gradients of the mean length.
  const each = 1 / (latent.values.length * Math.LN2);
  const all = share.reduce((a, s, k) => a + s * ofShare[k], 0);
  for (let k = 0; k < PARTS; k++) {
    density.gradient[k] = -each * share[k] * (ofShare[k] - all);
    density.gradient[PARTS + k] = each * share[k] * ofWidth[k];
  }
  return bits;
}
