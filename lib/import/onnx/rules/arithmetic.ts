/** Sums, products and their like, of two tensors or of a tensor and constants. */
import { item } from '../../../indexing.js';
import { type Affine, applyAffine, spread } from '../affine.js';
import { arrangeAtoms, expanded, matchingAtoms, withRank } from '../arrange.js';
import { activationOf, constantOf, isActivation, type RuleContext, readTwice, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import { type Activation, BATCH } from '../layout.js';
import { type Rule, value } from '../results.js';
import { broadcastShape, type Constant, expand } from '../tensors.js';
import { applied, scaled } from './activations.js';
import { maskedScores, scaledScores } from './attention.js';

interface Arithmetic {
  kind: string;
  /** Either input may be the smaller one. */
  either: boolean;
  /** What it does to the products of an attention: a mask is added to them, or a factor changes them where they come first, or anywhere. */
  scores: 'mask' | 'first' | 'any' | 'nothing';
}
const ADD: Arithmetic = { kind: 'add', either: true, scores: 'mask' };
const SUBTRACT: Arithmetic = { kind: 'subtract', either: false, scores: 'nothing' };
const MULTIPLY: Arithmetic = { kind: 'multiply', either: true, scores: 'any' };
const DIVIDE: Arithmetic = { kind: 'divide', either: false, scores: 'first' };

/** `small` as it lies beside `large`, whose shape is that of the result: of the same sizes, or of one position or one channel. */
function beside(c: RuleContext, given: Activation, large: Activation): string {
  const small = withRank(given, large.rank);
  const dropped = large.axes.flatMap((atoms, i) => (item(small.exampleShape, i) === 1 ? atoms.filter(({ axis }) => axis !== BATCH) : []));
  const ones = new Set(dropped.map(({ axis }) => axis));
  const whole = (axis: number) => dropped.filter((a) => a.axis === axis).reduce((n, { size }) => n * size, 1) === large.sizes[axis];
  const positions = large.sizes.flatMap((size, axis) => (axis > 0 && size > 1 ? [axis] : []));
  const onlyChannels = positions.length > 0 && positions.every(whole) && !ones.has(0);
  const onlyPositions = item(large.sizes, 0) > 1 && whole(0) && !positions.some((axis) => ones.has(axis));
  const none = dropped.length === 0;
  const all = dropped.length > 0 && positions.every(whole) && (whole(0) || large.sizes[0] === 1);
  if (!none && !onlyChannels && !onlyPositions && !all) return beside(c, expanded(c, small, large.shape), large);
  const atoms = matchingAtoms(small, large);
  if (!atoms) {
    const vector = expanded(c, small, large.shape);
    if (vector.shape.join() === small.shape.join()) throw new Unsupported(`axes that split alike ([${small.shape}])`);
    return beside(c, vector, large);
  }
  return arrangeAtoms(c, small, atoms, true);
}

/** Of two tensors that both depend on the input. */
export function combine(c: RuleContext, { kind, either }: Arithmetic, first: Activation, second: Activation): Activation {
  const shape = broadcastShape(first.shape, second.shape);
  if (!shape) throw new Unsupported(`inputs that broadcast ([${first.shape}] and [${second.shape}])`);
  const [batchOfA, batchOfB] = [withRank(first, shape.length), withRank(second, shape.length)].map((x) => x.batchAxis);
  if (batchOfA !== batchOfB && (first.batchAxis >= 0 || second.batchAxis >= 0))
    throw new Unsupported(`a batch along one axis of both ([${first.shape}] and [${second.shape}])`);
  const fits = (x: Activation) => withRank(x, shape.length).shape.join() === shape.join();
  const swapped = either && !fits(first) && fits(second);
  const [large, small] = swapped ? [second, first] : [first, second];
  const a = expanded(c, withRank(large, shape.length), shape);
  const b = beside(c, small, a);
  return a.with({ node: c.build.add(kind, c.node.label, [a.node, b]), exclusive: true, takesAffine: false });
}

/**
 * Of two inputs, one of which may be constant: `affine(value)` is what x becomes then, or with `inverts` the reciprocal of an x that
 * comes second.
 */
const binary =
  (of: Arithmetic, affine: (value: number, first: boolean) => Affine, inverts = false): Rule =>
  (c) => {
    const [a, b] = c.inputs;
    if (c.inputs.length !== 2) throw new Unsupported(`two inputs (there are ${c.inputs.length})`);
    if (a && 'scores' in a) return ofScores(c, of, a.scores, 1, affine);
    if (b && 'scores' in b) return ofScores(c, of, b.scores, 0, affine);
    if (isActivation(a) && isActivation(b)) return value(combine(c, of, a.activation, b.activation));
    const first = isActivation(a);
    let x = activationOf(c, first ? 0 : 1);
    const numbers = constantOf(c, first ? 1 : 0, 'numbers');
    if (inverts && !first) x = applied(c, 'reciprocal', x);
    return value(applyAffine(c, spread(c, x, numbers), (n) => affine(n, first)));
  };

/** What an attention takes between its products: one factor, and a mask that is added. */
function ofScores(
  c: RuleContext,
  { scores: change }: Arithmetic,
  scores: Parameters<typeof scaledScores>[0],
  other: number,
  affine: (value: number, first: boolean) => Affine,
): Value[] {
  const numbers = constantOf(c, other, 'a scale or a mask');
  if (change === 'mask') return maskedScores(scores, numbers);
  const [scale] = numbers.data;
  if (numbers.data.length !== 1 || scale === undefined || change === 'nothing' || (change === 'first' && other === 0))
    throw new Unsupported(`one factor of an attention's products (it has [${numbers.shape}])`);
  return scaledScores(scores, affine(scale, true).scale);
}

export const add = binary(ADD, (n) => ({ scale: 1, shift: n }));
export const subtract = binary(SUBTRACT, (n, first) => (first ? { scale: 1, shift: -n } : { scale: -1, shift: n }));
export const multiply = binary(MULTIPLY, (n) => ({ scale: n, shift: 0 }));
export const divide = binary(DIVIDE, (n, first) => ({ scale: first ? 1 / n : n, shift: 0 }), true);

/** Of any number of inputs, computed and constant ones, one after the other. */
const many =
  (of: (c: RuleContext) => Value[], last: (c: RuleContext, x: Activation, count: number) => Activation = (_, x) => x): Rule =>
  (c) => {
    const [first, ...rest] = [...c.inputs].sort((a, b) => Number(isActivation(b)) - Number(isActivation(a)));
    if (!isActivation(first)) throw new Unsupported('inputs to put together');
    let [total]: Value[] = [first];
    for (const next of rest) [total] = of({ ...c, inputs: [total, next] });
    return isActivation(total) ? value(last(c, total.activation, c.inputs.length)) : [total];
  };
export const sum = many(add);
export const mean = many(add, (c, x, count) => scaled(c, x, 1 / count));

/** b + relu(a − b) */
const larger: Rule = (c) => {
  const [difference] = subtract(c);
  if (!isActivation(difference)) return [difference];
  return add({ ...c, inputs: [{ activation: applied(c, 'relu', difference.activation) }, c.inputs[1]] });
};
/** a − relu(a − b) */
const smaller: Rule = (c) => {
  const [first, second] = c.inputs;
  const given = isActivation(first) ? { activation: readTwice(first.activation) } : first;
  const [difference] = subtract({ ...c, inputs: [given, second] });
  if (!isActivation(difference)) return [difference];
  return subtract({ ...c, inputs: [given, { activation: applied(c, 'relu', difference.activation) }] });
};
export const maximum = many(larger);
export const minimum = many(smaller);

/** Elements of one tensor or another as constants say. */
export const where: Rule = (c) => {
  const condition = constantOf(c, 0, 'a condition');
  const [, a, b] = c.inputs;
  const mask = (of: (on: boolean) => number): Constant => ({
    ...condition,
    data: Float32Array.from(condition.data, (x) => of(x !== 0)),
    isInteger: false,
  });
  if (b && 'scores' in b) {
    const [low] = constantOf(c, 1, 'a value').data;
    return maskedScores(
      b.scores,
      mask((on) => (on ? (low ?? 0) : 0)),
    );
  }
  if (a && 'scores' in a) {
    const [low] = constantOf(c, 2, 'a value').data;
    return maskedScores(
      a.scores,
      mask((on) => (on ? 0 : (low ?? 0))),
    );
  }
  const part = (input: Value, keep: boolean): Value => {
    const numbers = { constant: mask((on) => Number(on === keep)) };
    if (isActivation(input)) return multiply({ ...c, inputs: [input, numbers] })[0];
    return input;
  };
  if (isActivation(a) && isActivation(b)) return add({ ...c, inputs: [part(a, true), part(b, false)] });
  const keep = isActivation(a);
  const numbers = constantOf(c, keep ? 2 : 1, 'values');
  const x = activationOf(c, keep ? 1 : 2);
  const kept = part({ activation: x }, keep);
  const both = broadcastShape(condition.shape, numbers.shape);
  if (!both) throw new Unsupported(`shapes that broadcast ([${condition.shape}] and [${numbers.shape}])`);
  const [on, values] = [expand(condition, both), expand(numbers, both)];
  const filled = { ...values, data: Float32Array.from(values.data, (n, i) => ((item(on.data, i) !== 0) === keep ? 0 : n)) };
  return add({ ...c, inputs: [kept, { constant: filled }] });
};
