/** Convolutions and transposed ones. */
import { item } from '../../../indexing.js';
import { applyAffine, channelNumbers, spread } from '../affine.js';
import { arrange } from '../arrange.js';
import { activationOf, constantOf, optionalConstant, type RuleContext, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import { type Activation, plain } from '../layout.js';
import { imageSizes, pairOf, value } from '../results.js';
import { type Constant, elementsOf, floatsOf } from '../tensors.js';
import { checkEach, type Window, windowOf } from '../windows.js';
import { contract } from './products.js';
import { asImages, type Planes } from './volumes.js';

/** A node whose output is an image, or a sequence, with axis 1 as its channels. */
export const imageOf = (c: RuleContext, x: Activation): string => {
  const positions = imageSizes(x);
  return arrange(c, x, [[1], ...positions.map((_, i) => [i + 2])]);
};

/** [batch, channels, ...positions] of a node that made an image of an image. */
export const imageResult = (x: Activation, node: string, channels: number, positions: number[], takesAffine = false): Activation =>
  plain(node, [item(x.shape, 0), channels, ...positions], Math.max(x.batchAxis, 0), takesAffine);

/** The input with zeros around it where they differ between the sides. */
export const padded = (c: RuleContext, node: string, uneven: Window['uneven'], mode = 'zeros') =>
  uneven ? c.build.add('pad', `${c.node.label}_pad`, [node], { ...uneven, mode }) : node;

/** One position at a time, each of them. */
function isPointwise({ node }: RuleContext, weight: Constant): boolean {
  const ones = (values: number[] | undefined) => !values || values.every((n) => n === 1);
  const noPads = !node.ints('pads')?.some((n) => n !== 0);
  return weight.shape.slice(2).every((n) => n === 1) && ones(node.ints('strides')) && noPads && ones(node.ints('kernel_shape'));
}

/** A linear layer at every position, of any number of axes. */
function pointwise(c: RuleContext, x: Activation, weight: Constant, bias: Constant | undefined): Value[] {
  const [outChannels = 0, inChannels = 0] = weight.shape;
  const y = contract(c, x, 1, { ...weight, shape: [outChannels, inChannels] });
  if (!bias) return value(y);
  const shape = [outChannels, ...x.shape.slice(2).map(() => 1)];
  const numbers = { shape, data: channelNumbers(bias, outChannels, 'a bias'), isInteger: false };
  return value(applyAffine(c, spread(c, y, numbers), (shift) => ({ scale: 1, shift })));
}

export function conv(c: RuleContext): Value[] {
  const x = activationOf(c);
  const weight = constantOf(c, 1, 'weights');
  const bias = optionalConstant(c, 2, 'a bias');
  const groups = c.node.int('group', 1);
  if (x.rank > 4 && groups === 1 && isPointwise(c, weight)) return pointwise(c, x, weight, bias);
  const [outChannels = 0, perGroup = 0, ...kernel] = weight.shape;
  if (x.rank === 5 && weight.shape.length === 5 && elementsOf(weight.shape) > 0) return asImages(c, x, planesOf(c, x, kernel), false, conv);
  imageSizes(x);
  if (weight.shape.length !== x.rank) throw new Unsupported(`weights of as many axes as the input ([${weight.shape}] and [${x.shape}])`);
  if (!(groups >= 1) || outChannels % groups || perGroup * groups !== x.shape[1])
    throw new Unsupported(`weights for ${x.shape[1]} channels in ${groups} groups (they are [${weight.shape}])`);
  const given = c.node.ints('kernel_shape');
  if (given && given.join() !== kernel.join()) throw new Unsupported(`a kernel of the weights' sizes [${kernel}] (it is [${given}])`);
  const { positions, uneven, kernel: size, stride, padding, dilation } = windowOf(c.node, x.shape, kernel);
  const parameters = { weight: floatsOf(weight), bias: bias && channelNumbers(bias, outChannels, 'a bias') };
  const all = { outChannels, kernel: size, stride, padding, dilation, groups, bias: bias !== undefined };
  const name = c.build.add('conv2d', c.node.label, [padded(c, imageOf(c, x), uneven)], all, parameters);
  return value(imageResult(x, name, outChannels, positions, true));
}

/** The planes of a convolution over three axes. */
function planesOf({ node }: RuleContext, x: Activation, kernel: number[]): Planes {
  const { positions, sides, strides, dilations } = windowOf(node, x.shape, kernel, 3);
  const [stride, dilation, begin, to] = [item(strides, 0), item(dilations, 0), item(sides, 0).begin, item(positions, 0)];
  const target = (plane: number, tap: number) => {
    const at = (plane + begin - tap * dilation) / stride;
    return Number.isInteger(at) && at < to ? at : -1;
  };
  return { from: item(x.shape, 2), to, target };
}

/** [in, out / groups, ...kernel] as [out, in / groups, ...kernel]. */
function flipped(weight: Constant, groups: number): Float32Array {
  const [ins = 0, perGroup = 0, ...kernel] = weight.shape;
  const area = elementsOf(kernel);
  const insOfGroup = ins / groups;
  const data = new Float32Array(weight.data.length);
  for (let i = 0; i < ins; i++) {
    const group = Math.floor(i / insOfGroup);
    for (let o = 0; o < perGroup; o++) {
      const to = ((group * perGroup + o) * insOfGroup + (i % insOfGroup)) * area;
      for (let k = 0; k < area; k++) data[to + k] = item(weight.data, (i * perGroup + o) * area + k);
    }
  }
  return data;
}

interface Sides {
  begin: number;
  end: number;
  /** Positions added at the end. */
  more: number;
}

/** What is cut off on both sides of an axis whose full size is `full`, before output_padding. */
function sidesOf(c: RuleContext, i: number, axes: number, full: number, stride: number, size: number): Sides {
  const { node } = c;
  const more = node.ints('output_padding')?.[i] ?? 0;
  const auto = node.text('auto_pad', 'NOTSET');
  const wanted = node.ints('output_shape');
  const target = wanted ? item(wanted, wanted.length - axes + i) : auto.startsWith('SAME') ? size * stride : undefined;
  if (target === undefined) {
    const pads = auto === 'NOTSET' ? node.ints('pads') : undefined;
    return { begin: pads?.[i] ?? 0, end: pads?.[i + axes] ?? 0, more };
  }
  if (!Number.isSafeInteger(target) || target < 1) throw new Unsupported(`sizes of at least 1 (it is ${target})`);
  const total = Math.max(0, full + more - target);
  const missing = Math.max(0, target - full - more);
  const less = Math.floor(total / 2);
  const begin = auto === 'SAME_UPPER' ? less : total - less;
  return { begin, end: total - begin, more: more + missing };
}

/** Transposed convolution: weights [in, out / groups, ...kernel]. Sides that differ are cut off behind it. */
export function convTranspose(c: RuleContext): Value[] {
  const x = activationOf(c);
  const { node } = c;
  const weight = constantOf(c, 1, 'weights');
  const isVolume = x.rank === 5 && weight.shape.length === 5;
  const size = isVolume ? x.shape.slice(2) : imageSizes(x);
  const bias = optionalConstant(c, 2, 'a bias');
  const groups = node.int('group', 1);
  const axes = size.length;
  const [ins = 0, perGroup = 0, ...kernel] = weight.shape;
  if (kernel.length !== axes || ins !== x.shape[1] || !(groups >= 1) || ins % groups || elementsOf(weight.shape) === 0)
    throw new Unsupported(`weights for one or two axes of [${x.shape}] (they are [${weight.shape}])`);
  const of = (name: string, otherwise: number) => {
    const values = node.ints(name) ?? kernel.map(() => otherwise);
    checkEach(name, values, axes, name === 'output_padding' ? 0 : 1);
    return values;
  };
  const [stride, dilation] = [of('strides', 1), of('dilations', 1)];
  of('output_padding', 0);
  if (node.text('auto_pad', 'NOTSET') === 'NOTSET') checkEach('padding', node.ints('pads') ?? kernel.flatMap(() => [0, 0]), 2 * axes, 0);
  const wanted = node.ints('output_shape');
  if (wanted && wanted.length < axes) throw new Unsupported(`sizes of ${axes} axes (they are [${wanted}])`);
  const full = kernel.map((k, i) => (item(size, i) - 1) * item(stride, i) + item(dilation, i) * (k - 1) + 1);
  const sides = full.map((f, i) => sidesOf(c, i, axes, f, item(stride, i), item(size, i)));
  const positions = full.map((f, i) => f + item(sides, i).more - item(sides, i).begin - item(sides, i).end);
  if (positions.some((p) => p < 1)) throw new Unsupported(`something that is left ([${positions}])`);
  if (isVolume) {
    const [to, begin] = [item(positions, 0), item(sides, 0).begin];
    const target = (plane: number, tap: number) => {
      const at = plane * item(stride, 0) + tap * item(dilation, 0) - begin;
      return at < to ? at : -1;
    };
    return asImages(c, x, { from: item(size, 0), to, target }, true, convTranspose);
  }
  const even = sides.every(({ begin, end }) => begin === end);
  const outChannels = perGroup * groups;
  const fields = {
    outChannels,
    kernel: pairOf(kernel, 1),
    stride: pairOf(stride, 1),
    padding: even
      ? pairOf(
          sides.map(({ begin }) => begin),
          0,
        )
      : [0, 0],
    outputPadding: pairOf(
      sides.map(({ more }) => more),
      0,
    ),
    dilation: pairOf(dilation, 1),
    groups,
    bias: bias !== undefined,
  };
  const parameters = { weight: flipped(weight, groups), bias: bias && channelNumbers(bias, outChannels, 'a bias') };
  const name = c.build.add('convTranspose2d', node.label, [imageOf(c, x)], fields, parameters);
  if (even) return value(imageResult(x, name, outChannels, positions, true));
  const cut = {
    first: pairOf(
      sides.map(({ begin }) => begin),
      0,
    ),
    count: pairOf(positions, 1),
  };
  return value(imageResult(x, c.build.add('slicePositions', node.label, [name], cut), outChannels, positions));
}
