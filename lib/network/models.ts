/** Networks by name. */

import { readArgument } from '../arguments.js';
import type { NetworkDescription } from '../binding.js';
import { checkInteger, checkNames, checkNumber, wrongType, wrongValue } from '../errors.js';
import type { ModelOptions } from './models/options.js';
import { resnet8, resnet9, resnet18, resnet20, resnet32, resnet44, resnet56 } from './models/resnet.js';
import { lenet5, lenet300, mlp, notebook } from './models/small.js';
import { vgg16 } from './models/vgg.js';

export type { ModelOptions };

const models = { notebook, lenet5, lenet300, mlp, resnet8, resnet9, resnet18, resnet20, resnet32, resnet44, resnet56, vgg16 };
export type ModelName = keyof typeof models;
export const modelNames = Object.keys(models) as ModelName[];

function checkOptions(given: ModelOptions): ModelOptions {
  const options = readArgument(given, 'options');
  checkNames(options, 'options', ['input', 'classes', 'compress', 'width']);
  const { input, classes, compress, width: factor } = options as Partial<ModelOptions>;
  if (!Array.isArray(input) || input.length !== 3) throw wrongType('[channels, height, width]', 'input', input);
  const [channels, height, width] = input as unknown[];
  checkInteger(channels, 'input[0]', 1, 1 << 24);
  checkInteger(height, 'input[1]', 1, 1 << 15);
  checkInteger(width, 'input[2]', 1, 1 << 15);
  checkInteger(classes, 'classes', 1, 1 << 24);
  if (compress !== undefined && typeof compress !== 'boolean') throw wrongType('a boolean', 'compress', compress);
  if (factor !== undefined) checkNumber(factor, 'width', 2 ** -10, 2 ** 10);
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
