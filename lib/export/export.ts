/** Trained networks as files for other programs. */
import { checkPath, checkTyped, readArgument } from '../arguments.js';
import { binding, type NetworkDescription } from '../binding.js';
import { checkChoice, checkNames, checkObject, ModelFileError, wrongType, wrongValue } from '../errors.js';
import { encodeModel, type ModelInfo } from '../model-file/model-file.js';
import { elements } from '../network/description.js';
import type { State } from '../network/initial.js';
import { calibrate, type Ranges } from './calibrate.js';
import { foldNorms } from './fold.js';
import { type ExportNetwork, readLayers } from './layers.js';
import { encodeOnnx } from './onnx/export.js';
import { encodeSafetensors } from './safetensors.js';
import { readTrained } from './source.js';
import { checkSqueeze, type SqueezeOptions, squeeze } from './squeeze.js';

export const exportFormats = ['scnn', 'onnx', 'safetensors', 'c'] as const;
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
  /**
   * onnx: weights as their codes and values in 8 bits, wherever docs/integer.md has integers; norms are folded. `int4`: weights of at
   * most 4 bits in 4 bits (opset 21). Default 'float'.
   */
  arithmetic?: 'float' | 'integer' | undefined;
  int4?: boolean | undefined;
  /**
   * Examples [n × input], normalised as in training, whose values' ranges integers are scaled by. `scnn` keeps these ranges; a model file
   * that has them needs no examples.
   */
  calibration?: Float32Array | undefined;
  /** c: what the functions begin with. Default 'network'. */
  name?: string | undefined;
  /** c: 'packed' (default) in the bits of their codes, unpacked row by row, or 'plain', a byte each. */
  weights?: 'packed' | 'plain' | undefined;
  /** scnn: codes that take fewer bytes, where these examples are still classified well enough. */
  squeeze?: SqueezeOptions | undefined;
}

/**
 * The bytes of a file with the network in it, without its removed channels and with the weights that predictions use.
 * - `scnn`: the model file, docs/model-file.md.
 * - `onnx`: opset 17; the input [batch, ...axes] is normalised as in training, tokens are int64 [batch, length].
 * - `c`: one C99 file in the integers of docs/integer.md, in UTF-8.
 * - `safetensors`: float32 parameters with their shapes, and the description as JSON in the metadata.
 * @param source path of a run's folder, a checkpoint or a model file, or the network itself
 * @throws ExportError with every node that the format does not have; CheckpointError or ModelFileError for what cannot be read
 */
export async function exportModel(source: string | TrainedModel, options: ExportOptions): Promise<Uint8Array> {
  const checked = checkOptions(readArgument(options, 'options'));
  const { format, foldNorms: folds = false, arithmetic = 'float', int4 = false } = checked;
  const { network, state, info } = typeof source === 'string' ? await readTrained(checkPath(source, 'source')) : checkSource(source);
  let layers = await readLayers(network, state);
  if (format === 'scnn' && !info) throw wrongType('what the file says of the model', 'source.info', info);
  let examples = checked.calibration;
  if (checked.squeeze && info) {
    layers = await squeeze(layers, info, checked.squeeze);
    if (info.ranges) examples ??= checked.squeeze.examples; // those of the file are of other codes
  }
  const ranges = await rangesOf(layers, info, examples);
  if (format === 'scnn' && info) {
    return encodeModel(layers.description, layers.state, { ...info, ranges });
  }
  if (format === 'c') return encodeC(layers, ranges, checked);
  if (format === 'onnx' && arithmetic === 'integer') {
    if (!ranges) throw missingRanges();
    return encodeOnnx(layers, { ranges, int4, order: layers.description.nodes.map(({ name }) => name) });
  }
  const whole = folds ? foldNorms(layers) : layers;
  return format === 'onnx' ? encodeOnnx(whole) : encodeSafetensors(whole);
}

/** What C needs of a model file: weights as codes, and ranges. */
async function encodeC({ description, state }: ExportNetwork, ranges: Ranges | undefined, { name, weights }: ExportOptions): Promise<Uint8Array> {
  if (!ranges) throw missingRanges();
  const bytes = await encodeModel(description, state, { name: '', classes: 0, mean: [], std: [], ranges });
  try {
    return new TextEncoder().encode(await binding.exportC({ bytes, name, weights }));
  } catch (cause) {
    if ((cause as { code?: string }).code === 'ERR_SELFCOMPRESS_ARGUMENT') throw cause;
    throw new ModelFileError(`The network cannot become C: ${(cause as Error).message}`, { cause });
  }
}

const missingRanges = () => wrongType('examples, or a model file with ranges', 'options.calibration', undefined);

/** Measured on the examples, else those of the file; the nodes are the same before and after a removal. */
async function rangesOf(
  { description, state }: ExportNetwork,
  info: ModelInfo | undefined,
  examples: Float32Array | undefined,
): Promise<Ranges | undefined> {
  const size = elements(description.input);
  if (!examples) return info?.ranges?.length === 2 * (1 + description.nodes.length) ? info.ranges : undefined;
  if (examples.length === 0 || examples.length % size) throw wrongValue(`n × ${size} numbers`, 'options.calibration', examples);
  return calibrate(description, state, examples.slice(), examples.length / size); // a copy: the caller's memory may change meanwhile
}

function checkOptions(options: unknown): ExportOptions {
  checkNames(options, 'options', ['format', 'foldNorms', 'arithmetic', 'int4', 'calibration', 'name', 'weights', 'squeeze']);
  checkChoice(options.format, 'options.format', exportFormats);
  for (const name of ['foldNorms', 'int4']) {
    if (options[name] !== undefined && typeof options[name] !== 'boolean') throw wrongType('a boolean', `options.${name}`, options[name]);
  }
  if (options.arithmetic !== undefined) checkChoice(options.arithmetic, 'options.arithmetic', ['float', 'integer']);
  if (options.calibration !== undefined) checkTyped(options.calibration, 'options.calibration', Float32Array);
  if (options.name !== undefined && !/^[A-Za-z_]\w{0,59}$/.test(String(options.name)))
    throw wrongType('an identifier of C', 'options.name', options.name);
  if (options.weights !== undefined) checkChoice(options.weights, 'options.weights', ['packed', 'plain']);
  if (options.squeeze !== undefined) {
    if (options.format !== 'scnn') throw wrongValue("'scnn', whose codes alone can be squeezed,", 'options.format', options.format);
    return { ...options, squeeze: checkSqueeze(options.squeeze) } as unknown as ExportOptions;
  }
  return options as unknown as ExportOptions;
}

function checkSource(source: TrainedModel): TrainedModel {
  const { network, state, info } = readArgument(checkObject(source, 'source') as unknown as TrainedModel, 'source');
  checkObject(network, 'source.network');
  checkObject(state, 'source.state');
  return { network, state, info };
}
