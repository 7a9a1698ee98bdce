/** What a command starts from: a network by name, by description, or with another program's weights. */
import { readFile } from 'node:fs/promises';
import type { NetworkDescription } from '../binding.js';
import type { Dataset } from '../data/dataset.js';
import { type LoadedWeights, loadWeights } from '../import/weights.js';
import { inspectNetwork } from '../network/description.js';
import { initialState, type State } from '../network/initial.js';
import { createModel, modelNames } from '../network/models.js';
import { originOf } from '../training/metrics.js';
import type { LoadedModel } from './load-model.js';

interface NetworkFlags {
  model: string;
  width: number;
  plain?: boolean;
}

/** The network of `--model`: by name, or a JSON file with its description. */
export async function readNetwork({ model, width, plain }: NetworkFlags, data: Dataset): Promise<NetworkDescription> {
  if ((modelNames as string[]).includes(model)) return createModel(model, { input: data.shape, classes: data.classes, compress: !plain, width });
  let text: string;
  try {
    text = await readFile(model, 'utf8');
  } catch (cause) {
    throw new Error(
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

/** The data set, normalised by other numbers than its own where they are given. */
export function normalisedBy(data: Dataset, { mean, std }: { mean?: number[] | undefined; std?: number[] | undefined }): Dataset {
  return { ...data, mean: mean ?? data.mean, std: std ?? data.std };
}

export const isImportable = (path: string) => path.endsWith('.safetensors');

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

/** Network and given parameters of `selfcompress train`. */
export async function startingPoint(
  flags: NetworkFlags & { from?: string; map?: string },
  data: Dataset,
): Promise<{ network: NetworkDescription; state?: State }> {
  const network = await readNetwork(flags, data);
  if (flags.from === undefined) {
    if (flags.map !== undefined) throw new Error('Expected --from FILE.safetensors with --map but received none');
    return { network };
  }
  if (!isImportable(flags.from)) throw new Error(`Expected a .safetensors file for --from but received "${flags.from}"`);
  const weights = await loadWeights(network, flags.from, { map: flags.map });
  console.log(`${flags.from}: ${describeMatches(weights)}`);
  return { network, state: weights.state };
}

/** The model of another program's file for evaluation, in plain floats. */
export async function importFor(path: string, data: Dataset, flags: { model?: string; width: number; map?: string }): Promise<LoadedModel> {
  if (flags.model === undefined) throw new Error(`Expected --model NAME for the weights in ${path} but received none`);
  const network = await readNetwork({ ...flags, model: flags.model, plain: true }, data);
  const { state: given } = await loadWeights(network, path, { map: flags.map });
  const { parameters } = inspectNetwork(network);
  const { name, classes, classNames, mean, std } = data;
  const state = initialState(parameters, 0, { bitDepth: 8, headroom: 0 }, given); // bits of layers that a description compresses
  return { network, state, info: { name, classes, classNames, mean, std }, origin: originOf(parameters) };
}
