// The other methods that scripts/experiments/rivals.mjs compares with: their gradients by differences, and what they count and write.
import t from 'tap';
import { NativeData } from '../dist/training/native-data.js';
import { entropyPenalised } from '../scripts/experiments/rivals/entropy-penalised.mjs';
import { roundedAfterTraining } from '../scripts/experiments/rivals/post-training.mjs';
import { magnitudes, normScales, smallest, sparseNorms, weightsLeft } from '../scripts/experiments/rivals/pruning.mjs';
import { pseudoNoise } from '../scripts/experiments/rivals/pseudo-noise.mjs';
import { codedLayer, judge, layerState } from '../scripts/experiments/rivals/quantized.mjs';
import { trainReparameterised } from '../scripts/experiments/rivals/reparameterised.mjs';
import { ternary } from '../scripts/experiments/rivals/ternary.mjs';
import { binding, decodeModel, floats, initialState, inspectNetwork, randomNumbers, toyDataset, toyNetwork } from './support.mjs';

const random = randomNumbers(7);
const network = toyNetwork();
const { parameters, weights: total } = inspectNetwork(network);
const plainState = () => {
  const state = initialState(parameters, 3, { bitDepth: 8, headroom: 1 });
  return Object.fromEntries(Object.entries(state).filter(([name]) => !/bitDepth|exponent/.test(name)));
};
const weightsOf = (state) =>
  Object.fromEntries(parameters.filter(({ role }) => role === 'weight').map((p) => [p.node, { values: state[p.name], channels: p.shape[0] }]));
const evaluate = async (net, { set, indices }) => {
  const { correct, count } = await net.evaluate(set, indices);
  return correct / count;
};

/** What `of(method)` changes by when value `i` of the `k`th of what is trained does, by differences. */
function slope(make, k, i, h, of) {
  const at = (change) => {
    const method = make();
    method.trained[k].values[i] += change;
    return of(method);
  };
  return (at(h) - at(-h)) / (2 * h);
}

t.test('the length of codes under a learned density has these gradients', (t) => {
  const weights = { a: { values: floats(random, 40), channels: 4 }, b: { values: floats(random, 12, -3, 3), channels: 2 } };
  const none = { a: new Float32Array(40), b: new Float32Array(12) };
  const make = () => entropyPenalised(weights, 5);
  const count = 52;
  const bits = (method) => method.take(none, 0) * count;
  const method = make();
  method.take(none, count); // so that the gradient of a latent is that of all bits
  const [latent, , density, , , other] = method.trained;
  for (const i of [0, 7, 39]) {
    const expected = slope(make, 0, i, 1e-2, bits);
    t.ok(Math.abs(latent.gradient[i] - expected) < 0.01 * Math.max(1, Math.abs(expected)), `latent ${i}: ${latent.gradient[i]} ${expected}`);
  }
  // Densities have the gradient of their layer's mean length.
  for (const [k, own, size] of [
    [2, density, 40],
    [5, other, 12],
  ])
    for (let i = 0; i < 6; i++) {
      const expected = slope(make, k, i, 1e-2, bits) / size;
      t.ok(Math.abs(own.gradient[i] - expected) < 2e-3 * Math.max(1, Math.abs(expected)), `density ${i}: ${own.gradient[i]} ${expected}`);
    }
  t.end();
});

t.test('steps of latents and bits of pseudo-noise have the gradients of what is made of them', (t) => {
  const weights = { a: { values: floats(random, 40), channels: 4 } };
  const gradient = { a: floats(random, 40) };
  const loss = (method) => method.made().a.reduce((sum, w, i) => sum + w * gradient.a[i], 0);
  const noisy = () => pseudoNoise(weights, 9);
  const method = noisy();
  method.made();
  const depth = method.take(gradient, 0.5);
  t.ok(Math.abs(depth - 8) < 1e-4, `${depth} bits at the start`);
  const [, logit] = method.trained;
  for (let c = 0; c < 4; c++) {
    const of = (other) => loss(other) + 0.5 * other.take(gradient, 0);
    const expected = slope(noisy, 1, c, 1e-2, of);
    t.ok(Math.abs(logit.gradient[c] - expected) < 1e-3 * Math.max(0.1, Math.abs(expected)), `bits ${c}: ${logit.gradient[c]} ${expected}`);
  }
  const latent = () => entropyPenalised(weights, 9);
  const other = latent();
  other.made();
  other.take(gradient, 0);
  const expected = slope(latent, 1, 0, 1e-3, loss);
  t.ok(Math.abs(other.trained[1].gradient[0] - expected) < 1e-2 * Math.abs(expected), `step: ${other.trained[1].gradient[0]} ${expected}`);
  t.end();
});

t.test('weights are rounded to the depth; a channel of zeros is dead', (t) => {
  const weights = weightsOf(plainState());
  for (const bits of [2, 3, 8]) {
    for (const [name, { weight, bitDepth, exponent }] of Object.entries(roundedAfterTraining(weights, bits))) {
      const perChannel = weight.length / exponent.length;
      const codes = weight.map((w, i) => w / 2 ** exponent[Math.floor(i / perChannel)]);
      t.ok(
        codes.every((code) => Math.abs(code - Math.round(code)) < 1e-3 && code >= -(2 ** (bits - 1)) && code < 2 ** (bits - 1)),
        `${name} ${bits}`,
      );
      t.ok(bitDepth.every((b) => b > 0));
      const { values } = weights[name];
      const error = (of) => Math.sqrt(values.reduce((sum, w, i) => sum + (w - of[i]) ** 2, 0) / values.reduce((sum, w) => sum + w * w, 0));
      t.ok(error(weight) < 1.2 / 2 ** (bits - 1), `${name}: ${error(weight)} at ${bits} bits`);
    }
  }
  t.same(codedLayer(Int32Array.of(1, -2, 0, 0), [-1, 3]), {
    weight: Float32Array.of(0.5, -1, 0, 0),
    bitDepth: Float32Array.of(16, 0),
    exponent: Float32Array.of(-1, 3),
  });
  t.end();
});

t.test('pruned channels are the smallest, and the weights that are counted are those that are left', async (t) => {
  const state = plainState();
  for (const name of Object.keys(state)) if (/norm.*weight/.test(name)) state[name] = floats(random, state[name].length, -1, 1);
  t.equal(await weightsLeft(network, state, {}), total);
  for (const [what, sizes] of Object.entries({ magnitudes: magnitudes(weightsOf(state)), norms: normScales(network, state) })) {
    t.ok(Object.keys(sizes).length > 0, what);
    for (const share of [0.7, 0.4]) {
      const dead = await smallest(network, state, sizes, share * total);
      const left = await weightsLeft(network, state, dead);
      const isLeast = Object.entries(dead).every(([name, { size }]) => size === sizes[name].length - 1);
      t.ok(left < total && (left <= share * total || isLeast), `${what}: ${left} of ${total}`);
      for (const [name, gone] of Object.entries(dead)) {
        const kept = [...sizes[name]].filter((_, c) => !gone.has(c));
        t.ok(kept.length > 0 && [...gone].every((c) => kept.every((size) => size >= sizes[name][c])), `${name}: the smallest`);
      }
      const biggest = Math.max(...Object.entries(dead).flatMap(([name, gone]) => [...gone].map((c) => sizes[name][c])));
      const [name, c] = Object.entries(dead)
        .flatMap(([name, gone]) => [...gone].map((c) => [name, c]))
        .find(([name, c]) => sizes[name][c] === biggest);
      dead[name].delete(c);
      t.ok(isLeast || (await weightsLeft(network, state, dead)) > share * total, 'one fewer would be too few');
    }
  }
  t.end();
});

t.test('methods train, end near the size that is asked for, and what is judged is the file', async (t) => {
  const data = toyDataset({ count: 2048 });
  const native = new NativeData(data);
  await native.fill();
  const common = { network, data, native, augmentation: {} };
  const trained = await trainReparameterised({
    ...{ ...common, state: plainState(), epochs: 8, seed: 1 },
    method: sparseNorms(weightsOf(plainState()), 0),
  });
  const whole = await judge({ ...common, state: { ...trained, ...layerState(roundedAfterTraining(weightsOf(trained), 8)) } });
  t.ok(whole.testAccuracy > 0.8, `${whole.testAccuracy}`);
  const sparse = await trainReparameterised({
    ...common,
    state: plainState(),
    epochs: 8,
    seed: 1,
    method: sparseNorms(weightsOf(plainState()), 0.1),
  });
  const scale = (state) => state['norm1.weight'].reduce((sum, w) => sum + Math.abs(w), 0);
  t.ok(scale(sparse) < 0.85 * scale(trained), `${scale(sparse)} ${scale(trained)}`);
  const three = ternary(weightsOf(trained));
  const coarse = await judge({ ...common, state: await trainReparameterised({ ...common, state: trained, epochs: 8, seed: 1, method: three }) });
  t.ok(coarse.testAccuracy > 0.8 && coarse.modelBytes < 0.6 * whole.modelBytes, `ternary: ${coarse.testAccuracy} in ${coarse.modelBytes} bytes`);
  for (const [name, { weight, exponent }] of Object.entries(three.layers())) {
    const perChannel = weight.length / exponent.length;
    const codes = new Set(weight.map((w, i) => Math.round(w / 2 ** exponent[Math.floor(i / perChannel)])));
    t.same([...codes].sort(), [-1, 0, 1], `${name}: codes`);
  }
  // Codes of half the weights' root mean square are small to begin with.
  for (const [method, share] of [
    [entropyPenalised, 0.35],
    [pseudoNoise, 0.7],
  ]) {
    const bytes = Math.round(whole.modelBytes * share);
    const state = await trainReparameterised({ ...common, state: trained, epochs: 8, seed: 1, bytes, method: method(weightsOf(trained), 1) });
    const { file, ...result } = await judge({ ...common, state });
    t.ok(result.modelBytes === file.length && Math.abs(file.length / bytes - 1) < 0.25, `${method.name}: ${file.length} of ${bytes} bytes`);
    t.ok(result.testAccuracy > 0.6, `${method.name}: ${result.testAccuracy}`);
    const read = await decodeModel(file);
    const net = new binding.Network(read.network, { loss: { kind: 'crossEntropy' }, optimizer: { kind: 'sgd' }, batchSize: 128 });
    await net.loadState(read.state);
    t.equal(await evaluate(net, native.test), result.testAccuracy, 'the file has that accuracy');
    await net.dispose();
  }
  t.end();
});
