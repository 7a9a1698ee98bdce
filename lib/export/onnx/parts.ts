/** Inputs and outputs by name: tensors of their own where the network takes them apart and puts them together. */
import type { AxesSizes, NodeDescription, TensorPart } from '../../binding.js';
import { item, present } from '../../indexing.js';
import { elements } from '../../network/description.js';
import { packedAxes } from '../../network/parts.js';
import { type ExportLayer, type ExportNetwork, readersOf } from '../layers.js';
import { sameAxes } from './context.js';
import type { OnnxGraph, OnnxOutput } from './graph.js';

type Fields<Kind> = Extract<NodeDescription, { kind: Kind }>;
/** What of its input a node takes: [first, count] channels. */
const runs: Record<string, (node: never) => [number, number]> = { sliceChannels: ({ first, count }: Fields<'sliceChannels'>) => [first, count] };
/** Nodes that say nothing but another shape, and nodes that join channels. */
const shapes: Record<string, true> = { reshape: true, flatten: true };
const joins: Record<string, (node: never) => boolean> = { concat: ({ axis = 'channels' }: Fields<'concat'>) => axis === 'channels' };
const of = <T>(table: Record<string, T>, kind: string): T | undefined => (Object.hasOwn(table, kind) ? table[kind] : undefined);

/** Where a part's channels lie in the whole. */
function runsOf(parts: readonly TensorPart[], whole: AxesSizes): { first: number; count: number }[] {
  let first = 0;
  return parts.map(({ axes }) => {
    const count = whole.length === 1 ? elements(axes) : axes[0];
    first += count;
    return { first: first - count, count };
  });
}

/** The network's inputs as tensors of the file. */
export class GraphInputs {
  readonly #graph: OnnxGraph;
  readonly #parts: readonly (TensorPart & { tensor: string })[];
  readonly #whole: AxesSizes;
  /** Tensors of inputs under another shape, by the network's node. */
  readonly #vectors = new Map<string, string>();
  #packed: string | undefined;

  constructor(graph: OnnxGraph, { description, input }: ExportNetwork) {
    this.#graph = graph;
    this.#whole = input;
    const given = description.inputs ?? [{ name: 'input', axes: input }];
    this.#parts = given.map((part) => ({ ...part, tensor: graph.fresh(part.name) }));
  }

  /** Names and axes of the file's inputs. */
  get parts(): readonly { tensor: string; axes: AxesSizes }[] {
    return this.#parts;
  }

  /** All inputs behind one another. */
  packed(): string {
    const [only] = this.#parts;
    this.#packed ??= this.#parts.length === 1 && only ? only.tensor : this.#pack();
    return this.#packed;
  }

  /** The input that the node is, where it takes it out of the whole; undefined: it is a node like others. */
  tensorOf({ node, output }: ExportLayer): string | undefined {
    if (this.#parts.length === 1) return undefined;
    const [from = ''] = node.inputs;
    const vector = of(shapes, node.kind) && this.#parts.find(({ tensor }) => tensor === this.#vectors.get(from));
    if (vector && sameAxes(vector.axes, output)) return vector.tensor;
    const run = from === 'input' && of(runs, node.kind)?.(node as never);
    if (!run) return undefined;
    const index = runsOf(this.#parts, this.#whole).findIndex(({ first, count }) => first === run[0] && count === run[1]);
    const part = this.#parts[index];
    if (!part) return undefined;
    if (sameAxes(part.axes, output)) return part.tensor;
    this.#vectors.set(node.name, part.tensor);
    return undefined;
  }

  /** Whether the node is an input as a vector, which takes no operator before somebody reads it. */
  isVector(name: string): boolean {
    return this.#vectors.has(name);
  }
  vector(name: string): string {
    const tensor = present(this.#vectors.get(name), `an input ${name}`);
    return this.#graph.once(`vector ${tensor}`, () => this.#graph.add('Flatten', `${name}`, [tensor], { axis: 1 }));
  }

  #pack(): string {
    const asVectors = packedAxes(this.#parts).length === 1;
    const tensors = this.#parts.map(({ tensor, axes }) =>
      asVectors && axes.length > 1 ? this.#graph.add('Flatten', `${tensor}/elements`, [tensor], { axis: 1 }) : tensor,
    );
    return this.#graph.add('Concat', 'inputs', tensors, { axis: 1 });
  }
}

/**
 * For each output the node whose tensor it is, where the network does nothing but join them; undefined: they have to be taken out of the
 * prediction.
 */
export function joinedOutputs(network: ExportNetwork): string[] | undefined {
  const { description, layers } = network;
  const { outputs = [], output } = description;
  if (outputs.length === 1) return [output];
  const byName = new Map(layers.map((layer) => [layer.node.name, layer]));
  const last = byName.get(output);
  if (!last || !of(joins, last.node.kind)?.(last.node as never) || last.inputs.length !== outputs.length) return undefined;
  const nodes = outputs.map(({ axes }, i) => {
    const name = item(last.node.inputs, i);
    if (sameAxes(item(last.inputs, i), axes)) return name;
    const layer = byName.get(name);
    const from = layer && of(shapes, layer.node.kind) && sameAxes(item(layer.inputs, 0), axes) && elements(layer.output) === elements(axes);
    return from && layer.output.length === 1 ? item(layer.node.inputs, 0) : undefined;
  });
  return nodes.every((name) => name !== undefined) ? nodes : undefined;
}

/** Nodes that nobody reads once the outputs are tensors of their own. */
export function onlyJoining(network: ExportNetwork, nodes: readonly string[]): Set<string> {
  const { layers, description } = network;
  const readers = readersOf(network);
  readers.set(description.output, (readers.get(description.output) ?? 1) - 1);
  const left = new Set<string>();
  for (const { node } of [...layers].reverse()) {
    if ((readers.get(node.name) ?? 0) > 0 || nodes.includes(node.name)) continue;
    left.add(node.name);
    for (const name of node.inputs) readers.set(name, (readers.get(name) ?? 0) - 1);
  }
  return left;
}

/** The outputs as parts of the prediction. */
export function partsOfPrediction(graph: OnnxGraph, prediction: string, outputs: readonly TensorPart[], whole: AxesSizes): OnnxOutput[] {
  return outputs.map(({ name, axes }, i) => {
    const { first, count } = item(runsOf(outputs, whole), i);
    const starts = [first];
    const part = graph.add('Slice', `${name}/part`, [prediction, graph.integers(starts), graph.integers([first + count]), graph.integers([1])]);
    const reshaped = axes.length === whole.length ? part : graph.add('Reshape', `${name}/shape`, [part, graph.integers([0, ...axes])]);
    return { name, tensor: reshaped, axes };
  });
}
