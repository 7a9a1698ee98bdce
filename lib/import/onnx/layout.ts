/**
 * Where the elements of a file's tensor lie in the output of a node. A file gives axes any order, splits them and joins them;
 * a node's output has channels and positions. Reshape, Transpose, Squeeze and the like change nothing but what is said here.
 */
import { item } from '../../indexing.js';
import { Unsupported } from './errors.js';
import { elementsOf } from './tensors.js';

/** The axis of an atom that counts examples. */
export const BATCH = -1;

/** A part of an axis of a node's output: index i of it is `stride · i` of the axis. */
export interface Atom {
  /** BATCH, 0: channels, 1 …: positions. */
  axis: number;
  size: number;
  stride: number;
}

/** The output of a node of the network as a tensor of the file. */
export class Activation {
  readonly shape: number[];

  constructor(
    readonly node: string,
    /** Of the node's output: [channels, ...positions]. */
    readonly sizes: number[],
    /** Of each axis of the file: its atoms, the outermost first. None: one element. */
    readonly axes: Atom[][],
    /** Nobody else reads it: what comes next may be joined to the node. */
    readonly exclusive = true,
    /** The node has a weight, and may have a bias, for each channel: a scale and a shift may be joined to them. */
    readonly takesAffine = false,
    /** Whole numbers that name rows of a table, not numbers to compute with. */
    readonly isTokens = false,
  ) {
    this.shape = axes.map((atoms) => elementsOf(atoms.map(({ size }) => size)));
  }

  with(changes: Partial<Pick<Activation, 'node' | 'sizes' | 'axes' | 'exclusive' | 'takesAffine'>>): Activation {
    const { node, sizes, axes, exclusive, takesAffine } = { ...this, ...changes };
    return new Activation(node, sizes, axes.map(merged), exclusive, takesAffine, this.isTokens);
  }

  get rank(): number {
    return this.axes.length;
  }
  /** The axis that counts examples, −1 where there is none: one example. */
  get batchAxis(): number {
    return this.axes.findIndex((atoms) => atoms.some(({ axis }) => axis === BATCH));
  }
  /** The shape with one example. */
  get exampleShape(): number[] {
    return this.axes.map((atoms) => elementsOf(atoms.filter(({ axis }) => axis !== BATCH).map(({ size }) => size)));
  }
  get batchAtom(): Atom | undefined {
    return this.axes.flat().find(({ axis }) => axis === BATCH);
  }
}

export const atom = (axis: number, size: number, stride = 1): Atom[] => (size === 1 ? [] : [{ axis, size, stride }]);

/** Neighbours that are one run. */
export function merged(atoms: Atom[]): Atom[] {
  const result: Atom[] = [];
  for (const next of atoms) {
    const last = result.at(-1);
    if (last && last.axis === next.axis && last.stride === next.stride * next.size) {
      result[result.length - 1] = { axis: next.axis, size: last.size * next.size, stride: next.stride };
    } else if (next.size > 1) result.push(next);
  }
  return result;
}

/** A tensor whose axes, but the batch's, are those of the node's output, in order. */
export function plain(node: string, shape: number[], batchAxis: number, takesAffine = false): Activation {
  let next = 0;
  const sizes = shape.filter((_, i) => i !== batchAxis);
  const axes = shape.map((size, i) => (i === batchAxis ? atom(BATCH, size) : atom(next++, size)));
  return new Activation(node, sizes.length ? sizes : [1], axes, true, takesAffine);
}

/** A tensor of the elements of a vector, row by row. `shape` has the batch's size at `batchAxis`. */
export function ofVector(node: string, shape: number[], batchAxis: number): Activation {
  const inner = (i: number) => elementsOf(shape.filter((_, k) => k > i && k !== batchAxis));
  const axes = shape.map((size, i) => (i === batchAxis ? atom(BATCH, size) : atom(0, size, inner(i))));
  return new Activation(node, [elementsOf(shape.filter((_, i) => i !== batchAxis))], axes);
}

/** The atoms cut into runs of these sizes, undefined where a cut would go through one. */
export function cut(atoms: Atom[], sizes: number[]): Atom[][] | undefined {
  const rest = [...atoms].reverse();
  const groups: Atom[][] = [];
  for (const size of sizes) {
    const group: Atom[] = [];
    let left = size;
    while (left > 1) {
      const next = rest.pop();
      if (!next) return undefined;
      if (left % next.size === 0) {
        group.push(next);
        left /= next.size;
      } else if (next.size % left === 0) {
        const inner = next.size / left;
        group.push({ ...next, size: left, stride: next.stride * inner });
        rest.push({ ...next, size: inner });
        left = 1;
      } else return undefined;
    }
    groups.push(merged(group));
  }
  return rest.length === 0 ? groups : undefined;
}

/** The tensor under another shape of as many elements, undefined where a node has to put it in order first. */
export function reshapedAxes(x: Activation, shape: number[]): Atom[][] | undefined {
  return cut(merged(x.axes.flat()), shape);
}

const strides = (sizes: number[]) => sizes.map((_, i) => elementsOf(sizes.slice(i + 1)));

/** Elements that a list of indices in a network may name. */
export const MOST_INDICES = 2 ** 22;

/** Places of elements in the node's output, in the order of the atoms. */
export function placesOf(atoms: Atom[], sizes: number[]): Int32Array {
  const count = elementsOf(atoms.map(({ size }) => size));
  if (count > MOST_INDICES) throw new Unsupported(`at most ${MOST_INDICES} elements in another order (they are ${count})`);
  const along = strides(sizes);
  let places = Int32Array.of(0);
  for (const { axis, size, stride } of atoms) {
    const step = stride * item(along, axis);
    const next = new Int32Array(places.length * size);
    for (let i = 0, at = 0; i < places.length; i++) for (let k = 0; k < size; k++) next[at++] = item(places, i) + k * step;
    places = next;
  }
  return places;
}

/** Whether the atoms name all elements of the node's output in the order in which they lie. */
export function liesInOrder(atoms: Atom[], sizes: number[]): boolean {
  const along = strides(sizes);
  let run = 1;
  for (const { axis, size, stride } of [...atoms].reverse()) {
    if (size !== 1 && stride * item(along, axis) !== run) return false;
    run *= size;
  }
  return run === elementsOf(sizes);
}

/** Of every element of an example, row by row in the file's order: its place in the node's output. */
export const fileOrder = (x: Activation) =>
  placesOf(
    x.axes.flat().filter(({ axis }) => axis !== BATCH),
    x.sizes,
  );

/** Whether the atoms are all of one axis, from the first to the last. */
export const isWhole = (atoms: Atom[], axis: number, size: number) =>
  size === 1 ? atoms.length === 0 : atoms.length === 1 && atoms[0]?.axis === axis && atoms[0].size === size && atoms[0].stride === 1;

/** @throws Unsupported where the batch is along one of the axes */
export function withoutBatch(x: Activation, axes: number[]): void {
  const batch = x.batchAxis;
  if (batch >= 0 && axes.includes(batch)) throw new Unsupported(`a batch that stays by itself (axis ${batch} of [${x.shape}])`);
}
