/** The layers of a Keras model, as its configuration lists them: of Keras 2, Keras 3 and TensorFlow.js. */
import { DataError, isPlainObject } from '../../errors.js';

export type Config = Record<string, unknown>;

export interface KerasLayer {
  name: string;
  className: string;
  config: Config;
  /** Names of the layers that it reads. */
  inputs: string[];
  /** It is called more than once, with the same weights. */
  shared: boolean;
}

export interface KerasModel {
  /** Inputs before their readers. */
  layers: KerasLayer[];
  /** The same in the order of the file. */
  listed: KerasLayer[];
  outputs: string[];
  version: string;
}

const MOST_LAYERS = 2 ** 16;

const objectOf = (value: unknown, what: string, path: string): Config => {
  if (!isPlainObject(value)) throw new DataError(`expected ${what}`, path);
  return value as Config;
};
const listOf = (value: unknown, what: string, path: string): unknown[] => {
  if (!Array.isArray(value) || value.length > MOST_LAYERS) throw new DataError(`expected ${what}`, path);
  return value;
};

/** Names of layers in whatever a call of Keras 2 or 3 keeps of its tensors. */
function tensorsIn(value: unknown): string[] {
  if (Array.isArray(value)) {
    const [name, node, tensor] = value as unknown[];
    if (typeof name === 'string' && typeof node === 'number' && typeof tensor === 'number') return [name];
    return value.flatMap(tensorsIn);
  }
  if (!isPlainObject(value)) return [];
  const { config, args, class_name: className } = value as Config;
  if (className === '__keras_tensor__' && isPlainObject(config)) return tensorsIn((config as Config).keras_history);
  return args === undefined ? [] : tensorsIn(args);
}

function layerOf(value: unknown, path: string, before: string | undefined): KerasLayer {
  const layer = objectOf(value, 'layers as objects', path);
  const config = objectOf(layer.config, 'a config of every layer', path);
  const className = layer.class_name;
  const name = layer.name ?? config.name;
  if (typeof className !== 'string' || typeof name !== 'string') throw new DataError('expected layers with a class_name and a name', path);
  if (layer.inbound_nodes === undefined) return { name, className, config, inputs: before === undefined ? [] : [before], shared: false };
  const calls = listOf(layer.inbound_nodes, `a list as inbound_nodes of layer "${name}"`, path);
  return { name, className, config, inputs: calls.length ? tensorsIn(calls[0]) : [], shared: calls.length > 1 };
}

function sequential(config: Config, path: string): Omit<KerasModel, 'version'> {
  const given = listOf(Array.isArray(config) ? config : config.layers, 'a list of layers', path);
  const layers: KerasLayer[] = [];
  for (const value of given) {
    const { inbound_nodes: _, ...rest } = objectOf(value, 'layers as objects', path);
    const layer = layerOf(rest, path, layers.at(-1)?.name);
    const shape = layer.config.batch_input_shape ?? layer.config.batch_shape ?? config.build_input_shape;
    if (layers.length === 0 && layer.className !== 'InputLayer') {
      const name = `${layer.name}_input`;
      layers.push({ name, className: 'InputLayer', config: { batch_input_shape: shape }, inputs: [], shared: false });
      layer.inputs = [name];
    }
    layers.push(layer);
  }
  const last = layers.at(-1);
  if (!last) throw new DataError('expected at least one layer', path);
  return { layers, listed: layers, outputs: [last.name] };
}

/** The layers in an order in which inputs come before their readers. @throws DataError where there is none */
function ordered(layers: KerasLayer[], path: string): KerasLayer[] {
  const left = new Map(layers.map((layer) => [layer.name, layer]));
  if (left.size !== layers.length) throw new DataError('expected layers with names of their own', path);
  const done: KerasLayer[] = [];
  while (left.size) {
    const ready = [...left.values()].filter(({ inputs }) => !inputs.some((name) => left.has(name)));
    if (ready.length === 0) throw new DataError(`layers that read each other: ${[...left.keys()].slice(0, 8).join(', ')}`, path);
    for (const layer of ready) {
      left.delete(layer.name);
      done.push(layer);
    }
  }
  return done;
}

/** @throws DataError for what is no configuration of a model */
export function readTopology(value: unknown, path: string): KerasModel {
  const topology = objectOf(value, 'a model configuration', path);
  const model = isPlainObject(topology.model_config) ? (topology.model_config as Config) : topology;
  const version = typeof topology.keras_version === 'string' ? topology.keras_version : '';
  const className = model.class_name;
  if (className === 'Sequential')
    return { ...sequential(objectOf(Array.isArray(model.config) ? { layers: model.config } : model.config, 'a config', path), path), version };
  if (className !== 'Functional' && className !== 'Model')
    throw new DataError(`expected a Sequential or Functional model, not ${JSON.stringify(className)}`, path);
  const config = objectOf(model.config, 'a config', path);
  const layers = listOf(config.layers, 'a list of layers', path).map((layer) => layerOf(layer, path, undefined));
  const outputs = tensorsIn(config.output_layers);
  if (outputs.length === 0) throw new DataError('expected output_layers', path);
  return { layers: ordered(layers, path), listed: layers, outputs, version };
}
