/** Builds a network description layer by layer; each method returns the name of the node it has added. */
import { readArgument } from '../arguments.js';
import type { AxesSizes, FunctionNode, NetworkDescription, NodeDescription, TensorPart } from '../binding.js';
import { checkInteger, isPlainObject, wrongType } from '../errors.js';
import { item } from '../indexing.js';
import { asNodeName, axesOfOutputs, checkAxes, checkPartName, objectOrder, packedAxes, packOutputs, unpackInputs } from './parts.js';

type Named<Fields> = Fields & { name?: string };
/** One number for rows and columns, or one for each. */
export type Pair = number | [number, number];
const pair = (value: Pair): [number, number] => (typeof value === 'number' ? [value, value] : value);
const optionalPair = (value: Pair | undefined) => (value === undefined ? undefined : pair(value));
/** Fields that are pairs, of the nodes that `#of` adds; `resize` has a pair that pixel shuffles have as a number. */
const pairFields: Record<string, readonly string[]> = {
  slicePositions: ['first', 'count', 'step'],
  pad: ['before', 'after'],
  resize: ['size'],
  convTranspose2d: ['kernel', 'stride', 'padding', 'outputPadding', 'dilation'],
};

/** Fields of a kind of node, as the methods take them: without its kind and inputs, its name optional, pairs as one number too. */
export type NodeOptions<Kind extends NodeDescription['kind']> = { name?: string } & Paired<
  Omit<NodeOf<NodeDescription, Kind>, 'kind' | 'inputs' | 'name'>
>;
type NodeOf<Node, Kind> = Node extends { kind: infer Kinds } ? (Kind extends Kinds ? Node : never) : never;
type Paired<Fields> = { [Field in keyof Fields]: NonNullable<Fields[Field]> extends [number, number] ? Pair : Fields[Field] };

export interface Conv2dOptions {
  name?: string | undefined;
  outChannels: number;
  /** Kernel size in pixels, one number for a square. */
  kernel: Pair;
  stride?: Pair | undefined;
  padding?: Pair | undefined;
  dilation?: Pair | undefined;
  groups?: number | undefined;
  bias?: boolean | undefined;
  compress?: boolean | undefined;
}
export interface LinearOptions {
  name?: string | undefined;
  outFeatures: number;
  /** The channels at each position by themselves. Default false: all elements as one vector. */
  perPosition?: boolean | undefined;
  bias?: boolean | undefined;
  compress?: boolean | undefined;
}
export interface RecurrentOptions {
  name?: string;
  units: number;
  /** From the last position to the first. */
  reverse?: boolean;
  /** Of the recurrence; the products of the inputs have one of their own. */
  bias?: boolean;
  /** The weights of the inputs and of the recurrence. */
  compress?: boolean | undefined;
}
export interface PoolOptions {
  name?: string | undefined;
  kernel: Pair;
  stride?: Pair | undefined;
  padding?: Pair | undefined;
  countIncludePad?: boolean | undefined;
}

/**
 * ```ts
 * const net = new NetworkBuilder([1, 28, 28]);
 * let x = net.relu(net.conv2d('input', { outChannels: 32, kernel: 3, padding: 1 }));
 * x = net.add(x, net.batchNorm(net.conv2d(x, { outChannels: 32, kernel: 3, padding: 1 })));
 * x = net.linear(net.globalAveragePool(x), { outFeatures: 10 });
 * const description = net.build(x);
 * ```
 * Several inputs and outputs have names:
 * ```ts
 * const net = new NetworkBuilder();
 * const image = net.flatten(net.input('image', [1, 28, 28]));
 * const x = net.relu(net.linear(net.concat([image, net.input('age', [1])]), { outFeatures: 64 }));
 * const description = net.build({ digit: net.linear(x, { outFeatures: 10 }), height: net.linear(x, { outFeatures: 1 }) });
 * ```
 */
export class NetworkBuilder {
  readonly #input: AxesSizes | undefined;
  readonly #inputType: 'float' | 'token' = 'float';
  readonly #inputs: (TensorPart & { node: string })[] = [];
  readonly #nodes: NodeDescription[] = [];
  readonly #counts = new Map<string, number>();

  /** @param input axes of an example: [channels, height, width] of an image; or { tokens: length }; none for inputs with names */
  constructor(input?: AxesSizes | { tokens: number }) {
    const given = readArgument(input, 'input');
    if (Array.isArray(given)) {
      this.#input = given;
    } else if (given !== undefined) {
      if (typeof given !== 'object' || given === null) throw wrongType('[channels, height, width] or { tokens: length }', 'input', given);
      this.#input = [1, checkInteger((given as { tokens: unknown }).tokens, 'input.tokens', 1, 1 << 15)];
      this.#inputType = 'token';
    }
  }

  /**
   * One of several inputs, 1 to 16. They lie behind one another in an example: where all have the same positions, by channels; else as a
   * vector of all their elements, in which every element counts as a channel.
   */
  input(name: string, axes: AxesSizes): string {
    if (this.#input !== undefined) throw wrongType('a builder without an input of its own, to have inputs by name,', 'name', name);
    const names = this.#inputs.map((part) => part.name);
    const part = { name: checkPartName(name, 'name', names), axes: checkAxes(readArgument(axes, 'axes'), 'axes') };
    const node = this.#fresh(asNodeName(name, 'input'), ['input', ...this.#inputs.map((other) => other.node)]);
    this.#inputs.push({ ...part, node });
    return node;
  }

  /** A row of a table for every token of the input. */
  embedding(input: string, options: NodeOptions<'embedding'>): string {
    return this.#of('embedding', [input], options);
  }
  /** The output layer of a language model with the weights of its `embedding`, transposed: the two share them. */
  unembedding(input: string, embedding: string, name?: string): string {
    return this.#node('unembedding', [input, embedding], name);
  }
  /** A tensor of its own, such as learned positions; `input` says what positions there are. */
  parameter(input: string, options: NodeOptions<'parameter'>): string {
    return this.#of('parameter', [input], options);
  }

  conv2d(input: string, options: Conv2dOptions): string {
    const { name, kernel, stride, padding, dilation, ...rest } = options;
    return this.#node('conv2d', [input], name, {
      ...rest,
      kernel: pair(kernel),
      stride: optionalPair(stride),
      padding: optionalPair(padding),
      dilation: optionalPair(dilation),
    });
  }
  linear(input: string, { name, ...rest }: LinearOptions): string {
    return this.#node('linear', [input], name, rest);
  }
  batchNorm(input: string, { name, ...rest }: { name?: string; affine?: boolean; epsilon?: number; momentum?: number } = {}): string {
    return this.#node('batchNorm', [input], name, rest);
  }
  relu(input: string, name?: string): string {
    return this.#node('relu', [input], name);
  }
  gelu(input: string, name?: string): string {
    return this.#node('gelu', [input], name);
  }
  silu(input: string, name?: string): string {
    return this.#node('silu', [input], name);
  }
  sigmoid(input: string, name?: string): string {
    return this.#node('sigmoid', [input], name);
  }
  /** A function of one element without fields. */
  apply(kind: FunctionNode['kind'], input: string, name?: string): string {
    return this.#node(kind, [input], name);
  }
  hardSigmoid(input: string, { name, ...rest }: Named<{ slope?: number; offset?: number }> = {}): string {
    return this.#node('hardSigmoid', [input], name, rest);
  }
  leakyRelu(input: string, { name, ...rest }: Named<{ slope?: number }> = {}): string {
    return this.#node('leakyRelu', [input], name, rest);
  }
  clip(input: string, { name, ...rest }: Named<{ low: number; high: number }>): string {
    return this.#node('clip', [input], name, rest);
  }
  elu(input: string, { name, ...rest }: Named<{ alpha?: number }> = {}): string {
    return this.#node('elu', [input], name, rest);
  }
  /** scale·x + offset, fixed numbers. */
  affine(input: string, { name, ...rest }: Named<{ scale?: number; offset?: number }>): string {
    return this.#node('affine', [input], name, rest);
  }
  prelu(input: string, { name, ...rest }: Named<{ shared?: boolean }> = {}): string {
    return this.#node('prelu', [input], name, rest);
  }
  layerNorm(input: string, { name, ...rest }: Named<{ affine?: boolean; epsilon?: number }> = {}): string {
    return this.#node('layerNorm', [input], name, rest);
  }
  rmsNorm(input: string, { name, ...rest }: Named<{ affine?: boolean; epsilon?: number }> = {}): string {
    return this.#node('rmsNorm', [input], name, rest);
  }
  instanceNorm(input: string, { name, ...rest }: Named<{ affine?: boolean; epsilon?: number }> = {}): string {
    return this.#node('instanceNorm', [input], name, rest);
  }
  groupNorm(input: string, options: NodeOptions<'groupNorm'>): string {
    return this.#of('groupNorm', [input], options);
  }
  softmax(input: string, { name, ...rest }: Named<{ axis?: 'channels' | 'positions' }> = {}): string {
    return this.#node('softmax', [input], name, rest);
  }
  maxPool(input: string, options: PoolOptions): string {
    return this.#pool('maxPool', input, options);
  }
  averagePool(input: string, options: PoolOptions): string {
    return this.#pool('averagePool', input, options);
  }
  globalAveragePool(input: string, name?: string): string {
    return this.#node('globalAveragePool', [input], name);
  }
  flatten(input: string, name?: string): string {
    return this.#node('flatten', [input], name);
  }
  /** Sum of two tensors: a residual connection. One may have a single channel or position where the other has more. */
  add(a: string, b: string, name?: string): string {
    return this.#node('add', [a, b], name);
  }
  /** Product of two tensors: a gate. One may have a single channel or position where the other has more. */
  multiply(a: string, b: string, name?: string): string {
    return this.#node('multiply', [a, b], name);
  }
  /** a − b. */
  subtract(a: string, b: string, name?: string): string {
    return this.#node('subtract', [a, b], name);
  }
  /** a ÷ b. */
  divide(a: string, b: string, name?: string): string {
    return this.#node('divide', [a, b], name);
  }
  /** Channels of all inputs one after another, or their rows, or their columns. */
  concat(inputs: string[], options?: string | { name?: string; axis?: 'channels' | 'rows' | 'columns' }): string {
    const { name, ...rest } = typeof options === 'string' ? { name: options } : (options ?? {});
    return this.#node('concat', inputs, name, rest);
  }
  globalMaxPool(input: string, name?: string): string {
    return this.#node('globalMaxPool', [input], name);
  }
  /** Mean over all rows, all columns, or both. */
  meanPositions(input: string, options: NodeOptions<'meanPositions'> = {}): string {
    return this.#of('meanPositions', [input], options);
  }
  /** Mean over all channels at each position. */
  meanChannels(input: string, options: NodeOptions<'meanChannels'> = {}): string {
    return this.#of('meanChannels', [input], options);
  }
  /** Channels by index; -1: a channel of zeros. */
  gatherChannels(input: string, options: NodeOptions<'gatherChannels'>): string {
    return this.#of('gatherChannels', [input], options);
  }
  channelShuffle(input: string, options: NodeOptions<'channelShuffle'>): string {
    return this.#of('channelShuffle', [input], options);
  }
  /** Channels of zeros before and after. */
  padChannels(input: string, options: NodeOptions<'padChannels'>): string {
    return this.#of('padChannels', [input], options);
  }
  sliceChannels(input: string, options: NodeOptions<'sliceChannels'>): string {
    return this.#of('sliceChannels', [input], options);
  }
  /** Parts of so many channels, one after another. */
  split(input: string, counts: number[]): string[] {
    let first = 0;
    return counts.map((count) => {
      const part = this.sliceChannels(input, { first, count });
      first += count;
      return part;
    });
  }
  slicePositions(input: string, options: NodeOptions<'slicePositions'>): string {
    return this.#of('slicePositions', [input], options);
  }
  pad(input: string, options: NodeOptions<'pad'>): string {
    return this.#of('pad', [input], options);
  }
  pixelShuffle(input: string, options: NodeOptions<'pixelShuffle'>): string {
    return this.#of('pixelShuffle', [input], options);
  }
  pixelUnshuffle(input: string, options: NodeOptions<'pixelUnshuffle'>): string {
    return this.#of('pixelUnshuffle', [input], options);
  }
  /** The elements of an example, row by row, as other channels and positions. */
  reshape(input: string, options: NodeOptions<'reshape'>): string {
    return this.#of('reshape', [input], options);
  }
  resize(input: string, options: NodeOptions<'resize'>): string {
    return this.#of('resize', [input], options);
  }
  convTranspose2d(input: string, options: Conv2dOptions & { outputPadding?: Pair }): string {
    return this.#of('convTranspose2d', [input], options);
  }
  /** The core of multi-head attention, between its projections. */
  attention(query: string, key: string, value: string, options: NodeOptions<'attention'>): string {
    return this.#of('attention', [query, key, value], options);
  }
  /** An LSTM layer over a sequence: the products of its inputs, a linear layer, and the recurrence. */
  lstm(input: string, options: RecurrentOptions): string {
    return this.#recurrent('lstm', 4, input, options);
  }
  /** The same of a GRU. */
  gru(input: string, options: RecurrentOptions & { resetFirst?: boolean }): string {
    return this.#recurrent('gru', 3, input, options);
  }
  rotary(input: string, options: NodeOptions<'rotary'>): string {
    return this.#of('rotary', [input], options);
  }
  dropout(input: string, probability: number, name?: string): string {
    return this.#node('dropout', [input], name, { probability });
  }

  /**
   * The network whose prediction is the output of the node `output`; or that has several outputs, by name: nodes that lie behind one
   * another in the prediction, as inputs do in an example.
   */
  build(output: string | Readonly<Record<string, string>>): NetworkDescription {
    const whole = this.#whole();
    const given = readArgument(output, 'output');
    if (typeof given === 'string') return readArgument({ ...whole, output: this.#moved(given) }, 'network');
    if (!isPlainObject(given) || Object.keys(given).length === 0)
      throw wrongType('the name of a node, or nodes by names of outputs', 'output', given);
    const named = Object.entries(given).map(([name, node], i, all) => {
      checkPartName(
        name,
        'output',
        all.slice(0, i).map(([other]) => other),
      );
      if (typeof node !== 'string') throw wrongType('the name of a node', `output.${name}`, node);
      return { name, node: this.#moved(node) };
    });
    const axes = axesOfOutputs(whole, named, (wanted) => this.#fresh(wanted, []));
    const withAxes = named.map((output, i) => ({ ...output, axes: item(axes, i) }));
    const { nodes, ...outputs } = packOutputs(withAxes, (wanted) => this.#fresh(wanted, []));
    return readArgument({ ...whole, nodes: [...whole.nodes, ...nodes], ...outputs }, 'network');
  }

  /** The network as far as it is there, with what takes its inputs apart. */
  #whole(): Pick<NetworkDescription, 'input' | 'inputs' | 'inputType' | 'nodes'> {
    if (this.#input !== undefined) {
      return { input: this.#input, ...(this.#inputType === 'token' && { inputType: this.#inputType }), nodes: this.#nodes };
    }
    if (this.#inputs.length === 0) throw wrongType('an input: axes, { tokens: length }, or `input` by name,', 'new NetworkBuilder', undefined);
    const inputs = objectOrder(this.#inputs);
    const { nodes } = unpackInputs(inputs, (name) => inputs.find((part) => part.name === name)?.node ?? name);
    const read = this.#nodes.map((node) => ({ ...node, inputs: node.inputs.map((name) => this.#moved(name)) }));
    return { input: packedAxes(inputs), inputs: inputs.map(({ name, axes }) => ({ name, axes })), nodes: [...nodes, ...read] };
  }

  /** A single input with a name is the network's input itself. */
  #moved(name: string): string {
    return this.#inputs.length === 1 && name === this.#inputs[0]?.node ? 'input' : name;
  }

  #fresh(wanted: string, more: readonly string[]): string {
    const taken = new Set([...more, ...this.#nodes.map((node) => node.name)]);
    let name = wanted;
    for (let i = 2; taken.has(name); i++) name = `${wanted}${i}`;
    return name;
  }

  #recurrent(kind: 'lstm' | 'gru', gates: number, input: string, { name, units, compress, ...rest }: RecurrentOptions): string {
    const node = name ?? `${kind}${(this.#counts.get(kind) ?? 0) + 1}`;
    const products = this.#node('linear', [input], `${node}-inputs`, { outFeatures: gates * units, perPosition: true, compress });
    return this.#node(kind, [products], node, { ...rest, compress });
  }

  // A node whose pairs may be given as one number.
  #of(kind: NodeDescription['kind'], inputs: string[], { name, ...rest }: { name?: string | undefined }): string {
    const isPair = (key: string) => pairFields[kind]?.includes(key) ?? false;
    const fields = Object.entries(rest).map(([key, value]) => [key, isPair(key) ? optionalPair(value as Pair | undefined) : value]);
    return this.#node(kind, inputs, name, Object.fromEntries(fields));
  }

  #pool(kind: 'maxPool' | 'averagePool', input: string, { name, kernel, stride, padding, ...rest }: PoolOptions): string {
    return this.#node(kind, [input], name, { ...rest, kernel: pair(kernel), stride: optionalPair(stride), padding: optionalPair(padding) });
  }

  #node(kind: NodeDescription['kind'], inputs: string[], name: string | undefined, rest: object = {}): string {
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
    const node = { kind, name: name ?? `${kind}${count}`, inputs, ...given } as NodeDescription;
    this.#nodes.push(node);
    return node.name;
  }
}
