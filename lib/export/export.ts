/** Trained networks as files for other programs. */
import { checkPath, readArgument } from '../arguments.js';
import type { NetworkDescription } from '../binding.js';
import { checkChoice, checkNames, checkObject, wrongType } from '../errors.js';
import { encodeModel, type ModelInfo } from '../model-file/model-file.js';
import type { State } from '../network/initial.js';
import { foldNorms } from './fold.js';
import { readLayers } from './layers.js';
import { encodeOnnx } from './onnx/export.js';
import { encodeSafetensors } from './safetensors.js';
import { readTrained } from './source.js';

export const exportFormats = ['scnn', 'onnx', 'safetensors'] as const;
export type ExportFormat = (typeof exportFormats)[number];

/** What is exported: a network with its parameters, which may be those of a training with optimizer moments. */
export interface TrainedModel {
  network: NetworkDescription;
  state: State;
  /** What the model file says of it; needed for `scnn`. */
  info?: ModelInfo | undefined;
}

export interface ExportOptions {
  format: ExportFormat;
  /** Norms by running statistics become a part of the layer with weights before them, where nobody else reads that. Default false. */
  foldNorms?: boolean | undefined;
}

/**
 * The bytes of a file with the network in it, without its removed channels and with the weights that predictions use.
 * - `scnn`: the model file, docs/model-file.md.
 * - `onnx`: float32, opset 17; the input [batch, ...axes] is normalised as in training.
 * - `safetensors`: float32 parameters with their shapes, and the description as JSON in the metadata.
 * @param source path of a run's folder, a checkpoint or a model file, or the network itself
 * @throws ExportError with every node that the format does not have; CheckpointError or ModelFileError for what cannot be read
 */
export async function exportModel(source: string | TrainedModel, options: ExportOptions): Promise<Uint8Array> {
  const { format, foldNorms: folds = false } = checkOptions(readArgument(options, 'options'));
  const { network, state, info } = typeof source === 'string' ? await readTrained(checkPath(source, 'source')) : checkSource(source);
  const layers = await readLayers(network, state);
  if (format === 'scnn') {
    if (!info) throw wrongType('what the file says of the model', 'source.info', info);
    return encodeModel(layers.description, layers.state, info);
  }
  const whole = folds ? foldNorms(layers) : layers;
  return format === 'onnx' ? encodeOnnx(whole) : encodeSafetensors(whole);
}

function checkOptions(options: unknown): ExportOptions {
  checkNames(options, 'options', ['format', 'foldNorms']);
  checkChoice(options.format, 'options.format', exportFormats);
  if (options.foldNorms !== undefined && typeof options.foldNorms !== 'boolean') throw wrongType('a boolean', 'options.foldNorms', options.foldNorms);
  return options as unknown as ExportOptions;
}

function checkSource(source: TrainedModel): TrainedModel {
  const { network, state, info } = readArgument(checkObject(source, 'source') as unknown as TrainedModel, 'source');
  checkObject(network, 'source.network');
  checkObject(state, 'source.state');
  return { network, state, info };
}
