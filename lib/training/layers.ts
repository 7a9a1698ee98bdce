/** Options of single layers, by the names of nodes or patterns of them. */
import { binding, type LayerRule, type NetworkDescription } from '../binding.js';
import { checkInteger, checkNames, checkNumber, wrongType, wrongValue } from '../errors.js';
import { compressingKinds } from '../network/description.js';
import type { State } from '../network/initial.js';

export interface LayerOptions {
  /** The name of a node, or a pattern in which `*` stands for any characters: `conv*`. Of several that match the last says what it says. */
  name: string;
  /** Its weights, biases, norms, bit depths and exponents stay as they are; a batch norm's running statistics go on. Default false. */
  frozen?: boolean | undefined;
  /** false: the layer is left out of compression; its weights stay float32. Default: as the network has it. */
  compress?: boolean | undefined;
  /** Least bits of every channel; above 0 none of them dies. Default 0. */
  leastBits?: number | undefined;
  /** Most bits of every channel, at most 24. Default 24. */
  mostBits?: number | undefined;
  /** Only so many channels are removed that a multiple of this many is left, for hardware that wants 4 or 8. Default 1. */
  multipleOf?: number | undefined;
}

const NAMES = ['name', 'frozen', 'compress', 'leastBits', 'mostBits', 'multipleOf'] as const satisfies (keyof LayerOptions)[];

/** @throws TypeError or RangeError naming the option */
export function checkLayers(layers: unknown): asserts layers is LayerOptions[] {
  if (!Array.isArray(layers)) throw wrongType('an array', 'options.layers', layers);
  layers.forEach((layer: LayerOptions, i) => {
    const path = `options.layers[${i}]`;
    checkNames(layer, path, NAMES);
    if (typeof layer.name !== 'string') throw wrongType('a string', `${path}.name`, layer.name);
    for (const key of ['frozen', 'compress'] as const)
      if (layer[key] !== undefined && typeof layer[key] !== 'boolean') throw wrongType('a boolean', `${path}.${key}`, layer[key]);
    if (layer.mostBits !== undefined) checkNumber(layer.mostBits, `${path}.mostBits`, 0, 24);
    if (layer.leastBits !== undefined) checkNumber(layer.leastBits, `${path}.leastBits`, 0, layer.mostBits ?? 24);
    if (layer.multipleOf !== undefined) checkInteger(layer.multipleOf, `${path}.multipleOf`, 1, 1 << 24);
  });
}

/** Whether the pattern stands for the name. */
function matches(pattern: string, name: string): boolean {
  const [first = '', ...others] = pattern.split('*');
  if (others.length === 0) return pattern === name;
  if (!name.startsWith(first)) return false;
  let rest = name.slice(first.length);
  const last = others.pop() as string;
  for (const part of others) {
    const at = rest.indexOf(part);
    if (at < 0) return false;
    rest = rest.slice(at + part.length);
  }
  return rest.length >= last.length && rest.endsWith(last);
}

/** What holds for each node that something holds for, by its name. */
function layersOf(description: NetworkDescription, layers: readonly LayerOptions[]): Map<string, Omit<LayerOptions, 'name'>> {
  const result = new Map<string, Omit<LayerOptions, 'name'>>();
  for (const { name: pattern, ...options } of layers)
    for (const { name } of description.nodes) if (matches(pattern, name)) result.set(name, { ...result.get(name), ...options });
  return result;
}

function namesOf({ nodes }: NetworkDescription): string {
  const names = nodes.slice(0, 8).map(({ name }) => name);
  return `${names.join(', ')}${nodes.length > names.length ? ', ...' : ''}`;
}

/**
 * The network with layers left out of compression as the options say.
 * @throws TypeError or RangeError for a description that is none, or a name or pattern that stands for no node
 */
export function withLayers(description: NetworkDescription, layers: readonly LayerOptions[]): NetworkDescription {
  if (layers.length === 0) return description;
  binding.inspectNetwork(description); // checks it
  layers.forEach(({ name: pattern }, i) => {
    if (!description.nodes.some(({ name }) => matches(pattern, name)))
      throw wrongValue(`the name of a node, or a pattern of one (${namesOf(description)}),`, `options.layers[${i}].name`, pattern);
  });
  const compressing = compressingKinds();
  const options = layersOf(description, layers);
  const nodes = description.nodes.map((node) => {
    const compress = options.get(node.name)?.compress;
    return compress === undefined || !compressing.has(node.kind) ? node : { ...node, compress };
  });
  return { ...description, nodes } as NetworkDescription;
}

export function layerRules(description: NetworkDescription, layers: readonly LayerOptions[]): LayerRule[] {
  return [...layersOf(description, layers)].map(([name, { compress: _, ...rule }]) => ({ name, ...rule }));
}

/** The part of a state that does not belong to frozen layers. */
export function withoutFrozen(state: State, layers: readonly LayerOptions[]): State {
  const isFrozen = (node: string) => layers.reduce((frozen, layer) => (matches(layer.name, node) ? (layer.frozen ?? frozen) : frozen), false);
  return Object.fromEntries(Object.entries(state).filter(([name]) => !isFrozen(name.slice(0, name.lastIndexOf('.')))));
}
