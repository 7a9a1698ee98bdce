/** What a command starts from: a network by name, by description, or with another program's weights. */
import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import type { NetworkDescription } from '../binding.js';
import type { AnyDataset } from '../data/dataset.js';
import { type ImportedModel, importModel, wholeModelEndings } from '../import/import.js';
import { type LoadedWeights, loadWeights, weightEndings } from '../import/weights.js';
import { inspectNetwork, withoutBits } from '../network/description.js';
import type { State } from '../network/initial.js';
import { createModel, type LanguageModelOptions, languageModelNames, type ModelOptions, modelNames } from '../network/models.js';
import { originOf } from '../training/metrics.js';
import { modelInfoOf } from '../training/model-info.js';
import { inputOf, isTokens } from './data.js';
import { UsageError } from './faults.js';
import type { LoadedModel } from './load-model.js';
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
  if ((modelNames as string[]).includes(model)) {
    const isLanguageModel = (languageModelNames as string[]).includes(model);
    if (isLanguageModel !== isTokens(data))
      throw new UsageError(
        `Expected ${isTokens(data) ? languageModelNames.join(' or ') : 'a network for images'} for --model but received "${model}"`,
      );
    return createModel(model, { input: inputOf(data), classes: data.classes, compress: !plain, width, ...(tied && { tied }) } as
      | ModelOptions
      | LanguageModelOptions);
  }
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

export const isWeights = (path: string) => weightEndings.some((ending) => path.endsWith(ending));
export const isWholeModel = (path: string) => wholeModelEndings.some((ending) => path.endsWith(ending));
export const isImportable = (path: string) => isWeights(path) || isWholeModel(path);

/** What was read of a whole model, in one line. */
export function describeImport({ report, network }: ImportedModel): string {
  const operators = Object.entries(report.operators).map(([name, count]) => `${count} ${name}`);
  const tail = report.tail.length ? `; left out at the output: ${report.tail.map(({ operator, node }) => `${operator} "${node}"`).join(', ')}` : '';
  const origin = [report.opset !== undefined && `opset ${report.opset}`, report.producer && `by ${report.producer}`].filter(Boolean).join(' ');
  return `${origin}, input ${network.input.join('×')}: ${operators.join(', ')}${tail}`;
}

/** How the parameters were found, in one line. */
export function describeMatches({ matches, ignored }: LoadedWeights): string {
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

function imageOf(data: AnyDataset, path: string): [number, number, number] {
  if (isTokens(data)) throw new UsageError(`Expected a data set of images for "${path}" but received a text`);
  return data.shape;
}

/** Network and given parameters of `selfcompress train`. `named`: the user has given --model. */
export async function startingPoint(flags: ImportFlags, data: AnyDataset, named: boolean): Promise<{ network: NetworkDescription; state?: State }> {
  const { from, map } = flags;
  if (map !== undefined && !isWeights(from ?? ''))
    throw new UsageError(`Expected --from FILE of weights (${weightEndings.join(', ')}) with --map but received ${from ?? 'none'}`);
  if (from === undefined) return { network: await readNetwork(flags, data) };
  if (isWholeModel(from)) {
    if (named || flags.width !== 1) throw new UsageError(`Expected no --model and no --width with --from "${from}", which is a whole network`);
    const imported = await importModel(from, { input: imageOf(data, from) });
    note(`${from}: ${describeImport(imported)}`);
    return { network: flags.plain ? withoutBits(imported.network) : imported.network, state: imported.state };
  }
  if (!isWeights(from))
    throw new UsageError(`Expected a file by the name of ${[...weightEndings, ...wholeModelEndings].join(', ')} for --from but received "${from}"`);
  const network = await readNetwork(flags, data);
  const weights = await loadWeights(network, from, { map });
  note(`${from}: ${describeMatches(weights)}`);
  return { network, state: weights.state };
}

/** What a run is called: its model's name, or its file's. */
export function modelName({ model, from }: ImportFlags): string {
  return from !== undefined && isWholeModel(from) ? basename(from, extname(from)) : model;
}

/** A whole model of another program in plain floats. */
export async function importWhole(path: string, data?: AnyDataset): Promise<{ model: LoadedModel; text: string }> {
  const imported = await importModel(path, data && { input: imageOf(data, path) });
  const network = withoutBits(imported.network);
  const { parameters } = inspectNetwork(network);
  const info = data ? modelInfoOf(data) : { name: basename(path), classes: 0, mean: [], std: [] };
  return {
    model: { network, state: imported.state, info, origin: originOf(parameters) },
    text: describeImport(imported),
  };
}

/** The model of another program's file for evaluation, in plain floats. */
export async function importFor(path: string, data: AnyDataset, flags: { model?: string; width: number; map?: string }): Promise<LoadedModel> {
  if (isWholeModel(path)) {
    if (flags.model !== undefined) throw new UsageError(`Expected no --model for "${path}", which is a whole network, but received "${flags.model}"`);
    return (await importWhole(path, data)).model;
  }
  if (flags.model === undefined) throw new UsageError(`Expected --model NAME for the weights in ${path} but received none`);
  const network = withoutBits(await readNetwork({ ...flags, model: flags.model }, data));
  const { state } = await loadWeights(network, path, { map: flags.map });
  const { parameters } = inspectNetwork(network);
  return { network, state, info: modelInfoOf(data), origin: originOf(parameters) };
}
