/** A trained network as exporters read it: without removed channels, with shapes, weights as codes where they have them. */
import { type AxesSizes, binding, type NetworkDescription, type NodeDescription } from '../binding.js';
import { wrongType } from '../errors.js';
import { entry, item } from '../indexing.js';
import { elements } from '../network/description.js';
import type { State } from '../network/initial.js';

/** Weights as whole numbers: weight = code · scale of its output channel. */
export interface Codes {
  codes: Int32Array;
  /** [output channels] */
  scale: Float32Array;
  /** [output channels], of two's complement; 0: the channel has none. */
  bits: Int32Array;
}

export interface ExportLayer {
  node: NodeDescription;
  /** Axes of each input and of the output, without the batch. */
  inputs: AxesSizes[];
  output: AxesSizes;
  /** By what stands behind the node's name; weights as predictions use them. Bit depths and exponents are in `codes`. */
  parameters: Record<string, Float32Array>;
  shapes: Record<string, number[]>;
  codes?: Codes;
  /** Name of the node whose values its own are, where a norm has been folded into it. */
  rangeOf?: string;
}

export interface ExportNetwork {
  input: AxesSizes;
  output: AxesSizes;
  /** Every field of every node has a value. */
  layers: ExportLayer[];
  description: NetworkDescription;
  /** Parameters of `description`, bit depths and exponents among them. */
  state: State;
}

/** The network without its dead channels. */
async function pruned(network: NetworkDescription, state: State): Promise<{ description: NetworkDescription; state: State }> {
  const options = { device: 'cpu', loss: { kind: 'meanSquaredError' }, optimizer: { kind: 'sgd' }, batchSize: 1 } as const;
  const compiled = new binding.Network(network, options);
  try {
    // Without moments, and counters of the training.
    const given = compiled.parameters.map(({ name, shape }) => {
      if (state[name] === undefined) throw wrongType(`a Float32Array of length ${elements(shape)}`, `state["${name}"]`, undefined);
      return [name, state[name]] as const;
    });
    await compiled.loadState(Object.fromEntries(given));
    await compiled.prune();
    const all = await compiled.state();
    const parameters = compiled.parameters.map(({ name }) => [name, entry(all, name)] as const);
    return { description: compiled.description, state: Object.fromEntries(parameters) };
  } finally {
    await compiled.dispose();
  }
}

async function codesOf(weight: Float32Array, bitDepth: Float32Array, exponent: Float32Array): Promise<Codes> {
  const codes = new Int32Array(weight.length);
  const codeBits = new Int32Array(bitDepth.length);
  await binding.quantizeCodes({ weight, bitDepth, exponent, codes, codeBits });
  return { codes, scale: exponent.map((e) => 2 ** e), bits: codeBits };
}

/** @throws TypeError or RangeError for a description or a state that is not whole */
export async function readLayers(network: NetworkDescription, given: State): Promise<ExportNetwork> {
  const { description, state } = await pruned(network, given);
  const { shapes, parameters } = binding.inspectNetwork(description);
  const axesOf = (name: string) => (name === 'input' ? description.input : entry(shapes, name));
  const layers: ExportLayer[] = [];
  for (const node of description.nodes) {
    const layer: ExportLayer = { node, inputs: node.inputs.map(axesOf), output: axesOf(node.name), parameters: {}, shapes: {} };
    for (const { name, shape, role } of parameters.filter((p) => p.node === node.name && !['bitDepth', 'exponent', 'idle'].includes(p.role))) {
      const suffix = name.slice(node.name.length + 1);
      const values = entry(state, name);
      layer.shapes[suffix] = shape;
      layer.parameters[suffix] = values;
      const bitDepth = state[`${node.name}.bitDepth`];
      const exponent = state[`${node.name}.exponent`];
      if (role === 'weight' && bitDepth && exponent) {
        layer.codes = await codesOf(values, bitDepth, exponent);
        const output = new Float32Array(values.length);
        await binding.quantizeForward({ weight: values, bitDepth, exponent, output });
        layer.parameters[suffix] = output;
      }
    }
    layers.push(layer);
  }
  return { input: description.input, output: axesOf(description.output), layers, description, state };
}

/** How often each value is read; the network's output once more. */
export function readersOf({ layers, description }: ExportNetwork): Map<string, number> {
  const readers = new Map([[description.output, 1]]);
  for (const { node } of layers) for (const name of node.inputs) readers.set(name, (readers.get(name) ?? 0) + 1);
  return readers;
}

/** The first dimension of a shape: output channels of weights. */
export const outputChannels = (layer: ExportLayer): number => item(layer.shapes.weight ?? [], 0);
