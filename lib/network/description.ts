/** Networks as data: checking and reading descriptions. */
import { type AxesSizes, binding, type NetworkDescription, type ParameterInfo } from '../binding.js';

export interface NetworkSummary {
  /** Output axes of every node: channels, then positions. */
  shapes: Record<string, AxesSizes>;
  parameters: ParameterInfo[];
  /** Weights of all layers, without biases and norms. */
  weights: number;
}

/**
 * Checks a description completely and tells its shapes and parameters.
 * @throws TypeError or RangeError that names the node and the field at fault
 */
export function inspectNetwork(description: NetworkDescription): NetworkSummary {
  const { shapes, parameters } = binding.inspectNetwork(description);
  return { shapes, parameters, weights: countWeights(parameters) };
}

export function countWeights(parameters: ParameterInfo[]): number {
  return parameters.filter((p) => p.role === 'weight').reduce((sum, p) => sum + elements(p.shape), 0);
}

export const elements = (shape: number[]): number => shape.reduce((product, size) => product * size, 1);

/** Kinds of operators with weights that may be compressed. */
export function compressingKinds(): Set<string> {
  const compresses = (fields: { name: string }[]) => fields.some(({ name }) => name === 'compress');
  return new Set(binding.operators().flatMap(({ kind, fields }) => (compresses(fields) ? [kind] : [])));
}

/** The network with weights that compress: those that do, or all where none does. */
export function withBits(network: NetworkDescription): NetworkDescription {
  const { parameters } = inspectNetwork(network);
  return parameters.some(({ role }) => role === 'bitDepth') ? network : withCompress(network, true);
}

/** The network with plain weights in every layer. */
export const withoutBits = (network: NetworkDescription): NetworkDescription => withCompress(network, false);

function withCompress(network: NetworkDescription, compress: boolean): NetworkDescription {
  const kinds = compressingKinds();
  return { ...network, nodes: network.nodes.map((node) => (kinds.has(node.kind) ? { ...node, compress } : node)) as typeof network.nodes };
}
