/** Nodes whose inputs the file fixes: the arithmetic of shapes and constants, done once. */
import { item } from '../../indexing.js';
import { constantOf, numberOf, optionalConstant, type RuleContext } from './context.js';
import { Unsupported } from './errors.js';
import { sums } from './fold-sums.js';
import { axisWithin as axisOf } from './results.js';
import { broadcastShape, type Constant, elementsOf, expand, gatherElements, integers, isPermutation, transpose } from './tensors.js';

/** Constants that are made, not read, may not take more than this: 512 MiB of floats. */
const MOST_ELEMENTS = 2 ** 27;

type Fold = (c: RuleContext) => Constant;

const input = (c: RuleContext, index = 0) => constantOf(c, index, 'inputs');
function binary(operation: (a: number, b: number, isInteger: boolean) => number): Fold {
  return (c) => {
    const [a, b] = [input(c, 0), input(c, 1)];
    const shape = broadcastShape(a.shape, b.shape);
    if (!shape) throw new Unsupported(`inputs that broadcast ([${a.shape}] and [${b.shape}])`);
    checkCount(shape);
    const [x, y] = [expand(a, shape), expand(b, shape)];
    return { ...x, data: x.data.map((value, i) => operation(value, item(y.data, i), a.isInteger)) as Float32Array };
  };
}

function checkCount(shape: number[]): void {
  const areSizes = shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!areSizes || elementsOf(shape) > MOST_ELEMENTS) throw new Unsupported(`constants of at most ${MOST_ELEMENTS} elements (one is [${shape}])`);
}

const unary =
  (operation: (a: number) => number): Fold =>
  (c) => {
    const a = input(c);
    return { ...a, data: a.data.map(operation) as Float32Array };
  };

/** The axes of an operator that had them as an attribute up to some opset, and has them as an input since. */
export function axesOf(c: RuleContext): number[] | undefined {
  const given = optionalConstant(c, 1, 'axes');
  return given ? Array.from(given.data) : c.node.ints('axes');
}

/** The shape that Reshape's second input stands for: 0 keeps a size, −1 is what is left. */
export function reshaped(from: number[], wanted: number[], allowZero: boolean): number[] {
  const kept = (i: number) => from[i] ?? Number.NaN; // of no such axis: refused below
  const shape = wanted.map((size, i) => (size === 0 && !allowZero ? kept(i) : size));
  const free = shape.indexOf(-1);
  const known = elementsOf(shape.filter((_, i) => i !== free));
  if (free >= 0) shape[free] = elementsOf(from) / known;
  if (elementsOf(shape) !== elementsOf(from) || !shape.every((size) => Number.isInteger(size) && size >= 0)) {
    throw new Unsupported(`a shape of ${elementsOf(from)} elements (it is [${wanted}])`);
  }
  return shape;
}

export function unsqueezed(shape: number[], axes: number[]): number[] {
  const rank = shape.length + axes.length;
  const added = new Set(axes.map((axis) => axisOf(axis, rank)));
  if (added.size !== axes.length) throw new Unsupported(`axes that differ (they are [${axes}])`);
  const rest = [...shape];
  return Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : (rest.shift() as number)));
}

export function squeezed(shape: number[], axes: number[] | undefined): number[] {
  const gone = new Set(axes?.map((axis) => axisOf(axis, shape.length)) ?? shape.flatMap((size, i) => (size === 1 ? [i] : [])));
  for (const axis of gone) if (shape[axis] !== 1) throw new Unsupported(`axes of one element to squeeze (axis ${axis} has ${shape[axis]})`);
  return shape.filter((_, i) => !gone.has(i));
}

/** The sizes of the axes that Shape is asked for: from `start` to before `end`, counted from behind below 0. */
export function sizesBetween({ node }: RuleContext, shape: number[]): number[] {
  const within = (at: number) => Math.min(Math.max(at < 0 ? at + shape.length : at, 0), shape.length);
  return shape.slice(within(node.int('start', 0)), within(node.int('end', shape.length)));
}

function concat(c: RuleContext): Constant {
  const parts = c.inputs.map((_, i) => input(c, i));
  const [first] = parts;
  if (!first) throw new Unsupported('inputs to put together');
  const axis = axisOf(c.node.int('axis', 0), first.shape.length);
  for (const { shape } of parts) {
    const fits = shape.length === first.shape.length && shape.every((size, i) => i === axis || size === first.shape[i]);
    if (!fits) throw new Unsupported(`inputs that differ along axis ${axis} only ([${first.shape}] and [${shape}])`);
  }
  const shape = first.shape.map((size, i) => (i === axis ? parts.reduce((sum, p) => sum + item(p.shape, i), 0) : size));
  checkCount(shape);
  const outer = elementsOf(shape.slice(0, axis));
  const data = new (first.data.constructor as Float32ArrayConstructor)(elementsOf(shape));
  for (let o = 0, at = 0; o < outer; o++) {
    for (const p of parts) {
      const run = p.data.length / outer;
      data.set(p.data.subarray(o * run, (o + 1) * run), at);
      at += run;
    }
  }
  return { shape, data, isInteger: first.isInteger };
}

function gather(c: RuleContext): Constant {
  const [from, indices] = [input(c, 0), input(c, 1)];
  const axis = axisOf(c.node.int('axis', 0), from.shape.length);
  const size = item(from.shape, axis);
  const shape = [...from.shape.slice(0, axis), ...indices.shape, ...from.shape.slice(axis + 1)];
  checkCount(shape);
  const inner = elementsOf(from.shape.slice(axis + 1));
  const data = new (from.data.constructor as Float32ArrayConstructor)(elementsOf(shape));
  for (let i = 0; i < data.length; i++) {
    const outer = Math.floor(i / (inner * indices.data.length));
    const index = axisOf(item(indices.data, Math.floor(i / inner) % indices.data.length), size);
    data[i] = item(from.data, (outer * size + index) * inner + (i % inner));
  }
  return { shape, data, isInteger: from.isInteger };
}

function slice(c: RuleContext): Constant {
  const from = input(c);
  const list = (index: number, name: string) => {
    const given = optionalConstant(c, index, name);
    return given ? Array.from(given.data) : c.node.ints(name);
  };
  const [starts, ends] = [list(1, 'starts') ?? [], list(2, 'ends') ?? []];
  const axes = list(3, 'axes') ?? starts.map((_, i) => i);
  const steps = list(4, 'steps') ?? starts.map(() => 1);
  if ([ends, axes, steps].some(({ length }) => length !== starts.length)) throw new Unsupported('as many ends, axes and steps as starts');
  const first = from.shape.map(() => 0);
  const shape = [...from.shape];
  const step = from.shape.map(() => 1);
  axes.forEach((given, i) => {
    const axis = axisOf(given, shape.length);
    const size = item(from.shape, axis);
    const by = item(steps, i);
    if (!Number.isSafeInteger(by) || by === 0) throw new Unsupported(`steps other than 0 (one is ${by})`);
    const within = (at: number, low: number, high: number) => Math.min(Math.max(at < 0 ? at + size : at, low), high);
    const [low, high] = by > 0 ? [0, size] : [-1, size - 1];
    const begin = within(item(starts, i), by > 0 ? 0 : Math.min(0, high), high);
    first[axis] = begin;
    step[axis] = by;
    shape[axis] = Math.max(0, Math.ceil((within(item(ends, i), low, high) - begin) / by));
  });
  const strides = from.shape.map((_, i) => elementsOf(from.shape.slice(i + 1)));
  return gatherElements(from, shape, (place) => place.reduce((at, p, i) => at + (item(first, i) + p * item(step, i)) * item(strides, i), 0));
}

function constantOfShape(c: RuleContext, value: Constant | undefined): Constant {
  const shape = Array.from(input(c).data);
  checkCount(shape);
  const count = elementsOf(shape);
  const fill = value?.data[0] ?? 0;
  const isInteger = value?.isInteger ?? false;
  return { shape, data: isInteger ? new Float64Array(count).fill(fill) : new Float32Array(count).fill(fill), isInteger };
}

function cast(c: RuleContext): Constant {
  const { shape, data } = input(c);
  const to = c.node.int('to', 1);
  if ([1, 10, 11, 16].includes(to)) return { shape, data: Float32Array.from(data), isInteger: false };
  return { shape, data: Float64Array.from(data, (x) => (to === 9 ? Number(x !== 0) : Math.trunc(x))), isInteger: true };
}

/** A comparison, or another function of two that is true or false. */
function truth(operation: (a: number, b: number) => boolean): Fold {
  const both = binary((a, b) => Number(operation(a, b)));
  return (c) => {
    const { shape, data } = both(c);
    return { shape, data: Float64Array.from(data), isInteger: true };
  };
}

/** Elements of the second input where the first is true, and of the third elsewhere. */
function where(c: RuleContext): Constant {
  const [condition, a, b] = [input(c, 0), input(c, 1), input(c, 2)];
  const shape = broadcastShape(broadcastShape(condition.shape, a.shape) ?? [], b.shape);
  if (!shape || !broadcastShape(condition.shape, a.shape)) throw new Unsupported('shapes that broadcast');
  checkCount(shape);
  const [on, x, y] = [expand(condition, shape), expand(a, shape), expand(b, shape)];
  return { ...x, data: x.data.map((value, i) => (item(on.data, i) !== 0 ? value : item(y.data, i))) as Float32Array };
}

/** The upper or lower triangles of matrices, zeros elsewhere. */
function triangle(c: RuleContext): Constant {
  const a = input(c);
  const given = optionalConstant(c, 1, 'a diagonal');
  const k = given ? numberOf(given, 'a diagonal') : 0;
  const upper = c.node.int('upper', 1) !== 0;
  const [rows, columns] = [a.shape.at(-2), a.shape.at(-1)];
  if (rows === undefined || columns === undefined) throw new Unsupported(`matrices (the input is [${a.shape}])`);
  const kept = (i: number) => {
    const along = (i % columns) - (Math.floor(i / columns) % rows);
    return upper ? along >= k : along <= k;
  };
  return { ...a, data: a.data.map((value, i) => (kept(i) ? value : 0)) as Float32Array };
}

/** Operators on constants. `attribute` is the tensor of the attribute `value`, read before. */
export const folds: Record<string, (c: RuleContext, attribute: Constant | undefined) => Constant> = {
  ...sums,
  Constant: (c, attribute) => {
    if (attribute) return attribute;
    const { node } = c;
    if (node.has('value_float')) return { shape: [], data: Float32Array.of(node.float('value_float', 0)), isInteger: false };
    if (node.has('value_int')) return { shape: [], data: Float64Array.of(node.int('value_int', 0)), isInteger: true };
    const floats = node.has('value_floats') && node.floats('value_floats');
    if (floats) return { shape: [floats.length], data: Float32Array.from(floats), isInteger: false };
    if (node.has('value_ints')) return integers(node.ints('value_ints') ?? []);
    throw new Unsupported('a constant of numbers');
  },
  ConstantOfShape: constantOfShape,
  Identity: (c) => input(c),
  Dropout: (c) => input(c),
  Cast: cast,
  Concat: concat,
  Gather: gather,
  Slice: slice,
  Reshape: (c) => {
    const a = input(c);
    return { ...a, shape: reshaped(a.shape, Array.from(input(c, 1).data), c.node.int('allowzero', 0) === 1) };
  },
  Flatten: (c) => {
    const a = input(c);
    const axis = c.node.int('axis', 1);
    const at = axis < 0 ? axis + a.shape.length : axis;
    return { ...a, shape: [elementsOf(a.shape.slice(0, at)), elementsOf(a.shape.slice(at))] };
  },
  Unsqueeze: (c) => ({ ...input(c), shape: unsqueezed(input(c).shape, axesOf(c) ?? []) }),
  Squeeze: (c) => ({ ...input(c), shape: squeezed(input(c).shape, axesOf(c)) }),
  Transpose: (c) => {
    const a = input(c);
    const axes = c.node.ints('perm') ?? a.shape.map((_, i) => a.shape.length - 1 - i);
    if (!isPermutation(axes, a.shape.length)) throw new Unsupported(`a permutation of ${a.shape.length} axes (it is [${axes}])`);
    return transpose(a, axes);
  },
  Expand: (c) => {
    const shape = broadcastShape(input(c).shape, Array.from(input(c, 1).data));
    if (!shape) throw new Unsupported('a shape that the input broadcasts to');
    checkCount(shape);
    return expand(input(c), shape);
  },
  Shape: (c) => integers(sizesBetween(c, input(c).shape)),
  Size: (c) => ({ shape: [], data: Float64Array.of(input(c).data.length), isInteger: true }),
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: binary((a, b, isInteger) => (isInteger ? Math.trunc(a / b) : a / b)),
  Pow: binary((a, b) => a ** b),
  Sqrt: unary(Math.sqrt),
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Sin: unary(Math.sin),
  Cos: unary(Math.cos),
  Reciprocal: unary((x) => 1 / x),
  Not: unary((x) => Number(x === 0)),
  Equal: truth((a, b) => a === b),
  Less: truth((a, b) => a < b),
  LessOrEqual: truth((a, b) => a <= b),
  Greater: truth((a, b) => a > b),
  GreaterOrEqual: truth((a, b) => a >= b),
  And: truth((a, b) => a !== 0 && b !== 0),
  Or: truth((a, b) => a !== 0 || b !== 0),
  Xor: truth((a, b) => (a !== 0) !== (b !== 0)),
  Where: where,
  Trilu: triangle,
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Range: (c) => {
    const [start, limit, delta] = [numberOf(input(c, 0), 'start'), numberOf(input(c, 1), 'limit'), numberOf(input(c, 2), 'delta')];
    const count = Math.max(0, Math.ceil((limit - start) / delta));
    checkCount([count]);
    const list = Array.from({ length: count }, (_, i) => start + i * delta);
    return input(c).isInteger ? integers(list) : { shape: [count], data: Float32Array.from(list), isInteger: false };
  },
};
