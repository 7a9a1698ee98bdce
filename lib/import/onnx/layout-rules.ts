/** Operators that move values about: slices, padding, pixel shuffle, resizing, shuffled channels. */
import { item } from '../../indexing.js';
import { type Activation, activationOf, constantOf, numberOf, optionalConstant, type RuleContext, Unsupported, type Value } from './context.js';
import { alias, axisOf, fresh, leading, pairOf, type Rule } from './results.js';
import { checkEach } from './windows.js';

const list = (c: RuleContext, index: number, name: string, what: string): number[] | undefined => {
  const given = optionalConstant(c, index, what);
  return given ? Array.from(given.data) : c.node.ints(name);
};

/** Every `step`-th of `count` places of one axis, from `first` on. */
function cut(c: RuleContext, x: Activation, axis: number, first: number, count: number, step: number): Activation {
  const size = item(x.shape, axis);
  if (first === 0 && count === size && step === 1) return x;
  if (axis === 0) throw new Unsupported('a batch that stays whole');
  if (count < 1) throw new Unsupported(`something that is left (of axis ${axis} of [${x.shape}])`);
  const shape = x.shape.map((s, i) => (i === axis ? count : s));
  if (axis === 1) {
    if (step !== 1) throw new Unsupported('channels without gaps');
    return { node: c.build.add('sliceChannels', c.node.label, [x.node], { first, count }), shape, exclusive: true };
  }
  const places = (of: (i: number) => number, row: number) =>
    pairOf(
      x.shape.slice(2).map((_, i) => of(i + 2)),
      row,
    );
  const fields = {
    first: places((i) => (i === axis ? first : 0), 0),
    count: places((i) => item(shape, i), 1),
    step: places((i) => (i === axis ? step : 1), 1),
  };
  return { node: c.build.add('slicePositions', c.node.label, [x.node], fields), shape, exclusive: true };
}

export function slice(c: RuleContext): Value[] {
  let x = activationOf(c);
  const starts = list(c, 1, 'starts', 'starts');
  const ends = list(c, 2, 'ends', 'ends');
  if (!starts || starts.length !== ends?.length) throw new Unsupported('as many ends as starts');
  const axes = list(c, 3, 'axes', 'axes') ?? starts.map((_, i) => i);
  const steps = list(c, 4, 'steps', 'steps') ?? starts.map(() => 1);
  if (axes.length !== starts.length || steps.length !== starts.length) throw new Unsupported('an axis and a step for every start');
  const given = x.shape;
  const seen = new Set<number>();
  for (let i = 0; i < starts.length; i++) {
    const [rawAxis, step] = [item(axes, i), item(steps, i)];
    const axis = rawAxis < 0 ? rawAxis + given.length : rawAxis;
    const size = given[axis];
    if (size === undefined || seen.has(axis)) throw new Unsupported(`axes of [${given}], each once (they are [${axes}])`);
    if (step < 1) throw new Unsupported(`steps of at least 1 (it is ${step})`);
    seen.add(axis);
    const within = (value: number) => Math.min(Math.max(value < 0 ? value + size : value, 0), size);
    const [first, end] = [within(item(starts, i)), within(item(ends, i))];
    x = cut(c, x, axis, first, Math.ceil((end - first) / step), step);
  }
  return alias(x);
}

export function split(c: RuleContext): Value[] {
  const x = activationOf(c);
  const axis = axisOf(c, x, 0);
  const size = x.shape[axis];
  const parts = c.node.proto.output.length;
  if (size === undefined) throw new Unsupported(`an axis of [${x.shape}] (it is ${axis})`);
  const each = Math.ceil(size / parts);
  const sizes = list(c, 1, 'split', 'sizes') ?? c.node.proto.output.map((_, i) => (i < parts - 1 ? each : size - each * (parts - 1)));
  if (sizes.length !== parts || sizes.some((count) => !(count >= 1)) || sizes.reduce((a, b) => a + b, 0) !== size)
    throw new Unsupported(`${parts} sizes that add up to ${size} (they are [${sizes}])`);
  let first = 0;
  return sizes.flatMap((count, i): Value[] => {
    const from = first;
    first += count;
    if (!c.reads(i)) return [undefined]; // a node that nobody reads would be at fault
    const part = cut(c, x, axis, from, count, 1);
    return alias(part === x ? { ...x, exclusive: false } : part);
  });
}

export function pad(c: RuleContext): Value[] {
  const x = activationOf(c);
  const rank = x.shape.length;
  const pads = list(c, 1, 'pads', 'padding') ?? [];
  const axes = (list(c, 3, 'axes', 'axes') ?? x.shape.map((_, i) => i)).map((axis) => (axis < 0 ? axis + rank : axis));
  if (axes.some((axis) => x.shape[axis] === undefined)) throw new Unsupported(`axes of [${x.shape}] (they are [${axes}])`);
  if (pads.length !== 2 * axes.length || !pads.every((p) => Number.isSafeInteger(p) && p >= 0))
    throw new Unsupported(`padding of at least 0 (it is [${pads}])`);
  const before = x.shape.map(() => 0);
  const after = x.shape.map(() => 0);
  for (const [i, axis] of axes.entries()) {
    before[axis] = item(pads, i);
    after[axis] = item(pads, i + axes.length);
  }
  const mode = new Map([
    ['constant', 'zeros'],
    ['reflect', 'reflect'],
    ['edge', 'edge'],
    ['wrap', 'wrap'],
  ]).get(c.node.text('mode', 'constant'));
  const value = optionalConstant(c, 2, 'a value');
  if (mode === undefined || (mode === 'zeros' && (value ? numberOf(value, 'a value') : c.node.float('value', 0)) !== 0))
    throw new Unsupported('padding with zeros, or by reflection, the edge or wrapping');
  if (before[0] || after[0]) throw new Unsupported('a batch that stays');
  const shape = x.shape.map((s, i) => s + item(before, i) + item(after, i));
  let node = x.node;
  if (before[1] || after[1]) {
    if (mode !== 'zeros') throw new Unsupported('channels of zeros');
    node = c.build.add('padChannels', c.node.label, [node], { before: before[1], after: after[1] });
  }
  if ([...before.slice(2), ...after.slice(2)].some((p) => p > 0))
    node = c.build.add('pad', c.node.label, [node], { before: pairOf(before.slice(2), 0), after: pairOf(after.slice(2), 0), mode });
  return node === x.node ? alias(x) : fresh(node, shape);
}

/** DepthToSpace (`down`) and SpaceToDepth. */
export const pixels =
  (kind: 'pixelShuffle' | 'pixelUnshuffle', down: boolean): Rule =>
  (c) => {
    const x = activationOf(c);
    const size = c.node.int('blocksize', 0);
    const [batch, channels] = leading(x);
    const [height, width] = pairOf(x.shape.slice(2), 1);
    const order = c.node.text('mode', 'DCR') === 'CRD' ? 'channelFirst' : 'blockFirst';
    const whole = down ? channels % (size * size) === 0 : height % size === 0 && width % size === 0;
    if (x.shape.length !== 4 || !(size >= 1) || !whole) throw new Unsupported(`whole blocks of ${size}×${size} (the input is [${x.shape}])`);
    const node = c.build.add(kind, c.node.label, [x.node], { size, order });
    if (down) return fresh(node, [batch, channels / (size * size), height * size, width * size]);
    return fresh(node, [batch, channels * size * size, height / size, width / size]);
  };

/** Whether positions are rounded. */
const ROUNDS = new Map([
  ['nearest', true],
  ['linear', false],
]);
const COORDINATES = new Map([
  ['half_pixel', 'halfPixel'],
  ['pytorch_half_pixel', 'halfPixel'],
  ['align_corners', 'alignCorners'],
  ['asymmetric', 'asymmetric'],
]);
const ROUNDING = new Map([
  ['round_prefer_floor', 'halfDown'],
  ['round_prefer_ceil', 'halfUp'],
  ['floor', 'floor'],
  ['ceil', 'ceil'],
]);

export function resize(c: RuleContext): Value[] {
  const x = activationOf(c);
  const { node } = c;
  const old = node.operator === 'Upsample' || node.opset < 11; // no choice of coordinates
  const some = (values: number[] | undefined) => (values?.length ? values : undefined);
  const given = optionalConstant(c, old ? 1 : 2, 'scales');
  const scales = some(given ? Array.from(given.data) : node.floats('scales'));
  const sizes = old ? undefined : some(list(c, 3, '', 'sizes'));
  if ((scales ?? sizes)?.length !== x.shape.length || node.has('axes')) throw new Unsupported(`a scale or a size for every axis of [${x.shape}]`);
  const shape = sizes ?? x.shape.map((size, i) => Math.floor(size * item(scales ?? [], i)));
  if (!shape.every((size) => Number.isSafeInteger(size) && size > 0)) throw new Unsupported(`sizes of at least 1 (they are [${shape}])`);
  if (shape[0] !== x.shape[0] || shape[1] !== x.shape[1]) throw new Unsupported('batch and channels that stay');
  const mode = node.text('mode', 'nearest');
  const rounds = ROUNDS.get(mode);
  if (rounds === undefined) throw new Unsupported(`the mode nearest or linear (it is ${mode})`);
  const transformation = old ? 'asymmetric' : node.text('coordinate_transformation_mode', 'half_pixel');
  const coordinates = COORDINATES.get(transformation);
  const onePixel = transformation === 'pytorch_half_pixel' && shape.slice(2).includes(1);
  if (!coordinates || onePixel) throw new Unsupported(`coordinates by half_pixel, align_corners or asymmetric (they are by ${transformation})`);
  if (node.int('antialias', 0) || node.int('exclude_outside', 0) || node.text('keep_aspect_ratio_policy', 'stretch') !== 'stretch')
    throw new Unsupported('resizing without antialiasing, of every axis by itself');
  const rounding = !rounds ? {} : { rounding: ROUNDING.get(old ? 'floor' : node.text('nearest_mode', 'round_prefer_floor')) };
  const exact = (axis: number) => {
    const scale = scales?.[axis];
    return scale === undefined || scale * item(x.shape, axis) === shape[axis] ? 0 : scale;
  };
  const off = coordinates === 'alignCorners' && shape.some((_, axis) => exact(axis) !== 0);
  if (off) throw new Unsupported('corners aligned for scales that give whole sizes'); // the standard aligns to a fraction
  const [scaleHeight, scaleWidth] = pairOf(
    x.shape.slice(2).map((_, i) => exact(i + 2)),
    0,
  );
  const fields = { size: pairOf(shape.slice(2), 1), mode, coordinates, ...rounding, scaleHeight, scaleWidth };
  return fresh(c.build.add('resize', node.label, [x.node], fields), shape);
}

/** Of channels that a Reshape has split in two: a channel shuffle. */
export function transposed(c: RuleContext): Value[] {
  const x = activationOf(c, 0, true);
  const perm = c.node.ints('perm') ?? x.shape.map((_, i) => x.shape.length - 1 - i);
  if (perm.length !== x.shape.length) throw new Unsupported(`every axis of [${x.shape}] (they are [${perm}])`);
  if (perm.every((axis, i) => axis === i)) return alias(x);
  const swapped = x.shape.map((_, i) => (i === 1 ? 2 : i === 2 ? 1 : i));
  if (!x.split || perm.join() !== swapped.join())
    throw new Unsupported(`channels that stay axis 1, or a shuffle of channels (axes [${perm}] of [${x.shape}])`);
  const name = c.build.add('channelShuffle', c.node.label, [x.node], { groups: x.shape[1] });
  const shape = perm.map((axis) => item(x.shape, axis));
  return [{ activation: { node: name, shape, exclusive: true, split: true } }];
}

/** Transposed convolution: weights [in, out / groups, ...kernel]. */
export function convTranspose(c: RuleContext): Value[] {
  const x = activationOf(c);
  const { node } = c;
  const weight = constantOf(c, 1, 'weights');
  const bias = optionalConstant(c, 2, 'a bias');
  const groups = node.int('group', 1);
  const axes = x.shape.length - 2;
  const auto = node.text('auto_pad', 'NOTSET');
  const [ins, perGroup] = [item(weight.shape, 0), weight.shape[1] ?? 0];
  const kernel = weight.shape.slice(2);
  if (kernel.length !== axes || axes < 1 || axes > 2 || ins !== x.shape[1] || !(groups >= 1) || ins % groups)
    throw new Unsupported(`weights for one or two axes of [${x.shape}] (they are [${weight.shape}])`);
  if ((auto !== 'NOTSET' && auto !== 'VALID') || node.has('output_shape')) throw new Unsupported('padding by numbers (auto_pad, output_shape)');
  const of = (name: string, otherwise: number) => {
    const values = node.ints(name) ?? kernel.map(() => otherwise);
    checkEach(name, values, axes, name === 'output_padding' ? 0 : 1);
    return values;
  };
  const [stride, dilation, outputPadding] = [of('strides', 1), of('dilations', 1), of('output_padding', 0)];
  const pads = node.ints('pads') ?? kernel.flatMap(() => [0, 0]);
  if (pads.length !== 2 * axes || kernel.some((_, i) => pads[i] !== pads[i + axes]))
    throw new Unsupported(`the same padding on both sides (it is [${pads}])`);
  const area = kernel.reduce((a, b) => a * b, 1);
  const insOfGroup = ins / groups;
  const data = new Float32Array(weight.data.length);
  for (let i = 0; i < ins; i++) {
    const group = Math.floor(i / insOfGroup);
    for (let o = 0; o < perGroup; o++) {
      for (let k = 0; k < area; k++)
        data[((group * perGroup + o) * insOfGroup + (i % insOfGroup)) * area + k] = item(weight.data, (i * perGroup + o) * area + k);
    }
  }
  const fields = {
    outChannels: perGroup * groups,
    kernel: pairOf(kernel, 1),
    stride: pairOf(stride, 1),
    padding: pairOf(pads.slice(0, axes), 0),
    outputPadding: pairOf(outputPadding, 0),
    dilation: pairOf(dilation, 1),
    groups,
    bias: bias !== undefined,
  };
  const name = c.build.add('convTranspose2d', node.label, [x.node], fields, { weight: data, bias: bias && Float32Array.from(bias.data) });
  const positions = kernel.map(
    (k, i) => (item(x.shape, i + 2) - 1) * item(stride, i) - 2 * item(pads, i) + item(dilation, i) * (k - 1) + item(outputPadding, i) + 1,
  );
  return fresh(name, [item(x.shape, 0), perGroup * groups, ...positions]);
}
