/** Puts a tensor of the file into the order that a node needs: nothing to do, channels in another order, or elements in another order. */
import { item } from '../../indexing.js';
import type { RuleContext } from './context.js';
import { Unsupported } from './errors.js';
import {
  type Activation,
  type Atom,
  atom,
  BATCH,
  cut,
  fileOrder,
  isWhole,
  liesInOrder,
  MOST_INDICES,
  merged,
  ofVector,
  placesOf,
  withoutBatch,
} from './layout.js';
import { elementsOf } from './tensors.js';

const MOST_POSITION_AXES = 3;

const sizeOf = (atoms: Atom[]) => elementsOf(atoms.map(({ size }) => size));

/** Channels of a node's output by their numbers; −1: zeros. */
export function gatherChannels(c: RuleContext, node: string, index: ArrayLike<number>): string {
  if (index.length > MOST_INDICES) throw new Unsupported(`at most ${MOST_INDICES} elements in another order (they are ${index.length})`);
  const first = item(index, 0);
  const list = Array.from(index);
  if (first >= 0 && list.every((value, i) => value === first + i)) {
    return c.build.add('sliceChannels', c.node.label, [node], { first, count: list.length });
  }
  return c.build.add('gatherChannels', c.node.label, [node], { index: list });
}

/** The elements of an example as one vector, in the order of the node's output. */
export function vectorOf(c: RuleContext, node: string, sizes: number[]): string {
  return elementsOf(sizes.slice(1)) === 1 && sizes.length === 1
    ? node
    : c.build.once(`flatten ${node}`, () => c.build.add('flatten', c.node.label, [node]));
}

function reshape(c: RuleContext, node: string, from: number[], to: number[]): string {
  if (from.join() === to.join()) return node;
  if (to.length - 1 > MOST_POSITION_AXES) throw new Unsupported(`at most ${MOST_POSITION_AXES} axes of positions ([${to}])`);
  if (to.length === 1) return vectorOf(c, node, from);
  const [before, after] = [item(from, 0), item(to, 0)];
  const source = before % after && after % before ? vectorOf(c, node, from) : node;
  return c.build.once(`reshape ${source} ${to}`, () => c.build.add('reshape', c.node.label, [source], { channels: after, positions: to.slice(1) }));
}

/** Whether a node sees the same shape: a vector is an image of one pixel, a sequence one of one row. */
const folded = ([channels, ...positions]: number[]) =>
  [
    channels,
    ...(positions.length > 2 ? [item(positions, 0) * item(positions, 1), positions[2]] : positions.length === 2 ? positions : [1, positions[0] ?? 1]),
  ].join();

/** A node whose output has these atoms along its axes: [channels, ...positions]; with `anyRank`, axes of one element more or less. */
export function arrangeAtoms(c: RuleContext, x: Activation, wanted: Atom[][], anyRank = false): string {
  const groups = wanted.map(merged);
  const sizes = groups.map(sizeOf);
  const channels = item(x.sizes, 0);
  const positions = merged(groups.slice(1).flat());
  const own = merged(x.sizes.slice(1).flatMap((size, i) => atom(i + 1, size)));
  const kept = JSON.stringify(positions) === JSON.stringify(own);
  const [first = []] = groups;
  if (kept && isWhole(first, 0, channels)) {
    return folded(sizes) === folded(x.sizes) && (anyRank || sizes.length < 3 || x.sizes.length === sizes.length)
      ? x.node
      : reshape(c, x.node, x.sizes, sizes);
  }
  const inOrder = liesInOrder(groups.flat(), x.sizes);
  // An input with one channel behind its positions is in order, but better read with the channel first.
  if (!inOrder || x.node === 'input') c.build.rearranged++;
  if (inOrder) return reshape(c, x.node, x.sizes, sizes);
  return c.build.once(`arrange ${x.node} ${JSON.stringify(groups)}`, () => {
    if (kept && first.every(({ axis }) => axis === 0)) {
      const index = placesOf(first, [channels]);
      return reshape(c, shuffled(c, x.node, first, index), [index.length, ...x.sizes.slice(1)], sizes);
    }
    const index = placesOf(groups.flat(), x.sizes);
    return reshape(c, gatherChannels(c, vectorOf(c, x.node, x.sizes), index), [index.length], sizes);
  });
}

/** Channels in another order; two axes of them exchanged are a channel shuffle. */
function shuffled(c: RuleContext, node: string, atoms: Atom[], index: Int32Array): string {
  const [outer, inner] = atoms;
  const exchanged = atoms.length === 2 && outer?.stride === 1 && inner?.stride === outer.size;
  return exchanged ? c.build.add('channelShuffle', c.node.label, [node], { groups: inner.size }) : gatherChannels(c, node, index);
}

/** A node whose channels and positions are these axes of the file, each group in its order. */
export function arrange(c: RuleContext, x: Activation, groups: number[][]): string {
  withoutBatch(x, groups.flat());
  return arrangeAtoms(
    c,
    x,
    groups.map((axes) => axes.flatMap((axis) => item(x.axes, axis))),
  );
}

/** Axes of the file that are not among these and have elements of their own. */
export const otherAxes = (x: Activation, axes: number[]) => x.exampleShape.flatMap((size, i) => (size === 1 || axes.includes(i) ? [] : [i]));

/**
 * A tensor whose channels are these axes of the file, for operators that treat every position alike: the others stay where they are if
 * the channels do, and else become positions in the file's order.
 */
export function channelsOf(c: RuleContext, x: Activation, axes: number[]): Activation {
  withoutBatch(x, axes);
  const channels = merged(axes.flatMap((axis) => item(x.axes, axis)));
  if (isWhole(channels, 0, item(x.sizes, 0))) return x;
  return laidOut(c, x, axes, otherAxes(x, axes));
}

/** Channels: these axes of the file together; positions: the others, one by one or, where they are many, in one. */
export function laidOut(c: RuleContext, x: Activation, channels: number[], positions: number[], together = positions.length > 2): Activation {
  withoutBatch(x, [...channels, ...positions]);
  const shape = x.exampleShape;
  const node = arrange(c, x, [channels, ...(together ? [positions] : positions.map((axis) => [axis]))]);
  const inner = (list: number[], i: number) => elementsOf(list.slice(i + 1).map((axis) => item(shape, axis)));
  const axes = x.axes.map((atoms, axis) => {
    const batch = atoms.filter((a) => a.axis === BATCH);
    const [asChannel, asPosition] = [channels.indexOf(axis), positions.indexOf(axis)];
    if (asChannel >= 0) return atom(0, item(shape, axis), inner(channels, asChannel));
    if (asPosition < 0) return batch;
    return together ? atom(1, item(shape, axis), inner(positions, asPosition)) : atom(asPosition + 1, item(shape, axis));
  });
  const count = (list: number[]) => elementsOf(list.map((axis) => item(shape, axis)));
  const sizes = [count(channels), ...(together ? [count(positions)] : positions.map((axis) => item(shape, axis)))];
  return x.with({ node, sizes, axes, exclusive: x.exclusive || node !== x.node, takesAffine: x.takesAffine && node === x.node });
}

/** The elements in the file's order in one vector. */
export function inOrder(c: RuleContext, x: Activation): Activation {
  const vector = vectorOf(c, x.node, x.sizes);
  const own = x.axes.flat().filter(({ axis }) => axis !== BATCH);
  if (liesInOrder(own, x.sizes)) return ofVector(vector, x.shape, x.batchAxis);
  const order = fileOrder(x);
  c.build.rearranged++;
  const node = c.build.once(`order ${vector} ${JSON.stringify(x.axes)}`, () => gatherChannels(c, vector, order));
  return ofVector(node, x.shape, x.batchAxis);
}

/** @throws Unsupported for more elements than a list may name */
export function checkCount(count: number): void {
  if (!(count <= MOST_INDICES)) throw new Unsupported(`at most ${MOST_INDICES} elements in another order (they are ${count})`);
}

/** Places from the first on, each `step` behind the one before. */
export function range(first: number, count: number, step = 1): number[] {
  checkCount(count);
  return Array.from({ length: Math.max(0, count) }, (_, i) => first + i * step);
}

/** Numbers of elements that add up from one number for each place of each axis, row by row; below 0 where one of them is. */
export function sumsOf(tables: ArrayLike<number>[]): Int32Array {
  const count = elementsOf(tables.map(({ length }) => length));
  if (!(count >= 1)) throw new Unsupported(`something that is left ([${tables.map(({ length }) => length)}])`);
  checkCount(count);
  let sums = Int32Array.of(0);
  for (const table of tables) {
    const next = new Int32Array(sums.length * table.length);
    let at = 0;
    for (const sum of sums) for (let k = 0; k < table.length; k++) next[at++] = sum < 0 || (table[k] as number) < 0 ? -1 : sum + (table[k] as number);
    sums = next;
  }
  return sums;
}

/** Any elements of an example, by their numbers in the file's order; below 0: zeros. `shape` has the batch's size at `batchAxis`. */
export function pick(c: RuleContext, x: Activation, shape: number[], batchAxis: number, index: Int32Array): Activation {
  const order = fileOrder(x);
  c.build.rearranged++;
  const places = index.map((from) => (from < 0 ? -1 : (order[from] as number)));
  return ofVector(gatherChannels(c, vectorOf(c, x.node, x.sizes), places), shape, batchAxis);
}

/** Of an axis: the numbers that its places stand for, `inner` elements apart. */
export const steps = (places: ArrayLike<number>, inner: number) => Array.from(places, (p) => (p < 0 ? -1 : p * inner));

/** x repeated along axes of one element until it has the shape. */
export function expanded(c: RuleContext, x: Activation, shape: number[]): Activation {
  const batch = x.batchAtom?.size ?? 1;
  const aligned = withRank(x, shape.length);
  const batchAxis = aligned.batchAxis;
  if (shape.join() === aligned.shape.join()) return aligned;
  const own = aligned.exampleShape;
  const along = own.map((_, i) => elementsOf(own.slice(i + 1)));
  if (batchAxis >= 0 && shape[batchAxis] !== batch) throw new Unsupported(`a batch that stays ([${shape}] of [${x.shape}])`);
  checkCount(elementsOf(shape));
  const tables = shape.map((size, i) => {
    const one = i === batchAxis || item(own, i) === 1;
    return one ? new Int32Array(i === batchAxis ? 1 : size) : Array.from({ length: size }, (_, p) => p * item(along, i));
  });
  return pick(c, aligned, shape, batchAxis, sumsOf(tables));
}

/** With axes of one element before the others. */
export function withRank(x: Activation, rank: number): Activation {
  const more = Array.from({ length: Math.max(0, rank - x.rank) }, (): Atom[] => []);
  return more.length ? x.with({ axes: [...more, ...x.axes] }) : x;
}

/** The atoms of `x` in the order in which `like` has the same elements, for every axis of `like`'s node; undefined: cut otherwise. */
export function matchingAtoms(x: Activation, like: Activation): Atom[][] | undefined {
  const places: { axis: number; stride: number; atoms: Atom[] }[] = [];
  for (const [i, own] of x.axes.entries()) {
    if (own.length === 0) continue;
    const target = item(like.axes, i);
    const parts = cut(
      own,
      target.map(({ size }) => size),
    );
    if (!parts) return undefined;
    target.forEach(({ axis, stride }, k) => {
      places.push({ axis, stride, atoms: item(parts, k) });
    });
  }
  return like.sizes.map((_, axis) =>
    places
      .filter((p) => p.axis === axis)
      .sort((a, b) => b.stride - a.stride)
      .flatMap(({ atoms }) => atoms),
  );
}
