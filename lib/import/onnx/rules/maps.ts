/** Sums along an axis: CumSum and LRN. */
import { item } from '../../../indexing.js';
import { applyAffine, spread } from '../affine.js';
import { channelsOf } from '../arrange.js';
import { activationOf, constantOf, numberOf, type RuleContext } from '../context.js';
import { Unsupported } from '../errors.js';
import type { Activation } from '../layout.js';
import { axisWithin, type Rule, value } from '../results.js';
import { applied, together } from './activations.js';
import { powerOf } from './powers.js';
import { contract } from './products.js';

/** Along an axis that a matrix of the importer's own may have. */
const MOST_PLACES = 4096;

/** The axis times a matrix that is not compressed: entry (to, from). */
function mapped(c: RuleContext, x: Activation, axis: number, entry: (to: number, from: number) => number): Activation {
  const size = item(x.shape, axis);
  if (size > MOST_PLACES) throw new Unsupported(`an axis of at most ${MOST_PLACES} (axis ${axis} of [${x.shape}])`);
  const data = Float32Array.from({ length: size * size }, (_, i) => entry(Math.floor(i / size), i % size));
  return contract(c, x, axis, { shape: [size, size], data, isInteger: false }, { compress: false });
}

/** Each element is the sum of those up to it. */
export const cumulativeSum: Rule = (c) => {
  const x = activationOf(c);
  const axis = axisWithin(numberOf(constantOf(c, 1, 'an axis'), 'an axis'), x.rank);
  const exclusive = c.node.int('exclusive', 0) !== 0;
  const backwards = c.node.int('reverse', 0) !== 0;
  const takes = (to: number, from: number) => (backwards ? from > to : from < to) || (from === to && !exclusive);
  return value(mapped(c, x, axis, (to, from) => Number(takes(to, from))));
};

/** x / (bias + alpha / size · Σ of the squares of the channels around it)^beta */
export const localResponse: Rule = (c) => {
  const given = activationOf(c);
  if (given.rank < 2) throw new Unsupported(`a batch and channels (the input is [${given.shape}])`);
  const x = channelsOf(c, given, [1]);
  const { node } = c;
  const size = node.int('size', 0);
  const bias = node.float('bias', 1);
  const alpha = node.float('alpha', 1e-4);
  if (!(size >= 1)) throw new Unsupported(`a size of at least 1 (it is ${size})`);
  const [before, after] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
  const sums = mapped(c, applied(c, 'square', x), 1, (to, from) => (from >= to - before && from <= to + after ? alpha / size : 0));
  const shifted = applyAffine(c, spread(c, sums, { shape: [], data: Float32Array.of(bias), isInteger: false }), (shift) => ({ scale: 1, shift }));
  return value(together(c, 'multiply', x, powerOf(c, shifted, -node.float('beta', 0.75), true)));
};
