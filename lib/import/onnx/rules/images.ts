/** Operators on images alone: resizing, pixel shuffle. */
import { item } from '../../../indexing.js';
import { activationOf, optionalConstant, type RuleContext, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import type { Activation } from '../layout.js';
import { axesWithin, axisWithin, imageSizes, pairOf, type Rule, value } from '../results.js';
import { imageOf, imageResult } from './convolution.js';
import { interpolated } from './interpolation.js';
import { alongAxis, list } from './pieces.js';

/** DepthToSpace (`down`) and SpaceToDepth. */
export const pixels =
  (kind: 'pixelShuffle' | 'pixelUnshuffle', down: boolean): Rule =>
  (c) => {
    const x = activationOf(c);
    const [height = 0, width = 0] = imageSizes(x);
    const size = c.node.int('blocksize', 0);
    const channels = item(x.shape, 1);
    const mode = c.node.text('mode', 'DCR');
    if (mode !== 'DCR' && mode !== 'CRD') throw new Unsupported(`the mode DCR or CRD (it is "${mode}")`);
    const order = mode === 'CRD' ? 'channelFirst' : 'blockFirst';
    const whole = down ? channels % (size * size) === 0 : height % size === 0 && width % size === 0;
    if (x.rank !== 4 || !(size >= 1) || !whole) throw new Unsupported(`whole blocks of ${size}×${size} (the input is [${x.shape}])`);
    const node = c.build.add(kind, c.node.label, [imageOf(c, x)], { size, order });
    if (down) return value(imageResult(x, node, channels / (size * size), [height * size, width * size]));
    return value(imageResult(x, node, channels * size * size, [height / size, width / size]));
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

interface Targets {
  scales: number[] | undefined;
  shape: number[];
}

/** Scales or sizes for every axis of the input. */
function targets(c: RuleContext, x: Activation, old: boolean): Targets {
  const { node } = c;
  const some = (values: number[] | undefined) => (values?.length ? values : undefined);
  const given = optionalConstant(c, old ? 1 : 2, 'scales');
  const scalesGiven = some(given ? Array.from(given.data) : node.floats('scales'));
  const sizesGiven = old ? undefined : some(list(c, 3, '', 'sizes'));
  const axes = axesWithin(node.ints('axes') ?? x.shape.map((_, i) => i), x.rank);
  const all = (values: number[] | undefined, otherwise: (axis: number) => number) =>
    values && x.shape.map((_, axis) => (axes.includes(axis) ? item(values, axes.indexOf(axis)) : otherwise(axis)));
  if ((scalesGiven ?? sizesGiven)?.length !== axes.length) throw new Unsupported(`a scale or a size for each of ${axes.length} axes of [${x.shape}]`);
  const scales = all(scalesGiven, () => 1);
  const shape = all(sizesGiven, (axis) => item(x.shape, axis)) ?? x.shape.map((size, i) => Math.floor(size * item(scales ?? [], i)));
  if (!shape.every((size) => Number.isSafeInteger(size) && size > 0)) throw new Unsupported(`sizes of at least 1 (they are [${shape}])`);
  return { scales, shape };
}

/** What one node can do; the rest is a matrix for each axis. */
function isPlain({ node }: RuleContext, x: Activation, shape: number[], mode: string, transformation: string): boolean {
  const isImage = x.rank >= 3 && x.rank <= 4 && x.exampleShape[0] === 1 && shape[0] === x.shape[0] && shape[1] === x.shape[1];
  const special = node.int('antialias', 0) !== 0 || node.int('exclude_outside', 0) !== 0;
  return isImage && !special && ROUNDS.has(mode) && COORDINATES.has(transformation);
}

/** Sizes that keep the proportions of the axes: those of the smallest scale, or the largest. */
function proportioned({ node }: RuleContext, x: Activation, { scales, shape }: Targets): Targets {
  const policy = node.text('keep_aspect_ratio_policy', 'stretch');
  if (policy === 'stretch' || scales) return { scales, shape };
  if (policy !== 'not_larger' && policy !== 'not_smaller') throw new Unsupported(`a policy of the standard (it is "${policy}")`);
  const axes = node.ints('axes')?.map((axis) => axisWithin(axis, x.rank)) ?? x.shape.map((_, i) => i);
  const all = axes.map((axis) => item(shape, axis) / item(x.shape, axis));
  const scale = policy === 'not_larger' ? Math.min(...all) : Math.max(...all);
  const kept = shape.map((size, axis) => (axes.includes(axis) ? Math.floor(scale * item(x.shape, axis) + 0.5) : size));
  return { scales: shape.map((_, axis) => (axes.includes(axis) ? scale : 1)), shape: kept };
}

export function resize(c: RuleContext): Value[] {
  let x = activationOf(c);
  const { node } = c;
  const old = node.operator === 'Upsample' || node.opset < 11; // no choice of coordinates
  const { scales, shape } = proportioned(c, x, targets(c, x, old));
  const mode = node.text('mode', 'nearest');
  const transformation = old ? 'asymmetric' : node.text('coordinate_transformation_mode', 'half_pixel');
  const nearest = old ? 'floor' : node.text('nearest_mode', 'round_prefer_floor');
  if (!isPlain(c, x, shape, mode, transformation)) {
    const axes = shape.map((to, axis) => ({ axis, from: item(x.shape, axis), to, scale: scales?.[axis] ?? to / item(x.shape, axis) }));
    const touched = axes.filter(({ from, to, scale }) => from !== to || scale !== 1 || transformation === 'tf_crop_and_resize');
    const moved = touched.filter(({ axis }) => axis !== x.batchAxis || item(shape, axis) !== x.shape[axis]);
    return value(interpolated(c, x, moved, { mode, coordinates: transformation, nearest }));
  }
  const rounds = ROUNDS.get(mode) === true;
  const coordinates = COORDINATES.get(transformation);
  const before = x.shape;
  if (transformation === 'pytorch_half_pixel') {
    // Of an axis that gets one pixel this one takes the first.
    for (const [axis, size] of shape.entries()) if (axis > 1 && size === 1) x = alongAxis(c, x, axis, [0]);
  }
  const rounding = ROUNDING.get(nearest);
  if (rounds && !rounding) throw new Unsupported(`a nearest_mode of the standard (it is "${nearest}")`);
  const exact = (axis: number) => {
    const scale = scales?.[axis];
    if (scale === undefined || x.shape[axis] !== before[axis]) return 0;
    return scale * item(before, axis) === shape[axis] ? 0 : scale;
  };
  const pair = (of: (axis: number) => number, row: number) =>
    pairOf(
      x.shape.slice(2).map((_, i) => of(i + 2)),
      row,
    );
  // The standard aligns the corners to a fraction of a pixel where a scale gives one: (scale · in − 1) / (in − 1) is a scale by itself.
  const toFraction = coordinates === 'alignCorners' && shape.some((_, axis) => exact(axis) !== 0);
  const aligned = (axis: number) => {
    const size = item(x.shape, axis);
    const end = exact(axis) * size || item(shape, axis);
    return size > 1 && end > 1 ? (end - 1) / (size - 1) : 0;
  };
  const [scaleHeight, scaleWidth] = pair(toFraction ? aligned : exact, 0);
  const by = toFraction ? 'asymmetric' : coordinates;
  const fields = { size: pair((axis) => item(shape, axis), 1), mode, coordinates: by, ...(rounds && { rounding }), scaleHeight, scaleWidth };
  return value(imageResult(x, c.build.add('resize', node.label, [imageOf(c, x)], fields), item(x.shape, 1), shape.slice(2)));
}
