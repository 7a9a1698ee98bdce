/** Products with matrices of weights: MatMul, Gemm. */
import { item } from '../../../indexing.js';
import { applyAffine, spread } from '../affine.js';
import { arrange, channelsOf, otherAxes, vectorOf, withRank } from '../arrange.js';
import { activationOf, constantOf, isActivation, optionalConstant, type RuleContext, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import { Activation, atom, BATCH, fileOrder, liesInOrder, placesOf, withoutBatch } from '../layout.js';
import { value } from '../results.js';
import { broadcastShape, type Constant, elementsOf, expand, floatsOf, transpose } from '../tensors.js';
import { scoresOf, valuesTimesWeights, weightedValues } from './attention.js';

/** A matrix [outputs, inputs] times the elements along an axis, which stays where it is. */
export function contract(c: RuleContext, x: Activation, axis: number, rows: Constant, fields: { compress?: false } = {}): Activation {
  withoutBatch(x, [axis]);
  const [outFeatures = 0, inputs = 0] = rows.shape;
  if (inputs !== item(x.shape, axis)) throw new Unsupported(`weights for ${x.shape[axis]} inputs (they are [${rows.shape}])`);
  const weight = floatsOf(rows);
  if (otherAxes(x, [axis]).length === 0 && elementsOf(x.exampleShape) === inputs)
    return ofVector(c, x, axis, weight, { outFeatures, bias: false, ...fields });
  const by = channelsOf(c, x, [axis]);
  const name = c.build.add('linear', c.node.label, [by.node], { outFeatures, perPosition: true, bias: false, ...fields }, { weight });
  const axes = by.axes.map((atoms, i) => (i === axis ? atom(0, outFeatures) : atoms));
  return new Activation(name, [outFeatures, ...by.sizes.slice(1)], axes, true, true);
}

/** Rows of weights whose columns are moved to these places. */
function inOrderOf(order: Int32Array, rows: Float32Array): Float32Array {
  const result = new Float32Array(rows.length);
  const size = order.length;
  for (let row = 0; row < rows.length; row += size) for (let i = 0; i < size; i++) result[row + (order[i] as number)] = rows[row + i] as number;
  return result;
}

/** Of all elements of an example: the weights' columns come in the order in which the elements lie. */
function ofVector(
  c: RuleContext,
  x: Activation,
  axis: number,
  weight: Float32Array,
  fields: { outFeatures: number; bias: boolean; compress?: boolean },
): Activation {
  const { outFeatures } = fields;
  const columns = liesInOrder(
    x.axes.flat().filter((a) => a.axis !== BATCH),
    x.sizes,
  )
    ? weight
    : inOrderOf(fileOrder(x), weight);
  const node = c.build.add('linear', c.node.label, [vectorOf(c, x.node, x.sizes)], fields, { weight: columns });
  const axes = x.axes.map((atoms, i) => (i === axis ? atom(0, outFeatures) : atoms.filter((a) => a.axis === BATCH)));
  return new Activation(node, [outFeatures], axes, true, true);
}

const scaledBy = (constant: Constant, factor: number): Constant =>
  factor === 1 ? constant : { ...constant, data: Float32Array.from(constant.data, (w) => w * factor) };

export function gemm(c: RuleContext): Value[] {
  const x = activationOf(c);
  const weight = constantOf(c, 1, 'weights');
  if (weight.shape.length !== 2 || x.rank !== 2) throw new Unsupported(`matrices ([${x.shape}] and [${weight.shape}])`);
  const rows = c.node.int('transB', 0) ? weight : transpose(weight, [1, 0]);
  const flipped = c.node.int('transA', 0) !== 0;
  const product = contract(c, x, flipped ? 0 : 1, scaledBy(rows, c.node.float('alpha', 1)));
  const y = flipped ? product.with({ axes: [...product.axes].reverse() }) : product;
  const added = optionalConstant(c, 2, 'a bias');
  const beta = c.node.float('beta', 1);
  if (!added || beta === 0) return value(y);
  const of = spread(c, y, added);
  if (of.x.shape.join() !== y.shape.join()) throw new Unsupported(`a bias for [${y.shape}] (it has [${added.shape}])`);
  return value(applyAffine(c, of, (b) => ({ scale: 1, shift: b * beta })));
}

/** Matrices of their own for each element of the axes before: a convolution in groups. weight: [...groups, outputs, inputs]. */
function grouped(c: RuleContext, x: Activation, weight: Constant, axis: number, leading: number): Activation {
  const heads = Array.from({ length: leading }, (_, i) => i).filter((i) => item(weight.shape, i) > 1);
  const rest = otherAxes(x, [...heads, axis]);
  if (rest.length > 1) throw new Unsupported(`one axis beside those that have weights of their own ([${x.shape}] and [${weight.shape}])`);
  const groups = elementsOf(heads.map((i) => item(x.shape, i)));
  const [outs, ins] = [item(weight.shape, leading), item(weight.shape, leading + 1)];
  const node = arrange(c, x, [[...heads, axis], rest]);
  const fields = { outChannels: groups * outs, kernel: [1, 1], groups, bias: false };
  const name = c.build.add('conv2d', c.node.label, [node], fields, { weight: floatsOf(weight) });
  if (weight.data.length !== groups * outs * ins) throw new Unsupported(`one matrix for each of ${groups} groups (they are [${weight.shape}])`);
  const axes = x.axes.map((atoms, i) => {
    if (i === axis) return atom(0, outs);
    const at = heads.indexOf(i);
    if (at >= 0) return atom(0, item(x.shape, i), outs * elementsOf(heads.slice(at + 1).map((other) => item(x.shape, other))));
    return rest.includes(i) ? atom(1, item(x.shape, i)) : atoms;
  });
  return new Activation(name, [groups * outs, ...rest.map((i) => item(x.shape, i))], axes, true, true);
}

/** The computed input on one side, a matrix on the other. */
export function withWeights(c: RuleContext, given: Activation, weight: Constant, first: boolean): Activation {
  const [ownRank, rank] = [given.rank, weight.shape.length];
  if (ownRank < 1 || rank < 1) throw new Unsupported(`axes ([${given.shape}] and [${weight.shape}])`);
  // A vector counts as a matrix of one row or column, which the result does not have.
  const x = ownRank > 1 ? given : given.with({ axes: first ? [[], ...given.axes] : [...given.axes, []] });
  const shape = rank > 1 ? weight.shape : first ? [item(weight.shape, 0), 1] : [1, item(weight.shape, 0)];
  const total = Math.max(x.rank, shape.length);
  const wide = withRank(x, total);
  const leading = [...new Array<number>(total - shape.length).fill(1), ...shape.slice(0, -2)];
  const fits = broadcastShape(wide.exampleShape.slice(0, -2), leading);
  if (fits?.join() !== wide.exampleShape.slice(0, -2).join())
    throw new Unsupported(`axes before the last two that broadcast ([${given.shape}] and [${weight.shape}])`);
  const axis = first ? total - 1 : total - 2;
  const swapped = leading.map((_, i) => i);
  const matrices = { ...weight, shape: [...leading, ...shape.slice(-2)] };
  const rows = first ? transpose(matrices, [...swapped, total - 1, total - 2]) : matrices;
  const own = [...wide.exampleShape.slice(0, -2).map((size, i) => (item(leading, i) === 1 ? 1 : size)), ...rows.shape.slice(-2)];
  let result = leading.every((size) => size === 1)
    ? contract(c, wide, axis, { ...rows, shape: rows.shape.slice(-2) })
    : grouped(c, wide, expand(rows, own), axis, total - 2);
  if (ownRank === 1) result = result.with({ axes: result.axes.filter((_, i) => i !== (first ? total - 2 : total - 1)) });
  if (rank === 1) result = result.with({ axes: first ? result.axes.slice(0, -1) : result.axes.filter((_, i) => i !== result.rank - 2) });
  return result;
}

export function matMul(c: RuleContext): Value[] {
  const [a, b] = c.inputs;
  if (a && 'scores' in a && isActivation(b)) return weightedValues(c, a.scores, b.activation);
  if (isActivation(a) && b && 'scores' in b) return valuesTimesWeights(c, a.activation, b.scores);
  if (isActivation(a) && isActivation(b)) return scoresOf(a.activation, b.activation);
  const first = isActivation(a);
  return value(withWeights(c, activationOf(c, first ? 0 : 1), constantOf(c, first ? 1 : 0, 'weights'), first));
}

/** Places of the elements of an axis by itself. */
export const along = (x: Activation, axis: number) => placesOf(item(x.axes, axis), x.sizes);
