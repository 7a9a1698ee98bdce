/** A layers model of TensorFlow.js that is in memory, made small: a layers model comes out. */
import { reading } from '../arguments.js';
import type { Dataset } from '../data/dataset.js';
import { DataError, describe, ExportError, type ExportFault, ImportError, withCode, wrongType } from '../errors.js';
import { readLayers } from '../export/layers.js';
import { encodeLayersModel, type LayersModelArtifacts, type Surroundings } from '../export/layers-model/export.js';
import { type ImportedModel, type ImportOptions, type ImportReport, importArtifacts, type TensorReport } from '../import/import.js';
import { type CompressedModel, type CompressOptions, compressImported } from './compress.js';

/** What is used of a `tf.LayersModel`. */
export interface LayersModelLike {
  readonly name: string;
  save(handler: never): Promise<unknown>;
}

export interface CompressedLayersModel<Model> extends CompressedModel {
  /** As TensorFlow.js loads a model: not compiled, in float32, without the channels that were removed. */
  layersModel: Model;
}

/** What is used of `@tensorflow/tfjs-layers`. */
interface Library {
  loadLayersModel(handler: { load(): Promise<LayersModelArtifacts> }): Promise<unknown>;
}

async function library(): Promise<Library> {
  const name: string = '@tensorflow/tfjs-layers';
  try {
    const module = (await import(name)) as { default?: Library } & Library;
    return module.default ?? module;
  } catch (cause) {
    const message = 'Layers models are made by the package @tensorflow/tfjs-layers, which is not installed. Run: npm install @tensorflow/tfjs-layers';
    throw withCode(new Error(message, { cause }), 'ERR_SELFCOMPRESS_EXPORT');
  }
}

/** Functions that are left out at the output while the network is trained, by the names that TensorFlow.js has for them. */
const TAIL: Record<string, string> = { Softmax: 'softmax', LogSoftmax: 'log_softmax', Sigmoid: 'sigmoid' };

/**
 * `compressModel` on a model of tf.layers (sequential or functional), which is not changed. Its layers become a network by the rules of
 * `importModel`, and the smaller network becomes layers again. Images of `data` have their channels first, as everywhere in this library;
 * the models' inputs [batch, height, width, channels] are normalised as in `data`. Needs the package `@tensorflow/tfjs-layers`.
 *
 * @throws TypeError for what is no layers model; ImportError, ExportError with every layer that has no counterpart; DataError for a model
 *   whose weights cannot be read
 */
export async function compressLayersModel<Model extends LayersModelLike>(
  model: Model,
  data: Dataset,
  options: CompressOptions = {},
): Promise<CompressedLayersModel<Model>> {
  const name = checkModel(model);
  const tf = await library();
  let around: Surroundings = { name };
  const read = async (input: NonNullable<ImportOptions['input']>): Promise<ImportedModel> => {
    const imported = await importArtifacts(await artifactsOf(model, name), name, { input });
    const { inputs = [], outputs = [] } = imported.network;
    if (inputs.length > 1 || outputs.length > 1) {
      const operator = `inputs ${inputs.map((part) => part.name)}, outputs ${outputs.map((part) => part.name)}`;
      throw new ImportError(name, [{ node: 'the model', operator, needs: 'one input and one output, to become a layers model again' }]);
    }
    around = surroundingsOf(name, imported.report); // a model that could not come back is refused before it is trained
    return imported;
  };
  const compressed = await compressImported(read, data, options);
  const { network, state } = compressed;
  const artifacts = encodeLayersModel(await readLayers(network, state), around);
  return { ...compressed, layersModel: (await tf.loadLayersModel({ load: async () => artifacts })) as Model };
}

function checkModel(model: LayersModelLike): string {
  const isModel = reading('model', () => typeof model === 'object' && model !== null && typeof model.save === 'function');
  if (!isModel) throw wrongType('a LayersModel of TensorFlow.js', 'model', model);
  const name = reading('model.name', () => model.name);
  return typeof name === 'string' && name !== '' ? name : 'model';
}

async function artifactsOf(model: LayersModelLike, name: string): Promise<Record<string, unknown>> {
  let artifacts: unknown;
  const save = async (given: unknown) => {
    artifacts = given;
    return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } };
  };
  try {
    await model.save({ save } as never);
  } catch (cause) {
    throw new DataError(`its layers and weights cannot be read (${cause instanceof Error ? cause.message : describe(cause)})`, name, { cause });
  }
  if (typeof artifacts !== 'object' || artifacts === null) throw new DataError('it saves no layers and weights', name);
  return artifacts as Record<string, unknown>;
}

/**
 * Axis of the model's tensor, from 1, that is each of the network's with the channels last; undefined where one is made of several.
 * An axis of one element may lie anywhere: it is one of those that are left.
 */
function orderOf({ shape, axes }: TensorReport): number[] | undefined {
  const [channels, ...positions] = axes;
  if (!channels || axes.length !== shape.length - 1 || axes.some((of) => of.length > 1)) return undefined;
  const left = shape.map((_, i) => i).filter((i) => i > 0 && !axes.flat().includes(i));
  return [...positions, channels].map((of) => of[0] ?? (left.shift() as number));
}

/** What stands around the network in the model. @throws ExportError for what is left out at the output and is no function of TensorFlow.js's */
function surroundingsOf(name: string, { input, output, tail }: ImportReport): Surroundings {
  const faults: ExportFault[] = [];
  const fault = (node: string, operator: string, needs: string) => faults.push({ node, operator, needs });
  const [inputOrder, outputOrder] = [orderOf(input), orderOf(output)];
  if (!inputOrder) fault('input', 'input', `axes that are those of the network (its shape is [${input.shape}])`);
  if (!outputOrder) fault('output', 'output', `axes that are those of the network (its shape is [${output.shape}])`);
  const activations = tail.map(({ node, operator, axis }) => {
    const activation = Object.hasOwn(TAIL, operator) ? (TAIL[operator] as string) : '';
    const isLast = axis === undefined || axis === -1 || axis === output.shape.length - 1;
    if (!activation || !isLast) fault(node, operator, 'the last axis of the output');
    return { name: `${node}_activation`, activation };
  });
  if (faults.length) throw new ExportError('a layers model of TensorFlow.js', faults);
  return { name: `${name}_small`, inputOrder, outputOrder, activations };
}
