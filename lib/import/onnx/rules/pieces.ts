/** Parts of tensors, and tensors put together: Slice, Split, Gather, Concat, Pad, Tile. */
import { item } from '../../../indexing.js';
import { applyAffine, spread } from '../affine.js';
import { arrange, checkCount, gatherChannels, laidOut, otherAxes, pick, range, steps, sumsOf } from '../arrange.js';
import { activationOf, constantOf, isActivation, numberOf, optionalConstant, type RuleContext, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import { Activation, atom, isWhole, MOST_INDICES, withoutBatch } from '../layout.js';
import { axesWithin, axisOf, axisWithin, pairOf, type Rule, value } from '../results.js';
import { broadcastShape, type Constant, elementsOf, expand, floatsOf, transpose } from '../tensors.js';
import { toShape } from './shape.js';

const MOST_INPUTS = 16; // of a node here

export const list = (c: RuleContext, index: number, name: string, what: string): number[] | undefined => {
  const given = optionalConstant(c, index, what);
  return given ? Array.from(given.data) : c.node.ints(name);
};

/** The step of places that go on evenly, undefined where they do not. */
function stepOf(places: number[]): number | undefined {
  const step = places.length > 1 ? item(places, 1) - item(places, 0) : 1;
  return item(places, 0) >= 0 && places.every((p, i) => p === item(places, 0) + i * step) ? step : undefined;
}

const replaceAxis = (x: Activation, node: string, axis: number, sizes: number[], atoms: Activation['axes'][number]) =>
  x.with({ node, sizes, axes: x.axes.map((own, i) => (i === axis ? atoms : own)), exclusive: true, takesAffine: false });

/** Places of one axis of the file, in any order and number; −1: zeros. */
export function alongAxis(c: RuleContext, x: Activation, axis: number, places: number[]): Activation {
  const size = item(x.shape, axis);
  if (places.length === size && places.every((p, i) => p === i)) return x;
  if (places.length === 0) throw new Unsupported(`something that is left (of axis ${axis} of [${x.shape}])`);
  const outside = places.find((p) => !Number.isInteger(p) || p < -1 || p >= size);
  if (outside !== undefined) throw new Unsupported(`places of axis ${axis} of [${x.shape}] (one is ${outside})`);
  withoutBatch(x, [axis]);
  return ofPositions(c, x, axis, places) ?? ofChannels(c, x, axis, places) ?? ofElements(c, x, axis, places);
}

/** Of a whole axis of positions: every so many of them, or zeros around it. */
function ofPositions(c: RuleContext, x: Activation, axis: number, places: number[]): Activation | undefined {
  const own = item(x.axes, axis);
  const at = own[0]?.axis ?? 0;
  if (x.sizes.length > 3 || at < 1 || !isWhole(own, at, item(x.sizes, at))) return undefined;
  const sizes = x.sizes.map((size, i) => (i === at ? places.length : size));
  const fields = (of: (i: number) => number, row: number) =>
    pairOf(
      x.sizes.slice(1).map((_, i) => of(i + 1)),
      row,
    );
  const step = stepOf(places);
  if (step !== undefined && step > 0) {
    const cut = {
      first: fields((i) => (i === at ? item(places, 0) : 0), 0),
      count: fields((i) => item(sizes, i), 1),
      step: fields((i) => (i === at ? step : 1), 1),
    };
    return replaceAxis(x, c.build.add('slicePositions', c.node.label, [x.node], cut), axis, sizes, atom(at, places.length));
  }
  const before = places.findIndex((p) => p >= 0);
  const after = [...places].reverse().findIndex((p) => p >= 0);
  const inner = places.slice(before, places.length - after);
  if (before < 0 || inner.length !== x.sizes[at] || inner.some((p, i) => p !== i)) return undefined;
  const around = { before: fields((i) => (i === at ? before : 0), 0), after: fields((i) => (i === at ? after : 0), 0) };
  return replaceAxis(x, c.build.add('pad', c.node.label, [x.node], around), axis, sizes, atom(at, places.length));
}

/** Of channels, or a part of their number. */
function ofChannels(c: RuleContext, x: Activation, axis: number, places: number[]): Activation | undefined {
  const [own, ...more] = item(x.axes, axis);
  const channels = item(x.sizes, 0);
  if (!own || more.length > 0 || own.axis !== 0) return undefined;
  const run = own.size * own.stride;
  const outer = channels / run;
  const index = new Int32Array(outer * places.length * own.stride);
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (const place of places) for (let i = 0; i < own.stride; i++) index[at++] = place < 0 ? -1 : o * run + place * own.stride + i;
  }
  const axes = x.axes.map((atoms, i) => {
    if (i === axis) return atom(0, places.length, own.stride);
    return atoms.map((a) => (a.axis === 0 && a.stride >= run ? { ...a, stride: (a.stride / own.size) * places.length } : a));
  });
  const sizes = [index.length, ...x.sizes.slice(1)];
  return x.with({ node: gatherChannels(c, x.node, index), sizes, axes, exclusive: true, takesAffine: false });
}

function ofElements(c: RuleContext, x: Activation, axis: number, places: number[]): Activation {
  const own = x.exampleShape;
  const shape = x.shape.map((size, i) => (i === axis ? places.length : size));
  const tables = own.map((size, i) => steps(i === axis ? places : range(0, size), elementsOf(own.slice(i + 1))));
  return pick(c, x, shape, x.batchAxis, sumsOf(tables));
}

export function slice(c: RuleContext): Value[] {
  let x = activationOf(c);
  const starts = list(c, 1, 'starts', 'starts');
  const ends = list(c, 2, 'ends', 'ends');
  if (!starts || starts.length !== ends?.length) throw new Unsupported('as many ends as starts');
  const axes = axesWithin(list(c, 3, 'axes', 'axes') ?? starts.map((_, i) => i), x.rank);
  const steps = list(c, 4, 'steps', 'steps') ?? starts.map(() => 1);
  if (axes.length !== starts.length || steps.length !== starts.length) throw new Unsupported('an axis and a step for every start');
  for (const [i, axis] of axes.entries()) {
    const [size, step] = [item(x.shape, axis), item(steps, i)];
    if (!Number.isSafeInteger(step) || step === 0) throw new Unsupported(`steps other than 0 (it is ${step})`);
    const within = (at: number, low: number, high: number) => Math.min(Math.max(at < 0 ? at + size : at, low), high);
    const [first, end] =
      step > 0
        ? [within(item(starts, i), 0, size), within(item(ends, i), 0, size)]
        : [within(item(starts, i), 0, size - 1), within(item(ends, i), -1, size - 1)];
    const count = Math.max(0, Math.ceil((end - first) / step));
    x = alongAxis(c, x, axis, range(first, count, step));
  }
  return value(x);
}

export function split(c: RuleContext): Value[] {
  const x = activationOf(c);
  const axis = axisOf(c, x, 0);
  const size = item(x.shape, axis);
  const parts = c.node.proto.output.length;
  const each = Math.ceil(size / parts);
  const sizes = list(c, 1, 'split', 'sizes') ?? c.node.proto.output.map((_, i) => (i < parts - 1 ? each : size - each * (parts - 1)));
  if (sizes.length !== parts || sizes.some((count) => !(count >= 1)) || sizes.reduce((a, b) => a + b, 0) !== size)
    throw new Unsupported(`${parts} sizes of at least 1 that add up to ${size} (they are [${sizes}])`);
  let first = 0;
  return sizes.flatMap((count, i): Value[] => {
    const from = first;
    first += count;
    if (!c.reads(i)) return [undefined]; // a node that nobody reads would be at fault
    const places = range(from, count);
    const part = alongAxis(c, x, axis, places);
    return value(part === x ? x.with({ exclusive: false }) : part);
  });
}

/** Rows of a table [vocabulary, dimensions] for the tokens of the input. */
function embedding(c: RuleContext, table: Constant): Value[] {
  const tokens = activationOf(c, 1, true);
  const [vocabulary = 0, dimensions = 0] = table.shape;
  if (!tokens.isTokens) throw new Unsupported('places that the file fixes, or tokens of the input');
  if (table.shape.length !== 2 || c.node.int('axis', 0) !== 0 || elementsOf(table.shape) < 1)
    throw new Unsupported(`rows of a table [vocabulary, dimensions] (it is [${table.shape}], axis ${c.node.int('axis', 0)})`);
  const weight = floatsOf(transpose(table, [1, 0]));
  const node = c.build.add('embedding', c.node.label, [tokens.node], { dimensions, vocabulary }, { weight });
  const sizes = [dimensions, ...tokens.sizes.slice(1)];
  return value(new Activation(node, sizes, [...tokens.axes, atom(0, dimensions)]));
}

/** Places of one axis: their axes take the place of that one. */
export function gather(c: RuleContext): Value[] {
  const [table, tokens] = c.inputs;
  if (table && 'constant' in table && tokens && 'activation' in tokens) return embedding(c, table.constant);
  const x = activationOf(c);
  const axis = axisOf(c, x, 0);
  const size = item(x.shape, axis);
  const indices = constantOf(c, 1, 'places');
  const places = Array.from(indices.data, (p) => axisWithin(p, size));
  const picked = alongAxis(c, x, axis, places);
  if (indices.shape.length === 1) return value(picked);
  return value(toShape(c, picked, [...picked.shape.slice(0, axis), ...indices.shape, ...picked.shape.slice(axis + 1)]));
}

/** Tensors that lie alike, one after the other. */
function joined(c: RuleContext, parts: Activation[], axis: number): Activation {
  const [first] = parts;
  if (!first || parts.length === 1) return first as Activation;
  const same = parts.every((x) => {
    const others = (y: Activation) => JSON.stringify([y.sizes.length, y.axes.map((atoms, i) => (i === axis ? [] : atoms))]);
    return others(x) === others(first);
  });
  const own = (x: Activation) => item(x.axes, axis)[0]?.axis ?? -2;
  const longest = parts.reduce((a, b) => (item(a.shape, axis) > item(b.shape, axis) ? a : b));
  const at = own(longest);
  const wholly = at >= 0 && at <= 2 && first.sizes.length <= 3 && parts.every((x) => isWhole(item(x.axes, axis), at, item(x.sizes, at)));
  if (same && wholly) return putTogether(c, parts, axis, at);
  const rest = otherAxes(longest, [axis]);
  const channelAxis = rest.length <= 2 && wholly && at === 0;
  if (channelAxis)
    return putTogether(
      c,
      parts.map((x) => positioned(c, x, [axis], rest)),
      axis,
      0,
    );
  const apart = parts.map((x) => positioned(c, x, rest, [axis]));
  return putTogether(c, apart, axis, 1);
}

/** With exactly these axes as channels and positions. */
function positioned(c: RuleContext, x: Activation, channels: number[], positions: number[]): Activation {
  const y = laidOut(c, x, channels, positions, false);
  const node = arrange(c, x, [channels, ...positions.map((axis) => [axis])]);
  return y.with({ node });
}

function putTogether(c: RuleContext, parts: Activation[], axis: number, at: number): Activation {
  const [first] = parts as [Activation];
  const total = parts.reduce((sum, x) => sum + item(x.shape, axis), 0);
  const sizes = first.sizes.map((size, i) => (i === at ? total : size));
  const fields = at === 0 ? {} : { axis: at === first.sizes.length - 1 ? 'columns' : 'rows' };
  let names = parts.map(({ node }) => node);
  while (names.length > MOST_INPUTS) names = [c.build.add('concat', c.node.label, names.slice(0, MOST_INPUTS), fields), ...names.slice(MOST_INPUTS)];
  return replaceAxis(first, c.build.add('concat', c.node.label, names, fields), axis, sizes, atom(at, total));
}

/** Constants stand where there are zeros at first. */
export function concat(c: RuleContext): Value[] {
  const computed = c.inputs.flatMap((input, i) => (isActivation(input) ? [activationOf(c, i)] : []));
  const [first] = computed;
  if (!first) throw new Unsupported('inputs to put together');
  const axis = axisOf(c, first, 1);
  const shapes = c.inputs.map((input, i) => (isActivation(input) ? input.activation.shape : constantOf(c, i, 'numbers').shape));
  const others = (shape: number[]) => shape.filter((_, i) => i !== axis).join();
  const other = shapes.find((shape) => shape.length !== first.rank || others(shape) !== others(first.shape));
  if (other) throw new Unsupported(`the same sizes of the other axes ([${first.shape}] and [${other}])`);
  for (const x of computed) withoutBatch(x, [axis]);
  if (computed.some((x) => x.batchAxis !== first.batchAxis)) throw new Unsupported('a batch along the same axis of all');
  const together = joined(c, computed, axis);
  if (computed.length === c.inputs.length) return value(together);
  const total = shapes.reduce((sum, shape) => sum + item(shape, axis), 0);
  const shape = first.exampleShape.map((size, i) => (i === axis ? total : size));
  if (elementsOf(shape) > MOST_INDICES) throw new Unsupported(`at most ${MOST_INDICES} elements beside constants (they are ${elementsOf(shape)})`);
  const numbers = { shape, data: new Float32Array(elementsOf(shape)), isInteger: false };
  const places: number[] = [];
  let read = 0;
  for (const [i, input] of c.inputs.entries()) {
    const count = item(item(shapes, i), axis);
    if (isActivation(input)) for (let k = 0; k < count; k++) places.push(read++);
    else {
      fill(numbers, axis, places.length, constantOf(c, i, 'numbers'));
      for (let k = 0; k < count; k++) places.push(-1);
    }
  }
  return value(applyAffine(c, spread(c, alongAxis(c, together, axis, places), numbers), (shift) => ({ scale: 1, shift })));
}

/** Writes a constant into another from place `first` of an axis on. */
function fill(to: Constant, axis: number, first: number, from: Constant): void {
  const inner = elementsOf(to.shape.slice(axis + 1));
  const count = item(from.shape, axis);
  const run = count * inner;
  const outer = elementsOf(to.shape.slice(0, axis));
  if (from.data.length !== outer * run) throw new Unsupported(`the same constants for every example (they are [${from.shape}])`);
  for (let o = 0; o < outer; o++) to.data.set(from.data.subarray(o * run, (o + 1) * run), (o * item(to.shape, axis) + first) * inner);
}

/** The place that position i of a padded axis is a copy of, −1: of none. */
function source(mode: string, i: number, size: number): number {
  if (i >= 0 && i < size) return i;
  if (mode === 'constant') return -1;
  if (mode === 'edge') return i < 0 ? 0 : size - 1;
  const period = mode === 'wrap' ? size : Math.max(1, 2 * (size - 1));
  const turn = ((i % period) + period) % period;
  return turn < size ? turn : period - turn;
}

const MODES: Record<string, string> = { constant: 'zeros', reflect: 'reflect', edge: 'edge', wrap: 'wrap' };
const MOST_PADDING = 2 ** 24;

export function pad(c: RuleContext): Value[] {
  const x = activationOf(c);
  const pads = list(c, 1, 'pads', 'padding') ?? [];
  const axes = axesWithin(list(c, 3, 'axes', 'axes') ?? x.shape.map((_, i) => i), x.rank);
  if (pads.length !== 2 * axes.length || !pads.every((p) => Number.isSafeInteger(p) && Math.abs(p) < MOST_PADDING))
    throw new Unsupported(`two whole numbers for each of ${axes.length} axes (they are [${pads}])`);
  const mode = c.node.text('mode', 'constant');
  if (!Object.hasOwn(MODES, mode)) throw new Unsupported(`padding by a constant, by reflection, the edge or wrapping (it is by "${mode}")`);
  const given = optionalConstant(c, 2, 'a value');
  const constant = mode !== 'constant' ? 0 : given ? numberOf(given, 'a value') : c.node.float('value', 0);
  const sides = x.shape.map((_, axis) => {
    const i = axes.indexOf(axis);
    return i < 0 ? [0, 0] : [item(pads, i), item(pads, i + axes.length)];
  });
  const image = mode === 'constant' ? undefined : imagePadded(c, x, sides, MODES[mode]);
  if (image) return value(image);
  let y = x;
  let filled: Constant = { shape: x.shape.map(() => 1), data: Float32Array.of(0), isInteger: false };
  for (const [axis, [before = 0, after = 0]] of sides.entries()) {
    if (before === 0 && after === 0) continue;
    const size = item(x.shape, axis);
    if (size + before + after < 1) throw new Unsupported(`something that is left (of axis ${axis} of [${x.shape}])`);
    const places = range(-before, size + before + after).map((i) => source(mode, i, size));
    y = alongAxis(c, y, axis, places);
    const outside = {
      shape: x.shape.map((_, i) => (i === axis ? places.length : 1)),
      data: Float32Array.from(places, (p) => Number(p < 0)),
      isInteger: false,
    };
    const shape = broadcastShape(filled.shape, outside.shape) as number[];
    const more = expand(outside, shape);
    filled = { ...more, data: expand(filled, shape).data.map((a, i) => Math.max(a, item(more.data, i))) as Float32Array };
  }
  if (constant === 0) return value(y);
  return value(applyAffine(c, spread(c, y, filled), (on) => ({ scale: 1, shift: on ? constant : 0 })));
}

/** Rows and columns around the positions of a node as it is. */
function imagePadded(c: RuleContext, x: Activation, sides: number[][], mode: string | undefined): Activation | undefined {
  const touched = sides.flatMap(([before, after], axis) => (before || after ? [axis] : []));
  const fits = touched.every((axis) => {
    const [own, ...more] = item(x.axes, axis);
    return own && more.length === 0 && own.axis > 0 && isWhole([own], own.axis, item(x.sizes, own.axis)) && item(sides, axis).every((p) => p >= 0);
  });
  if (!fits || x.sizes.length < 2 || x.sizes.length > 3 || touched.length === 0) return undefined;
  const before = x.sizes.map(() => 0);
  const after = x.sizes.map(() => 0);
  for (const axis of touched) {
    const at = item(item(x.axes, axis), 0).axis;
    [before[at], after[at]] = item(sides, axis) as [number, number];
  }
  const name = c.build.add('pad', c.node.label, [x.node], { before: pairOf(before.slice(1), 0), after: pairOf(after.slice(1), 0), mode });
  const sizes = x.sizes.map((size, i) => size + item(before, i) + item(after, i));
  const axes = x.axes.map((atoms, axis) => (touched.includes(axis) ? atoms.map((a) => ({ ...a, size: item(sizes, a.axis) })) : atoms));
  return x.with({ node: name, sizes, axes, exclusive: true, takesAffine: false });
}

export const tile: Rule = (c) => {
  const x = activationOf(c);
  const repeats = Array.from(constantOf(c, 1, 'repeats').data);
  if (repeats.length !== x.rank || !repeats.every((n) => Number.isSafeInteger(n) && n >= 1 && n < MOST_PADDING))
    throw new Unsupported(`a number of at least 1 for every axis of [${x.shape}] (they are [${repeats}])`);
  const own = x.exampleShape;
  const batch = x.batchAxis;
  if (batch >= 0 && repeats[batch] !== 1) throw new Unsupported('a batch that stays');
  if (repeats.every((n) => n === 1)) return value(x);
  const shape = x.shape.map((size, i) => size * item(repeats, i));
  checkCount(elementsOf(shape));
  const tables = own.map((size, i) =>
    steps(
      range(0, size * item(repeats, i)).map((p) => p % size),
      elementsOf(own.slice(i + 1)),
    ),
  );
  return value(pick(c, x, shape, batch, sumsOf(tables)));
};
