/** Elements of a tensor at places that the file fixes for each of them: GatherElements, GatherND, Compress, ReverseSequence. */
import { item } from '../../../indexing.js';
import { checkCount, pick } from '../arrange.js';
import { activationOf, constantOf, type RuleContext, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import { type Activation, withoutBatch } from '../layout.js';
import { axisOf, axisWithin, type Rule, value } from '../results.js';
import { elementsOf } from '../tensors.js';
import { alongAxis } from './pieces.js';
import { toShape } from './shape.js';

/** Of every place of a shape, row by row: the number of an element. */
export function numbered(shape: number[], number: (place: number[], at: number) => number): Int32Array {
  const count = elementsOf(shape);
  checkCount(count);
  const place = shape.map(() => 0);
  return Int32Array.from({ length: count }, (_, at) => {
    const result = number(place, at);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const next = item(place, axis) + 1;
      place[axis] = next === shape[axis] ? 0 : next;
      if (next !== shape[axis]) break;
    }
    return result;
  });
}

/** How far apart neighbours along each axis are, row by row. */
export const runsOf = (shape: number[]) => shape.map((_, i) => elementsOf(shape.slice(i + 1)));

/** @throws Unsupported where examples are counted: what each of them has at its place is fixed, not the same for all */
function withoutExamples(x: Activation): Activation {
  if (x.batchAxis >= 0) throw new Unsupported(`the same places for every example (axis ${x.batchAxis} of [${x.shape}] counts them)`);
  return x;
}

/** Along one axis each element has its own place; along the others it stays. */
export const gatherElements: Rule = (c) => {
  const x = withoutExamples(activationOf(c));
  const indices = constantOf(c, 1, 'places');
  const axis = axisOf(c, x, 0);
  const { shape } = indices;
  if (shape.length !== x.rank || shape.some((size, i) => i !== axis && size > item(x.shape, i)) || elementsOf(shape) < 1)
    throw new Unsupported(`places within [${x.shape}] (they are [${shape}])`);
  const runs = runsOf(x.shape);
  const size = item(x.shape, axis);
  const index = numbered(shape, (place, at) =>
    place.reduce((sum, p, i) => sum + item(runs, i) * (i === axis ? axisWithin(item(indices.data, at), size) : p), 0),
  );
  return value(pick(c, x, shape, -1, index));
};

/** Each row of the places names an element, or what lies behind it, by its first axes. */
export const gatherND: Rule = (c) => {
  const x = withoutExamples(activationOf(c));
  const indices = constantOf(c, 1, 'places');
  const common = c.node.int('batch_dims', 0);
  const depth = indices.shape.at(-1) ?? 0;
  const outer = indices.shape.slice(0, -1);
  const sameOuter = common >= 0 && outer.slice(0, common).join() === x.shape.slice(0, common).join();
  if (depth < 1 || common + depth > x.rank || common > outer.length || !sameOuter)
    throw new Unsupported(`places of up to ${x.rank} axes of [${x.shape}] (they are [${indices.shape}])`);
  const shape = [...outer, ...x.shape.slice(common + depth)];
  const runs = runsOf(x.shape);
  const inner = elementsOf(x.shape.slice(common + depth));
  const index = numbered(shape, (place, at) => {
    const row = Math.floor(at / inner) * depth;
    let sum = at % inner;
    for (let i = 0; i < common; i++) sum += item(place, i) * item(runs, i);
    for (let i = 0; i < depth; i++) sum += axisWithin(item(indices.data, row + i), item(x.shape, common + i)) * item(runs, common + i);
    return sum;
  });
  return value(pick(c, x, shape, -1, index));
};

/** The places of an axis, or of all elements in a row, where a condition holds. */
export function compress(c: RuleContext): Value[] {
  const given = activationOf(c);
  const x = c.node.has('axis') ? given : toShape(c, withoutExamples(given), [elementsOf(given.shape)]);
  const axis = axisOf(c, x, 0);
  const kept = Array.from(constantOf(c, 1, 'a condition').data).flatMap((on, i) => (on ? [i] : []));
  return value(alongAxis(c, x, axis, kept));
}

/** The first elements of each row in reverse order. */
export const reverseSequence: Rule = (c) => {
  const x = withoutExamples(activationOf(c));
  const [batch, time] = [axisWithin(c.node.int('batch_axis', 1), x.rank), axisWithin(c.node.int('time_axis', 0), x.rank)];
  const lengths = constantOf(c, 1, 'lengths').data;
  withoutBatch(x, [batch, time]);
  const fits = lengths.length === x.shape[batch] && lengths.every((n) => Number.isInteger(n) && n >= 0 && n <= item(x.shape, time));
  if (batch === time || !fits)
    throw new Unsupported(`a length of at most ${x.shape[time]} for each of ${x.shape[batch]} rows (they are [${lengths}])`);
  const runs = runsOf(x.shape);
  const index = numbered(x.shape, (place) =>
    place.reduce((sum, p, i) => {
      const length = item(lengths, item(place, batch));
      return sum + item(runs, i) * (i === time && p < length ? length - 1 - p : p);
    }, 0),
  );
  return value(pick(c, x, x.shape, -1, index));
};
