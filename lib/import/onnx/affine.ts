/** A scale and a shift for every element, which files write as Mul, Add, Sub and Div with constants. */
import type { NodeDescription } from '../../binding.js';
import { entry, item } from '../../indexing.js';
import { expanded, vectorOf, withRank } from './arrange.js';
import type { RuleContext } from './context.js';
import { Unsupported } from './errors.js';
import { type Activation, BATCH, MOST_INDICES } from './layout.js';
import { broadcastShape, type Constant, elementsOf, floatsOf } from './tensors.js';

const MOST_CHANNELS = 2 ** 24;

/** x becomes scale · x + shift. */
export interface Affine {
  scale: number;
  shift: number;
}

/** One number for every channel, from a constant that broadcasts to the shape [batch, channels, ...]. */
export function perChannel({ shape, data }: Constant, to: number[]): Float32Array {
  const sizes = [...new Array<number>(Math.max(0, to.length - shape.length)).fill(1), ...shape];
  const channels = item(to, 1);
  const alongChannels = sizes.length === to.length && sizes.every((size, i) => size === 1 || (i === 1 && size === channels));
  if (data.length === 0 || !alongChannels) throw new Unsupported(`one number for every channel, axis 1 of [${to}] (it has [${shape}])`);
  return Float32Array.from({ length: channels }, (_, i) => item(data, data.length === 1 ? 0 : i));
}

/** As many numbers as the channels. */
export function channelNumbers(constant: Constant, channels: number, what: string): Float32Array {
  if (constant.data.length !== channels) throw new Unsupported(`${channels} numbers as ${what} (they are [${constant.shape}])`);
  return floatsOf(constant);
}

/** A tensor of the shape that it and a constant broadcast to, and for every channel, or every element of the node's output, the constant's. */
export interface Spread {
  x: Activation;
  values: Float32Array;
  by: 'channel' | 'element';
}

/** @throws Unsupported where examples differ, and for shapes that do not broadcast */
export function spread(c: RuleContext, given: Activation, constant: Constant): Spread {
  const shape = broadcastShape(given.shape, constant.shape);
  if (!shape || constant.data.length === 0) throw new Unsupported(`numbers that broadcast ([${constant.shape}] and [${given.shape}])`);
  const x = expanded(c, withRank(given, shape.length), shape);
  const own = [...new Array<number>(shape.length - constant.shape.length).fill(1), ...constant.shape];
  const varying = own.flatMap((size, i) => (size > 1 ? [i] : []));
  if (varying.some((axis) => item(x.axes, axis).some((a) => a.axis === BATCH)))
    throw new Unsupported(`the same numbers for every example ([${constant.shape}] with a batch as axis ${x.batchAxis} of [${x.shape}])`);
  const byChannel = varying.every((axis) => item(x.axes, axis).every((a) => a.axis === 0));
  const sizes = byChannel ? x.sizes.slice(0, 1) : x.sizes;
  const count = elementsOf(sizes);
  const most = byChannel ? MOST_CHANNELS : MOST_INDICES;
  if (count > most) throw new Unsupported(`at most ${most} numbers of their own (they are ${count})`);
  const values = new Float32Array(count);
  // Along each varying axis the place in the constant is a sum over its atoms.
  const parts = varying.flatMap((axis) => {
    let inner = elementsOf(own.slice(axis + 1));
    return [...item(x.axes, axis)].reverse().map((a) => {
      const part = { divisor: a.stride * elementsOf(sizes.slice(a.axis + 1)), size: a.size, step: inner };
      inner *= a.size;
      return part;
    });
  });
  for (let i = 0; i < count; i++) {
    let at = 0;
    for (const { divisor, size, step } of parts) at += (Math.floor(i / divisor) % size) * step;
    values[i] = item(constant.data, at);
  }
  return { x, values, by: byChannel ? 'channel' : 'element' };
}

/** Scales and shifts the output of a convolution, a linear layer or a norm by its own parameters. */
function join({ build }: RuleContext, node: NodeDescription, affine: Affine[]): void {
  const weight = entry(build.state, `${node.name}.weight`);
  const run = weight.length / affine.length;
  const scaled = new Float32Array(weight.length);
  for (const [channel, { scale }] of affine.entries()) {
    for (let i = channel * run; i < (channel + 1) * run; i++) scaled[i] = (weight[i] as number) * scale;
  }
  build.state[`${node.name}.weight`] = scaled;
  const bias = build.state[`${node.name}.bias`];
  if (!bias && affine.every(({ shift }) => shift === 0)) return;
  build.state[`${node.name}.bias`] = Float32Array.from(affine, ({ scale, shift }, i) => (bias?.[i] ?? 0) * scale + shift);
  if ('bias' in node) node.bias = true; // a norm has no such field: its scale and shift come together
}

/** Joined to the layer before where nobody else reads that; else a function of its own. */
export function applyAffine(c: RuleContext, { x, values, by }: Spread, affine: (value: number) => Affine): Activation {
  const list = Array.from(values, affine);
  if (list.every(({ scale, shift }) => scale === 1 && shift === 0)) return x;
  const node = c.build.node(x.node);
  if (by === 'channel' && x.exclusive && x.takesAffine && node) {
    join(c, node, list);
    return x;
  }
  const [first] = list;
  if (first && list.every(({ scale, shift }) => scale === first.scale && shift === first.shift)) {
    const fields = { scale: first.scale, offset: first.shift };
    return x.with({ node: c.build.add('affine', c.node.label, [x.node], fields), exclusive: true, takesAffine: false });
  }
  if (by === 'element') return x.sizes.length > 1 && x.sizes.length <= 3 ? byParameters(c, x, list) : depthwise(c, asVector(c, x), list);
  if (x.sizes.length <= 3) return depthwise(c, x, list);
  const each = elementsOf(x.sizes.slice(1)); // a convolution has at most two axes of positions
  const repeated = list.flatMap((own) => new Array<Affine>(each).fill(own));
  return depthwise(c, asVector(c, x), repeated);
}

/** Tensors of their own beside it: learned positions, which are compressed, and factors. */
function byParameters(c: RuleContext, x: Activation, list: Affine[]): Activation {
  const beside = (y: Activation, kind: string, numbers: number[], compress: boolean) => {
    const name = `${c.node.label}_numbers`;
    const own = c.build.add('parameter', name, [y.node], { channels: item(y.sizes, 0), compress }, { weight: Float32Array.from(numbers) });
    return y.with({ node: c.build.add(kind, c.node.label, [y.node, own]), exclusive: true, takesAffine: false });
  };
  const [scales, shifts] = [list.map(({ scale }) => scale), list.map(({ shift }) => shift)];
  const times = scales.every((n) => n === 1) ? x : beside(x, 'multiply', scales, false);
  return shifts.every((n) => n === 0) ? times : beside(times, 'add', shifts, true);
}

/** Every element a channel, the axes of the file as they were. */
function asVector(c: RuleContext, x: Activation): Activation {
  const inner = x.sizes.map((_, i) => elementsOf(x.sizes.slice(i + 1)));
  const axes = x.axes.map((atoms) => atoms.map((a) => (a.axis === BATCH ? a : { ...a, axis: 0, stride: a.stride * item(inner, a.axis) })));
  return x.with({ node: vectorOf(c, x.node, x.sizes), sizes: [elementsOf(x.sizes)], axes });
}

/** A 1×1 convolution of every channel by itself, without bit depths. */
function depthwise(c: RuleContext, x: Activation, affine: Affine[]): Activation {
  const hasShift = affine.some(({ shift }) => shift !== 0);
  const fields = { outChannels: affine.length, kernel: [1, 1], groups: affine.length, bias: hasShift, compress: false };
  const parameters = {
    weight: Float32Array.from(affine, ({ scale }) => scale),
    bias: hasShift ? Float32Array.from(affine, ({ shift }) => shift) : undefined,
  };
  return x.with({ node: c.build.add('conv2d', c.node.label, [x.node], fields, parameters), exclusive: true, takesAffine: true });
}
