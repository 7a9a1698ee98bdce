/** What a rule of the export sees: the node with its parameters, and the layers of TensorFlow.js that grow. */
import type { AxesSizes } from '../../binding.js';
import { item, present } from '../../indexing.js';
import { elements } from '../../network/description.js';
import type { ExportLayer } from '../layers.js';
import { NodeContext } from '../node-context.js';

/** What layers of TensorFlow.js do not have of a node. */
export class Unsupported extends Error {}

/** A layer as the configuration of a model lists it. */
export interface LayerConfig {
  class_name: string;
  name: string;
  config: Record<string, unknown>;
  inbound_nodes: unknown[];
}

export interface Weights {
  shape: number[];
  values: Float32Array;
}

/** A node's output as the output of a layer: [...positions, channels]. */
export interface Tensor {
  /** Name of the layer. */
  layer: string;
  axes: AxesSizes;
  /** Set where the layer's output is a vector: of the elements of these axes, the channels of a position next to each other. */
  flat?: AxesSizes | undefined;
}

export const channelsLast = ([channels, ...positions]: readonly number[]): number[] => [...positions, channels as number];
const positionsOf = ([, ...positions]: AxesSizes): number => elements(positions);

/** Element j of a vector with the channels last is this one with the channels first. */
export function channelsFirstIndex(axes: AxesSizes): (j: number) => number {
  const [channels, positions] = [axes[0], positionsOf(axes)];
  return (j) => (j % channels) * positions + Math.floor(j / channels);
}

export class LayersGraph {
  readonly layers: LayerConfig[] = [];
  readonly weights = new Map<string, Weights>();
  readonly #names = new Set<string>();

  fresh(wanted: string): string {
    let name = wanted;
    for (let i = 1; this.#names.has(name); i++) name = `${wanted}_${i}`;
    this.#names.add(name);
    return name;
  }

  add(className: string, wanted: string, inputs: string[], config: Record<string, unknown> = {}, weights: Record<string, Weights> = {}): string {
    const name = this.fresh(wanted);
    const calls = inputs.length ? [inputs.map((input) => [input, 0, 0, {}])] : [];
    this.layers.push({ class_name: className, name, config: { name, trainable: true, ...config }, inbound_nodes: calls });
    for (const [part, value] of Object.entries(weights)) this.weights.set(`${name}/${part}`, value);
    return name;
  }
}

export class RuleContext extends NodeContext {
  constructor(
    readonly graph: LayersGraph,
    layer: ExportLayer,
    readonly inputs: Tensor[],
  ) {
    super(layer);
  }

  get input(): Tensor {
    return item(this.inputs, 0);
  }
  axes(index = 0): AxesSizes {
    return item(this.inputs, index).axes;
  }
  parameter(suffix: string): Float32Array {
    return present(this.layer.parameters[suffix], `a parameter ${this.name}.${suffix}`);
  }
  /** One number for each channel. */
  perChannel(suffix: string): Weights {
    const values = this.parameter(suffix);
    return { shape: [values.length], values };
  }
  get bias(): Record<string, Weights> {
    return this.layer.parameters.bias ? { bias: this.perChannel('bias') } : {};
  }

  /** A layer that is a part of this node. */
  part(className: string, inputs: string[], config: Record<string, unknown> = {}): string {
    return this.graph.add(className, `${this.name}_${className.toLowerCase()}`, inputs, config);
  }
  /** The layer that makes this node's output. */
  last(className: string, inputs: string[], config: Record<string, unknown> = {}, weights: Record<string, Weights> = {}): string {
    return this.graph.add(className, this.name, inputs, config, weights);
  }
  /** The node's output, with the channels last. */
  result(layer: string): Tensor {
    return { layer, axes: this.output };
  }
  reshaped(layer: string, shape: number[]): string {
    return this.part('Reshape', [layer], { target_shape: shape });
  }
  /** @param dims the axis, from 1, that becomes each axis */
  permuted(layer: string, dims: number[]): string {
    return this.part('Permute', [layer], { dims });
  }

  /** The layer whose output is the tensor as [...positions, channels]. */
  natural({ layer, axes, flat }: Tensor = this.input): string {
    if (!flat) return layer;
    const inOrder = flat[0] === 1 || positionsOf(flat) === 1;
    if (inOrder) return axes.length === 1 ? layer : this.reshaped(layer, channelsLast(axes));
    return this.channelsFirst(this.reshaped(layer, channelsLast(flat)), flat, axes);
  }

  /** A layer's output [...positions, channels] with its elements, channels first, as other axes: those too with the channels last. */
  channelsFirst(layer: string, from: AxesSizes, to: AxesSizes): string {
    const turns = (axes: AxesSizes) => axes[0] > 1 && positionsOf(axes) > 1;
    const first = turns(from) ? this.permuted(layer, [from.length, ...from.slice(1).map((_, i) => i + 1)]) : layer;
    if (!turns(to)) return this.reshaped(first, channelsLast(to));
    return this.permuted(this.reshaped(first, [...to]), [...to.slice(1).map((_, i) => i + 2), 1]);
  }

  /** A sequence as an image of one row: `make` gives the layer of an image, of which the output's sizes are the node's. */
  asImage(make: (image: string) => string): Tensor {
    const input = this.natural();
    const rank = this.axes().length;
    if (rank === 3) return this.result(make(input));
    if (rank !== 2) throw new Unsupported('positions along one or two axes');
    return this.result(this.reshaped(make(this.reshaped(input, [1, ...channelsLast(this.axes())])), channelsLast(this.output)));
  }
}

export type Rule = (c: RuleContext) => Tensor;
