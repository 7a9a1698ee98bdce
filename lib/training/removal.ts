/**
 * Removal of dead channels, without a change of the network's function.
 *
 * Channels that are joined (through norms, activations, additions, concatenations, depthwise convolutions, flattening) form
 * one group. A group goes when every weight layer that reads it sees a constant: exactly zero, or a constant that can be
 * folded into that layer's bias (no zero padding). Then it leaves weights, biases, norms, bit depths, exponents, the
 * moments of all of these, and the input slices of every reader.
 */
import type { NetworkDescription, NodeDescription } from '../binding.js';
import { isCompressing, isWeightNode, type NetworkSummary, outChannelsOf, shapeOf } from '../network/description.js';
import type { State } from '../network/initial.js';

export interface Removal {
  description: NetworkDescription;
  state: State;
  /** Number of channels removed from the output of each weight layer that lost some. */
  removed: Record<string, number>;
  /** Per weight layer: which of its former output channels are left, in order. */
  kept: Record<string, number[]>;
}

/** Value of a channel that does not depend on the image: in training mode (batch statistics) and in evaluation mode. */
interface Constant {
  train: number;
  evaluate: number;
}

/** Disjoint sets of channels. */
class Groups {
  readonly #parent: number[] = [];
  add(): number {
    return this.#parent.push(this.#parent.length) - 1;
  }
  find(i: number): number {
    while (this.#parent[i] !== i) {
      this.#parent[i] = this.#parent[this.#parent[i]];
      i = this.#parent[i];
    }
    return i;
  }
  join(a: number, b: number): void {
    this.#parent[this.find(a)] = this.find(b);
  }
}

const isDepthwise = (node: NodeDescription, inChannels: number) => node.kind === 'conv2d' && (node.groups ?? 1) > 1 && node.groups === inChannels;
const erf = (x: number): number => {
  // Abramowitz & Stegun 7.1.26, |error| < 1.5e-7: only used for constants that are folded or compared with zero.
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const y = 1 - ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * Math.exp(-x * x);
  return x < 0 ? -y : y;
};
const activation: Record<string, (x: number) => number> = {
  relu: (x) => Math.max(0, x),
  gelu: (x) => (x === 0 ? 0 : 0.5 * x * (1 + erf(x / Math.SQRT2))),
  silu: (x) => x / (1 + Math.exp(-x)),
};

/** Group and constant of every channel of every tensor. */
interface Analysis {
  groups: Groups;
  members: Map<string, number[]>;
  constants: Map<string, (Constant | undefined)[]>;
}

function analyse(description: NetworkDescription, { shapes }: NetworkSummary, state: State): Analysis {
  const groups = new Groups();
  const members = new Map<string, number[]>();
  const constants = new Map<string, (Constant | undefined)[]>();
  const fresh = (count: number) => Array.from({ length: count }, () => groups.add());
  members.set('input', fresh(description.input[0]));
  constants.set('input', new Array(description.input[0]).fill(undefined));
  for (const node of description.nodes) {
    const from = node.inputs.map((name) => members.get(name) as number[]);
    const values = node.inputs.map((name) => constants.get(name) as (Constant | undefined)[]);
    const pixels = shapeOf(description, shapes, node.inputs[0])[1] * shapeOf(description, shapes, node.inputs[0])[2];
    let ids = from[0];
    let out = values[0];
    if (isWeightNode(node)) {
      const count = outChannelsOf(node);
      ids = fresh(count);
      if (isDepthwise(node, from[0].length)) for (let i = 0; i < count; i++) groups.join(ids[i], from[0][Math.floor((i * from[0].length) / count)]);
      const bits = state[`${node.name}.bitDepth`];
      const bias = state[`${node.name}.bias`];
      const readsZero = (i: number) => {
        const read = isDepthwise(node, from[0].length) && values[0][Math.floor((i * from[0].length) / count)];
        return read && isZero(read);
      };
      out = ids.map((_, i) => ((bits && !(bits[i] > 0)) || readsZero(i) ? { train: bias?.[i] ?? 0, evaluate: bias?.[i] ?? 0 } : undefined));
    } else if (node.kind === 'batchNorm') {
      const { epsilon = 1e-5 } = node;
      const [scale, shift, mean, variance] = ['weight', 'bias', 'runningMean', 'runningVar'].map((role) => state[`${node.name}.${role}`]);
      out = values[0].map(
        (c, i) =>
          c && {
            train: shift?.[i] ?? 0,
            evaluate: ((c.evaluate - mean[i]) / Math.sqrt(variance[i] + epsilon)) * (scale?.[i] ?? 1) + (shift?.[i] ?? 0),
          },
      );
    } else if (node.kind in activation) {
      const f = activation[node.kind];
      out = values[0].map((c) => c && { train: f(c.train), evaluate: f(c.evaluate) });
    } else if (node.kind === 'averagePool' && (node.padding?.some((p) => p > 0) ?? false)) {
      out = values[0].map((c) => (c && c.train === 0 && c.evaluate === 0 ? c : undefined)); // padding mixes zeros in
    } else if (node.kind === 'dropout') {
      out = values[0].map((c) => (c && c.train === 0 ? c : undefined)); // a constant that is dropped at times is none
    } else if (node.kind === 'flatten') {
      ids = from[0].flatMap((id) => new Array<number>(pixels).fill(id));
      out = values[0].flatMap((c) => new Array<Constant | undefined>(pixels).fill(c));
    } else if (node.kind === 'add') {
      for (let i = 0; i < ids.length; i++) groups.join(from[0][i], from[1][i]);
      out = values[0].map((a, i) => {
        const b = values[1][i];
        return a && b && { train: a.train + b.train, evaluate: a.evaluate + b.evaluate };
      });
    } else if (node.kind === 'concat') {
      ids = from.flat();
      out = values.flat();
    }
    members.set(node.name, ids);
    constants.set(node.name, out);
  }
  return { groups, members, constants };
}

/** A constant that is the same in both modes, so that a bias can take its place. */
const foldable = ({ train, evaluate }: Constant) => Math.abs(train - evaluate) <= 1e-3 * Math.max(1, Math.abs(evaluate));
const isZero = ({ train, evaluate }: Constant) => train === 0 && evaluate === 0;

/** Constants as one channel list of what a weight layer reads: a linear layer after an image reads every pixel. */
function featuresOf(description: NetworkDescription, summary: NetworkSummary, node: NodeDescription, perChannel: readonly unknown[]): unknown[] {
  const [, height, width] = shapeOf(description, summary.shapes, node.inputs[0]);
  if (node.kind !== 'linear' || height * width === 1) return [...perChannel];
  return perChannel.flatMap((value) => new Array(height * width).fill(value));
}

function removableGroups(description: NetworkDescription, { groups, members, constants }: Analysis): Set<number> {
  const all = new Set<number>();
  const pinned = new Set<number>();
  const idsOf = (name: string) => (members.get(name) as number[]).map((id) => groups.find(id));
  for (const name of members.keys()) for (const id of idsOf(name)) all.add(id);
  for (const name of ['input', description.output]) for (const id of idsOf(name)) pinned.add(id);
  for (const node of description.nodes) {
    if (!isWeightNode(node)) continue;
    const ids = idsOf(node.inputs[0]);
    const grouped = node.kind === 'conv2d' && (node.groups ?? 1) > 1;
    if (grouped && isDepthwise(node, ids.length)) continue; // in the same group as what it reads
    if (grouped) for (const id of [...ids, ...idsOf(node.name)]) pinned.add(id); // every group of channels keeps its size
    const padded = node.kind === 'conv2d' && (node.padding?.some((p) => p > 0) ?? false);
    const canFold = !padded && node.bias !== false;
    (constants.get(node.inputs[0]) as (Constant | undefined)[]).forEach((c, i) => {
      if (!c || !(isZero(c) || (canFold && foldable(c)))) pinned.add(ids[i]);
    });
  }
  const removable = new Set([...all].filter((id) => !pinned.has(id)));
  for (const name of members.keys()) {
    // no tensor is emptied
    const ids = idsOf(name);
    if (ids.every((id) => removable.has(id))) removable.delete(ids[0]);
  }
  return removable;
}

/** Adds to a layer's bias what its removed constant inputs contributed: v · Σ_k q(w). */
function foldConstants(
  node: NodeDescription,
  inputs: (Constant | undefined)[],
  keepInput: boolean[],
  state: State,
  quantized: (layer: string) => Float32Array,
): void {
  const bias = state[`${node.name}.bias`];
  const folded = inputs.map((c, i) => (!keepInput[i] && c ? c.evaluate : 0));
  if (!bias || folded.every((v) => v === 0)) return;
  const q = quantized(node.name);
  const area = q.length / (bias.length * inputs.length);
  for (let o = 0; o < bias.length; o++) {
    let sum = bias[o];
    for (let i = 0; i < inputs.length; i++) {
      if (folded[i] === 0) continue;
      for (let k = 0; k < area; k++) sum += folded[i] * q[(o * inputs.length + i) * area + k];
    }
    bias[o] = sum;
  }
}

/** Rows `outKeep` and, of these, input slices `inKeep` of a tensor [O, I, area]. */
function slice(values: Float32Array, outCount: number, inCount: number, outKeep: number[], inKeep: number[]): Float32Array {
  const area = values.length / (outCount * inCount);
  const result = new Float32Array(outKeep.length * inKeep.length * area);
  let at = 0;
  for (const o of outKeep) {
    for (const i of inKeep) {
      result.set(values.subarray((o * inCount + i) * area, (o * inCount + i + 1) * area), at);
      at += area;
    }
  }
  return result;
}

function cutNode(node: NodeDescription, outKeep: number[], inKeep: number[], inCount: number, state: State, result: State): NodeDescription {
  const cut = structuredClone(node);
  const outCount = isWeightNode(node) ? outChannelsOf(node) : inCount;
  const depthwise = isDepthwise(node, inCount);
  for (const [name, values] of Object.entries(state)) {
    if (!name.startsWith(`${node.name}.`)) continue;
    const isWeight = isWeightNode(node) && name.slice(node.name.length + 1).startsWith('weight');
    if (isWeight)
      result[name] = slice(
        values,
        outCount,
        depthwise ? 1 : inCount / (node.kind === 'conv2d' ? (node.groups ?? 1) : 1),
        outKeep,
        depthwise ? [0] : inKeep,
      );
    else result[name] = Float32Array.from(outKeep, (i) => values[i]);
  }
  if (cut.kind === 'conv2d') {
    cut.outChannels = outKeep.length;
    if (depthwise) cut.groups = inKeep.length;
  } else if (cut.kind === 'linear') cut.outFeatures = outKeep.length;
  return cut;
}

/**
 * Removes what is dead and can go.
 * @param quantized quantized weights of a layer, [outChannels, inputs, area]
 * @returns undefined when there is nothing to remove
 */
export function removeDeadChannels(
  description: NetworkDescription,
  summary: NetworkSummary,
  state: State,
  quantized: (layer: string) => Float32Array,
): Removal | undefined {
  if (!description.nodes.some(isCompressing)) return undefined;
  const analysis = analyse(description, summary, state);
  const removable = removableGroups(description, analysis);
  if (removable.size === 0) return undefined;
  const keepOf = (name: string) => (analysis.members.get(name) as number[]).map((id) => !removable.has(analysis.groups.find(id)));
  const indices = (keep: boolean[]) => keep.flatMap((k, i) => (k ? [i] : []));
  const before: State = Object.fromEntries(Object.entries(state).map(([name, values]) => [name, values.slice()]));
  const after: State = {};
  const removed: Record<string, number> = {};
  const kept: Record<string, number[]> = {};
  const nodes = description.nodes.map((node) => {
    const keepOut = keepOf(node.name);
    const keepIn = featuresOf(description, summary, node, keepOf(node.inputs[0])) as boolean[];
    if (isWeightNode(node)) {
      const inputs = featuresOf(description, summary, node, analysis.constants.get(node.inputs[0]) as unknown[]) as (Constant | undefined)[];
      if (!isDepthwise(node, keepIn.length)) foldConstants(node, inputs, keepIn, before, quantized);
      kept[node.name] = indices(keepOut);
      const gone = keepOut.length - kept[node.name].length;
      if (gone) removed[node.name] = gone;
    }
    return cutNode(node, indices(keepOut), indices(keepIn), keepIn.length, before, after);
  });
  return { description: { ...description, nodes }, state: after, removed, kept };
}
