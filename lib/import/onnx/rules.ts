/** What each operator of ONNX becomes here: one function for each, in one table. */

import { type Affine, applyAffine, perChannel } from './affine.js';
import { type Activation, activationOf, constant, constantOf, optionalConstant, type RuleContext, Unsupported, type Value } from './context.js';
import { axesOf, reshaped, squeezed, unsqueezed } from './fold.js';
import { type Constant, elementsOf, integers, scalarOf, transpose } from './tensors.js';
import { windowOf } from './windows.js';

/** The values of the node's outputs. */
export type Rule = (c: RuleContext) => Value[];

const floats = ({ data }: Constant) => Float32Array.from(data);
const fresh = (node: string, shape: number[]): Value[] => [{ activation: { node, shape, exclusive: true } }];
const batchOf = ({ shape }: Activation) => shape[0] as number;
/** The same elements under another shape. */
const alias = (x: Activation, shape = x.shape): Value[] => [{ activation: { ...x, shape } }];

function onlyFirstOutput({ reads, node }: RuleContext): void {
  if (node.proto.output.some((name, i) => i > 0 && name !== '' && reads(i))) throw new Unsupported('nobody who reads its second output');
}

/** An operator that keeps the shape and has no fields. */
const elementwise =
  (kind: string): Rule =>
  (c) => {
    const x = activationOf(c);
    return fresh(c.build.add(kind, c.node.label, [x.node]), x.shape);
  };

const missing =
  (kind: string): Rule =>
  ({ build }) => {
    build.require(kind);
    throw new Unsupported(`an import rule for "${kind}"`);
  };

function conv(c: RuleContext): Value[] {
  const x = activationOf(c);
  const weight = constantOf(c, 1, 'weights');
  const bias = optionalConstant(c, 2, 'a bias');
  const groups = c.node.int('group', 1);
  const [outChannels, , ...kernelShape] = weight.shape;
  const { positions, ...fields } = windowOf(c.node, x.shape, kernelShape);
  const parameters = { weight: floats(weight), bias: bias && floats(bias) };
  const name = c.build.add('conv2d', c.node.label, [x.node], { outChannels, ...fields, groups, bias: bias !== undefined }, parameters);
  return fresh(name, [batchOf(x), outChannels as number, ...positions]);
}

/** x·W + b, W [in, out] or, when `transposed`, [out, in]. */
function linear(c: RuleContext, x: Activation, weight: Constant, transposed: boolean, bias?: Float32Array): Value[] {
  if (x.shape.length !== 2) throw new Unsupported(`a product along the channels (the input is [${x.shape}], its channels are axis 1)`);
  const rows = transposed ? weight : transpose(weight, [1, 0]);
  const outFeatures = rows.shape[0];
  const parameters = { weight: floats(rows), bias };
  const name = c.build.add('linear', c.node.label, [x.node], { outFeatures, bias: bias !== undefined }, parameters);
  return fresh(name, [batchOf(x), outFeatures as number]);
}

function gemm(c: RuleContext): Value[] {
  if (c.node.int('transA', 0) !== 0) throw new Unsupported('an input that is not transposed (transA)');
  const x = activationOf(c);
  const weight = constantOf(c, 1, 'weights');
  const alpha = c.node.float('alpha', 1);
  const beta = c.node.float('beta', 1);
  const transposed = c.node.int('transB', 0) !== 0;
  const added = optionalConstant(c, 2, 'a bias');
  const outFeatures = weight.shape[transposed ? 0 : 1];
  const bias = added && perChannel(added, [batchOf(x), outFeatures as number]);
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
  const weight = constantOf(c, 1, 'weights');
  if (weight.shape.length !== 2) throw new Unsupported(`a matrix of weights (it is [${weight.shape}])`);
  return linear(c, activationOf(c), weight, false);
}

function batchNormalization(c: RuleContext): Value[] {
  const x = activationOf(c);
  if (c.node.int('training_mode', 0) !== 0) throw new Unsupported('statistics that are not those of the batch (training_mode)');
  if (c.node.int('spatial', 1) === 0) throw new Unsupported('one norm for all positions of a channel (spatial = 0)');
  onlyFirstOutput(c);
  const [weight, bias, runningMean, runningVar] = [1, 2, 3, 4].map((i) => floats(constantOf(c, i, 'scale, shift and statistics')));
  const fields = { epsilon: c.node.float('epsilon', 1e-5), momentum: 1 - c.node.float('momentum', 0.9) };
  return fresh(c.build.add('batchNorm', c.node.label, [x.node], fields, { weight, bias, runningMean, runningVar }), x.shape);
}

const pool =
  (kind: 'maxPool' | 'averagePool'): Rule =>
  (c) => {
    const x = activationOf(c);
    onlyFirstOutput(c);
    const { positions, dilation, ...fields } = windowOf(c.node, x.shape, c.node.ints('kernel_shape') ?? []);
    if (dilation.some((d) => d !== 1)) throw new Unsupported('windows without gaps (dilations)');
    if (fields.padding.some((p, i) => p > fields.kernel[i]! >> 1)) throw new Unsupported('padding of at most half the kernel');
    const more = kind === 'averagePool' ? { countIncludePad: c.node.int('count_include_pad', 0) === 1 } : {};
    return fresh(c.build.add(kind, c.node.label, [x.node], { ...fields, ...more }), [batchOf(x), x.shape[1] as number, ...positions]);
  };

const onePosition = (shape: number[]) => [...shape.slice(0, 2), ...shape.slice(2).map(() => 1)];

function globalMaxPool(c: RuleContext): Value[] {
  const x = activationOf(c);
  const size = x.shape.slice(2);
  if (size.length < 1 || size.length > 2) throw new Unsupported(`a maximum over one or two axes (the input is [${x.shape}])`);
  const kernel = size.length === 1 ? [1, size[0]] : size;
  return fresh(c.build.add('maxPool', c.node.label, [x.node], { kernel }), onePosition(x.shape));
}

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
  const onePixel = (s: number[]) => elementsOf(s.slice(2)) === 1;
  if (shape[0] === x.shape[0] && shape[1] === x.shape[1] && onePixel(shape) && onePixel(x.shape)) return alias(x, shape);
  if (shape[0] === x.shape[0] && onePixel(shape)) return fresh(c.build.add('flatten', c.node.label, [x.node]), shape);
  throw new Unsupported(`a shape that keeps the channels or makes one vector of all (it makes [${shape}] of [${x.shape}])`);
}

function flatten(c: RuleContext): Value[] {
  const x = activationOf(c);
  const given = c.node.int('axis', 1);
  const axis = given < 0 ? given + x.shape.length : given;
  return toShape(c, x, [elementsOf(x.shape.slice(0, axis)), elementsOf(x.shape.slice(axis))]);
}

function reshape(c: RuleContext): Value[] {
  const x = activationOf(c);
  const wanted = Array.from(constantOf(c, 1, 'a shape').data);
  return toShape(c, x, reshaped(x.shape, wanted, c.node.int('allowzero', 0) === 1));
}

const unsqueeze: Rule = (c) => toShape(c, activationOf(c), unsqueezed(activationOf(c).shape, axesOf(c) ?? []));
const squeeze: Rule = (c) => toShape(c, activationOf(c), squeezed(activationOf(c).shape, axesOf(c)));

function concat(c: RuleContext): Value[] {
  const parts = c.inputs.map((_, i) => activationOf(c, i));
  const axis = c.node.int('axis', 1);
  if (axis !== 1 && axis + parts[0]!.shape.length !== 1) throw new Unsupported(`channels put together, axis 1 (it is axis ${axis})`);
  const channels = parts.reduce((sum, { shape }) => sum + shape[1]!, 0);
  const shape = parts[0]!.shape.map((size, i) => (i === 1 ? channels : size));
  if (parts.length === 1) return alias(parts[0]!);
  let names = parts.map(({ node }) => node);
  const most = 16;
  while (names.length > most) names = [c.build.add('concat', c.node.label, names.slice(0, most)), ...names.slice(most)];
  return fresh(c.build.add('concat', c.node.label, names), shape);
}

function sumOf(c: RuleContext, parts: Activation[]): Value[] {
  const [first, ...rest] = parts as [Activation, ...Activation[]];
  for (const { shape } of rest) {
    if (shape.join() !== first.shape.join()) throw new Unsupported(`a sum of one shape ([${first.shape}] and [${shape}])`);
  }
  if (rest.length === 0) return alias(first);
  return fresh(
    rest.reduce((sum, { node }) => c.build.add('add', c.node.label, [sum, node]), first.node!),
    first.shape,
  );
}

/** Of two inputs, one of which may be a number for every channel: `affine(value)` is what x becomes then. */
const binary =
  (affine: (value: number, first: boolean) => Affine, both: (c: RuleContext, a: Activation, b: Activation) => Value[]): Rule =>
  (c) => {
    const [a, b] = c.inputs;
    if (a && b && 'activation' in a && 'activation' in b) return both(c, a.activation, b.activation);
    const first = a !== undefined && 'activation' in a;
    const x = activationOf(c, first ? 0 : 1);
    const values = perChannel(constantOf(c, first ? 1 : 0, 'numbers'), x.shape);
    return applyAffine(
      c,
      x,
      Array.from(values, (value) => affine(value, first)),
    );
  };

const needs =
  (kind: string) =>
  (c: RuleContext): never => {
    c.build.require(kind);
    throw new Unsupported(`an import rule for "${kind}"`);
  };

function clip(c: RuleContext): Value[] {
  const x = activationOf(c);
  const bound = (index: number, name: string, otherwise: number) => {
    const given = optionalConstant(c, index, 'bounds');
    return given ? (scalarOf(given) as number) : c.node.float(name, otherwise);
  };
  const [low, high] = [bound(1, 'min', -Infinity), bound(2, 'max', Infinity)];
  const open = (value: number) => Math.abs(value) >= 3e38;
  if (open(low) && open(high)) return alias(x);
  if (low === 0 && open(high)) return fresh(c.build.add('relu', c.node.label, [x.node]), x.shape);
  throw new Unsupported(`the operator "clip" (from ${low} to ${high})`);
}

function dropout(c: RuleContext): Value[] {
  const x = activationOf(c);
  onlyFirstOutput(c);
  const training = optionalConstant(c, 2, 'a mode');
  if (training && scalarOf(training) !== 0) throw new Unsupported('a file for evaluation (training_mode)');
  const given = optionalConstant(c, 1, 'a ratio');
  const probability = given ? (scalarOf(given) as number) : c.node.float('ratio', 0.5);
  if (probability === 0) return alias(x);
  return fresh(c.build.add('dropout', c.node.label, [x.node], { probability }), x.shape);
}

function gelu(c: RuleContext): Value[] {
  if (c.node.text('approximate', 'none') !== 'none') throw new Unsupported('GELU by erf, not by tanh');
  return elementwise('gelu')(c);
}

/** By name; `selfcompress.` are functions that patterns.ts has recognised. */
export const rules: Record<string, Rule> = {
  Conv: conv,
  Gemm: gemm,
  MatMul: matMul,
  BatchNormalization: batchNormalization,
  Relu: elementwise('relu'),
  Sigmoid: elementwise('sigmoid'),
  Tanh: elementwise('tanh'),
  HardSwish: elementwise('hardSwish'),
  Gelu: gelu,
  'selfcompress.Gelu': elementwise('gelu'),
  'selfcompress.Silu': elementwise('silu'),
  'selfcompress.LayerNorm': missing('layerNorm'),
  Clip: clip,
  MaxPool: pool('maxPool'),
  AveragePool: pool('averagePool'),
  GlobalAveragePool: (c) => fresh(c.build.add('globalAveragePool', c.node.label, [activationOf(c).node]), onePosition(activationOf(c).shape)),
  GlobalMaxPool: globalMaxPool,
  ReduceMean: reduceMean,
  Flatten: flatten,
  Reshape: reshape,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Concat: concat,
  Identity: (c) => alias(activationOf(c)),
  Dropout: dropout,
  Shape: (c) => [constant(integers(activationOf(c).shape))],
  Sum: (c) =>
    sumOf(
      c,
      c.inputs.map((_, i) => activationOf(c, i)),
    ),
  Add: binary(
    (value) => ({ scale: 1, shift: value }),
    (c, a, b) => sumOf(c, [a, b]),
  ),
  Sub: binary((value, first) => (first ? { scale: 1, shift: -value } : { scale: -1, shift: value }), needs('subtract')),
  Mul: binary((value) => ({ scale: value, shift: 0 }), needs('multiply')),
  Div: binary((value, first) => {
    if (!first) throw new Unsupported('numbers as the divisor');
    return { scale: 1 / value, shift: 0 };
  }, needs('divide')),
};

/** Operators that are known but not imported, and what each would need. */
const wanted: Record<string, string> = {
  LeakyRelu: 'leakyRelu',
  PRelu: 'prelu',
  Elu: 'elu',
  HardSigmoid: 'hardSigmoid',
  Softmax: 'softmax',
  LayerNormalization: 'layerNorm',
  RMSNormalization: 'rmsNorm',
  GroupNormalization: 'groupNorm',
  InstanceNormalization: 'instanceNorm',
  ConvTranspose: 'convTranspose2d',
  Resize: 'resize',
  Upsample: 'resize',
  Pad: 'pad',
  DepthToSpace: 'pixelShuffle',
  Transpose: 'transpose',
  Slice: 'sliceChannels',
  Split: 'sliceChannels',
  Gather: 'embedding',
  LSTM: 'lstm',
  GRU: 'gru',
  Attention: 'attention',
  RotaryEmbedding: 'rotary',
  LRN: 'localResponseNorm',
};
for (const [operator, kind] of Object.entries(wanted)) rules[operator] = missing(kind);
