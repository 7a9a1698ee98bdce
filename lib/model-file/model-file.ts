/** The compact model file `.scnn` (docs/model-file.md). Version 2 is native; version 1 is read by version1.ts. */

import { checkTyped, readArgument } from '../arguments.js';
import { binding, type Metadata, type NetworkDescription } from '../binding.js';
import { checkChoice, checkInteger, checkNames, checkNumber, checkObject, ModelFileError, wrongType } from '../errors.js';
import type { State } from '../network/initial.js';
import { TASKS, type Task } from '../network/task.js';
import { decodeVersion1 } from './version1.js';

/** What one of several outputs predicts. */
export interface OutputInfo {
  name: string;
  task: Task;
  classes: number;
  classNames?: string[] | undefined;
}

/** What the file says of the model besides its parameters. */
export interface ModelInfo {
  /** Name of the data set it was trained on. */
  name: string;
  classes: number;
  classNames?: string[] | undefined;
  /** Of one output. Default: 'classification' with classes, unless the prediction has positions; else 'regression'. */
  task?: Task | undefined;
  /** Of several outputs each by itself, in the order of `NetworkDescription.outputs`. */
  outputs?: OutputInfo[] | undefined;
  /** How image files are brought to the input's size: 'area' averages over areas. Default: as the decoder of images scales. */
  resize?: 'area' | undefined;
  /** Normalisation of images, per channel; of several inputs those of each, one input behind another. */
  mean: number[];
  std: number[];
  /** Lowest and highest value of the input and of every node, for integers (docs/integer.md). */
  ranges?: number[] | undefined;
  /** Of a language model: the characters that its tokens stand for, in their order, or the name of its tokenizer.json. */
  characters?: string | undefined;
  tokenizer?: string | undefined;
}

export interface DecodedModel {
  network: NetworkDescription;
  info: ModelInfo;
  /** Parameters (no optimizer moments): quantizing the weights again gives the very codes of the file. */
  state: State;
}

export interface DecodeLimits {
  /** Most weights of a file that is read. Default 2^28. */
  maxWeights?: number | undefined;
  /** Most nodes of its network. Default 2^16. */
  maxNodes?: number | undefined;
}

/** The bytes of the model file. `state` may hold optimizer moments; they are left out. */
export async function encodeModel(network: NetworkDescription, state: State, info: ModelInfo): Promise<Uint8Array> {
  return binding.encodeModelFile({ network, state, metadata: metadataOf(checkInfo(readArgument(info, 'info'))) });
}

function checkInfo(info: unknown): ModelInfo {
  const { name, classes, classNames, task, outputs, resize, mean, std, ranges = [], characters, tokenizer } = checkObject(info, 'info'); // what a checkpoint says of its data will do
  if (typeof name !== 'string') throw wrongType('a string', 'info.name', name);
  checkInteger(classes, 'info.classes', 0);
  if (classNames !== undefined && !(Array.isArray(classNames) && classNames.every((c) => typeof c === 'string')))
    throw wrongType('an array of strings', 'info.classNames', classNames);
  if (task !== undefined) checkChoice(task, 'info.task', TASKS);
  if (outputs !== undefined) checkOutputInfo(outputs, 'info.outputs');
  if (resize !== undefined) checkChoice(resize, 'info.resize', ['area']);
  for (const [argument, text] of Object.entries({ characters, tokenizer })) {
    if (text !== undefined && typeof text !== 'string') throw wrongType('a string', `info.${argument}`, text);
  }
  for (const [argument, values] of Object.entries({ mean, std, ranges })) {
    if (!Array.isArray(values)) throw wrongType('an array of numbers', `info.${argument}`, values);
    values.forEach((value, i) => {
      checkNumber(value, `info.${argument}[${i}]`, -1e300, 1e300);
    });
  }
  return info as unknown as ModelInfo;
}

/** @throws TypeError or RangeError naming what is not of an output */
export function checkOutputInfo(value: unknown, argument: string): void {
  if (!Array.isArray(value)) throw wrongType('an array of outputs', argument, value);
  value.forEach((output, i) => {
    const { name, task, classes, classNames } = checkObject(output, `${argument}[${i}]`);
    if (typeof name !== 'string') throw wrongType('a string', `${argument}[${i}].name`, name);
    checkChoice(task, `${argument}[${i}].task`, TASKS);
    checkInteger(classes, `${argument}[${i}].classes`, 0);
    if (classNames !== undefined && !(Array.isArray(classNames) && classNames.every((c) => typeof c === 'string')))
      throw wrongType('an array of strings', `${argument}[${i}].classNames`, classNames);
  });
}

/**
 * The network of a model file. Norms come back with scale and shift, whether or not they had them.
 * @throws ModelFileError for anything that is not a whole, unchanged file of a known version
 */
export async function decodeModel(bytes: Uint8Array, limits: DecodeLimits = {}): Promise<DecodedModel> {
  checkTyped(bytes, 'bytes', Uint8Array);
  const { maxWeights, maxNodes } = checkLimits(readArgument(limits, 'limits'));
  const data = Buffer.from(bytes); // a copy, which nobody else can change
  if (data.toString('latin1', 0, 4) !== 'SCNN') throw new ModelFileError('The file is not a model of selfcompress (.scnn)');
  if (data.length >= 6 && data.readUInt16LE(4) === 1) return decodeVersion1(data, { maxWeights, maxNodes });
  try {
    const { network, state, metadata } = await binding.decodeModelFile({ bytes: data, maxWeights, maxNodes });
    return { network, state, info: { ...infoOf(metadata), ...outputsOf(metadata, network) } };
  } catch (cause) {
    throw new ModelFileError(`The model file cannot be read: ${(cause as Error).message}`, { cause });
  }
}

export function metadataOf({ name, classes, classNames, task, outputs, resize, mean, std, ranges, characters, tokenizer }: ModelInfo): Metadata {
  // What reads images has both, if of length 0; what reads tokens neither.
  const normalisation = characters === undefined && tokenizer === undefined ? { mean, std } : { characters, tokenizer };
  return { name, task, classes, labels: classNames, ...(outputs && outputMetadata(outputs)), ...normalisation, resize, ranges };
}

/** Tasks of the outputs in their order, and names of classes as `labels.OUTPUT`. */
function outputMetadata(outputs: readonly OutputInfo[]): Metadata {
  const labels = outputs.flatMap(({ name, classNames }) => (classNames ? [[`labels.${name}`, classNames] as const] : []));
  return { tasks: outputs.map(({ task }) => task), outputClasses: outputs.map(({ classes }) => classes), ...Object.fromEntries(labels) };
}

/** What the file says of the outputs that the network has. */
function outputsOf(metadata: Metadata, { outputs }: NetworkDescription): { outputs?: OutputInfo[] } {
  const { tasks, outputClasses } = metadata;
  if (!outputs || !Array.isArray(tasks) || tasks.length !== outputs.length) return {};
  return {
    outputs: outputs.map(({ name }, i) => {
      const labels = metadata[`labels.${name}`];
      const task = TASKS.find((known) => known === tasks[i]) ?? 'regression';
      const classes = Number((Array.isArray(outputClasses) && outputClasses[i]) || 0);
      return { name, task, classes, ...(Array.isArray(labels) && { classNames: labels.map(String) }) };
    }),
  };
}

/** How the file says that image files are resized. @throws ModelFileError for a way that is not known here */
export function resizeOf({ resize }: Metadata): 'area' | undefined {
  if (resize !== undefined && resize !== 'area') throw new ModelFileError(`Expected area for the metadata's resize but received ${String(resize)}`);
  return resize;
}

function checkLimits(limits: unknown): DecodeLimits {
  checkNames(limits, 'limits', ['maxWeights', 'maxNodes']);
  for (const name of ['maxWeights', 'maxNodes'] as const) {
    if (limits[name] !== undefined) checkInteger(limits[name], `limits.${name}`, 1);
  }
  return limits;
}

function infoOf({ name, classes, labels, task, resize, mean, std, ranges, characters, tokenizer }: Metadata): ModelInfo {
  const info: ModelInfo = { name: String(name ?? ''), classes: Number(classes ?? 0), mean: numbers(mean), std: numbers(std) };
  if (Array.isArray(labels)) info.classNames = labels.map(String);
  const known = TASKS.find((one) => one === task);
  if (known) info.task = known;
  if (resizeOf({ resize })) info.resize = 'area';
  if (Array.isArray(ranges)) info.ranges = numbers(ranges);
  if (typeof characters === 'string') info.characters = characters;
  if (typeof tokenizer === 'string') info.tokenizer = tokenizer;
  return info;
}
const numbers = (value: unknown): number[] => (Array.isArray(value) ? value.map(Number) : []);
