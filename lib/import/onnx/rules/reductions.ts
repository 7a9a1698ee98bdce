/** Means, sums and maxima over any axes. */
import { item } from '../../../indexing.js';
import { channelsOf, laidOut, otherAxes } from '../arrange.js';
import { activationOf, type RuleContext } from '../context.js';
import { Unsupported } from '../errors.js';
import { axesOf } from '../fold.js';
import { type Activation, BATCH, isWhole, merged, withoutBatch } from '../layout.js';
import { axesWithin, type Rule, value } from '../results.js';
import { elementsOf } from '../tensors.js';
import { applied, scaled } from './activations.js';

/** The operators that reduce positions and channels. */
export interface Reducer {
  /** Over all positions. */
  whole: string;
  /** Over rows or columns alone, and over channels, where there are such operators. */
  chosen?: string;
  channels?: string;
  /** An element that takes part twice changes nothing. */
  idempotent: boolean;
}
export const MEAN: Reducer = { whole: 'globalAveragePool', chosen: 'meanPositions', channels: 'meanChannels', idempotent: false };
export const MAXIMUM: Reducer = { whole: 'globalMaxPool', idempotent: true };

const onlyBatch = (x: Activation, axes: number[]) => x.axes.map((atoms, i) => (axes.includes(i) ? atoms.filter((a) => a.axis === BATCH) : atoms));

/** Over these axes, which then have one element, or are left out. */
export function reducedTo(c: RuleContext, x: Activation, axes: number[], by: Reducer, keep: boolean): Activation {
  withoutBatch(x, axes);
  const result = reduced(c, x, axes, by);
  return keep ? result : result.with({ axes: result.axes.filter((_, i) => !axes.includes(i)) });
}

function reduced(c: RuleContext, x: Activation, axes: number[], by: Reducer): Activation {
  const atoms = axes.flatMap((axis) => item(x.axes, axis));
  if (atoms.length === 0) return x;
  const make = (of: Activation, operator: string, sizes: number[], fields: object = {}) =>
    of.with({ node: c.build.add(operator, c.node.label, [of.node], fields), sizes, axes: onlyBatch(of, axes), exclusive: true, takesAffine: false });
  const positions = x.sizes.flatMap((size, axis) => (axis > 0 && size > 1 ? [axis] : []));
  const whole = (axis: number) => {
    const own = merged([...atoms].filter((a) => a.axis === axis).sort((a, b) => b.stride - a.stride));
    return isWhole(own, axis, item(x.sizes, axis));
  };
  const touched = [...new Set(atoms.map(({ axis }) => axis))];
  const [channels = 1] = x.sizes;
  if (touched.every((axis) => axis > 0 && whole(axis))) {
    if (positions.every((axis) => touched.includes(axis))) return make(x, by.whole, [channels, ...x.sizes.slice(1).map(() => 1)]);
    if (by.chosen && x.sizes.length <= 3) {
      const [rows, columns] = x.sizes.length === 3 ? [touched.includes(1), touched.includes(2)] : [false, true];
      return make(
        x,
        by.chosen,
        x.sizes.map((size, axis) => (touched.includes(axis) ? 1 : size)),
        { rows, columns },
      );
    }
  }
  if (by.channels && touched.join() === '0' && whole(0)) return make(x, by.channels, [1, ...x.sizes.slice(1)]);
  const rest = otherAxes(x, axes);
  if (rest.length === 0 && by.channels) {
    const vector = channelsOf(c, x, axes);
    return make(vector, by.channels, [1]);
  }
  const apart = laidOut(c, x, rest, axes, true);
  return make(apart, by.whole, [item(apart.sizes, 0), 1]);
}

/** Axes as an attribute or, since some opset, as an input; none: all, or with noop_with_empty_axes nothing. */
function reducedAxes(c: RuleContext, x: Activation): number[] {
  const given = axesOf(c);
  if (given?.length) return axesWithin(given, x.rank);
  return c.node.int('noop_with_empty_axes', 0) === 1 ? [] : x.shape.map((_, i) => i);
}

interface Reduction {
  before?: (c: RuleContext, x: Activation) => Activation;
  by?: Reducer;
  /** The sum, not the mean. */
  sum?: boolean;
  after?: (c: RuleContext, x: Activation) => Activation;
}

export const reduction =
  ({ before = (_, x) => x, by = MEAN, sum = false, after = (_, x) => x }: Reduction): Rule =>
  (c) => {
    const x = before(c, activationOf(c));
    const axes = reducedAxes(c, x);
    const count = elementsOf(axes.map((axis) => item(x.exampleShape, axis)));
    if (count < 1) throw new Unsupported(`axes with elements ([${x.shape}])`);
    const result = reducedTo(c, x, axes, by, c.node.int('keepdims', 1) === 1);
    return value(after(c, sum ? scaled(c, result, count) : result));
  };

/** Products of halves until one is left. */
const productOver: Rule = (c) => {
  const given = activationOf(c);
  const axes = reducedAxes(c, given);
  withoutBatch(given, axes);
  const x = laidOut(c, given, otherAxes(given, axes), axes, true);
  const channels = item(x.sizes, 0);
  const part = (node: string, first: number, count: number) =>
    c.build.add('slicePositions', c.node.label, [node], { first: [0, first], count: [1, count] });
  let node = x.node;
  const left: string[] = [];
  for (let count = item(x.sizes, 1); count > 1; ) {
    const half = count >> 1;
    if (count % 2) left.push(part(node, count - 1, 1));
    node = c.build.add('multiply', c.node.label, [part(node, 0, half), part(node, half, half)]);
    count = half;
  }
  for (const other of left) node = c.build.add('multiply', c.node.label, [node, other]);
  const kept = x.axes.map((atoms, i) => (axes.includes(i) ? [] : atoms));
  const result = x.with({ node, sizes: [channels, 1], axes: kept, exclusive: true, takesAffine: false });
  return value(c.node.int('keepdims', 1) === 1 ? result : result.with({ axes: kept.filter((_, i) => !axes.includes(i)) }));
};

const function_ = (kind: string) => (c: RuleContext, x: Activation) => applied(c, kind, x);
const negative = (c: RuleContext, x: Activation) => scaled(c, x, -1);

export const reductions: Record<string, Rule> = {
  ReduceMean: reduction({}),
  ReduceSum: reduction({ sum: true }),
  ReduceProd: productOver,
  ReduceMax: reduction({ by: MAXIMUM }),
  ReduceMin: reduction({ before: negative, by: MAXIMUM, after: negative }),
  ReduceSumSquare: reduction({ before: function_('square'), sum: true }),
  ReduceL1: reduction({ before: function_('abs'), sum: true }),
  ReduceL2: reduction({ before: function_('square'), sum: true, after: function_('sqrt') }),
  ReduceLogSum: reduction({ sum: true, after: function_('log') }),
  ReduceLogSumExp: reduction({ before: function_('exp'), sum: true, after: function_('log') }),
};
