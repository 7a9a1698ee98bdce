/** Sums, products and extremes of constants: over axes, and of several tensors element by element. */
import { item } from '../../indexing.js';
import { constantOf, numberOf, optionalConstant, type RuleContext } from './context.js';
import { Unsupported } from './errors.js';
import { axisWithin } from './results.js';
import { broadcastShape, type Constant, elementsOf, expand, isPermutation, transpose } from './tensors.js';

type Fold = (c: RuleContext) => Constant;

/** What becomes of the elements along the axes: from `start`, each with the result so far, and at last of that and their number. */
interface Reduction {
  start: number;
  step: (sum: number, x: number) => number;
  last?: (sum: number, count: number) => number;
}

const reductions: Record<string, Reduction> = {
  ReduceSum: { start: 0, step: (sum, x) => sum + x },
  ReduceMean: { start: 0, step: (sum, x) => sum + x, last: (sum, count) => sum / count },
  ReduceProd: { start: 1, step: (product, x) => product * x },
  ReduceMax: { start: -Infinity, step: Math.max },
  ReduceMin: { start: Infinity, step: Math.min },
  ReduceSumSquare: { start: 0, step: (sum, x) => sum + x * x },
  ReduceL1: { start: 0, step: (sum, x) => sum + Math.abs(x) },
  ReduceL2: { start: 0, step: (sum, x) => sum + x * x, last: Math.sqrt },
  ReduceLogSum: { start: 0, step: (sum, x) => sum + x, last: Math.log },
  ReduceLogSumExp: { start: 0, step: (sum, x) => sum + Math.exp(x), last: Math.log },
};

const reduced =
  ({ start, step, last = (sum) => sum }: Reduction): Fold =>
  (c) => {
    const from = constantOf(c, 0, 'inputs');
    const rank = from.shape.length;
    const given = optionalConstant(c, 1, 'axes');
    const list = given ? Array.from(given.data) : (c.node.ints('axes') ?? []);
    const none = list.length === 0 && c.node.int('noop_with_empty_axes', 0) === 1;
    const axes = list.length || none ? list.map((axis) => axisWithin(axis, rank)) : from.shape.map((_, i) => i);
    const kept = from.shape.flatMap((_, i) => (axes.includes(i) ? [] : [i]));
    const order = [...kept, ...new Set(axes)];
    if (!isPermutation(order, rank)) throw new Unsupported(`axes that differ (they are [${axes}])`);
    const { data } = transpose(from, order);
    const count = elementsOf(axes.map((axis) => item(from.shape, axis)));
    const result = new (from.data.constructor as Float32ArrayConstructor)(elementsOf(kept.map((axis) => item(from.shape, axis))));
    for (let i = 0; i < result.length; i++) {
      let sum = start;
      for (let k = 0; k < count; k++) sum = step(sum, item(data, i * count + k));
      result[i] = last(sum, count);
    }
    const keeps = c.node.int('keepdims', 1) === 1;
    const shape = keeps ? from.shape.map((size, i) => (axes.includes(i) ? 1 : size)) : kept.map((axis) => item(from.shape, axis));
    return { shape, data: result, isInteger: from.isInteger };
  };

/** Of any number of tensors that broadcast. */
const many =
  (step: (a: number, b: number) => number, last: (sum: number, count: number) => number = (sum) => sum): Fold =>
  (c) => {
    const parts = c.inputs.map((_, i) => constantOf(c, i, 'inputs'));
    const shape = parts.reduce<number[] | undefined>((all, part) => all && broadcastShape(all, part.shape), []);
    const [first, ...rest] = parts;
    if (!first || !shape) throw new Unsupported(`inputs that broadcast (${parts.map((p) => `[${p.shape}]`).join(' and ')})`);
    const data = expand(first, shape).data.slice() as Float32Array;
    for (const part of rest) {
      const other = expand(part, shape).data;
      for (let i = 0; i < data.length; i++) data[i] = step(item(data, i), item(other, i));
    }
    return { shape, data: data.map((sum) => last(sum, parts.length)), isInteger: first.isInteger };
  };

function clip(c: RuleContext): Constant {
  const from = constantOf(c, 0, 'inputs');
  const bound = (index: number, name: string, otherwise: number) => {
    const given = optionalConstant(c, index, 'bounds');
    return given ? numberOf(given, name) : c.node.float(name, otherwise);
  };
  const [low, high] = [bound(1, 'min', -Infinity), bound(2, 'max', Infinity)];
  return { ...from, data: from.data.map((x) => Math.min(Math.max(x, low), high)) as Float32Array };
}

/** The remainder with the sign of the divisor, or with `fmod` of the dividend. */
const modulo: Fold = (c) =>
  many((a, b) => {
    const rest = a % b;
    return c.node.int('fmod', 0) === 0 && rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
  })(c);

export const sums: Record<string, Fold> = {
  ...Object.fromEntries(Object.entries(reductions).map(([name, reduction]) => [name, reduced(reduction)])),
  Sum: many((a, b) => a + b),
  Mean: many(
    (a, b) => a + b,
    (sum, count) => sum / count,
  ),
  Max: many(Math.max),
  Min: many(Math.min),
  Mod: modulo,
  Clip: clip,
};
