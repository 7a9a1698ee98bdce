/** Functions of elements, norms and arithmetic of two tensors. */
import { type Affine, applyAffine, perChannel } from './affine.js';
import {
  type Activation,
  activationOf,
  constantOf,
  numberOf,
  type OnnxNode,
  optionalConstant,
  type RuleContext,
  Unsupported,
  type Value,
} from './context.js';
import { alias, axisOf, fresh, freshLayer, onePosition, onlyFirstOutput, type Rule } from './results.js';
import { elementsOf } from './tensors.js';

const LARGEST = 1e30; // that a clip takes; beyond, it has no bound

/** An operator that keeps the shape. */
export const elementwise =
  (kind: string, fields: (node: OnnxNode) => object = () => ({})): Rule =>
  (c) => {
    const x = activationOf(c);
    return fresh(c.build.add(kind, c.node.label, [x.node], fields(c.node)), x.shape);
  };

export function clip(c: RuleContext): Value[] {
  const x = activationOf(c);
  const bound = (index: number, name: string, otherwise: number) => {
    const given = optionalConstant(c, index, 'bounds');
    return given ? numberOf(given, name) : c.node.float(name, otherwise);
  };
  const low = Math.max(bound(1, 'min', -LARGEST), -LARGEST);
  const high = Math.min(bound(2, 'max', LARGEST), LARGEST);
  if (low === -LARGEST && high === LARGEST) return alias(x);
  if (low === 0 && high === LARGEST) return elementwise('relu')(c);
  if (!(low < high)) throw new Unsupported(`a smallest value below the largest (from ${low} to ${high})`);
  return fresh(c.build.add('clip', c.node.label, [x.node], { low, high }), x.shape);
}

/** Before opset 13 all axes from `axis` on are one. */
export function softmax(c: RuleContext): Value[] {
  const x = activationOf(c);
  const rank = x.shape.length;
  const axis = axisOf(c, x, c.node.opset < 13 ? 1 : -1);
  const alone = c.node.opset >= 13 || axis === rank - 1 || elementsOf(x.shape.slice(axis + 1)) === 1;
  if (alone && axis === 1) return elementwise('softmax', () => ({ axis: 'channels' }))(c);
  if (alone && axis === rank - 1 && (rank === 3 || rank === 4)) return elementwise('softmax', () => ({ axis: 'positions' }))(c);
  throw new Unsupported(`a softmax over the channels or the last axis (it is over axis ${axis} of [${x.shape}])`);
}

export function prelu(c: RuleContext): Value[] {
  const x = activationOf(c);
  const slope = constantOf(c, 1, 'slopes');
  const shared = slope.data.length === 1;
  const values = perChannel(slope, x.shape);
  return fresh(c.build.add('prelu', c.node.label, [x.node], { shared }, { slope: shared ? values.slice(0, 1) : values }), x.shape);
}

export function instanceNorm(c: RuleContext): Value[] {
  const x = activationOf(c);
  if (x.shape.length < 3) throw new Unsupported(`positions (the input is [${x.shape}])`);
  const [weight, bias] = [1, 2].map((i) => Float32Array.from(constantOf(c, i, 'scale and shift').data));
  const fields = { affine: true, epsilon: c.node.float('epsilon', 1e-5) };
  return freshLayer(c.build.add('instanceNorm', c.node.label, [x.node], fields, { weight, bias }), x.shape);
}

/** Over the channels, where there is nothing behind them. */
export function layerNorm(c: RuleContext): Value[] {
  const x = activationOf(c);
  const axis = axisOf(c, x, -1);
  if (axis !== 1 || elementsOf(x.shape.slice(2)) !== 1)
    throw new Unsupported(`a norm over the channels, axis 1 (it is from axis ${axis} of [${x.shape}])`);
  onlyFirstOutput(c);
  const weight = Float32Array.from(constantOf(c, 1, 'a scale').data);
  const shift = optionalConstant(c, 2, 'a shift');
  const bias = shift ? Float32Array.from(shift.data) : new Float32Array(weight.length);
  return freshLayer(c.build.add('layerNorm', c.node.label, [x.node], { epsilon: c.node.float('epsilon', 1e-5) }, { weight, bias }), x.shape);
}

/** Whether `small` is one of `large`'s shape, or has a single channel or a single position where that has more. */
function spreads(small: Activation, large: Activation): boolean {
  const [a, b] = [small.shape, large.shape];
  const samePositions = a.slice(2).join() === b.slice(2).join();
  return a.length === b.length && a[0] === b[0] && (a[1] === b[1] || a[1] === 1) && (samePositions || a.join() === onePosition(a).join());
}

interface Arithmetic {
  kind: string;
  /** Either input may be the smaller one. */
  either: boolean;
}
const ADD = { kind: 'add', either: true };

/** Of two tensors that both depend on the input. */
function arithmetic(c: RuleContext, { kind, either }: Arithmetic, a: Activation, b: Activation): Value[] {
  if (spreads(b, a)) return fresh(c.build.add(kind, c.node.label, [a.node, b.node]), a.shape);
  if (either && spreads(a, b)) return fresh(c.build.add(kind, c.node.label, [a.node, b.node]), b.shape);
  const what = either ? 'of which one may have' : 'of which the second may have';
  throw new Unsupported(`inputs of one shape, ${what} a single channel or position ([${a.shape}] and [${b.shape}])`);
}

/**
 * Of two inputs, one of which may be a number for every channel: `affine(value)` is what x becomes then, or with `inverts` the
 * reciprocal of an x that comes second.
 */
const binary =
  (of: Arithmetic, affine: (value: number, first: boolean) => Affine, inverts = false): Rule =>
  (c) => {
    const [a, b] = c.inputs;
    if (a && b && 'activation' in a && 'activation' in b) return arithmetic(c, of, activationOf(c, 0), activationOf(c, 1));
    const first = a !== undefined && 'activation' in a;
    let x = activationOf(c, first ? 0 : 1);
    const values = perChannel(constantOf(c, first ? 1 : 0, 'numbers'), x.shape);
    if (inverts && !first) x = { node: c.build.add('reciprocal', c.node.label, [x.node]), shape: x.shape, exclusive: true };
    return applyAffine(
      c,
      x,
      Array.from(values, (value) => affine(value, first)),
    );
  };

export function sum(c: RuleContext): Value[] {
  const [first, ...rest] = c.inputs.map((_, i) => activationOf(c, i));
  if (!first) throw new Unsupported('inputs to add');
  let total = first;
  for (const next of rest) {
    const [value] = arithmetic(c, ADD, total, next);
    if (value && 'activation' in value) total = value.activation;
  }
  return rest.length ? fresh(total.node, total.shape) : alias(first);
}

/** Powers that are functions of their own. */
export function power(c: RuleContext): Value[] {
  const exponent = numberOf(constantOf(c, 1, 'an exponent'), 'an exponent');
  if (exponent === 1) return alias(activationOf(c));
  const kind = new Map([
    [2, 'square'],
    [0.5, 'sqrt'],
    [-1, 'reciprocal'],
  ]).get(exponent);
  if (!kind) throw new Unsupported(`an exponent of 1, 2, ½ or −1 (it is ${exponent})`);
  return elementwise(kind)(c);
}

export const add = binary(ADD, (value) => ({ scale: 1, shift: value }));
export const subtract = binary({ kind: 'subtract', either: false }, (value, first) =>
  first ? { scale: 1, shift: -value } : { scale: -1, shift: value },
);
export const multiply = binary({ kind: 'multiply', either: true }, (value) => ({ scale: value, shift: 0 }));
export const divide = binary({ kind: 'divide', either: false }, (value, first) => ({ scale: first ? 1 / value : value, shift: 0 }), true);
