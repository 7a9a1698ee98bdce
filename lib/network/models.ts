/** Networks by name. */
import type { NetworkDescription } from '../binding.js';
import { checkNumber, wrongValue } from '../errors.js';
import type { ModelOptions } from './models/options.js';
import { resnet8, resnet9, resnet18, resnet20, resnet32, resnet44, resnet56 } from './models/resnet.js';
import { lenet5, lenet300, mlp, notebook } from './models/small.js';
import { vgg16 } from './models/vgg.js';

export type { ModelOptions };

const models = { notebook, lenet5, lenet300, mlp, resnet8, resnet9, resnet18, resnet20, resnet32, resnet44, resnet56, vgg16 };
export type ModelName = keyof typeof models;
export const modelNames = Object.keys(models) as ModelName[];

/**
 * The description of a named model for these images and classes.
 * @throws RangeError for an unknown name, or a width that is no factor
 */
export function createModel(name: string, options: ModelOptions): NetworkDescription {
  if (!Object.hasOwn(models, name)) throw wrongValue(`one of ${modelNames.join(', ')}`, 'model', name);
  if (options.width !== undefined) checkNumber(options.width, 'width', 2 ** -10, 2 ** 10);
  return models[name as ModelName](options);
}
