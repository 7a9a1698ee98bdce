/** The same elements under another shape, or in another order of axes: nothing but names for what is there. */
import { item } from '../../../indexing.js';
import { expanded, inOrder } from '../arrange.js';
import { activationOf, constant, constantOf, numberOf, optionalConstant, type RuleContext, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import { axesOf, reshaped, sizesBetween, squeezed, unsqueezed } from '../fold.js';
import { type Activation, reshapedAxes } from '../layout.js';
import { axisWithin, onlyFirstOutput, type Rule, value } from '../results.js';
import { broadcastShape, elementsOf, integers, isPermutation, scalarOf, typeName } from '../tensors.js';
import { applied } from './activations.js';
import { turnedScores } from './attention.js';

/** The elements row by row under another shape. */
export function toShape(c: RuleContext, x: Activation, shape: number[]): Activation {
  const axes = reshapedAxes(x, shape);
  if (axes) return byItself(x.with({ axes }), x);
  if (x.isTokens) throw new Unsupported(`tokens in their order (it makes [${shape}] of [${x.shape}])`);
  const ordered = inOrder(c, batchFirst(x));
  const cut = reshapedAxes(ordered, shape);
  if (!cut) throw new Unsupported(`a batch that stays by itself (it makes [${shape}] of [${x.shape}])`);
  return byItself(ordered.with({ axes: cut }), x);
}

function byItself(y: Activation, x: Activation): Activation {
  if (y.batchAxis >= 0 && item(y.exampleShape, y.batchAxis) > 1)
    throw new Unsupported(`a batch that stays by itself (it makes [${y.shape}] of [${x.shape}])`);
  return y;
}

function batchFirst(x: Activation): Activation {
  if (x.batchAxis > 0 && elementsOf(x.shape.slice(0, x.batchAxis)) > 1) throw new Unsupported(`a batch along the first axis ([${x.shape}])`);
  return x;
}

export const flatten: Rule = (c) => {
  const x = activationOf(c, 0, true);
  const given = c.node.int('axis', 1);
  const axis = given === x.rank ? given : axisWithin(given, x.rank);
  return value(toShape(c, x, [elementsOf(x.shape.slice(0, axis)), elementsOf(x.shape.slice(axis))]));
};

export const reshape: Rule = (c) => {
  const x = activationOf(c, 0, true);
  const wanted = Array.from(constantOf(c, 1, 'a shape').data);
  return value(toShape(c, x, reshaped(x.shape, wanted, c.node.int('allowzero', 0) === 1)));
};

export const unsqueeze: Rule = (c) => value(toShape(c, activationOf(c, 0, true), unsqueezed(activationOf(c, 0, true).shape, axesOf(c) ?? [])));
export const squeeze: Rule = (c) => value(toShape(c, activationOf(c, 0, true), squeezed(activationOf(c, 0, true).shape, axesOf(c))));

export const transpose: Rule = (c) => {
  const [first] = c.inputs;
  if (first && 'scores' in first) return turnedScores(first.scores, c.node.ints('perm') ?? []);
  const x = activationOf(c, 0, true);
  const perm = c.node.ints('perm') ?? x.shape.map((_, i) => x.rank - 1 - i);
  if (!isPermutation(perm, x.rank)) throw new Unsupported(`every axis of [${x.shape}] once (they are [${perm}])`);
  return value(x.with({ axes: perm.map((axis) => item(x.axes, axis)) }));
};

export const expand: Rule = (c) => {
  const x = activationOf(c, 0, true);
  const shape = broadcastShape(x.shape, Array.from(constantOf(c, 1, 'a shape').data));
  if (x.isTokens) throw new Unsupported('tokens as they are');
  if (!shape) throw new Unsupported(`a shape that [${x.shape}] broadcasts to`);
  return value(expanded(c, x, shape));
};

export const shape: Rule = (c) => [constant(integers(sizesBetween(c, activationOf(c, 0, true).shape)))];
export const size: Rule = (c) => [constant({ ...integers([elementsOf(activationOf(c, 0, true).shape)]), shape: [] })];

/** Types of numbers that keep what layers compute, but for float rounding. bfloat16, with 8 bits, does not. */
const KEPT = new Set([1, 10, 11]);
const MOST_KEPT_TOKENS = new Set([6, 7]);

/** Numbers with a fraction stay what they are. */
function castTo(x: Activation, to: number): Value[] {
  if (x.isTokens && MOST_KEPT_TOKENS.has(to)) return value(x);
  if (x.isTokens || !KEPT.has(to))
    throw new Unsupported(`a type with 10 bits of fraction or more: float16, float32 or float64 (it is ${typeName(to)})`);
  return value(x);
}
export const cast: Rule = (c) => castTo(activationOf(c, 0, true), c.node.int('to', 1));
/** To the type of another tensor. */
export const castLike: Rule = (c) => castTo(activationOf(c, 0, true), constantOf(c, 1, 'a tensor of the type').dataType ?? 1);

export function dropout(c: RuleContext): Value[] {
  const [first] = c.inputs;
  if (first && 'scores' in first) return [first];
  const x = activationOf(c);
  onlyFirstOutput(c);
  const training = optionalConstant(c, 2, 'a mode');
  const given = optionalConstant(c, 1, 'a ratio');
  const probability = given ? numberOf(given, 'a ratio') : c.node.float('ratio', 0.5);
  if (probability === 0) return value(x);
  if (training && scalarOf(training) !== 0) throw new Unsupported('a result that is not drawn at random (training_mode)');
  if (!(probability > 0 && probability < 1)) throw new Unsupported(`a ratio from 0 to below 1 (it is ${probability})`);
  return value(applied(c, 'dropout', x, { probability }).with({ takesAffine: false }));
}

export const identity: Rule = ({ inputs }) => [inputs[0]];
