/** Models that Keras saved as .keras: a zip of the configuration, and of an HDF5 file of weights without names. */
import { bytesOf } from '../../data/files.js';
import { readZip } from '../../data/zip.js';
import { DataError, isPlainObject } from '../../errors.js';
import type { Weights } from './graph.js';
import { type Dataset, type Group, isGroup, numbersOf, withHdf5 } from './hdf5.js';
import type { KerasFile } from './model.js';
import { type KerasLayer, readTopology } from './topology.js';

const MOST_TEXT = 2 ** 26;
const MOST_WEIGHTS = 2 ** 31 - 1;

/** Names of a layer's weights in the order in which it has them, by the part of the layer that they are in. */
type Names = Record<string, string[]>;

const own = (...names: string[]): Names => ({ '': names });
const only = (config: KerasLayer['config'], field: string, name: string) => (config[field] === false ? [] : [name]);
const scaleAndShift = (config: KerasLayer['config']) => [...only(config, 'scale', 'gamma'), ...only(config, 'center', 'beta')];
const withBias = (config: KerasLayer['config'], ...names: string[]) => own(...names, ...only(config, 'use_bias', 'bias'));

const classOf = (value: unknown): Pick<KerasLayer, 'className' | 'config'> => {
  const { class_name: className, config } = (isPlainObject(value) ? value : {}) as { class_name?: unknown; config?: unknown };
  return { className: typeof className === 'string' ? className : '', config: (isPlainObject(config) ? config : {}) as KerasLayer['config'] };
};
/** The weights of a part of a layer, under the part's name. */
const inside = (part: string, names: Names): Names => Object.fromEntries(Object.entries(names).map(([at, list]) => [`${part}/${at}`, list]));

function namesOf({ className, config }: Pick<KerasLayer, 'className' | 'config'>): Names {
  switch (className) {
    case 'Dense':
    case 'Conv1D':
    case 'Conv2D':
    case 'Conv3D':
    case 'Conv2DTranspose':
    case 'DepthwiseConv2D':
      return withBias(config, 'kernel');
    case 'SeparableConv2D':
      return withBias(config, 'depthwise_kernel', 'pointwise_kernel');
    case 'BatchNormalization':
      return own(...scaleAndShift(config), 'moving_mean', 'moving_variance');
    case 'LayerNormalization':
      return own(...scaleAndShift(config));
    case 'Embedding':
      return own('embeddings');
    case 'PReLU':
      return own('alpha');
    case 'Normalization':
      return own('mean', 'variance', 'count');
    case 'LSTM':
    case 'GRU':
      return inside('cell', withBias(config, 'kernel', 'recurrent_kernel'));
    case 'TimeDistributed':
      return inside('layer', namesOf(classOf(config.layer)));
    case 'Bidirectional': {
      const forward = namesOf(classOf(config.layer));
      const backward = config.backward_layer ? namesOf(classOf(config.backward_layer)) : forward;
      return { ...inside('forward_layer', forward), ...inside('backward_layer', backward) };
    }
    default:
      return {};
  }
}

/** What Keras calls the group of a layer: the class, and a number from the second on. */
const snakeCase = (className: string) =>
  className
    .replace(/\W+/g, '')
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();

/** The data sets of a group `vars`, by their numbers. */
function variables(group: Group, part: string): Dataset[] {
  const vars = group.get(`${part}vars`);
  if (!isGroup(vars)) return [];
  const numbers = vars.keys().filter((name) => /^\d+$/.test(name));
  return numbers
    .sort((a, b) => Number(a) - Number(b))
    .flatMap((name) => {
      const entity = vars.get(name);
      return entity && !isGroup(entity) ? [entity] : [];
    });
}

function weightsOfLayer({ name, ...layer }: KerasLayer, group: Group, path: string, held: number): Weights {
  const result: Weights = new Map();
  for (const [part, names] of Object.entries(namesOf(layer))) {
    const found = variables(group, part);
    const direction = part.match(/^(forward|backward)_layer\//)?.[1];
    // A Normalization counts what it was adapted to, or does not.
    const least = names.at(-1) === 'count' ? names.length - 1 : names.length;
    if (found.length < least || found.length > names.length)
      throw new DataError(`layer "${name}" has ${found.length} weights in the archive but a ${layer.className} has ${names.join(', ')}`, path);
    for (const [i, dataset] of found.entries()) {
      const last = names[i] as string;
      if (last === 'count') continue;
      result.set(direction ? `${direction}/${last}` : last, { ...numbersOf(dataset, `${name}/${last}`, path, held), isInteger: false });
    }
  }
  return result;
}

/** Layers of one class and groups of that name come in the same order, whatever is counted between them. */
function weightsOf(file: Group, layers: KerasLayer[], path: string, held: number): Map<string, Weights> {
  const root = [file.get('layers'), file.get('_layer_checkpoint_dependencies')].find((group) => isGroup(group ?? null));
  if (!root || !isGroup(root)) throw new DataError('no layers in its weights', path);
  const all = new Map<string, Weights>();
  const withWeights = layers.filter((layer) => Object.values(namesOf(layer)).some((names) => names.length));
  for (const className of new Set(withWeights.map((layer) => layer.className))) {
    const base = snakeCase(className);
    const number = (name: string) => (name === base ? 0 : Number(name.slice(base.length + 1)));
    const groups = root
      .keys()
      .filter((name) => name === base || (name.startsWith(`${base}_`) && /^\d+$/.test(name.slice(base.length + 1))))
      .sort((a, b) => number(a) - number(b));
    const own = withWeights.filter((layer) => layer.className === className);
    if (groups.length !== own.length)
      throw new DataError(`there are ${own.length} layers ${className} but ${groups.length} groups of weights ${base}`, path);
    for (const [i, layer] of own.entries()) {
      const group = root.get(groups[i] as string);
      if (!isGroup(group)) throw new DataError(`no group of weights for the layer "${layer.name}"`, path);
      all.set(layer.name, weightsOfLayer(layer, group, path, held));
    }
  }
  return all;
}

function parsed(bytes: Uint8Array | undefined, name: string, path: string): Record<string, unknown> {
  if (!bytes) throw new DataError(`no archive of Keras: there is no ${name} in it`, path);
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    if (isPlainObject(value)) return value as Record<string, unknown>;
  } catch (cause) {
    throw new DataError(`${name} is no JSON (${(cause as Error).message})`, path, { cause });
  }
  throw new DataError(`${name} is no object`, path);
}

/** @throws DataError where h5wasm is not installed, and for what is no archive of Keras */
export async function readArchive(path: string): Promise<KerasFile> {
  const parts = new Map<string, Uint8Array>();
  const limits = new Map([
    ['config.json', MOST_TEXT],
    ['metadata.json', MOST_TEXT],
    ['model.weights.h5', MOST_WEIGHTS],
  ]);
  await readZip(path, async (name, source) => {
    const most = limits.get(name);
    if (most !== undefined) parts.set(name, await bytesOf(source, most));
  });
  const config = parsed(parts.get('config.json'), 'config.json', path);
  const { keras_version: version } = parts.has('metadata.json') ? parsed(parts.get('metadata.json'), 'metadata.json', path) : {};
  const topology = { model_config: config, keras_version: typeof version === 'string' ? version : '3' };
  const bytes = parts.get('model.weights.h5');
  if (!bytes) throw new DataError('no archive of Keras: there is no model.weights.h5 in it', path);
  const { listed } = readTopology(topology, path);
  const weights = await withHdf5(path, bytes, (file) => weightsOf(file, listed, path, bytes.length));
  return { topology, producer: `Keras ${topology.keras_version}`, weights };
}
