/** Weights of other programs' files for a network that is described here. */
import { checkPath, readArgument } from '../arguments.js';
import type { NetworkDescription, ParameterInfo, ParameterRole } from '../binding.js';
import type { Tensor } from '../data/elements.js';
import { isFloat } from '../data/elements.js';
import { readText } from '../data/files.js';
import { readPytorch } from '../data/pytorch.js';
import { readSafetensors } from '../data/safetensors.js';
import { checkNames, DataError, isPlainObject, wrongType } from '../errors.js';
import { elements, inspectNetwork } from '../network/description.js';
import type { State } from '../network/initial.js';

export interface WeightOptions {
  /** Parameter of the network (`conv1.weight`) → tensor of the file; or a JSON file with such an object. What it leaves out is looked for. */
  map?: Record<string, string> | string | undefined;
}

/** Where a parameter has its values from. */
export interface WeightMatch {
  parameter: string;
  /** undefined for `identity`. */
  tensor?: string;
  /** Of the map, of one name, of one shape and place, or made: a shortcut that the file's network has no weights for (option A). */
  by: 'map' | 'name' | 'order' | 'identity';
}

export interface LoadedWeights {
  /** Weights, biases, norms and their running statistics, for `Trainer.create({ state })`. */
  state: State;
  matches: WeightMatch[];
  /** Tensors of the file that no parameter takes and that change nothing: counters of batches. */
  ignored: string[];
}

const QUANTIZER: ParameterRole[] = ['bitDepth', 'exponent'];

/** Endings of tensors' names in PyTorch, Keras and others → endings of parameters here. */
const SUFFIXES: Record<string, string> = {
  running_mean: 'runningMean',
  running_var: 'runningVar',
  moving_mean: 'runningMean',
  moving_variance: 'runningVar',
  gamma: 'weight',
  beta: 'bias',
  kernel: 'weight',
};

/** `module.layer1.0.bn1.running_mean` → node `layer1_0_bn1` and suffix `runningMean`. */
function splitName(name: string): { node: string; suffix: string } {
  const parts = name.replace(/^(?:module|model|_orig_mod)\./, '').split(/[./]/);
  const last = parts.pop() as string;
  return { node: parts.join('_'), suffix: (Object.hasOwn(SUFFIXES, last) && SUFFIXES[last]) || last };
}

const shapeText = (shape: number[]) => `[${shape.join(', ')}]`;
const withoutOnes = (shape: number[]) => shape.filter((size) => size !== 1).join();

/** The same sizes in the same order; axes of one element do not count: a 1×1 convolution is a linear layer. */
const fits = (parameter: ParameterInfo, tensor: Tensor) =>
  elements(parameter.shape) === elements(tensor.shape) && withoutOnes(parameter.shape) === withoutOnes(tensor.shape);

/** Matches of one file, in three passes: as told, by name, by shape and order. */
class Matcher {
  readonly matches = new Map<string, WeightMatch>();
  readonly #unused: Map<string, Tensor>;
  readonly #parameters: ParameterInfo[];

  constructor(parameters: ParameterInfo[], tensors: Map<string, Tensor>) {
    this.#parameters = parameters.filter((p) => !QUANTIZER.includes(p.role));
    this.#unused = new Map(tensors);
  }

  get missing(): ParameterInfo[] {
    return this.#parameters.filter((p) => !this.matches.has(p.name));
  }
  get unused(): [string, Tensor][] {
    return [...this.#unused];
  }

  #take(parameter: ParameterInfo, tensor: string | undefined, by: WeightMatch['by']): void {
    this.matches.set(parameter.name, { parameter: parameter.name, ...(tensor !== undefined && { tensor }), by });
    if (tensor !== undefined) this.#unused.delete(tensor);
  }

  byMap(map: Record<string, string>, tensors: Map<string, Tensor>, path: string): void {
    for (const [name, tensor] of Object.entries(map)) {
      const parameter = this.#parameters.find((p) => p.name === name);
      const found = typeof tensor === 'string' ? tensors.get(tensor) : undefined;
      if (!parameter) throw wrongType(`names of the network's parameters (${this.#parameters.map((p) => p.name).join(', ')})`, 'map', name);
      if (!found) throw wrongType(`the name of a tensor in ${path}`, `map[${JSON.stringify(name)}]`, tensor);
      if (!fits(parameter, found)) {
        throw new DataError(`tensor "${tensor}" is ${shapeText(found.shape)} but ${name} is ${shapeText(parameter.shape)}`, path);
      }
      this.#take(parameter, tensor, 'map');
    }
  }

  byName(): void {
    for (const [name, tensor] of this.unused) {
      const { node, suffix } = splitName(name);
      const parameter = this.missing.find((p) => p.name === `${node}.${suffix}` && fits(p, tensor));
      if (parameter) this.#take(parameter, name, 'name');
    }
  }

  /** Nodes without any match, in the order of the network, and modules of the file, in its order, that have the same tensors. */
  byOrder(): void {
    const modules = new Map<string, Map<string, [string, Tensor]>>();
    for (const [name, tensor] of this.unused) {
      const { node, suffix } = splitName(name);
      modules.set(node, (modules.get(node) ?? new Map()).set(suffix, [name, tensor]));
    }
    for (const node of new Set(this.missing.map((p) => p.node))) {
      const own = this.#parameters.filter((p) => p.node === node);
      if (own.some((p) => this.matches.has(p.name))) continue;
      for (const [module, tensors] of modules) {
        const pairs = own.map((p) => ({ p, found: tensors.get(p.name.slice(node.length + 1)) }));
        if (tensors.size !== own.length || !pairs.every(({ p, found }) => found && fits(p, found[1]))) continue;
        for (const { p, found } of pairs) this.#take(p, found?.[0], 'order');
        modules.delete(module);
        break;
      }
    }
  }

  /** Shortcuts without weights in the file's network. @returns their values */
  byIdentity(): State {
    const made: State = {};
    for (const p of this.missing) {
      const [outs = 0, ins = 0, ...kernel] = p.shape;
      if (!/_shortcut_0\.weight$/.test(p.name) || ins > outs || kernel.some((size) => size !== 1)) continue;
      made[p.name] = optionA(outs, ins);
      this.#take(p, undefined, 'identity');
    }
    return made;
  }
}

/** The 1×1 convolution [out, in] that copies its input's channels to the middle of its output's: zeros on both sides. */
function optionA(outChannels: number, inChannels: number): Float32Array {
  const weight = new Float32Array(outChannels * inChannels);
  const before = (outChannels - inChannels) >> 1;
  for (let c = 0; c < inChannels; c++) weight[(before + c) * inChannels + c] = 1;
  return weight;
}

async function readMap(map: WeightOptions['map']): Promise<Record<string, string>> {
  if (map === undefined) return {};
  let value: unknown = map;
  if (typeof map === 'string') {
    const text = await readText(map);
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new DataError(`expected JSON: an object from parameters to tensors (${(cause as Error).message})`, map, { cause });
    }
  }
  if (!isPlainObject(value)) throw wrongType('an object from parameters to tensors, or the path of a JSON file with one,', 'map', value);
  return value as Record<string, string>;
}

/** Everything that found no counterpart, on both sides. */
function unmatchedError({ missing, unused }: Matcher, path: string): DataError {
  const list = (all: [string, number[]][]) => all.map(([name, shape]) => `${name} ${shapeText(shape)}`).join(', ');
  const parts = [];
  if (missing.length) parts.push(`nothing in it is for ${list(missing.map((p) => [p.name, p.shape]))}`);
  if (unused.length) parts.push(`the network has no place for ${list(unused.map(([name, { shape }]) => [name, shape]))}`);
  return new DataError(`${parts.join('; ')}. A map from the network's parameters to the tensors of the file may help`, path);
}

/** Endings of the names of files that hold weights alone, and what reads them. */
const readers: Record<string, (path: string) => Promise<Map<string, Tensor>>> = {
  '.safetensors': readSafetensors,
  '.pth': readPytorch,
  '.pt': readPytorch,
  '.bin': readPytorch,
};
export const weightEndings = Object.keys(readers);

/**
 * The parameters of a network from a safetensors file, or a state dictionary of PyTorch (`.pth`, `.pt`, `.bin`): those of `map`, then those of one name (`layer1.0.bn1.running_mean` is
 * `layer1_0_bn1.runningMean`; a leading `module.` is left out), then nodes and modules of the same tensors in the order of both.
 * @throws DataError that lists every parameter and every tensor without a counterpart
 */
export async function loadWeights(network: NetworkDescription, path: string, given: WeightOptions = {}): Promise<LoadedWeights> {
  checkPath(path, 'path');
  const options = readArgument(given, 'options');
  checkNames(options, 'options', ['map']);
  const { map }: WeightOptions = options;
  const { parameters } = inspectNetwork(network);
  const told = await readMap(map);
  const reader = Object.entries(readers).find(([ending]) => path.endsWith(ending))?.[1] ?? readSafetensors;
  const all = await reader(path);
  const ignored = [...all.keys()].filter((name) => name.endsWith('num_batches_tracked'));
  const tensors = new Map([...all].filter(([name]) => !ignored.includes(name)));
  const integers = [...tensors].filter(([, { type }]) => !isFloat(type)).map(([name, { type }]) => `${name} (${type})`);
  if (integers.length) throw new DataError(`weights are floats, but it has ${integers.join(', ')}`, path);
  const matcher = new Matcher(parameters, tensors);
  matcher.byMap(told, tensors, path);
  matcher.byName();
  matcher.byOrder();
  const state = matcher.byIdentity();
  if (matcher.missing.length || matcher.unused.length) throw unmatchedError(matcher, path);
  const matches = parameters.flatMap((p) => matcher.matches.get(p.name) ?? []);
  for (const { parameter, tensor } of matches) {
    if (tensor === undefined) continue;
    const { data } = tensors.get(tensor) as Tensor;
    state[parameter] = data instanceof Float32Array ? data : Float32Array.from(data);
  }
  return { state, matches, ignored };
}
