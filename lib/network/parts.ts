/** Several inputs, or outputs, as parts behind one another in one tensor: how they are put together and taken apart. */
import { type AxesSizes, binding, type NodeDescription, type TensorPart } from '../binding.js';
import { checkInteger, wrongType, wrongValue } from '../errors.js';
import { entry, item } from '../indexing.js';

/** Most inputs of a network, and most outputs. */
export const MOST_PARTS = 16;

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** Axes of what the parts make up: with the positions that all of them have, else a vector of their elements. */
export function packedAxes(parts: readonly TensorPart[]): AxesSizes {
  const [first = [], ...others] = parts.map(({ axes }) => axes.slice(1));
  const alike = others.every((positions) => positions.join() === first.join());
  const sum = (of: (axes: AxesSizes) => number) => parts.reduce((total, { axes }) => total + of(axes), 0);
  return alike ? [sum(([channels]) => channels), ...first] : [sum(product)];
}

/** Where the elements of each part lie in an example, either way: [from, to). */
export function partRanges(parts: readonly TensorPart[]): { name: string; from: number; to: number }[] {
  let from = 0;
  return parts.map(({ name, axes }) => {
    const to = from + product(axes);
    const range = { name, from, to };
    from = to;
    return range;
  });
}

/** The order in which an object has these names: parts that users name in objects lie in it. */
export const objectOrder = <T extends { name: string }>(parts: readonly T[]): T[] => {
  const places = new Map(Object.keys(Object.fromEntries(parts.map(({ name }) => [name, 0]))).map((name, i) => [name, i]));
  return [...parts].sort((a, b) => (places.get(a.name) ?? 0) - (places.get(b.name) ?? 0));
};

/** @throws TypeError or RangeError naming `argument` for what are no axes of an input */
export function checkAxes(axes: unknown, argument: string): AxesSizes {
  if (!Array.isArray(axes) || axes.length < 1 || axes.length > 4) throw wrongType('[channels, ...up to three positions]', argument, axes);
  return Array.from(axes, (size, i) => checkInteger(size, `${argument}[${i}]`, 1, i === 0 ? 1 << 24 : 1 << 15)) as AxesSizes;
}

export function checkPartName(name: unknown, argument: string, others: readonly string[]): string {
  if (typeof name !== 'string' || name === '' || name.includes('\0')) throw wrongType('a name', argument, name);
  if (others.includes(name)) throw wrongValue('a name that no other has', argument, name);
  if (others.length === MOST_PARTS) throw wrongValue(`at most ${MOST_PARTS} of them`, argument, name);
  return name;
}

/** A part's name as that of a node. */
export const asNodeName = (name: string, otherwise: string): string => name.replace(/[^\w-]+/g, '_').replace(/^_+|_+$/g, '') || otherwise;

/**
 * Nodes that take the inputs apart. A single one needs none.
 * @param nameOf the name that the node of an input gets
 * @returns by input: the node that has its values
 */
export function unpackInputs(parts: readonly TensorPart[], nameOf: (name: string) => string): { nodes: NodeDescription[]; of: Map<string, string> } {
  const [only] = parts;
  if (parts.length === 1 && only) return { nodes: [], of: new Map([[only.name, 'input']]) };
  const whole = packedAxes(parts);
  const nodes: NodeDescription[] = [];
  const of = new Map<string, string>();
  let first = 0;
  for (const { name, axes } of parts) {
    const node = nameOf(name);
    const reshapes = axes.length !== whole.length;
    const count = reshapes ? product(axes) : axes[0];
    nodes.push({ kind: 'sliceChannels', name: reshapes ? `${node}-elements` : node, inputs: ['input'], first, count });
    if (reshapes) nodes.push({ kind: 'reshape', name: node, inputs: [`${node}-elements`], channels: axes[0], positions: axes.slice(1) });
    of.set(name, node);
    first += count;
  }
  return { nodes, of };
}

export interface PackedOutputs {
  nodes: NodeDescription[];
  /** Node that has all of them. */
  output: string;
  outputs: TensorPart[];
}

/** The axes of nodes that will be outputs, of a network that has none yet. Native code alone knows them. */
export function axesOfOutputs(
  network: { input: AxesSizes; inputType?: 'float' | 'token' | undefined; nodes: NodeDescription[] },
  named: readonly { name: string; node: string }[],
  fresh: (wanted: string) => string,
): AxesSizes[] {
  // As if they all differed.
  const flats = named.map(
    ({ name, node }): NodeDescription => ({ kind: 'flatten', name: fresh(`${asNodeName(name, 'output')}-axes`), inputs: [node] }),
  );
  const last: NodeDescription = { kind: 'concat', name: fresh('outputs-axes'), inputs: flats.map(({ name }) => name) };
  const nodes = [...network.nodes, ...flats, ...(flats.length > 1 ? [last] : [])];
  const { shapes } = binding.inspectNetwork({ ...network, nodes, output: item(nodes, nodes.length - 1).name });
  return named.map(({ node }) => (node === 'input' ? network.input : entry(shapes, node)));
}

/**
 * Nodes that put outputs behind one another.
 * @param named by name: the node whose values the output is, and its axes
 * @param fresh a name that no node has
 */
export function packOutputs(named: readonly { name: string; node: string; axes: AxesSizes }[], fresh: (wanted: string) => string): PackedOutputs {
  const outputs = named.map(({ name, axes }) => ({ name, axes }));
  if (named.length === 1) return { nodes: [], output: item(named, 0).node, outputs };
  const whole = packedAxes(outputs);
  const nodes: NodeDescription[] = [];
  const inputs = named.map(({ name, node, axes }) => {
    if (axes.length === whole.length) return node;
    const flat = fresh(`${asNodeName(name, 'output')}-elements`);
    nodes.push({ kind: 'flatten', name: flat, inputs: [node] });
    return flat;
  });
  const output = fresh('outputs');
  return { nodes: [...nodes, { kind: 'concat', name: output, inputs }], output, outputs };
}
