/** Operators that move values about. */
import { folded, type RuleContext, Unsupported } from './context.js';

/** A tensor's axis of rows or columns; undefined: it has one row, as a sequence has. */
function axisOf(c: RuleContext, which: 'rows' | 'columns'): number | undefined {
  const rank = c.axes().length - 1;
  if (which === 'columns') return rank > 0 ? rank + 1 : undefined;
  return rank === 2 ? 2 : undefined;
}

export function concat(c: RuleContext): string {
  const along = c.fields.axis as string;
  if (along === 'channels') return c.last('Concat', c.inputs, { axis: 1 });
  const axis = axisOf(c, along as 'rows' | 'columns');
  if (axis !== undefined && c.axes().length === c.output.length) return c.last('Concat', c.inputs, { axis });
  const images = c.inputs.map((tensor, i) => c.reshaped(tensor, [c.axes(i)[0], ...folded(c.axes(i))]));
  const joined = c.part('Concat', images, { axis: along === 'rows' ? 2 : 3 });
  return c.last('Reshape', [joined, c.graph.integers([0, ...c.output])]);
}

/** Output channel i is input channel index[i], −1 a channel of zeros behind the others. */
export function gatherChannels(c: RuleContext, index = c.list('index')): string {
  let from = c.input;
  if (index.some((i) => i < 0)) {
    const none = c.axes().map(() => 0);
    from = c.part('Pad', [c.input, c.graph.integers([0, ...none, 0, ...none.map((_, i) => (i === 0 ? 1 : 0))])]);
  }
  return c.last('Gather', [from, c.graph.integers(index.map((i) => (i < 0 ? c.channels : i)))], { axis: 1 });
}

export function channelShuffle(c: RuleContext): string {
  const order = c.list('order');
  if (order.length) return gatherChannels(c, order);
  const groups = c.number('groups');
  const positions = c.axes().slice(1);
  const split = c.reshaped(c.input, [groups, c.channels / groups, ...positions]);
  const swapped = c.part('Transpose', [split], { perm: [0, 2, 1, ...positions.map((_, i) => i + 3)] });
  return c.last('Reshape', [swapped, c.graph.integers([0, ...c.output])]);
}

export function padChannels(c: RuleContext): string {
  const none = c
    .axes()
    .slice(1)
    .map(() => 0);
  return c.last('Pad', [c.input, c.graph.integers([0, c.number('before'), ...none, 0, c.number('after'), ...none])]);
}

const range = (first: number, count: number, step: number) => Array.from({ length: count }, (_, i) => first + i * step);

function slice(c: RuleContext, axes: number[], first: number[], count: number[], step: number[]): string {
  const { graph } = c;
  const end = first.map((f, i) => f + ((count[i] ?? 1) - 1) * (step[i] ?? 1) + 1);
  return c.last('Slice', [c.input, ...[first, end, axes, step].map((values) => graph.integers(values))]);
}
export const sliceChannels = (c: RuleContext): string => slice(c, [1], [c.number('first')], [c.number('count')], [1]);

/** The pair of a field for the axes that the tensor has: a sequence has columns alone. */
const ofAxes = (c: RuleContext, field: string): number[] => c.list(field).slice(3 - c.axes().length);
/** Axes of positions of a sequence or an image. */
function positionAxes(c: RuleContext): number[] {
  const rank = c.axes().length - 1;
  if (rank < 1 || c.output.length !== c.axes().length) throw new Unsupported('as many axes of positions before and behind it');
  return range(2, rank, 1);
}

export function slicePositions(c: RuleContext): string {
  return slice(c, positionAxes(c), ofAxes(c, 'first'), ofAxes(c, 'count'), ofAxes(c, 'step'));
}

const PADDING: Record<string, string> = { zeros: 'constant', reflect: 'reflect', edge: 'edge' };

export function pad(c: RuleContext): string {
  const axes = positionAxes(c);
  const [before, after] = [ofAxes(c, 'before'), ofAxes(c, 'after')];
  const mode = PADDING[c.fields.mode as string];
  if (mode) return c.last('Pad', [c.input, c.graph.integers([0, 0, ...before, 0, 0, ...after])], { mode });
  // Wrapping, which opset 17 does not have: places by their numbers.
  let tensor = c.input;
  axes.forEach((axis, i) => {
    const size = c.axes()[axis - 1] ?? 1;
    const index = range(-(before[i] ?? 0), (c.output[axis - 1] as number) ?? size, 1).map((p) => ((p % size) + size) % size);
    const inputs = [tensor, c.graph.integers(index)];
    tensor = i === axes.length - 1 ? c.last('Gather', inputs, { axis }) : c.part('Gather', inputs, { axis });
  });
  return tensor;
}

/** As an image; `make` gives an image of the output's size. */
function asImage(c: RuleContext, make: (image: string, height: number, width: number, last: boolean) => string): string {
  const [height, width] = folded(c.axes());
  const whole = c.axes().length === 3 && c.output.length === 3;
  const result = make(c.axes().length === 3 ? c.input : c.reshaped(c.input, [c.channels, height, width]), height, width, whole);
  return whole ? result : c.last('Reshape', [result, c.graph.integers([0, ...c.output])]);
}

const ORDERS: Record<string, string> = { channelFirst: 'CRD', blockFirst: 'DCR' };

export function pixelShuffle(c: RuleContext): string {
  const attributes = { blocksize: c.number('size'), mode: ORDERS[c.fields.order as string] ?? '' };
  return asImage(c, (image, _height, _width, last) =>
    last ? c.last('DepthToSpace', [image], attributes) : c.part('DepthToSpace', [image], attributes),
  );
}

export function pixelUnshuffle(c: RuleContext): string {
  const size = c.number('size');
  const first = c.fields.order === 'channelFirst';
  return asImage(c, (image, height, width, last) => {
    if (!first) return last ? c.last('SpaceToDepth', [image], { blocksize: size }) : c.part('SpaceToDepth', [image], { blocksize: size });
    const split = c.reshaped(image, [c.channels, height / size, size, width / size, size]);
    const moved = c.part('Transpose', [split], { perm: [0, 1, 3, 5, 2, 4] });
    const inputs = [moved, c.graph.integers([0, c.channels * size * size, height / size, width / size])];
    return last ? c.last('Reshape', inputs) : c.part('Reshape', inputs);
  });
}

const COORDINATES: Record<string, string> = { halfPixel: 'half_pixel', alignCorners: 'align_corners', asymmetric: 'asymmetric' };
const ROUNDING: Record<string, string> = { floor: 'floor', ceil: 'ceil', halfDown: 'round_prefer_floor', halfUp: 'round_prefer_ceil' };

/** The number of examples, of which a size is to be a part. */
function batchOf(c: RuleContext, tensor: string): string {
  const { graph } = c;
  return c.part('Slice', [c.part('Shape', [tensor]), graph.integers([0]), graph.integers([1])]);
}

export function resize(c: RuleContext): string {
  const { graph } = c;
  const size = c.list('size');
  const given = [c.number('scaleHeight'), c.number('scaleWidth')];
  return asImage(c, (image, height, width, last) => {
    const exact = given.every((scale) => scale === 0);
    const scales = [size[0] as number, size[1] as number].map((to, i) => given[i] || to / (i === 0 ? height : width));
    const attributes = {
      mode: c.fields.mode as string,
      coordinate_transformation_mode: COORDINATES[c.fields.coordinates as string] ?? '',
      ...(c.fields.mode === 'nearest' ? { nearest_mode: ROUNDING[c.fields.rounding as string] ?? '' } : {}),
    };
    const inputs = exact
      ? [image, '', '', c.part('Concat', [batchOf(c, image), graph.integers([c.channels, ...size])], { axis: 0 })]
      : [image, '', graph.constant(`${c.name}.scales`, [4], Float32Array.of(1, 1, ...scales))];
    return last ? c.last('Resize', inputs, attributes) : c.part('Resize', inputs, attributes);
  });
}
