/** What each layer of Keras becomes: ONNX nodes that compute the same. */
import { item } from '../../indexing.js';
import { Unsupported } from '../onnx/errors.js';
import { type Constant, elementsOf } from '../onnx/tensors.js';
import { activated, activationLayers } from './activations.js';
import { type Attributes, type LayerContext, type Tensor, turned } from './graph.js';
import { recurrentLayers } from './recurrent.js';

type Rule = (k: LayerContext) => Tensor;

const zeros = (count: number, value = 0): Constant => ({ shape: [count], data: new Float32Array(count).fill(value), isInteger: false });

const dense: Rule = (k) => {
  const x = k.input;
  const product = k.node('MatMul', [x.name, k.constant(k.weight('kernel'))]);
  const name = k.flag('use_bias', true) ? k.node('Add', [product, k.constant(k.weight('bias'))]) : product;
  return activated(k, { name, rank: x.rank }, k.config.activation);
};

/** Padding, strides and dilation of windows over `axes` axes. */
function windowOf(k: LayerContext, axes: number, kernel: number[], strides = 'strides', usual: number[] = []): Attributes {
  const padding = k.text('padding', 'valid');
  const stride = k.config[strides] === undefined || k.config[strides] === null ? usual : k.list(strides, axes, 1);
  const attributes: Attributes = { kernel_shape: kernel, strides: stride.length ? stride : kernel.map(() => 1) };
  if (padding === 'same') return { ...attributes, auto_pad: 'SAME_UPPER' };
  if (padding === 'valid') return attributes;
  if (padding === 'causal' && axes === 1)
    return { ...attributes, pads: [(item(kernel, 0) - 1) * k.number('dilation', item(k.list('dilation_rate', 1, 1), 0)), 0] };
  throw new Unsupported(`same or valid padding (it is "${padding}")`);
}

const biasOf = (k: LayerContext) => (k.flag('use_bias', true) ? [k.constant(k.weight('bias'))] : []);

const conv =
  (axes: number): Rule =>
  (k) => {
    const inner = Array.from({ length: axes }, (_, i) => i);
    const kernel = k.weight('kernel');
    const weight = turned(kernel, [axes + 1, axes, ...inner]);
    const attributes = {
      ...windowOf(k, axes, kernel.shape.slice(0, axes)),
      dilations: k.list('dilation_rate', axes, 1),
      group: k.number('groups', 1),
    };
    const y = k.withChannelsFirst(k.input, (x) => k.node('Conv', [x, k.constant(weight), ...biasOf(k)], attributes));
    return activated(k, y, k.config.activation);
  };

/** [height, width, channels, multiplier] → [channels · multiplier, 1, height, width] */
const depthwiseOf = (kernel: Constant) => turned(kernel, [2, 3, 0, 1], ([c = 0, m = 0, h = 0, w = 0]) => [c * m, 1, h, w]);

const depthwise: Rule = (k) => {
  const kernel = k.weights.has('depthwise_kernel') ? k.weight('depthwise_kernel') : k.weight('kernel');
  const attributes = { ...windowOf(k, 2, kernel.shape.slice(0, 2)), dilations: k.list('dilation_rate', 2, 1), group: kernel.shape[2] ?? 0 };
  const y = k.withChannelsFirst(k.input, (x) => k.node('Conv', [x, k.constant(depthwiseOf(kernel)), ...biasOf(k)], attributes));
  return activated(k, y, k.config.activation);
};

const separable: Rule = (k) => {
  const [deep, point] = [k.weight('depthwise_kernel'), k.weight('pointwise_kernel')];
  const attributes = { ...windowOf(k, 2, deep.shape.slice(0, 2)), dilations: k.list('dilation_rate', 2, 1), group: deep.shape[2] ?? 0 };
  const y = k.withChannelsFirst(k.input, (x) => {
    const middle = k.node('Conv', [x, k.constant(depthwiseOf(deep))], attributes, 'depthwise');
    return k.node('Conv', [middle, k.constant(turned(point, [3, 2, 0, 1])), ...biasOf(k)], {}, 'pointwise');
  });
  return activated(k, y, k.config.activation);
};

const convTranspose: Rule = (k) => {
  const kernel = k.weight('kernel');
  if (k.config.output_padding !== undefined && k.config.output_padding !== null) throw new Unsupported('no output_padding');
  const size = kernel.shape.slice(0, 2);
  const window = windowOf(k, 2, size);
  const strides = k.list('strides', 2, 1);
  if (k.list('dilation_rate', 2, 1).some((d) => d !== 1)) throw new Unsupported('a transposed kernel without gaps (dilation_rate)');
  const longer = window.auto_pad ? {} : { output_padding: size.map((n, i) => Math.max(0, item(strides, i) - n)) };
  const weight = k.constant(turned(kernel, [3, 2, 0, 1]));
  const y = k.withChannelsFirst(k.input, (x) => k.node('ConvTranspose', [x, weight, ...biasOf(k)], { ...window, ...longer }));
  return activated(k, y, k.config.activation);
};

const pool =
  (opType: string, axes: number): Rule =>
  (k) => {
    const size = k.list('pool_size', axes, 2);
    return k.withChannelsFirst(k.input, (x) => k.node(opType, [x], windowOf(k, axes, size, 'strides', size)));
  };

const globalPool =
  (opType: string): Rule =>
  (k) => {
    const { name, rank } = k.input;
    const axes = Array.from({ length: rank - 2 }, (_, i) => i + (k.channelsFirst ? 2 : 1));
    const keepdims = Number(k.flag('keepdims', false));
    return { name: k.node(opType, [name], { axes, keepdims }), rank: keepdims ? rank : 2 };
  };

const batchNorm: Rule = (k) => {
  const { name, rank } = k.input;
  const given = k.config.axis ?? -1;
  const axis = Array.isArray(given) ? (given.length === 1 ? given[0] : undefined) : given;
  if (typeof axis !== 'number' || !Number.isInteger(axis)) throw new Unsupported('one axis of channels');
  const at = axis < 0 ? axis + rank : axis;
  if (at < 1 || at >= rank) throw new Unsupported(`an axis from 1 to ${rank - 1} (it is ${axis})`);
  const mean = k.weight('moving_mean');
  const count = mean.data.length;
  const scale = k.flag('scale', true) ? k.weight('gamma') : zeros(count, 1);
  const shift = k.flag('center', true) ? k.weight('beta') : zeros(count);
  const inputs = [scale, shift, mean, k.weight('moving_variance')].map(k.constant);
  const attributes = { epsilon: { float: k.number('epsilon', 1e-3) }, momentum: { float: k.number('momentum', 0.99) } };
  if (at === 1) return { name: k.node('BatchNormalization', [name, ...inputs], attributes), rank };
  const rest = Array.from({ length: rank }, (_, i) => i).filter((i) => i !== 0 && i !== at);
  const perm = [0, at, ...rest];
  const first = k.node('Transpose', [name], { perm }, 'first');
  const normed = k.node('BatchNormalization', [first, ...inputs], attributes);
  const back = perm.map((_, i) => perm.indexOf(i));
  return { name: k.node('Transpose', [normed], { perm: back }, 'last'), rank };
};

const layerNorm: Rule = (k) => {
  const { name, rank } = k.input;
  const given = k.config.axis ?? -1;
  const axes = Array.isArray(given) ? given : [given];
  if (axes.length !== 1 || (axes[0] !== -1 && axes[0] !== rank - 1)) throw new Unsupported('a norm over the last axis');
  const shift = k.weights.get('beta');
  const scale = k.weights.get('gamma') ?? (shift && zeros(shift.data.length, 1));
  if (!scale) throw new Unsupported('a scale or a shift');
  const inputs = [k.constant(scale), ...(shift ? [k.constant(shift)] : [])];
  return { name: k.node('LayerNormalization', [name, ...inputs], { axis: -1, epsilon: { float: k.number('epsilon', 1e-3) } }), rank };
};

/** Of images and sequences: before and after, of each axis of positions. */
const sides = (k: LayerContext, name: string, axes: number): [number, number][] => {
  const given = k.config[name] ?? 1;
  const list = Array.isArray(given) ? given : new Array(axes).fill(given);
  const pairs = axes === 1 && list.length === 2 && typeof list[0] === 'number' ? [list] : list;
  return Array.from({ length: axes }, (_, i) => {
    const pair = pairs[i];
    const [before, after] = Array.isArray(pair) ? pair : [pair, pair];
    if (!Number.isSafeInteger(before) || !Number.isSafeInteger(after) || before < 0 || after < 0)
      throw new Unsupported(`whole numbers of at least 0 as ${name}`);
    return [before, after];
  });
};
const positionAxes = (k: LayerContext, axes: number) => Array.from({ length: axes }, (_, i) => i + (k.channelsFirst ? 2 : 1));

const zeroPadding =
  (axes: number): Rule =>
  (k) => {
    const by = sides(k, 'padding', axes);
    const pads = k.integers(...by.map(([before]) => before), ...by.map(([, after]) => after));
    return { ...k.input, name: k.node('Pad', [k.input.name, pads, '', k.integers(...positionAxes(k, axes))]) };
  };
const cropping =
  (axes: number): Rule =>
  (k) => {
    const by = sides(k, 'cropping', axes);
    const ends = by.map(([, after]) => (after === 0 ? 2 ** 31 - 1 : -after));
    const inputs = [k.integers(...by.map(([before]) => before)), k.integers(...ends), k.integers(...positionAxes(k, axes))];
    return { ...k.input, name: k.node('Slice', [k.input.name, ...inputs]) };
  };
const upSampling =
  (axes: number): Rule =>
  (k) => {
    const mode = k.text('interpolation', 'nearest');
    if (mode !== 'nearest' && mode !== 'bilinear') throw new Unsupported(`nearest or bilinear (it is "${mode}")`);
    const scales = k.numbers(1, 1, ...k.list('size', axes, 2));
    const linear: Attributes = { mode: 'linear', coordinate_transformation_mode: 'half_pixel' };
    const nearest: Attributes = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
    return k.withChannelsFirst(k.input, (x) => k.node('Resize', [x, '', scales], mode === 'nearest' ? nearest : linear));
  };

const merge =
  (opType: string): Rule =>
  (k) => {
    if (k.inputs.length < 2) throw new Unsupported('at least two inputs');
    const names = k.inputs.map(({ name }) => name);
    const [first, ...rest] = names as [string, ...string[]];
    const name = opType === 'Sub' || opType === 'Mul' ? rest.reduce((a, b) => k.node(opType, [a, b]), first) : k.node(opType, names);
    return { name, rank: Math.max(...k.inputs.map(({ rank }) => rank)) };
  };

const flatten: Rule = (k) => {
  const { name, rank } = k.input;
  const inner = Array.from({ length: rank - 2 }, (_, i) => i + 2);
  const last = k.channelsFirst && rank > 2 ? k.node('Transpose', [name], { perm: [0, ...inner, 1] }, 'last') : name;
  return { name: k.node('Flatten', [last], { axis: 1 }), rank: 2 };
};
const reshape: Rule = (k) => {
  const given = k.config.target_shape;
  const shape = Array.isArray(given) ? given.map((size) => size ?? -1) : []; // TensorFlow.js writes null for what is left
  if (!Array.isArray(given) || !shape.every((n) => Number.isSafeInteger(n))) throw new Unsupported('whole numbers as target_shape');
  return { name: k.node('Reshape', [k.input.name, k.integers(0, ...shape)]), rank: shape.length + 1 };
};
const permute: Rule = (k) => ({ ...k.input, name: k.node('Transpose', [k.input.name], { perm: [0, ...k.list('dims', k.input.rank - 1, 0)] }) });
const repeatVector: Rule = (k) => {
  const wide = k.node('Unsqueeze', [k.input.name, k.integers(1)]);
  return { name: k.node('Tile', [wide, k.integers(1, k.number('n', 1), 1)]), rank: 3 };
};

const rescaling: Rule = (k) => {
  const times = k.node('Mul', [k.input.name, k.numbers(k.number('scale', 1))]);
  return { ...k.input, name: k.node('Add', [times, k.numbers(k.number('offset', 0))]) };
};
const normalization: Rule = (k) => {
  const [mean, variance] = [k.weight('mean'), k.weight('variance')];
  const deviation = { ...variance, data: Float32Array.from(variance.data, (v) => Math.max(Math.sqrt(v), 1e-7)) };
  const axis = elementsOf(mean.shape);
  if (axis !== mean.data.length) throw new Unsupported('a mean for every channel');
  return { ...k.input, name: k.node('Div', [k.node('Sub', [k.input.name, k.constant(mean)]), k.constant(deviation)]) };
};

/** Rows of a table for whole numbers. */
const embedding: Rule = (k) => {
  if (k.flag('mask_zero', false)) throw new Unsupported('no mask of zeros (mask_zero)');
  return { name: k.node('Gather', [k.constant(k.weight('embeddings')), k.input.name]), rank: k.input.rank + 1 };
};

/** What is there in training alone, and is not gone on with here. */
const identity: Rule = (k) => ({ ...k.input, name: k.node('Identity', [k.input.name]) });
const dropout: Rule = (k) => ({ ...k.input, name: k.node('Dropout', [k.input.name], { ratio: { float: k.number('rate', 0.5) } }) });

/** By class; InputLayer is none of them. */
export const layers: Record<string, Rule> = {
  ...activationLayers,
  ...recurrentLayers,
  Dense: dense,
  Embedding: embedding,
  Conv1D: conv(1),
  Conv2D: conv(2),
  Conv3D: conv(3),
  DepthwiseConv2D: depthwise,
  SeparableConv2D: separable,
  Conv2DTranspose: convTranspose,
  MaxPooling1D: pool('MaxPool', 1),
  MaxPooling2D: pool('MaxPool', 2),
  MaxPooling3D: pool('MaxPool', 3),
  AveragePooling1D: pool('AveragePool', 1),
  AveragePooling2D: pool('AveragePool', 2),
  AveragePooling3D: pool('AveragePool', 3),
  GlobalAveragePooling1D: globalPool('ReduceMean'),
  GlobalAveragePooling2D: globalPool('ReduceMean'),
  GlobalAveragePooling3D: globalPool('ReduceMean'),
  GlobalMaxPooling1D: globalPool('ReduceMax'),
  GlobalMaxPooling2D: globalPool('ReduceMax'),
  GlobalMaxPooling3D: globalPool('ReduceMax'),
  BatchNormalization: batchNorm,
  LayerNormalization: layerNorm,
  ZeroPadding1D: zeroPadding(1),
  ZeroPadding2D: zeroPadding(2),
  Cropping1D: cropping(1),
  Cropping2D: cropping(2),
  UpSampling2D: upSampling(2),
  Add: merge('Sum'),
  Average: merge('Mean'),
  Subtract: merge('Sub'),
  Multiply: merge('Mul'),
  Maximum: merge('Max'),
  Minimum: merge('Min'),
  Concatenate: (k) => ({
    ...k.input,
    name: k.node(
      'Concat',
      k.inputs.map(({ name }) => name),
      { axis: k.number('axis', -1) },
    ),
  }),
  Flatten: flatten,
  Reshape: reshape,
  Permute: permute,
  RepeatVector: repeatVector,
  Rescaling: rescaling,
  Normalization: normalization,
  Dropout: dropout,
  SpatialDropout1D: identity,
  SpatialDropout2D: identity,
  GaussianNoise: identity,
  GaussianDropout: identity,
  ActivityRegularization: identity,
};
