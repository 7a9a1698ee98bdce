/** Sizes of a network, layer by layer, as the metrics of an epoch report them. The native side measures. */

import { readArgument } from '../arguments.js';
import type { LayerMeasure, Network, ParameterInfo } from '../binding.js';
import { elements } from '../network/description.js';
import { checkParameters } from '../network/initial.js';

export interface LayerSize {
  name: string;
  kind: string;
  /** Output channels that are not dead, and how many there were at the start. */
  channels: number;
  originalChannels: number;
  /** Live weights (live output channel, live input), and the weights of the layer at the start. */
  weights: number;
  originalWeights: number;
  /** Bits that the integer codes of these weights need; plain weights take 32. */
  bits: number;
  /** Per original output channel: bits of each of its codes; 0 when dead or removed. */
  channelBits: number[];
}

export interface NetworkSize {
  bits: number;
  /** Of 32 bits for every weight of the original network. */
  bitsFraction: number;
  weights: number;
  weightsFraction: number;
  /** Live output channels of all layers with weights. */
  channels: number;
  channelsFraction: number;
  layers: LayerSize[];
}

/** The original network's layers, and which of their channels are still there. */
export interface Origin {
  weights: number;
  layers: Record<string, { channels: number; weights: number }>;
  /** Per layer: original index of every present output channel. */
  present: Record<string, number[]>;
}

export function originOf(parameters: ParameterInfo[]): Origin {
  const given = readArgument(parameters, 'parameters');
  checkParameters(given);
  const weights = given.filter(({ role }) => role === 'weight');
  // Entries are properties of their own, whatever the names of the nodes are.
  return {
    weights: weights.reduce((sum, { shape }) => sum + elements(shape), 0),
    layers: Object.fromEntries(weights.map(({ node, shape }) => [node, { channels: shape[0] as number, weights: elements(shape) }])),
    present: Object.fromEntries(weights.map(({ node, shape }) => [node, Array.from({ length: shape[0] as number }, (_, i) => i)])),
  };
}

export async function measureSize(network: Network, origin: Origin): Promise<NetworkSize> {
  const layers = (await network.measure()).map((layer) => layerSize(layer, origin));
  const sum = (pick: (layer: LayerSize) => number) => layers.reduce((total, layer) => total + pick(layer), 0);
  const bits = sum((l) => l.bits);
  const weights = sum((l) => l.weights);
  const channels = sum((l) => l.channels);
  return {
    bits,
    bitsFraction: bits / (32 * origin.weights),
    weights,
    weightsFraction: weights / origin.weights,
    channels,
    channelsFraction: channels / sum((l) => l.originalChannels),
    layers,
  };
}

function layerSize({ name, kind, channels, weights, bits, codeBits }: LayerMeasure, origin: Origin): LayerSize {
  const { channels: originalChannels, weights: originalWeights } = origin.layers[name] as Origin['layers'][string];
  const channelBits = new Array<number>(originalChannels).fill(0);
  const present = origin.present[name] as number[];
  codeBits.forEach((depth, c) => {
    channelBits[present[c] as number] = depth;
  });
  return { name, kind, channels, originalChannels, weights, originalWeights, bits, channelBits };
}
