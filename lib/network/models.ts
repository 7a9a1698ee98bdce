/** Networks by name. */

import { readArgument } from '../arguments.js';
import type { NetworkDescription } from '../binding.js';
import { checkInteger, checkNames, checkNumber, isPlainObject, wrongType, wrongValue } from '../errors.js';
import { charLm, type LanguageModelOptions, lstmLm } from './models/language.js';
import { mobilenetv2, mobilenetv3small } from './models/mobile.js';
import type { ModelOptions } from './models/options.js';
import { resnet8, resnet9, resnet18, resnet20, resnet32, resnet44, resnet56 } from './models/resnet.js';
import { lenet5, lenet300, mlp, notebook } from './models/small.js';
import { unet } from './models/unet.js';
import { vgg16 } from './models/vgg.js';
import { vitTiny } from './models/vit.js';

export type { LanguageModelOptions, ModelOptions };

const imageModels = {
  notebook,
  lenet5,
  lenet300,
  mlp,
  resnet8,
  resnet9,
  resnet18,
  resnet20,
  resnet32,
  resnet44,
  resnet56,
  vgg16,
  mobilenetv2,
  'mobilenetv3-small': mobilenetv3small,
  'vit-tiny': vitTiny,
  unet,
};
const languageModels = { 'char-lm': charLm, 'lstm-lm': lstmLm };
export type ModelName = keyof typeof imageModels | keyof typeof languageModels;
export const imageModelNames = Object.keys(imageModels) as ModelName[];
/** Those that predict the next token at every position. */
export const languageModelNames = Object.keys(languageModels) as ModelName[];
export const modelNames = [...imageModelNames, ...languageModelNames];

function checkImage(input: unknown): void {
  if (!Array.isArray(input) || input.length !== 3) throw wrongType('[channels, height, width]', 'input', input);
  const [channels, height, width] = input as unknown[];
  checkInteger(channels, 'input[0]', 1, 1 << 24);
  checkInteger(height, 'input[1]', 1, 1 << 15);
  checkInteger(width, 'input[2]', 1, 1 << 15);
}

function checkTokens(input: unknown): void {
  if (!isPlainObject(input)) throw wrongType('{ tokens: length of a window }', 'input', input);
  checkNames(input, 'input', ['tokens']);
  checkInteger(input.tokens, 'input.tokens', 1, 1 << 15);
}

function checkOptions<Options extends ModelOptions | LanguageModelOptions>(
  given: Options,
  checkInput: (input: unknown) => void,
  more: string[] = [],
): Options {
  const options = readArgument(given, 'options');
  checkNames(options, 'options', ['input', 'classes', 'compress', 'width', ...more]);
  for (const name of more) {
    const value = (options as unknown as Record<string, unknown>)[name];
    if (value !== undefined && typeof value !== 'boolean') throw wrongType('a boolean', name, value);
  }
  const { input, classes, compress, width: factor } = options as Partial<Options>;
  checkInput(input);
  checkInteger(classes, 'classes', 1, 1 << 24);
  if (compress !== undefined && typeof compress !== 'boolean') throw wrongType('a boolean', 'compress', compress);
  if (factor !== undefined) checkNumber(factor, 'width', 2 ** -10, 2 ** 10);
  return options;
}

/**
 * The description of a named model for these images and classes, or for windows of so many tokens and a vocabulary.
 * @throws TypeError or RangeError for an unknown name and for wrong options
 */
export function createModel(name: string, options: ModelOptions | LanguageModelOptions): NetworkDescription {
  if (typeof name !== 'string') throw wrongType(`one of ${modelNames.join(', ')}`, 'model', name);
  if (Object.hasOwn(languageModels, name))
    return languageModels[name as keyof typeof languageModels](
      checkOptions(options as LanguageModelOptions, checkTokens, name === 'char-lm' ? ['tied'] : []),
    );
  if (!Object.hasOwn(imageModels, name)) throw wrongValue(`one of ${modelNames.join(', ')}`, 'model', name);
  return imageModels[name as keyof typeof imageModels](checkOptions(options as ModelOptions, checkImage));
}
