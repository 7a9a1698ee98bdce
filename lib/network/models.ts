/** Networks by name. */

import { readArgument } from '../arguments.js';
import type { NetworkDescription } from '../binding.js';
import { checkInteger, checkNames, wrongType, wrongValue } from '../errors.js';
import { NetworkBuilder } from './builder.js';

export interface ModelOptions {
  /** [channels, height, width] of an image. */
  input: [number, number, number];
  /** Outputs of the last layer. */
  classes: number;
  /** Learn bit depths and exponents in every weight layer; false: the same network, plain. Default true. */
  compress?: boolean | undefined;
}

/** The convolutional network of tinygrad's self-compression notebook: 87,456 weights on 28×28 images. */
function notebook({ input, classes, compress }: ModelOptions): NetworkDescription {
  const net = new NetworkBuilder(input);
  let x = net.relu(net.conv2d('input', { name: 'conv1', outChannels: 32, kernel: 5, compress }), 'relu1');
  x = net.relu(net.conv2d(x, { name: 'conv2', outChannels: 32, kernel: 5, compress }), 'relu2');
  x = net.maxPool(net.batchNorm(x, { name: 'norm1' }), { name: 'pool1', kernel: 2 });
  x = net.relu(net.conv2d(x, { name: 'conv3', outChannels: 64, kernel: 3, compress }), 'relu3');
  x = net.relu(net.conv2d(x, { name: 'conv4', outChannels: 64, kernel: 3, compress }), 'relu4');
  x = net.maxPool(net.batchNorm(x, { name: 'norm2' }), { name: 'pool2', kernel: 2 });
  return net.build(net.linear(net.flatten(x, 'flatten'), { name: 'linear', outFeatures: classes, compress }));
}

/** LeNet-5 in the form that pruning papers use (Caffe's): 430,500 weights on 28×28 images. */
function lenet5({ input, classes, compress }: ModelOptions): NetworkDescription {
  const net = new NetworkBuilder(input);
  let x = net.maxPool(net.conv2d('input', { name: 'conv1', outChannels: 20, kernel: 5, compress }), { name: 'pool1', kernel: 2 });
  x = net.maxPool(net.conv2d(x, { name: 'conv2', outChannels: 50, kernel: 5, compress }), { name: 'pool2', kernel: 2 });
  x = net.relu(net.linear(net.flatten(x, 'flatten'), { name: 'linear1', outFeatures: 500, compress }), 'relu1');
  return net.build(net.linear(x, { name: 'linear2', outFeatures: classes, compress }));
}

/** LeNet-300-100: fully connected, 266,200 weights on 28×28 images. */
function lenet300(options: ModelOptions): NetworkDescription {
  return perceptron(options, [300, 100]);
}

/** One hidden layer of 128. */
function mlp(options: ModelOptions): NetworkDescription {
  return perceptron(options, [128]);
}

function perceptron({ input, classes, compress }: ModelOptions, hidden: number[]): NetworkDescription {
  const net = new NetworkBuilder(input);
  let x = net.flatten('input', 'flatten');
  hidden.forEach((outFeatures, i) => {
    x = net.relu(net.linear(x, { name: `linear${i + 1}`, outFeatures, compress }), `relu${i + 1}`);
  });
  return net.build(net.linear(x, { name: `linear${hidden.length + 1}`, outFeatures: classes, compress }));
}

const models = { notebook, lenet5, lenet300, mlp };
export type ModelName = keyof typeof models;
export const modelNames = Object.keys(models) as ModelName[];

function checkOptions(given: ModelOptions): ModelOptions {
  const options = readArgument(given, 'options');
  checkNames(options, 'options', ['input', 'classes', 'compress']);
  const { input, classes, compress } = options as Partial<ModelOptions>;
  if (!Array.isArray(input) || input.length !== 3) throw wrongType('[channels, height, width]', 'input', input);
  const [channels, height, width] = input as unknown[];
  checkInteger(channels, 'input[0]', 1, 1 << 24);
  checkInteger(height, 'input[1]', 1, 1 << 15);
  checkInteger(width, 'input[2]', 1, 1 << 15);
  checkInteger(classes, 'classes', 1, 1 << 24);
  if (compress !== undefined && typeof compress !== 'boolean') throw wrongType('a boolean', 'compress', compress);
  return options;
}

/**
 * The description of a named model for these images and classes.
 * @throws TypeError or RangeError for an unknown name and for wrong options
 */
export function createModel(name: string, options: ModelOptions): NetworkDescription {
  if (typeof name !== 'string') throw wrongType(`one of ${modelNames.join(', ')}`, 'model', name);
  if (!Object.hasOwn(models, name)) throw wrongValue(`one of ${modelNames.join(', ')}`, 'model', name);
  return models[name as ModelName](checkOptions(options));
}
