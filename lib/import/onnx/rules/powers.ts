/** Powers with exponents, or of bases, that the file fixes. */
import { applyAffine, spread } from '../affine.js';
import { withRank } from '../arrange.js';
import { activationOf, constantOf, isActivation, type RuleContext, readTwice, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import type { Activation } from '../layout.js';
import { value } from '../results.js';
import { type Constant, scalarOf } from '../tensors.js';
import { applied, together } from './activations.js';

/** Beyond, powers of whole numbers are an exponential too. */
const MOST_SQUARES = 64;

const square = (c: RuleContext, x: Activation) => applied(c, 'square', x);

/** x^n by squares and products. */
function whole(c: RuleContext, x: Activation, n: number): Activation {
  if (n === 1) return x;
  const half = square(c, whole(c, x, n >> 1));
  return n % 2 ? together(c, 'multiply', x, half) : half;
}

/** exp(exponent · log(x)), NaN below 0 as the power is. */
function exponential(c: RuleContext, x: Activation, exponents: Constant): Activation {
  const logarithm = applied(c, 'log', x);
  return applied(
    c,
    'exp',
    applyAffine(c, spread(c, logarithm, exponents), (n) => ({ scale: n, shift: 0 })),
  );
}

/** x to the power of one number; `above`: x is above 0. */
export function powerOf(c: RuleContext, x: Activation, exponent: number, above = false): Activation {
  if (exponent === 0) return applyAffine(c, spread(c, x, { shape: [], data: Float32Array.of(0), isInteger: false }), () => ({ scale: 0, shift: 1 }));
  if (exponent === 0.5) return applied(c, 'sqrt', x);
  if (exponent < 0) return applied(c, 'reciprocal', powerOf(c, x, -exponent, above));
  if (Number.isInteger(exponent) && exponent <= MOST_SQUARES) return whole(c, x, exponent);
  const isOdd = !above && Number.isInteger(exponent) && exponent % 2 === 1;
  const base = !above && Number.isInteger(exponent) ? applied(c, 'abs', x) : x;
  const power = exponential(c, base, { shape: [], data: Float32Array.of(isOdd ? exponent - 1 : exponent), isInteger: false });
  return isOdd ? together(c, 'multiply', x, power) : power;
}

/**
 * With an exponent n for each element: of whole numbers |x|^n, times x with n − 1 where n is odd; of others x^n, which is not a
 * number below 0. Where the exponent of the exponential is 0 its base is 1.
 */
function elementwisePower(c: RuleContext, given: Activation, exponents: Constant): Activation {
  const isOdd = (n: number) => Number.isInteger(n) && Math.abs(n % 2) === 1;
  const rest = (n: number) => (isOdd(n) ? n - 1 : n);
  const changed = (x: Activation, of: (n: number) => { scale: number; shift: number }) => applyAffine(c, spread(c, x, exponents), of);
  const { x } = spread(c, readTwice(given), exponents);
  const isWhole = (n: number) => Number.isInteger(n);
  const only = (y: Activation, takes: (n: number) => boolean) => changed(y, (n) => ({ scale: Number(takes(n)), shift: 0 }));
  const mixed = () =>
    alike(
      c,
      'add',
      only(applied(c, 'abs', x), isWhole),
      only(x, (n) => !isWhole(n)),
    );
  const base = exponents.data.every(isWhole) ? applied(c, 'abs', x) : exponents.data.some(isWhole) ? mixed() : x;
  const safe = changed(base, (n) => (rest(n) === 0 ? { scale: 0, shift: 1 } : { scale: 1, shift: 0 }));
  const power = applied(
    c,
    'exp',
    changed(applied(c, 'log', safe), (n) => ({ scale: rest(n), shift: 0 })),
  );
  if (!exponents.data.some(isOdd)) return power;
  return alike(
    c,
    'multiply',
    changed(x, (n) => (isOdd(n) ? { scale: 1, shift: 0 } : { scale: 0, shift: 1 })),
    power,
  );
}

/** The same elements of nodes of which one may be a vector. */
function alike(c: RuleContext, kind: string, a: Activation, b: Activation): Activation {
  const flat = (x: Activation) => c.build.add('flatten', c.node.label, [x.node]);
  if (a.sizes.join() === b.sizes.join()) return together(c, kind, a, b);
  const [vector, other] = a.sizes.length === 1 ? [a, b] : [b, a];
  return vector.with({ node: c.build.add(kind, c.node.label, [vector.node, flat(other)]), exclusive: true, takesAffine: false });
}
/** base^x = exp(x · log(base)) */
function ofBase(c: RuleContext, x: Activation, base: Constant): Activation {
  const low = base.data.find((b) => !(b > 0));
  if (low !== undefined) throw new Unsupported(`bases above 0 for computed exponents (one is ${low})`);
  const shape = spread(c, x, base).x;
  const scaled = applyAffine(c, spread(c, withRank(shape, base.shape.length), base), (b) => ({ scale: Math.log(b), shift: 0 }));
  return applied(c, 'exp', scaled);
}

export function power(c: RuleContext): Value[] {
  const [base, exponent] = c.inputs;
  if (isActivation(exponent)) {
    if (isActivation(base)) throw new Unsupported('a base or an exponent that the file fixes');
    return value(ofBase(c, exponent.activation, constantOf(c, 0, 'a base')));
  }
  const exponents = constantOf(c, 1, 'an exponent');
  const x = activationOf(c);
  const one = scalarOf(exponents);
  if (one === undefined) return value(elementwisePower(c, x, exponents));
  return value(withRank(powerOf(c, x, one), exponents.shape.length));
}
