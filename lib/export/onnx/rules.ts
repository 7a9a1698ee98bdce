/** What each operator becomes in ONNX (opset 17): one function for each, in one table. */
import { sameFunctions } from '../../import/onnx/names.js';
import type { Rule } from './context.js';
import { affine, arithmetic, clip, flatten, gelu, geluTanh, identity, prelu, reshape, silu, softmax, square } from './functions.js';
import {
  batchNorm,
  conv2d,
  convTranspose2d,
  globalPool,
  groupNorm,
  instanceNorm,
  layerNorm,
  linear,
  meanChannels,
  meanPositions,
  pool,
  rmsNorm,
} from './layers.js';
import {
  channelShuffle,
  concat,
  gatherChannels,
  pad,
  padChannels,
  pixelShuffle,
  pixelUnshuffle,
  resize,
  sliceChannels,
  slicePositions,
} from './layout.js';
import { attention, gru, lstm, rotary } from './sequences.js';
import { embedding, parameter, unembedding } from './tables.js';

const functions = Object.fromEntries(
  sameFunctions.map(({ onnx, kind, numbers = {} }): [string, Rule] => [
    kind,
    (c) =>
      c.last(onnx, [c.input], Object.fromEntries(Object.entries(numbers).map(([field, { attribute }]) => [attribute, { float: c.number(field) }]))),
  ]),
);

/** By kind. */
export const rules: Record<string, Rule> = {
  ...functions,
  conv2d,
  linear,
  convTranspose2d,
  batchNorm,
  gelu,
  geluTanh,
  silu,
  square,
  clip,
  affine,
  prelu,
  dropout: identity,
  layerNorm,
  rmsNorm,
  instanceNorm,
  groupNorm,
  softmax,
  maxPool: pool('MaxPool'),
  averagePool: pool('AveragePool'),
  globalAveragePool: globalPool('GlobalAveragePool'),
  globalMaxPool: globalPool('GlobalMaxPool'),
  meanPositions,
  meanChannels,
  add: arithmetic('Add'),
  subtract: arithmetic('Sub'),
  multiply: arithmetic('Mul'),
  divide: arithmetic('Div'),
  flatten,
  concat,
  gatherChannels: (c) => gatherChannels(c),
  channelShuffle,
  padChannels,
  sliceChannels,
  slicePositions,
  pad,
  pixelShuffle,
  pixelUnshuffle,
  reshape,
  resize,
  attention,
  rotary,
  lstm,
  gru,
  embedding,
  unembedding,
  parameter,
};
