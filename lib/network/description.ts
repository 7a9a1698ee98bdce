/** Networks as data: checking and reading descriptions. */
import { binding, type NetworkDescription, type NodeDescription, type ParameterInfo } from '../binding.js';

export interface NetworkSummary {
  /** Output shape [channels, height, width] of every node. */
  shapes: Record<string, [number, number, number]>;
  parameters: ParameterInfo[];
  /** Weights of conv2d and linear nodes, without biases and norms. */
  weights: number;
}

/**
 * Checks a description completely and tells its shapes and parameters.
 * @throws TypeError or RangeError that names the node and the field at fault
 */
export function inspectNetwork(description: NetworkDescription): NetworkSummary {
  const network = new binding.Network(description, { device: 'cpu', loss: { kind: 'crossEntropy' }, optimizer: { kind: 'sgd' }, batchSize: 1 });
  const { shapes, parameters } = network;
  void network.dispose();
  return { shapes, parameters, weights: countWeights(parameters) };
}

export function countWeights(parameters: ParameterInfo[]): number {
  return parameters.filter((p) => p.role === 'weight').reduce((sum, p) => sum + elements(p.shape), 0);
}

export const elements = (shape: number[]): number => shape.reduce((product, size) => product * size, 1);

export type WeightNode = Extract<NodeDescription, { kind: 'conv2d' | 'linear' }>;
export function isWeightNode(node: NodeDescription): node is WeightNode {
  return node.kind === 'conv2d' || node.kind === 'linear';
}
export const isCompressing = (node: NodeDescription): boolean => isWeightNode(node) && node.compress !== false;
export const outChannelsOf = (node: WeightNode): number => (node.kind === 'conv2d' ? node.outChannels : node.outFeatures);

/** Output shape of a tensor by name; "input" is the image. */
export function shapeOf(description: NetworkDescription, shapes: NetworkSummary['shapes'], name: string): [number, number, number] {
  return name === 'input' ? description.input : shapes[name];
}
