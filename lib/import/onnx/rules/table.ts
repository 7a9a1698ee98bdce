/** What each operator of ONNX becomes here: one function for each, in one table. */
import { sameFunctions } from '../names.js';
import type { Rule } from '../results.js';
import { celu, clip, composed, elementwise, gelu, logSoftmax, mish, prelu, scaled, selu, softmax, softsign, swish } from './activations.js';
import { add, divide, maximum, mean, minimum, multiply, subtract, sum, where } from './arithmetic.js';
import { attention, rotaryEmbedding } from './attention.js';
import { conv, convTranspose } from './convolution.js';
import { einsum } from './einsum.js';
import { pixels, resize } from './images.js';
import { negativeLogLikelihood, softmaxCrossEntropy } from './losses.js';
import { cumulativeSum, localResponse } from './maps.js';
import { batchNormalization, channelNorm, groupNorm, instanceNorm, meanVariance } from './norms.js';
import { concat, gather, pad, slice, split, tile } from './pieces.js';
import { compress, gatherElements, gatherND, reverseSequence } from './places.js';
import { averagePool, globalPool, maxPool } from './pooling.js';
import { power } from './powers.js';
import { gemm, matMul } from './products.js';
import { gru, lstm } from './recurrent.js';
import { MAXIMUM, MEAN, reductions } from './reductions.js';
import { cast, castLike, dropout, expand, flatten, identity, reshape, shape, size, squeeze, transpose, unsqueeze } from './shape.js';

const functions: Record<string, Rule> = {
  ...Object.fromEntries(
    sameFunctions.map(({ onnx, kind, numbers = {} }) => [
      onnx,
      elementwise(kind, (node) =>
        Object.fromEntries(Object.entries(numbers).map(([field, { attribute, otherwise }]) => [field, node.float(attribute, otherwise)])),
      ),
    ]),
  ),
  PRelu: prelu,
  Celu: celu,
  Selu: selu,
  Softsign: softsign,
  Mish: mish,
  Swish: swish,
  Gelu: gelu,
  Neg: composed((c, x) => scaled(c, x, -1)),
  Pow: power,
  Clip: clip,
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  Dropout: dropout,
  LRN: localResponse,
};

const layers: Record<string, Rule> = {
  Conv: conv,
  ConvTranspose: convTranspose,
  Gemm: gemm,
  MatMul: matMul,
  Einsum: einsum,
  BatchNormalization: batchNormalization,
  LayerNormalization: channelNorm('layerNorm', true),
  RMSNormalization: channelNorm('rmsNorm', false),
  SimplifiedLayerNormalization: channelNorm('rmsNorm', false),
  InstanceNormalization: instanceNorm,
  GroupNormalization: groupNorm,
  MeanVarianceNormalization: meanVariance,
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: globalPool(MEAN),
  GlobalMaxPool: globalPool(MAXIMUM),
  LSTM: lstm,
  GRU: gru,
  Attention: attention,
  RotaryEmbedding: rotaryEmbedding,
};

const shapes: Record<string, Rule> = {
  Flatten: flatten,
  Reshape: reshape,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Expand: expand,
  Identity: identity,
  Cast: cast,
  CastLike: castLike,
  Shape: shape,
  Size: size,
  Concat: concat,
  Slice: slice,
  Split: split,
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  Compress: compress,
  ReverseSequence: reverseSequence,
  Pad: pad,
  Tile: tile,
  Resize: resize,
  Upsample: resize,
  DepthToSpace: pixels('pixelShuffle', true),
  SpaceToDepth: pixels('pixelUnshuffle', false),
};

const arithmetic: Record<string, Rule> = {
  Sum: sum,
  Mean: mean,
  Add: add,
  Sub: subtract,
  Mul: multiply,
  Div: divide,
  Max: maximum,
  Min: minimum,
  Where: where,
  CumSum: cumulativeSum,
  NegativeLogLikelihoodLoss: negativeLogLikelihood,
  SoftmaxCrossEntropyLoss: softmaxCrossEntropy,
};

/** By name; `selfcompress.` are functions that patterns.ts has recognised. */
export const rules: Record<string, Rule> = {
  ...functions,
  ...layers,
  ...shapes,
  ...arithmetic,
  ...reductions,
  'selfcompress.Gelu': elementwise('gelu'),
  'selfcompress.GeluTanh': elementwise('geluTanh'),
  'selfcompress.Silu': elementwise('silu'),
  'selfcompress.HardSwish': elementwise('hardSwish'),
  'selfcompress.LayerNorm': channelNorm('layerNorm', true),
};

/** Operators whose meaning was another one before opset 7. */
export const SINCE_SEVEN = new Set(
  'Add And BatchNormalization Cast Clip Concat Div Dropout Equal GRU Gemm Greater LSTM Less Mul Or PRelu Pad Pow RNN Reshape Split Sub Tile Upsample Xor'.split(
    ' ',
  ),
);
