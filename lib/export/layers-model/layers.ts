/** Layers with weights, norms, and windows. */
import { item } from '../../indexing.js';
import { elements } from '../../network/description.js';
import { channelsFirstIndex, channelsLast, type RuleContext, type Tensor, Unsupported, type Weights } from './context.js';

const CHANNELS_LAST = { data_format: 'channels_last' };

/** Values of a tensor with its axes in another order. */
function turned(values: Float32Array, shape: number[], order: number[]): Weights {
  const strides = shape.map((_, i) => elements(shape.slice(i + 1)));
  const to = order.map((axis) => item(shape, axis));
  const result = new Float32Array(values.length);
  const at = to.map(() => 0);
  for (let j = 0; j < result.length; j++) {
    result[j] = values[order.reduce((sum, axis, k) => sum + item(strides, axis) * item(at, k), 0)] as number;
    for (let k = to.length - 1; k >= 0; k--) {
      at[k] = item(at, k) + 1;
      if (item(at, k) < item(to, k)) break;
      at[k] = 0;
    }
  }
  return { shape: to, values: result };
}

interface Window {
  kernel: number[];
  stride: number[];
  padding: number[];
  dilation: number[];
}
function windowOf(c: RuleContext): Window {
  const axes = c.axes().length - 1;
  if (axes !== 1 && axes !== 2) throw new Unsupported('positions along one or two axes');
  if (axes === 1 && (c.list('kernel')[0] ?? 1) !== 1) throw new Unsupported(`a kernel of one row for a sequence (it has ${c.list('kernel')[0]})`);
  const list = (field: string, otherwise: number) => {
    const given = c.list(field);
    return given.length ? given.slice(2 - axes) : new Array(axes).fill(otherwise);
  };
  return { kernel: list('kernel', 1), stride: list('stride', 1), padding: list('padding', 0), dilation: list('dilation', 1) };
}

/** Whether padding of TensorFlow.js's kind 'same' puts as many zeros before the first position. */
function isSame(c: RuleContext, { kernel, stride, padding, dilation }: Window): boolean {
  return kernel.every((k, i) => {
    const [from, to, step] = [item(c.axes(), i + 1), item(c.output, i + 1), item(stride, i)];
    const missing = Math.max(0, (to - 1) * step + (k - 1) * item(dilation, i) + 1 - from);
    return to === Math.ceil(from / step) && Math.floor(missing / 2) === padding[i];
  });
}
const isPadded = ({ padding }: Window) => padding.some((p) => p > 0);
const sides = ({ padding }: Window) => [...(padding.length === 1 ? [0] : []), ...padding].map((p) => [p, p]);
const asPair = (values: number[], otherwise: number) => [...(values.length === 1 ? [otherwise] : []), ...values];

/**
 * A convolution or a pool, which reads [...positions, channels] or an image of one row. `make` gets the layer that it reads and its
 * padding: zeros that 'same' does not have are a layer before it.
 */
function windowed(c: RuleContext, window: Window, mayPad: boolean, asImage: boolean, make: (input: string, padding: string) => string): Tensor {
  const same = isSame(c, window);
  const padded = isPadded(window) && !same;
  if (padded && !mayPad) throw new Unsupported(`padding of the kind "same" or none (it is [${window.padding}])`);
  const kind = isPadded(window) && same ? 'same' : 'valid';
  const pad = (image: string) => c.part('ZeroPadding2D', [image], { padding: sides(window), ...CHANNELS_LAST });
  if (asImage || padded) return c.asImage((image) => make(padded ? pad(image) : image, kind));
  return c.result(make(c.natural(), kind));
}

export function conv2d(c: RuleContext): Tensor {
  const window = windowOf(c);
  const [out, ins] = c.layer.shapes.weight as [number, number];
  const groups = c.number('groups');
  const isSequence = c.axes().length === 2;
  if (window.stride.some((n) => n > 1) && window.dilation.some((n) => n > 1)) throw new Unsupported('strides or a dilation, not both');
  const config = { padding: '', use_bias: 'bias' in c.layer.parameters, activation: 'linear', ...CHANNELS_LAST };
  const kernel = [...c.list('kernel')];
  const pairs = (full: boolean) => ({
    kernel_size: full ? kernel : window.kernel,
    strides: full ? asPair(window.stride, 1) : window.stride,
    dilation_rate: full ? asPair(window.dilation, 1) : window.dilation,
  });
  if (groups > 1) {
    if (ins !== 1 || groups !== c.axes()[0]) throw new Unsupported(`one group, or one for each channel (it has ${groups})`);
    const values = turned(c.parameter('weight'), [groups, out / groups, ...kernel], [2, 3, 0, 1]);
    return windowed(c, window, true, true, (input, padding) =>
      c.last(
        'DepthwiseConv2D',
        [input],
        { ...config, ...pairs(true), padding, depth_multiplier: out / groups },
        { depthwise_kernel: values, ...c.bias },
      ),
    );
  }
  // A sequence that has to be padded is an image of one row then.
  const full = !isSequence || (isPadded(window) && !isSame(c, window));
  const weight = turned(c.parameter('weight'), [out, ins, ...kernel], [2, 3, 1, 0]);
  const shaped = full ? weight : { ...weight, shape: weight.shape.slice(1) };
  return windowed(c, window, true, full, (input, padding) =>
    c.last(full ? 'Conv2D' : 'Conv1D', [input], { ...config, ...pairs(full), padding, filters: out }, { kernel: shaped, ...c.bias }),
  );
}

/** The whole output is (H − 1)·stride + max(kernel, stride) long; what padding takes off is cropped. */
export function convTranspose2d(c: RuleContext): Tensor {
  const { kernel, stride, padding, dilation } = windowOf(c);
  if (c.axes().length !== 3) throw new Unsupported('an image as its input');
  if (c.number('groups') !== 1 || dilation.some((d) => d !== 1)) throw new Unsupported('one group and no dilation');
  const [out, ins] = c.layer.shapes.weight as [number, number];
  const cropping = kernel.map((k, i) => {
    const whole = (item(c.axes(), i + 1) - 1) * item(stride, i) + Math.max(k, item(stride, i));
    return [item(padding, i), whole - item(padding, i) - item(c.output, i + 1)];
  });
  if (cropping.some(([, after = 0]) => after < 0)) throw new Unsupported('no rows and columns behind the last product (outputPadding)');
  const weights = { kernel: turned(c.parameter('weight'), [out, ins, ...kernel], [2, 3, 0, 1]), ...c.bias };
  const config = { filters: out, kernel_size: kernel, strides: stride, padding: 'valid', use_bias: 'bias' in weights, ...CHANNELS_LAST };
  const layer = c.last('Conv2DTranspose', [c.natural()], config, weights);
  const isWhole = cropping.flat().every((n) => n === 0);
  return c.result(isWhole ? layer : c.part('Cropping2D', [layer], { cropping, ...CHANNELS_LAST }));
}

/** A vector is read in the order that it has: the rows of the weights are put in it. */
export function linear(c: RuleContext): Tensor {
  const [out, ins] = c.layer.shapes.weight as [number, number];
  const config = { units: out, activation: 'linear', use_bias: 'bias' in c.layer.parameters };
  const weight = c.parameter('weight');
  const dense = (input: string, from: (j: number) => number) => {
    const values = new Float32Array(ins * out);
    for (let j = 0; j < ins; j++) for (let o = 0; o < out; o++) values[j * out + o] = weight[o * ins + from(j)] as number;
    return c.last('Dense', [input], config, { kernel: { shape: [ins, out], values }, ...c.bias });
  };
  const { axes, flat, layer } = c.input;
  if (c.fields.perPosition && axes.length > 1) return c.result(dense(c.natural(), (j) => j));
  const order = channelsFirstIndex(flat ?? axes);
  const made = dense(flat || axes.length === 1 ? layer : c.part('Flatten', [layer]), order);
  return { ...c.result(made), flat: c.output.length > 1 ? c.output : undefined };
}

export function batchNorm(c: RuleContext): Tensor {
  const affine = c.fields.affine !== false;
  const config = { axis: -1, epsilon: c.number('epsilon'), momentum: 1 - c.number('momentum'), center: affine, scale: affine };
  return c.result(
    c.last('BatchNormalization', [c.natural()], config, {
      ...(affine ? { gamma: c.perChannel('weight'), beta: c.perChannel('bias') } : {}),
      moving_mean: c.perChannel('runningMean'),
      moving_variance: c.perChannel('runningVar'),
    }),
  );
}

export function layerNorm(c: RuleContext): Tensor {
  const divisor = c.number('divisor');
  if (divisor !== 0 && divisor !== c.axes()[0]) throw new Unsupported(`all ${divisor} channels of its norm`);
  const affine = c.fields.affine !== false;
  const config = { axis: -1, epsilon: c.number('epsilon'), center: affine, scale: affine };
  const weights = affine ? { gamma: c.perChannel('weight'), beta: c.perChannel('bias') } : {};
  return c.result(c.last('LayerNormalization', [c.natural()], config, weights as Record<string, Weights>));
}

/** A maximum leaves the padding out, and so does TensorFlow.js's mean. */
export const pool =
  (kind: 'MaxPooling' | 'AveragePooling') =>
  (c: RuleContext): Tensor => {
    const window = windowOf(c);
    if (!c.list('stride').length) window.stride = window.kernel;
    const zeros = kind === 'AveragePooling' && c.fields.countIncludePad === true && isPadded(window);
    const axes = window.kernel.length;
    const config = (padding: string) => ({ pool_size: window.kernel, strides: window.stride, padding, ...CHANNELS_LAST });
    if (!zeros) return windowed(c, window, false, false, (input, padding) => c.last(`${kind}${axes}D`, [input], config(padding)));
    const pairs = { pool_size: asPair(window.kernel, 1), strides: asPair(window.stride, 1) };
    return c.asImage((image) => {
      const padded = c.part('ZeroPadding2D', [image], { padding: sides(window), ...CHANNELS_LAST });
      return c.last(`${kind}2D`, [padded], { ...config('valid'), ...pairs });
    });
  };

/** The result is a vector in TensorFlow.js. */
export const globalPool =
  (kind: 'GlobalAveragePooling' | 'GlobalMaxPooling') =>
  (c: RuleContext): Tensor => {
    const axes = c.axes().length - 1;
    if (axes === 0) return c.input;
    if (axes > 2) throw new Unsupported('positions along one or two axes');
    const layer = c.last(`${kind}${axes}D`, [c.natural()], axes === 2 ? CHANNELS_LAST : {});
    return { ...c.result(layer), flat: c.output.length > 1 ? c.output : undefined };
  };

export function prelu(c: RuleContext): Tensor {
  const [channels, ...positions] = c.axes();
  const given = c.parameter('slope');
  const slopes = given.length === channels ? given : new Float32Array(channels).fill(given[0] as number);
  const alpha = { shape: channelsLast([channels, ...positions.map(() => 1)]), values: slopes };
  return c.result(c.last('PReLU', [c.natural()], { shared_axes: positions.map((_, i) => i + 1) }, { alpha }));
}
