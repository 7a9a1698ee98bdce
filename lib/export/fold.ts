/** Norms folded into the layer with weights before them: its scale and its bias take what the norm does in evaluation. */
import { item, present } from '../indexing.js';
import { type ExportLayer, type ExportNetwork, outputChannels, readersOf } from './layers.js';

/** y = factor · x + shift per channel: what a norm by running statistics is in evaluation. */
export interface ChannelAffine {
  factor: Float64Array;
  shift: Float64Array;
}

/** undefined for a layer that has no running statistics. */
export function affineOf({ node, parameters }: ExportLayer): ChannelAffine | undefined {
  const { runningMean, runningVar, weight, bias } = parameters;
  if (!runningMean || !runningVar) return undefined;
  const { epsilon } = node as unknown as { epsilon: number };
  const factor = Float64Array.from(runningVar, (v, i) => (weight?.[i] ?? 1) / Math.sqrt(v + epsilon));
  return { factor, shift: factor.map((f, i) => (bias?.[i] ?? 0) - item(runningMean, i) * f) };
}

/** Output channels are the first axis of the weights, and the layer's own: not those of a recurrence. */
const foldable = (layer: ExportLayer) =>
  layer.parameters.weight !== undefined &&
  (layer.shapes.weight?.length ?? 0) > 1 &&
  'bias' in layer.node &&
  outputChannels(layer) === layer.output[0];

function folded(layer: ExportLayer, { factor, shift }: ChannelAffine): ExportLayer {
  const weight = present(layer.parameters.weight, `weights of ${layer.node.name}`);
  const channels = factor.length;
  const each = weight.length / channels;
  const bias = layer.parameters.bias ?? new Float32Array(channels);
  const result: ExportLayer = {
    ...layer,
    node: { ...layer.node, bias: true } as typeof layer.node,
    parameters: {
      ...layer.parameters,
      weight: weight.map((w, i) => w * item(factor, Math.floor(i / each))),
      bias: bias.map((b, c) => b * item(factor, c) + item(shift, c)),
    },
    shapes: { ...layer.shapes, bias: [channels] },
  };
  if (layer.codes) result.codes = { ...layer.codes, scale: layer.codes.scale.map((s, c) => s * item(factor, c)) };
  return result;
}

/** The network with every norm folded that reads a layer with weights which nobody else reads. */
export function foldNorms(network: ExportNetwork): ExportNetwork {
  const readers = readersOf(network);
  const byName = new Map<string, ExportLayer>();
  const renamed = new Map<string, string>();
  const order: string[] = [];
  for (const layer of network.layers) {
    const inputs = layer.node.inputs.map((name) => renamed.get(name) ?? name);
    const current = { ...layer, node: { ...layer.node, inputs } as typeof layer.node };
    const affine = affineOf(layer);
    const before = byName.get(item(inputs, 0));
    if (affine && before && foldable(before) && readers.get(item(layer.node.inputs, 0)) === 1) {
      byName.set(before.node.name, { ...folded(before, affine), rangeOf: layer.node.name });
      renamed.set(layer.node.name, before.node.name);
      readers.set(before.node.name, readers.get(layer.node.name) ?? 0);
    } else {
      byName.set(layer.node.name, current);
      order.push(layer.node.name);
    }
  }
  const output = renamed.get(network.description.output) ?? network.description.output;
  const layers = order.map((name) => present(byName.get(name), `a layer ${name}`));
  return { ...network, layers, description: { ...network.description, output, nodes: layers.map(({ node }) => node) } };
}
