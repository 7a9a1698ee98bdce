/** Sizes of a network, layer by layer, as METRICS of an epoch report them. */
import { binding, type NetworkDescription } from '../binding.js';
import { isWeightNode, outChannelsOf } from '../network/description.js';
import type { State } from '../network/initial.js';

export interface LayerSize {
  name: string;
  kind: 'conv2d' | 'linear';
  /** Output channels that are not dead, and how many there were at the start. */
  channels: number;
  originalChannels: number;
  /** Weights of live output channels (present inputs × kernel), and of the layer at the start. */
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
  /** Live output channels of all weight layers. */
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

export function originOf(description: NetworkDescription, state: State): Origin {
  const origin: Origin = { weights: 0, layers: {}, present: {} };
  for (const node of description.nodes) {
    if (!isWeightNode(node)) continue;
    const weights = state[`${node.name}.weight`].length;
    origin.layers[node.name] = { channels: outChannelsOf(node), weights };
    origin.present[node.name] = Array.from({ length: outChannelsOf(node) }, (_, i) => i);
    origin.weights += weights;
  }
  return origin;
}

/** Integer codes of a compressing layer's weights and the bits per channel that they need. */
export async function layerCodes(layer: string, state: State): Promise<{ codes: Int32Array; codeBits: Int32Array }> {
  const [weight, bitDepth, exponent] = ['weight', 'bitDepth', 'exponent'].map((role) => state[`${layer}.${role}`]);
  const codes = new Int32Array(weight.length);
  const codeBits = new Int32Array(bitDepth.length);
  await binding.quantizeCodes({ weight, bitDepth, exponent, codes, codeBits });
  return { codes, codeBits };
}

export async function measureSize(description: NetworkDescription, state: State, origin: Origin): Promise<NetworkSize> {
  const layers: LayerSize[] = [];
  for (const node of description.nodes) {
    if (!isWeightNode(node)) continue;
    const { name, kind } = node;
    const count = outChannelsOf(node);
    const perChannel = state[`${name}.weight`].length / count;
    const bitDepth = state[`${name}.bitDepth`];
    const codeBits = bitDepth ? (await layerCodes(name, state)).codeBits : new Int32Array(count).fill(32);
    const { channels: originalChannels, weights: originalWeights } = origin.layers[name];
    const layer: LayerSize = {
      name,
      kind,
      channels: 0,
      originalChannels,
      weights: 0,
      originalWeights,
      bits: 0,
      channelBits: new Array(originalChannels).fill(0),
    };
    for (let c = 0; c < count; c++) {
      if (bitDepth && !(bitDepth[c] > 0)) continue;
      layer.channels++;
      layer.weights += perChannel;
      layer.bits += perChannel * codeBits[c];
      layer.channelBits[origin.present[name][c]] = codeBits[c];
    }
    layers.push(layer);
  }
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
