/** Functions of single elements, and softmax. */
import { item } from '../../../indexing.js';
import { applyAffine, spread } from '../affine.js';
import { channelsOf } from '../arrange.js';
import { activationOf, constantOf, numberOf, type OnnxNode, optionalConstant, type RuleContext, readTwice, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import { type Activation, isWhole, merged, withoutBatch } from '../layout.js';
import { axisOf, type Rule, value } from '../results.js';
import { integers } from '../tensors.js';
import { attentionWeights } from './attention.js';

const LARGEST = 1e30; // that a clip takes; beyond, it has no bound

/** A node that keeps the shape. */
export const applied = (c: RuleContext, kind: string, x: Activation, fields: object = {}): Activation =>
  x.with({ node: c.build.add(kind, c.node.label, [x.node], fields), exclusive: true, takesAffine: false });

export const scaled = (c: RuleContext, x: Activation, scale: number, offset = 0): Activation =>
  scale === 1 && offset === 0 ? x : applyAffine(c, spread(c, x, { ...integers([scale]), shape: [] }), () => ({ scale, shift: offset }));

/** An operator that is one node. */
export const elementwise =
  (kind: string, fields: (node: OnnxNode) => object = () => ({})): Rule =>
  (c) =>
    value(applied(c, kind, activationOf(c), fields(c.node)));

/** An operator that is several. */
export const composed =
  (of: (c: RuleContext, x: Activation) => Activation): Rule =>
  (c) =>
    value(of(c, activationOf(c)));

/** Of two tensors that lie alike. */
export const together = (c: RuleContext, kind: string, a: Activation, b: Activation): Activation =>
  a.with({ node: c.build.add(kind, c.node.label, [a.node, b.node]), exclusive: true, takesAffine: false });

export const celu: Rule = composed((c, x) => {
  const alpha = c.node.float('alpha', 1);
  if (!(alpha > 0)) throw new Unsupported(`an alpha above 0 (it is ${alpha})`);
  return scaled(c, applied(c, 'elu', scaled(c, x, 1 / alpha)), alpha);
});
export const selu: Rule = composed((c, x) =>
  scaled(c, applied(c, 'elu', x, { alpha: c.node.float('alpha', 1.6732631921768188) }), c.node.float('gamma', 1.0507010221481323)),
);
/** x / (1 + |x|) */
export const softsign: Rule = composed((c, x) => together(c, 'divide', x, scaled(c, applied(c, 'abs', x), 1, 1)));
/** x · tanh(log(1 + exp(x))) */
export const mish: Rule = composed((c, x) => together(c, 'multiply', x, applied(c, 'tanh', applied(c, 'softplus', x))));
/** x · sigmoid(alpha · x) */
export const swish: Rule = composed((c, x) => {
  const alpha = c.node.float('alpha', 1);
  return alpha === 1 ? applied(c, 'silu', x) : together(c, 'multiply', x, applied(c, 'sigmoid', scaled(c, readTwice(x), alpha)));
});
/** The attribute `approximate`. */
const GELU = new Map([
  ['none', 'gelu'],
  ['tanh', 'geluTanh'],
]);
export const gelu: Rule = composed((c, x) => {
  const by = c.node.text('approximate', 'none');
  const kind = GELU.get(by);
  if (!kind) throw new Unsupported(`GELU by erf or tanh (approximate is "${by}")`);
  return applied(c, kind, x);
});

export function clip(c: RuleContext): Value[] {
  const x = activationOf(c);
  const bound = (index: number, name: string, otherwise: number) => {
    const given = optionalConstant(c, index, 'bounds');
    return given ? numberOf(given, name) : c.node.float(name, otherwise);
  };
  const low = Math.max(bound(1, 'min', -LARGEST), -LARGEST);
  const high = Math.min(bound(2, 'max', LARGEST), LARGEST);
  if (low === -LARGEST && high === LARGEST) return value(x);
  if (low === 0 && high === LARGEST) return value(applied(c, 'relu', x));
  if (!(low < high)) throw new Unsupported(`a smallest value below the largest (from ${low} to ${high})`);
  return value(applied(c, 'clip', x, { low, high }));
}

/** Slopes for channels are a node's own; others are relu(x) − slope · relu(−x). */
export function prelu(c: RuleContext): Value[] {
  const x = readTwice(activationOf(c));
  const slope = constantOf(c, 1, 'slopes');
  const of = spread(c, x, slope);
  if (of.by === 'channel') {
    const shared = slope.data.length === 1;
    const fields = { shared };
    const name = c.build.add('prelu', c.node.label, [of.x.node], fields, { slope: shared ? of.values.slice(0, 1) : of.values });
    return value(of.x.with({ node: name, exclusive: true, takesAffine: false }));
  }
  const below = applied(c, 'relu', scaled(c, of.x, -1));
  const sloped = applyAffine(c, spread(c, below, slope), (s) => ({ scale: s, shift: 0 }));
  const above = channelsLike(c, applied(c, 'relu', of.x), sloped);
  return value(together(c, 'subtract', above, sloped));
}

/** The node's output as a vector where the other one is. */
function channelsLike(c: RuleContext, x: Activation, like: Activation): Activation {
  if (x.sizes.join() === like.sizes.join()) return x;
  return like.with({ node: c.build.add('flatten', c.node.label, [x.node]), exclusive: true, takesAffine: false });
}

/** Over these axes of the file together. */
function softmaxOver(c: RuleContext, x: Activation, axes: number[]): Activation {
  withoutBatch(x, axes);
  const atoms = merged(axes.flatMap((axis) => item(x.axes, axis)));
  const last = x.sizes.length - 1;
  if (last > 0 && item(x.sizes, last) > 1 && isWhole(atoms, last, item(x.sizes, last))) return applied(c, 'softmax', x, { axis: 'positions' });
  return applied(c, 'softmax', channelsOf(c, x, axes));
}

/** Before opset 13 all axes from `axis` on are one. */
function softmaxAxes(c: RuleContext, x: Activation): number[] {
  const axis = axisOf(c, x, c.node.opset < 13 ? 1 : -1);
  return c.node.opset < 13 ? Array.from({ length: x.rank - axis }, (_, i) => axis + i) : [axis];
}

export function softmax(c: RuleContext): Value[] {
  const [first] = c.inputs;
  if (first && 'scores' in first) return attentionWeights(c, first.scores);
  const x = activationOf(c);
  return value(softmaxOver(c, x, softmaxAxes(c, x)));
}

/** log(softmax(x)) over these axes of the file together. */
export const logSoftmaxOf = (c: RuleContext, x: Activation, axes: number[]): Activation => applied(c, 'log', softmaxOver(c, x, axes));
export const logSoftmax: Rule = composed((c, x) => logSoftmaxOf(c, x, softmaxAxes(c, x)));
