/**
 * Batch norms as model files have them: folded to y = w·x + b, which is a running mean of 0 and a variance of 1 − ε. Steps of training
 * normalise by a batch's own statistics, which w and b of such a norm know nothing of; so a network that starts from a model file needs
 * those statistics again. With μ and σ² of what the norm reads in evaluation, over training examples as they are,
 *
 *     mean = μ    variance = σ²    w' = w·√(σ² + ε)    b' = b + w·μ
 *
 * say the same in evaluation.
 */
import { type BatchNormNode, binding, type NetworkDescription, type NodeDescription, type ParameterInfo, type ParameterRole } from '../binding.js';
import type { AnyDataset, Dataset } from '../data/dataset.js';
import { normaliseInto } from '../data/normalised.js';
import { ofWhole } from '../data/statistics.js';
import { wrongValue } from '../errors.js';
import { entry, item } from '../indexing.js';
import { addedNodes } from '../network/added-nodes.js';
import { elements, inspectNetwork, withoutBits } from '../network/description.js';
import type { State } from '../network/initial.js';

/** Training examples that are looked at, evenly spread, and elements of those that are normalised between two turns of the event loop. */
const EXAMPLES = 1024;
const AT_ONCE = 1 << 18;

const epsilonOf = (norm: NodeDescription) => (norm as BatchNormNode).epsilon ?? 1e-5;

/** Norms with a scale and a shift that `state` has as a model file has them. A norm that nothing has trained yet has a variance of exactly 1. */
function foldedNorms(description: NetworkDescription, parameters: ParameterInfo[], state: State): NodeDescription[] {
  const nodesWith = (wanted: ParameterRole) => new Set(parameters.filter(({ role }) => role === wanted).map(({ node }) => node));
  const [statistics, scales] = [nodesWith('runningVar'), nodesWith('normWeight')];
  return description.nodes.filter((node) => {
    if (!statistics.has(node.name) || !scales.has(node.name)) return false;
    const folded = Math.fround(1 - epsilonOf(node));
    const isFolded = entry(state, `${node.name}.runningVar`).every((v) => v === folded);
    return folded !== 1 && isFolded && entry(state, `${node.name}.runningMean`).every((m) => m === 0);
  });
}

/** `state` with statistics of the training examples in the norms that are folded; itself where none is. */
export async function withStatistics(description: NetworkDescription, parameters: ParameterInfo[], state: State, data: AnyDataset): Promise<State> {
  const norms = foldedNorms(description, parameters, state);
  if (norms.length === 0) return state;
  if (!('images' in data.train))
    throw wrongValue('statistics of a run for a network of tokens', `state["${item(norms, 0).name}.runningMean"]`, 'those of a model file');
  const { network, widths } = momentsOf(withoutBits(description), norms);
  const names = new Set(inspectNetwork(network).parameters.map(({ name }) => name));
  const values = Object.fromEntries(Object.entries(state).filter(([name]) => names.has(name)));
  const means = await outputMeans(network, values, data as Dataset);
  const result = { ...state };
  let first = 0;
  norms.forEach((norm, i) => {
    const width = item(widths, i);
    const { name } = norm;
    const mu = means.subarray(first, first + width);
    const variance = means.subarray(first + width, first + 2 * width).map((square, c) => Math.max(0, square - item(mu, c) ** 2));
    first += 2 * width;
    const weight = entry(state, `${name}.weight`);
    result[`${name}.runningMean`] = Float32Array.from(mu);
    result[`${name}.runningVar`] = Float32Array.from(variance);
    result[`${name}.weight`] = weight.map((w, c) => w * Math.sqrt(item(variance, c) + epsilonOf(norm)));
    result[`${name}.bias`] = entry(state, `${name}.bias`).map((b, c) => b + item(weight, c) * item(mu, c));
  });
  return result;
}

/** The network whose output is, for each norm, the mean of what it reads over the positions, and that of its square. */
function momentsOf(description: NetworkDescription, norms: NodeDescription[]): { network: NetworkDescription; widths: number[] } {
  const { shapes } = inspectNetwork(description);
  const { nodes, add, join } = addedNodes(description, 'moment');
  const shapeOf = (name: string) => (name === 'input' ? description.input : entry(shapes, name));
  const read = norms.map(({ inputs }) => item(inputs, 0));
  const parts = read.flatMap((x) => {
    const overPositions = (of: string) => (shapeOf(x).length > 1 ? add({ kind: 'globalAveragePool', inputs: [of] }) : of);
    return [overPositions(x), overPositions(add({ kind: 'multiply', inputs: [x, x] }))];
  });
  const output = join(parts);
  const { outputs: _, ...rest } = description;
  return {
    network: { ...rest, nodes: leadingTo(output, nodes), output },
    widths: read.map((x) => item(shapeOf(x), 0)),
  };
}

/** Those that `output` takes; inputs come before their readers. */
function leadingTo(output: string, nodes: NodeDescription[]): NodeDescription[] {
  const needed = new Set([output]);
  for (const { name, inputs } of [...nodes].reverse()) if (needed.has(name)) for (const input of inputs) needed.add(input);
  return nodes.filter(({ name }) => needed.has(name));
}

/** Means of the network's outputs over training examples. */
async function outputMeans(network: NetworkDescription, state: State, { train, mean, std, inputs }: Dataset): Promise<Float64Array> {
  const size = elements(network.input);
  const normalisation = { mean: ofWhole(mean, inputs), std: ofWhole(std, inputs) };
  const count = Math.min(EXAMPLES, train.count);
  const batchSize = Math.max(1, Math.min(count, Math.floor(AT_ONCE / size)));
  const compiled = new binding.Network(network, { device: 'cpu', loss: { kind: 'meanSquaredError' }, optimizer: { kind: 'sgd' }, batchSize });
  try {
    await compiled.loadState(state);
    const means = new Float64Array(elements(entry(inspectNetwork(network).shapes, network.output)));
    for (let first = 0; first < count; first += batchSize) {
      const some = Math.min(batchSize, count - first);
      const examples = new Float32Array(some * size);
      for (let i = 0; i < some; i++) {
        const from = Math.floor(((first + i) * train.count) / count) * size;
        normaliseInto(examples.subarray(i * size, (i + 1) * size), train.images.subarray(from, from + size), size / network.input[0], normalisation);
      }
      const outputs = await compiled.predict(examples, some);
      for (let k = 0; k < outputs.length; k++) means[k % means.length] = item(means, k % means.length) + item(outputs, k) / count;
    }
    return means;
  } finally {
    await compiled.dispose();
  }
}
