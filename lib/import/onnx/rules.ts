/** What each operator of ONNX becomes here: one function for each, in one table. */
import { item } from '../../indexing.js';
import { perChannel } from './affine.js';
import {
  type Activation,
  activationOf,
  constant,
  constantOf,
  numberOf,
  type OnnxNode,
  optionalConstant,
  type RuleContext,
  Unsupported,
  type Value,
} from './context.js';
import { axesOf, reshaped, squeezed, unsqueezed } from './fold.js';
import { add, clip, divide, elementwise, instanceNorm, layerNorm, multiply, power, prelu, softmax, subtract, sum } from './function-rules.js';
import { convTranspose, pad, pixels, resize, slice, split, transposed } from './layout-rules.js';
import { sameFunctions } from './names.js';
import { alias, axisOf, fresh, freshLayer, leading, onePosition, onlyFirstOutput, type Rule } from './results.js';
import { type Constant, elementsOf, integers, scalarOf, transpose } from './tensors.js';
import { type Window, windowOf } from './windows.js';

const floats = ({ data }: Constant) => Float32Array.from(data);

const missing =
  (kind: string): Rule =>
  ({ build }) => {
    build.require(kind);
    throw new Unsupported(`an import rule for "${kind}"`);
  };

/** The input with zeros around it where they differ between the sides. */
const padded = (c: RuleContext, x: Activation, uneven: Window['uneven']) =>
  uneven ? c.build.add('pad', `${c.node.label}_pad`, [x.node], uneven) : x.node;

function conv(c: RuleContext): Value[] {
  const x = activationOf(c);
  const weight = constantOf(c, 1, 'weights');
  const bias = optionalConstant(c, 2, 'a bias');
  const groups = c.node.int('group', 1);
  if (weight.shape.length !== x.shape.length) throw new Unsupported(`weights of as many axes as the input ([${weight.shape}] and [${x.shape}])`);
  const outChannels = item(weight.shape, 0);
  const kernelShape = weight.shape.slice(2);
  const { positions, uneven, ...fields } = windowOf(c.node, x.shape, kernelShape);
  const parameters = { weight: floats(weight), bias: bias && floats(bias) };
  const name = c.build.add('conv2d', c.node.label, [padded(c, x, uneven)], { outChannels, ...fields, groups, bias: bias !== undefined }, parameters);
  return freshLayer(name, [item(x.shape, 0), outChannels, ...positions]);
}

function matrix(weight: Constant): Constant {
  if (weight.shape.length !== 2) throw new Unsupported(`a matrix of weights (it is [${weight.shape}])`);
  return weight;
}

/** x·W + b, W [in, out] or, when `transposed`, [out, in]. */
function linear(c: RuleContext, x: Activation, weight: Constant, transposed: boolean, bias?: Float32Array): Value[] {
  if (x.shape.length !== 2) throw new Unsupported(`a product along the channels (the input is [${x.shape}], its channels are axis 1)`);
  const rows = transposed ? weight : transpose(weight, [1, 0]);
  const outFeatures = item(rows.shape, 0);
  const parameters = { weight: floats(rows), bias };
  const name = c.build.add('linear', c.node.label, [x.node], { outFeatures, bias: bias !== undefined }, parameters);
  return freshLayer(name, [item(x.shape, 0), outFeatures]);
}

function gemm(c: RuleContext): Value[] {
  if (c.node.int('transA', 0) !== 0) throw new Unsupported('an input that is not transposed (transA)');
  const x = activationOf(c);
  const weight = matrix(constantOf(c, 1, 'weights'));
  const alpha = c.node.float('alpha', 1);
  const beta = c.node.float('beta', 1);
  const transposed = c.node.int('transB', 0) !== 0;
  const added = optionalConstant(c, 2, 'a bias');
  const outFeatures = item(weight.shape, transposed ? 0 : 1);
  const bias = added && perChannel(added, [item(x.shape, 0), outFeatures]);
  const scaled = { ...weight, data: weight.data.map((w) => w * alpha) as Float32Array };
  return linear(
    c,
    x,
    scaled,
    transposed,
    bias?.map((b) => b * beta),
  );
}

function matMul(c: RuleContext): Value[] {
  return linear(c, activationOf(c), matrix(constantOf(c, 1, 'weights')), false);
}

function batchNormalization(c: RuleContext): Value[] {
  const x = activationOf(c);
  if (c.node.int('training_mode', 0) !== 0) throw new Unsupported('statistics that are not those of the batch (training_mode)');
  if (c.node.int('spatial', 1) === 0) throw new Unsupported('one norm for all positions of a channel (spatial = 0)');
  onlyFirstOutput(c);
  const [weight, bias, runningMean, runningVar] = [1, 2, 3, 4].map((i) => floats(constantOf(c, i, 'scale, shift and statistics')));
  const fields = { epsilon: c.node.float('epsilon', 1e-5), momentum: 1 - c.node.float('momentum', 0.9) };
  return freshLayer(c.build.add('batchNorm', c.node.label, [x.node], fields, { weight, bias, runningMean, runningVar }), x.shape);
}

const NEVER_NEGATIVE = new Set(['relu', 'sigmoid', 'hardSigmoid', 'softplus', 'softmax', 'exp', 'abs', 'square']);
const KEEP_SIGNS = new Set(['maxPool', 'averagePool', 'concat', 'dropout']);
function neverNegative({ build }: RuleContext, name: string): boolean {
  const open = [name];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const node = build.node(next);
    if (node && KEEP_SIGNS.has(node.kind)) open.push(...node.inputs);
    else if (!node || !NEVER_NEGATIVE.has(node.kind)) return false;
  }
  return true;
}

const pool =
  (kind: string, isMaximum: boolean, more: (node: OnnxNode) => object = () => ({})): Rule =>
  (c) => {
    const x = activationOf(c);
    onlyFirstOutput(c);
    const { positions, dilation, uneven, ...fields } = windowOf(c.node, x.shape, c.node.ints('kernel_shape') ?? []);
    // A maximum over padding is one over zeros where nothing is below them.
    if (uneven && (!isMaximum || !neverNegative(c, x.node)))
      throw new Unsupported(`the same padding on both sides of an axis (it is [${uneven.before}] and [${uneven.after}])`);
    if (dilation.some((d) => d !== 1)) throw new Unsupported('windows without gaps (dilations)');
    if (fields.padding.some((p, i) => p > item(fields.kernel, i) >> 1)) throw new Unsupported('padding of at most half the kernel');
    return fresh(c.build.add(kind, c.node.label, [padded(c, x, uneven)], { ...fields, ...more(c.node) }), [...leading(x), ...positions]);
  };

const globalPool =
  (kind: string): Rule =>
  (c) => {
    const x = activationOf(c);
    return fresh(c.build.add(kind, c.node.label, [x.node]), onePosition(x.shape));
  };

function reduceMean(c: RuleContext): Value[] {
  const x = activationOf(c);
  const rank = x.shape.length;
  const axes = (axesOf(c) ?? x.shape.map((_, i) => i)).map((axis) => (axis < 0 ? axis + rank : axis)).sort((a, b) => a - b);
  const all = x.shape.map((_, i) => i).slice(2);
  if (rank < 3 || axes.join() !== all.join()) throw new Unsupported(`a mean over all positions (it is over the axes [${axes}] of [${x.shape}])`);
  const name = c.build.add('globalAveragePool', c.node.label, [x.node]);
  return fresh(name, c.node.int('keepdims', 1) === 1 ? onePosition(x.shape) : x.shape.slice(0, 2));
}

/** The same elements under a shape that the network can have: all in one vector, or positions of one element more or less. */
function toShape(c: RuleContext, x: Activation, shape: number[]): Value[] {
  if (shape.join() === x.shape.join()) return alias(x);
  if (shape.length < 2) throw new Unsupported(`a batch and channels (it makes [${shape}] of [${x.shape}])`);
  const onePixel = (s: number[]) => elementsOf(s.slice(2)) === 1;
  if (shape[0] === x.shape[0] && shape[1] === x.shape[1] && onePixel(shape) && onePixel(x.shape)) return alias(x, shape);
  if (shape[0] === x.shape[0] && onePixel(shape)) return fresh(c.build.add('flatten', c.node.label, [x.node]), shape);
  throw new Unsupported(`a shape that keeps the channels or makes one vector of all (it makes [${shape}] of [${x.shape}])`);
}

function flatten(c: RuleContext): Value[] {
  const x = activationOf(c);
  const axis = axisOf(c, x, 1);
  return toShape(c, x, [elementsOf(x.shape.slice(0, axis)), elementsOf(x.shape.slice(axis))]);
}

function reshape(c: RuleContext): Value[] {
  const x = activationOf(c, 0, true);
  const wanted = Array.from(constantOf(c, 1, 'a shape').data);
  const shape = reshaped(x.shape, wanted, c.node.int('allowzero', 0) === 1);
  if (x.split) {
    const [batch, a = 0, b = 0, ...positions] = x.shape;
    const whole = [batch, a * b, ...positions];
    if (shape.join() !== whole.join()) throw new Unsupported(`channels that come together again (it makes [${shape}] of [${x.shape}])`);
    return [{ activation: { node: x.node, shape, exclusive: false } }];
  }
  const [batch, channels, ...positions] = x.shape;
  const [, a = 0, b = 0] = shape;
  if (positions.length > 0 && a > 1 && b > 1 && a * b === channels && shape.join() === [batch, a, b, ...positions].join()) {
    return [{ activation: { ...x, shape, exclusive: false, split: true } }]; // for a Transpose of the two
  }
  return toShape(c, x, shape);
}

const unsqueeze: Rule = (c) => toShape(c, activationOf(c), unsqueezed(activationOf(c).shape, axesOf(c) ?? []));
const squeeze: Rule = (c) => toShape(c, activationOf(c), squeezed(activationOf(c).shape, axesOf(c)));

function concat(c: RuleContext): Value[] {
  const parts = c.inputs.map((_, i) => activationOf(c, i));
  const [first] = parts;
  if (!first) throw new Unsupported('inputs to put together');
  const rank = first.shape.length;
  const axis = axisOf(c, first, 1);
  const along = axis === 1 ? 'channels' : axis === rank - 1 ? 'columns' : 'rows';
  if (axis < 1 || axis >= rank || rank > 4) throw new Unsupported(`channels, rows or columns put together (it is axis ${axis} of [${first.shape}])`);
  const others = (shape: number[]) => shape.filter((_, i) => i !== axis).join();
  const other = parts.find(({ shape }) => shape.length !== rank || others(shape) !== others(first.shape));
  if (other) throw new Unsupported(`the same sizes of the other axes ([${first.shape}] and [${other.shape}])`);
  const total = parts.reduce((sum, { shape }) => sum + item(shape, axis), 0);
  const shape = first.shape.map((size, i) => (i === axis ? total : size));
  if (parts.length === 1) return alias(first);
  const fields = axis === 1 ? {} : { axis: along };
  let names = parts.map(({ node }) => node);
  const most = 16;
  while (names.length > most) names = [c.build.add('concat', c.node.label, names.slice(0, most), fields), ...names.slice(most)];
  return fresh(c.build.add('concat', c.node.label, names, fields), shape);
}

function dropout(c: RuleContext): Value[] {
  const x = activationOf(c);
  onlyFirstOutput(c);
  const training = optionalConstant(c, 2, 'a mode');
  if (training && scalarOf(training) !== 0) throw new Unsupported('a file for evaluation (training_mode)');
  const given = optionalConstant(c, 1, 'a ratio');
  const probability = given ? numberOf(given, 'a ratio') : c.node.float('ratio', 0.5);
  if (probability === 0) return alias(x);
  return fresh(c.build.add('dropout', c.node.label, [x.node], { probability }), x.shape);
}

function gelu(c: RuleContext): Value[] {
  if (c.node.text('approximate', 'none') !== 'none') throw new Unsupported('GELU by erf, not by tanh');
  return elementwise('gelu')(c);
}

const functions = Object.fromEntries(
  sameFunctions.map(({ onnx, kind, numbers = {} }): [string, Rule] => [
    onnx,
    elementwise(kind, (node) =>
      Object.fromEntries(Object.entries(numbers).map(([field, { attribute, otherwise }]) => [field, node.float(attribute, otherwise)])),
    ),
  ]),
);

/** By name; `selfcompress.` are functions that patterns.ts has recognised. */
export const rules: Record<string, Rule> = {
  Conv: conv,
  Gemm: gemm,
  MatMul: matMul,
  BatchNormalization: batchNormalization,
  ...functions,
  PRelu: prelu,
  Neg: elementwise('affine', () => ({ scale: -1 })),
  Pow: power,
  Softmax: softmax,
  LayerNormalization: layerNorm,
  InstanceNormalization: instanceNorm,
  Gelu: gelu,
  'selfcompress.Gelu': elementwise('gelu'),
  'selfcompress.Silu': elementwise('silu'),
  'selfcompress.LayerNorm': missing('layerNorm'),
  Clip: clip,
  MaxPool: pool('maxPool', true),
  AveragePool: pool('averagePool', false, (node) => ({ countIncludePad: node.int('count_include_pad', 0) === 1 })),
  GlobalAveragePool: globalPool('globalAveragePool'),
  GlobalMaxPool: globalPool('globalMaxPool'),
  ReduceMean: reduceMean,
  Flatten: flatten,
  Reshape: reshape,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Concat: concat,
  Identity: (c) => alias(activationOf(c)),
  Dropout: dropout,
  Shape: (c) => [constant(integers(activationOf(c).shape))],
  Sum: sum,
  Add: add,
  Sub: subtract,
  Mul: multiply,
  Div: divide,
  ConvTranspose: convTranspose,
  Slice: slice,
  Split: split,
  Pad: pad,
  Resize: resize,
  Upsample: resize,
  DepthToSpace: pixels('pixelShuffle', true),
  SpaceToDepth: pixels('pixelUnshuffle', false),
  Transpose: transposed,
};

/** Operators that are known but not imported, and what each would need. */
const wanted: Record<string, string> = {
  RMSNormalization: 'rmsNorm',
  GroupNormalization: 'groupNorm',
  Gather: 'embedding',
  LSTM: 'lstm',
  GRU: 'gru',
  Attention: 'attention',
  RotaryEmbedding: 'rotary',
  LRN: 'localResponseNorm',
};
for (const [operator, kind] of Object.entries(wanted)) rules[operator] = missing(kind);
