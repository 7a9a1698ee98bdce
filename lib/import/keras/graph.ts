/** A graph of ONNX nodes in the making: what a Keras layer becomes, so that one set of rules is enough for all files. */
import { item } from '../../indexing.js';
import { Unsupported } from '../onnx/errors.js';
import type { AttributeProto, GraphProto, NodeProto } from '../onnx/proto.js';
import { type Constant, elementsOf, integers, transpose } from '../onnx/tensors.js';
import type { Config, KerasLayer } from './topology.js';

export interface Tensor {
  name: string;
  /** Axes, the batch among them. */
  rank: number;
}
export type Attributes = Record<string, number | string | number[] | { float: number }>;

/** The numbers of a layer's weights, by the last part of their names. */
export type Weights = Map<string, Constant>;

function attributeOf(name: string, value: Attributes[string]): AttributeProto {
  const blank = { name, type: 0, f: 0, i: 0, floats: [], ints: [], strings: [] };
  if (typeof value === 'number') return { ...blank, type: 2, i: value };
  if (typeof value === 'string') return { ...blank, type: 3, s: Buffer.from(value) };
  return Array.isArray(value) ? { ...blank, type: 7, ints: value } : { ...blank, type: 1, f: value.float };
}

export class GraphBuilder {
  readonly nodes: NodeProto[] = [];
  readonly constants = new Map<string, Constant>();
  #count = 0;

  constant(value: Constant): string {
    const name = `constant ${this.#count++}`;
    this.constants.set(name, value);
    return name;
  }

  add(layer: string, opType: string, inputs: string[], attributes: Attributes = {}, outputs = 1, part = ''): string[] {
    const output = Array.from({ length: outputs }, () => `${layer} ${this.#count++}`);
    const attribute = Object.entries(attributes).map(([name, value]) => attributeOf(name, value));
    this.nodes.push({ input: inputs, output, name: part ? `${layer}_${part}` : layer, opType, domain: '', attribute });
    return output;
  }

  graph(inputs: GraphProto['input'], outputs: string[]): GraphProto {
    const info = (name: string) => ({ name });
    return { name: 'keras', node: this.nodes, initializer: [], sparseInitializer: [], input: inputs, output: outputs.map(info) };
  }
}

/** What the rule of a layer sees. */
export class LayerContext {
  constructor(
    readonly builder: GraphBuilder,
    readonly layer: KerasLayer,
    readonly inputs: Tensor[],
    readonly weights: Weights,
    /** Of Keras, its first number. */
    readonly version: number,
  ) {}

  get config(): Config {
    return this.layer.config;
  }
  get input(): Tensor {
    const [first] = this.inputs;
    if (!first) throw new Unsupported('an input');
    return first;
  }

  /** A field of the configuration. @throws Unsupported for one of another kind */
  number(name: string, otherwise: number): number {
    const value = this.config[name] ?? otherwise;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new Unsupported(`a number as ${name}`);
    return value;
  }
  flag(name: string, otherwise: boolean): boolean {
    const value = this.config[name] ?? otherwise;
    if (typeof value !== 'boolean') throw new Unsupported(`true or false as ${name}`);
    return value;
  }
  text(name: string, otherwise: string): string {
    const value = this.config[name] ?? otherwise;
    if (typeof value !== 'string') throw new Unsupported(`a name as ${name}`);
    return value;
  }
  /** Whole numbers: a list of so many, or one for all. */
  list(name: string, count: number, otherwise: number): number[] {
    const value = this.config[name] ?? otherwise;
    const values = Array.isArray(value) ? value : new Array(count).fill(value);
    if (values.length !== count || !values.every((n) => Number.isSafeInteger(n))) throw new Unsupported(`${count} whole numbers as ${name}`);
    return values;
  }

  weight(name: string): Constant {
    const value = this.weights.get(name);
    if (!value) throw new Unsupported(`weights "${name}" in the file (it has ${[...this.weights.keys()].join(', ') || 'none'})`);
    return value;
  }

  node(opType: string, inputs: string[], attributes: Attributes = {}, part = ''): string {
    return item(this.builder.add(this.layer.name, opType, inputs, attributes, 1, part), 0);
  }
  constant = (value: Constant) => this.builder.constant(value);
  integers = (...values: number[]) => this.builder.constant(integers(values));
  numbers = (...values: number[]) =>
    this.builder.constant({ shape: values.length === 1 ? [] : [values.length], data: Float32Array.from(values), isInteger: false });

  /** Channels last or first, of layers that know both. */
  get channelsFirst(): boolean {
    const format = this.text('data_format', 'channels_last');
    if (format !== 'channels_last' && format !== 'channels_first')
      throw new Unsupported(`channels_last or channels_first as data_format (it is "${format}")`);
    return format === 'channels_first';
  }

  /** Runs `make` on a tensor with the channels as axis 1. */
  withChannelsFirst({ name, rank }: Tensor, make: (name: string) => string): Tensor {
    if (this.channelsFirst || rank < 3) return { name: make(name), rank };
    const inner = Array.from({ length: rank - 2 }, (_, i) => i);
    const turned = this.node('Transpose', [name], { perm: [0, rank - 1, ...inner.map((i) => i + 1)] }, 'first');
    const back = [0, ...inner.map((i) => i + 2), 1];
    return { name: this.node('Transpose', [make(turned)], { perm: back }, 'last'), rank };
  }
}

/** The constant with its axes in another order, and if given, another shape. */
export function turned(constant: Constant, permutation: number[], shape?: (sizes: number[]) => number[]): Constant {
  if (constant.shape.length !== permutation.length) throw new Unsupported(`weights of ${permutation.length} axes (they are [${constant.shape}])`);
  const result = transpose(constant, permutation);
  const sizes = shape?.(result.shape) ?? result.shape;
  if (elementsOf(sizes) !== result.data.length) throw new Unsupported(`weights of [${sizes}] (they are [${constant.shape}])`);
  return { ...result, shape: sizes };
}
