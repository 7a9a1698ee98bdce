/** A trained network from a checkpoint, a run's folder, or a model file. */
import { readFile, stat } from 'node:fs/promises';
import type { NetworkDescription } from '../binding.js';
import { decodeModel, type ModelInfo } from '../model-file/model-file.js';
import { evaluatedState } from '../network/averages.js';
import { inspectNetwork } from '../network/description.js';
import type { State } from '../network/initial.js';
import { readCheckpoint } from '../training/checkpoint.js';
import { type Origin, originOf } from '../training/metrics.js';
import type { TrainOptions } from '../training/options.js';

export interface LoadedModel {
  network: NetworkDescription;
  state: State;
  info: ModelInfo;
  origin: Origin;
  /** Of the run that it comes from; a model file has none. */
  options?: TrainOptions;
}

export async function readTrained(path: string): Promise<LoadedModel> {
  const isFile = await stat(path).then(
    (s) => s.isFile(),
    () => false,
  );
  const bytes = isFile ? await readFile(path) : undefined;
  if (bytes && (path.endsWith('.scnn') || bytes.toString('latin1', 0, 4) === 'SCNN')) {
    const { network, info, state } = await decodeModel(bytes);
    return { network, info, state, origin: originOf(inspectNetwork(network).parameters) };
  }
  const { description, data, state, origin, options } = await readCheckpoint(path);
  return { network: description, info: data, state: evaluatedState(state), origin, options };
}
