/** The data set of a command, by its name and where it lies. */
import type { AnyDataset, Dataset, TokenDataset } from '../data/dataset.js';
import { digitScenes } from '../data/digit-scenes.js';
import { datasetNames, loadDataset } from '../data/load.js';
import { loadText } from '../data/text.js';
import type { DataSource } from '../report/run-directory.js';
import { UsageError } from './faults.js';

/** What --dataset takes: those of `loadDataset`, scenes of digits with a class for each pixel, and text files. */
export const dataNames = [...datasetNames, 'digit-scenes', 'text'] as const;

/** Tokens of a window where --length does not say. */
export const WINDOW = 64;

/** As a run keeps it, with paths as the user gave them. */
export type DataFlags = DataSource;

/** `shape`: of image folders, what images are scaled to. */
export async function openData(flags: DataFlags, shape?: [number, number, number]): Promise<AnyDataset> {
  const { dataset, dataDir, limit, validation, splitSeed, length, tokenizer, mean, std, imageSize: size } = flags;
  if (dataset !== 'text') {
    for (const [name, value] of Object.entries({ length, tokenizer })) {
      if (value !== undefined) throw new UsageError(`Expected --dataset text with --${name} but received --dataset ${dataset}`);
    }
    if (dataset === 'digit-scenes') return normalisedBy(await digitScenesOf(flags), { mean, std });
    const sample = { limit, validation, seed: splitSeed };
    const scaled = dataset === 'images' && shape ? { shape } : { size };
    return normalisedBy(await loadDataset(dataset, { dataDir, ...sample, ...scaled }), { mean, std });
  }
  for (const [name, value] of Object.entries({ limit, validation, mean, std, 'image-size': size })) {
    if (value !== undefined) throw new UsageError(`Expected no --${name} with --dataset text but received ${String(value)}`);
  }
  if (dataDir === undefined) throw new UsageError('Expected a text file for --data-dir but received none');
  return loadText(dataDir, { length: length ?? WINDOW, ...(tokenizer !== undefined && { tokenizer }) });
}

function digitScenesOf({ dataDir, limit, validation, imageSize }: DataFlags): Promise<Dataset> {
  for (const [name, value] of Object.entries({ 'data-dir': dataDir, validation, 'image-size': imageSize })) {
    if (value !== undefined) throw new UsageError(`Expected no --${name} with --dataset digit-scenes but received ${String(value)}`);
  }
  return digitScenes(limit === undefined ? {} : { count: limit });
}

/** The data set, normalised by other numbers than its own where they are given. */
function normalisedBy(data: Dataset, { mean, std }: Pick<DataFlags, 'mean' | 'std'>): Dataset {
  return { ...data, mean: mean ?? data.mean, std: std ?? data.std };
}

export const isTokens = (data: AnyDataset): data is TokenDataset => data.input === 'tokens';

/** What a network by name reads of the data. */
export const inputOf = (data: AnyDataset) => (isTokens(data) ? { tokens: data.length } : data.shape);
