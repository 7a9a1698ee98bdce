/** The compact model file `.scnn` (docs/model-file.md). Version 2 is native; version 1 is read by version1.ts. */
import { binding, type Metadata, type NetworkDescription } from '../binding.js';
import { ModelFileError } from '../errors.js';
import type { State } from '../network/initial.js';
import { decodeVersion1 } from './version1.js';

/** What the file says of the model besides its parameters. */
export interface ModelInfo {
  /** Name of the data set it was trained on. */
  name: string;
  classes: number;
  classNames?: string[] | undefined;
  /** Normalisation of images, per channel. */
  mean: number[];
  std: number[];
}

export interface DecodedModel {
  network: NetworkDescription;
  info: ModelInfo;
  /** Parameters (no optimizer moments): quantizing the weights again gives the very codes of the file. */
  state: State;
}

export interface DecodeLimits {
  /** Most weights of a file that is read. Default 2^28. */
  maxWeights?: number;
  /** Most nodes of its network. Default 2^16. */
  maxNodes?: number;
}

/** The bytes of the model file. `state` may hold optimizer moments; they are left out. */
export function encodeModel(network: NetworkDescription, state: State, info: ModelInfo): Promise<Uint8Array> {
  return binding.encodeModelFile({ network, state, metadata: metadataOf(info) });
}

/**
 * The network of a model file. Norms come back with scale and shift, whether or not they had them.
 * @throws ModelFileError for anything that is not a whole, unchanged file of a known version
 */
export async function decodeModel(bytes: Uint8Array, limits: DecodeLimits = {}): Promise<DecodedModel> {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (data.toString('latin1', 0, 4) !== 'SCNN') throw new ModelFileError('The file is not a model of selfcompress (.scnn)');
  if (data.length >= 6 && data.readUInt16LE(4) === 1) return decodeVersion1(data);
  try {
    const { network, state, metadata } = await binding.decodeModelFile({ bytes, ...limits });
    return { network, state, info: infoOf(metadata) };
  } catch (cause) {
    throw new ModelFileError(`The model file cannot be read: ${(cause as Error).message}`, { cause });
  }
}

export const metadataOf = ({ name, classes, classNames, mean, std }: ModelInfo): Metadata => ({ name, classes, labels: classNames, mean, std });

function infoOf({ name, classes, labels, mean, std }: Metadata): ModelInfo {
  const info: ModelInfo = { name: String(name ?? ''), classes: Number(classes ?? 0), mean: numbers(mean), std: numbers(std) };
  if (Array.isArray(labels)) info.classNames = labels.map(String);
  return info;
}
const numbers = (value: unknown): number[] => (Array.isArray(value) ? value.map(Number) : []);
