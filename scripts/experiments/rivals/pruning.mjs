/**
 * Channels that are pruned before quantization-aware training, by their size: the norm of their weights (Li et al. 2017), over the mean of the layer, without
 * which one layer lost nearly all of its channels, or the size of the norm's scale behind them, which an L1 penalty has made small (Liu et al. 2017). The smallest of the
 * whole network leave until so many weights are left.
 */
import { binding, initialState, inspectNetwork } from '../../../dist/index.js';
import { Trained } from './adam.mjs';

/** Of each channel of each layer but the last, over the mean of its layer: { name: Float32Array }. */
export const magnitudes = (weights) =>
  Object.fromEntries(
    Object.entries(weights)
      .slice(0, -1)
      .map(([name, { values, channels }]) => {
        const perChannel = values.length / channels;
        const square = (c) => values.subarray(c * perChannel, (c + 1) * perChannel).reduce((sum, w) => sum + w * w, 0);
        const sizes = Float32Array.from({ length: channels }, (_, c) => Math.sqrt(square(c)));
        return [name, sizes.map((size) => (size * channels) / sizes.reduce((a, b) => a + b))];
      }),
  );

/** The layer with weights that a norm reads, alone or behind an activation, by the norm's name. */
function normedLayers(network) {
  const { parameters } = inspectNetwork(network);
  const withRole = (wanted) => new Set(parameters.filter(({ role }) => role === wanted).map(({ node }) => node));
  const [norms, layers] = [withRole('normWeight'), withRole('weight')];
  const nodes = new Map(network.nodes.map((node) => [node.name, node]));
  const found = {};
  for (const norm of norms) {
    let source = nodes.get(nodes.get(norm).inputs[0]);
    while (source && !layers.has(source.name)) source = nodes.get(source.inputs[0]);
    if (source) found[norm] = source.name;
  }
  return found;
}

/** Of the layers that a norm reads: the size of its scale. */
export const normScales = (network, state) =>
  Object.fromEntries(Object.entries(normedLayers(network)).map(([norm, layer]) => [layer, state[`${norm}.weight`].map(Math.abs)]));

/** Weights that are left when the channels in `dead` = { layer: Set } are gone: as the library removes and counts them. */
export async function weightsLeft(network, state, dead) {
  const { parameters } = inspectNetwork(network);
  const net = new binding.Network(network, { loss: { kind: 'crossEntropy' }, optimizer: { kind: 'sgd' }, batchSize: 1 });
  await net.loadState(initialState(parameters, 1, { bitDepth: 8, headroom: 1 }, withoutChannels(network, state, dead)));
  await net.prune();
  const layers = await net.measure();
  await net.dispose();
  return layers.reduce((sum, { weights }) => sum + weights, 0);
}

/** The smallest channels, as few as leave at most `wanted` weights, or all but the largest of every layer. */
export async function smallest(network, state, sizes, wanted) {
  const all = Object.entries(sizes).flatMap(([name, values]) => {
    const largest = values.indexOf(Math.max(...values));
    return [...values].flatMap((size, c) => (c === largest ? [] : [{ name, c, size }]));
  });
  all.sort((a, b) => a.size - b.size);
  const first = (count) => {
    const dead = Object.fromEntries(Object.keys(sizes).map((name) => [name, new Set()]));
    for (const { name, c } of all.slice(0, count)) dead[name].add(c);
    return dead;
  };
  let [few, many] = [0, all.length];
  while (few < many) {
    const middle = Math.floor((few + many) / 2);
    if ((await weightsLeft(network, state, first(middle))) <= wanted) many = middle;
    else few = middle + 1;
  }
  return first(few);
}

/** The state without them: weights, biases and the scale and shift of the norm that reads them are 0. */
export function withoutChannels(network, state, dead) {
  const result = { ...state };
  const clear = (name, channels, gone) => {
    if (!state[name]) return;
    const values = Float32Array.from(state[name]);
    const perChannel = values.length / channels;
    for (const c of gone) values.fill(0, c * perChannel, (c + 1) * perChannel);
    result[name] = values;
  };
  const { shapes } = inspectNetwork(network);
  const clearNode = (node, gone) => {
    for (const suffix of ['weight', 'bias']) clear(`${node}.${suffix}`, shapes[node][0], gone);
  };
  for (const [layer, gone] of Object.entries(dead)) clearNode(layer, gone);
  for (const [norm, layer] of Object.entries(normedLayers(network))) if (dead[layer]) clearNode(norm, dead[layer]);
  return result;
}

/** A method for `trainReparameterised` that leaves the weights as they are and adds `strength` · Σ|scale| of all norms to the loss. */
export function sparseNorms(weights, strength) {
  const trained = Object.fromEntries(Object.entries(weights).map(([name, { values }]) => [name, new Trained(Float32Array.from(values), 0.001)]));
  const values = () => Object.fromEntries(Object.entries(trained).map(([name, own]) => [name, own.values]));
  return {
    trained: Object.values(trained),
    made: values,
    take(gradients) {
      for (const [name, own] of Object.entries(trained)) own.gradient.set(gradients[name]);
    },
    penalise({ role }, { gradient, values: scales }) {
      if (role !== 'normWeight') return;
      for (let i = 0; i < scales.length; i++) gradient[i] += strength * Math.sign(scales[i]);
    },
    layers: () => Object.fromEntries(Object.entries(values()).map(([name, weight]) => [name, { weight }])),
  };
}
