/** What a command starts from: a network by name, by description, or with another program's weights. */
import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import type { Command } from 'commander';
import type { NetworkDescription } from '../binding.js';
import type { AnyDataset } from '../data/dataset.js';
import { type ImportedModel, importModel, wholeModelEndings } from '../import/import.js';
import { type LoadedWeights, loadWeights, weightEndings } from '../import/weights.js';
import { elements, inspectNetwork, withBits, withoutBits } from '../network/description.js';
import type { State } from '../network/initial.js';
import { createModel, type LanguageModelOptions, languageModelNames, type ModelOptions, modelNames } from '../network/models.js';
import { readConfig } from '../report/run-directory.js';
import { originOf } from '../training/metrics.js';
import { modelInfoOf } from '../training/model-info.js';
import { inputOf, isTokens } from './data.js';
import { UsageError } from './faults.js';
import type { LoadedModel } from './load-model.js';
import { number } from './values.js';
import { note } from './voice.js';

interface NetworkFlags {
  model: string;
  width: number;
  tied?: boolean;
  plain?: boolean;
}

/** The network of `--model`: by name, or a JSON file with its description. */
export async function readNetwork({ model, width, tied, plain }: NetworkFlags, data: AnyDataset): Promise<NetworkDescription> {
  if (tied && model !== 'char-lm') throw new UsageError(`Expected --model char-lm with --tied but received ${model}`);
  if (isNamed(model)) {
    const isLanguageModel = (languageModelNames as string[]).includes(model);
    if (isLanguageModel !== isTokens(data))
      throw new UsageError(
        `Expected ${isTokens(data) ? languageModelNames.join(' or ') : 'a network for images'} for --model but received "${model}"`,
      );
    return createModel(model, { input: inputOf(data), classes: data.classes, compress: !plain, width, ...(tied && { tied }) } as
      | ModelOptions
      | LanguageModelOptions);
  }
  return readDescription(model);
}

/** The JSON file of `--model`. */
export async function readDescription(model: string): Promise<NetworkDescription> {
  let text: string;
  try {
    text = await readFile(model, 'utf8');
  } catch (cause) {
    throw new UsageError(
      `Expected one of ${modelNames.join(', ')} or a readable JSON file for --model but received "${model}" (${(cause as Error).message})`,
      { cause },
    );
  }
  try {
    return JSON.parse(text) as NetworkDescription;
  } catch (cause) {
    throw new Error(`Expected JSON in the file of --model "${model}" but received something else (${(cause as Error).message})`, { cause });
  }
}

export const isNamed = (model: string) => (modelNames as string[]).includes(model);
export const isWeights = (path: string) => weightEndings.some((ending) => path.endsWith(ending));
export const isWholeModel = (path: string) => wholeModelEndings.some((ending) => path.endsWith(ending));
export const isImportable = (path: string) => isWeights(path) || isWholeModel(path);

/** What was read of a whole model, in one line. */
function describeImport({ report, network }: ImportedModel): string {
  const operators = Object.entries(report.operators).map(([name, count]) => `${count} ${name}`);
  const tail = report.tail.length ? `; left out at the output: ${report.tail.map(({ operator, node }) => `${operator} "${node}"`).join(', ')}` : '';
  const origin = [report.opset !== undefined && `opset ${report.opset}`, report.producer && `by ${report.producer}`].filter(Boolean).join(' ');
  return `${origin}, input ${network.input.join('×')}: ${operators.join(', ')}${tail}`;
}

/** How the parameters were found, in one line. */
function describeMatches({ matches, ignored }: LoadedWeights): string {
  const count = (by: string) => matches.filter((match) => match.by === by).length;
  const parts = [
    count('map') && `${count('map')} by the map`,
    count('name') && `${count('name')} by name`,
    count('order') && `${count('order')} by shape and order`,
    count('identity') && `${count('identity')} shortcuts without weights made of zeros and ones`,
    ignored.length && `${ignored.length} counters left out`,
  ].filter(Boolean);
  return `${matches.length} parameters: ${parts.join(', ')}`;
}

interface ImportFlags extends NetworkFlags {
  from?: string;
  map?: string;
}

/** Of a file of weights: the network that they are for. */
export type WeightFlags = Omit<ImportFlags, 'from' | 'model'> & { model?: string | undefined };

/** The options that say what network a file of weights is for. */
export const addWeightOptions = (command: Command): Command =>
  command
    .option('--model <name|file>', `the network that a file of weights (${weightEndings.join(', ')}) is for`)
    .option('--width <factor>', 'factor of the channels of a model by name', number(2 ** -10, 2 ** 10), 1)
    .option('--map <file>', 'JSON file: parameter of the network → tensor of the file of weights');

function imageOf(data: AnyDataset, path: string): [number, number, number] {
  if (isTokens(data)) throw new UsageError(`Expected a data set of images for "${path}" but received a text`);
  return data.shape;
}

/** What another program's file holds, and in a line of text how it was read. */
export interface Original {
  network: NetworkDescription;
  state: State;
  text: string;
}

/** A whole model, or weights for the network of `--model`. @param model as the user gave it */
export async function readOriginal(path: string, data: AnyDataset, flags: WeightFlags): Promise<Original> {
  const { model, width, map } = flags;
  if (isWholeModel(path)) {
    if (model !== undefined || width !== 1 || map !== undefined)
      throw new UsageError(`Expected no --model, --width and --map with "${path}", which is a whole network`);
    const imported = await importModel(path, { input: imageOf(data, path) });
    return { network: imported.network, state: imported.state, text: describeImport(imported) };
  }
  if (model === undefined) throw new UsageError(`Expected --model NAME for the weights in ${path} but received none`);
  const network = await readNetwork({ ...flags, model }, data);
  const weights = await loadWeights(network, path, { map });
  return { network, state: weights.state, text: describeMatches(weights) };
}

/** By the file's name alone. */
export function checkImportable(path: string, argument: string): void {
  if (isImportable(path)) return;
  throw new UsageError(
    `Expected a file by the name of ${[...weightEndings, ...wholeModelEndings].join(', ')} for ${argument} but received "${path}"`,
  );
}

/** Network and given parameters of `selfcompress train`. `named`: the user has given --model. */
export async function startingPoint(flags: ImportFlags, data: AnyDataset, named: boolean): Promise<{ network: NetworkDescription; state?: State }> {
  const { from, map } = flags;
  if (map !== undefined && !isWeights(from ?? ''))
    throw new UsageError(`Expected --from FILE of weights (${weightEndings.join(', ')}) with --map but received ${from ?? 'none'}`);
  if (from === undefined) return { network: await readNetwork(flags, data) };
  checkImportable(from, '--from');
  // A network of weights has a default name, which is none for a file that is a network itself.
  const model = named || isWeights(from) ? flags.model : undefined;
  const { network, state, text } = await readOriginal(from, data, { ...flags, model });
  note(`${from}: ${text}`);
  return { network: flags.plain ? withoutBits(network) : network, state };
}

interface StartFlags extends ImportFlags {
  start?: string | undefined;
}

/** Where the user names none beside --start: its own, which may have lost channels. Weights that are all plain are to compress. */
export function ownNetwork({ network }: LoadedModel, { plain }: NetworkFlags): { network: NetworkDescription; state?: State } {
  return { network: plain ? withoutBits(network) : withBits(network) };
}

/** The name of that network, which a folder can have: of a run that of its model, which may be a description's file, else that of the file. */
export async function startName(start: string): Promise<string> {
  const model = (await readConfig(start).catch(() => undefined))?.run.model;
  return model === undefined ? basename(start, extname(start)) : basename(model, '.json');
}

/**
 * Weights, biases and norms of --start; quantizers start anew.
 * @throws UsageError when they are not those of this network
 */
export function startState({ state }: LoadedModel, network: NetworkDescription, { model, from, start }: StartFlags): State {
  const taken = Object.entries(state).filter(([name]) => !/\/moment[12]$|\.(bitDepth|exponent|idle)$/.test(name));
  const lengths = new Map(inspectNetwork(network).parameters.map(({ name, shape }) => [name, elements(shape)]));
  for (const [name, { length }] of taken) {
    const wanted = lengths.get(name);
    if (wanted === length) continue;
    const other = wanted === undefined ? 'which it does not have' : `where it has ${wanted}`;
    const hint = from === undefined ? '; without --model the network of --start itself is trained' : '';
    throw new UsageError(
      `Expected a run or file of ${from ?? model} for --start but received "${start}" with ${length} numbers in ${name}, ${other}${hint}`,
    );
  }
  return Object.fromEntries(taken);
}

/** What a run is called: its model's name, or its file's. */
export function modelName({ model, from }: ImportFlags): string {
  return from !== undefined && isWholeModel(from) ? basename(from, extname(from)) : model;
}

/** A whole model of another program in plain floats. */
export async function importWhole(path: string): Promise<{ model: LoadedModel; text: string }> {
  const imported = await importModel(path);
  const network = withoutBits(imported.network);
  const { parameters } = inspectNetwork(network);
  return {
    model: { network, state: imported.state, info: { name: basename(path), classes: 0, mean: [], std: [] }, origin: originOf(parameters) },
    text: describeImport(imported),
  };
}

/** The model of another program's file for evaluation, in plain floats. */
export async function importFor(path: string, data: AnyDataset, flags: WeightFlags): Promise<LoadedModel> {
  const { network: read, state } = await readOriginal(path, data, flags);
  const network = withoutBits(read);
  const { parameters } = inspectNetwork(network);
  return { network, state, info: modelInfoOf(data), origin: originOf(parameters) };
}
