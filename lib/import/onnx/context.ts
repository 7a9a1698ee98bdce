/** What the rules of an import see: the node of the file, the values that are known, and the network that grows. */
import { binding, type NodeDescription } from '../../binding.js';
import type { State } from '../../network/initial.js';
import { Unsupported } from './errors.js';
import type { Activation } from './layout.js';
import type { AttributeProto, NodeProto } from './proto.js';
import { type Constant, scalarOf } from './tensors.js';

/** The product of queries and keys on its way through an attention; axes as in the file. */
export interface Scores {
  /** [..., queries, channels] */
  query: Activation;
  /** [..., channels, keys] */
  key: Activation;
  scale: number;
  causal: boolean;
  /** Its softmax has been taken. */
  weighted: boolean;
  /** Then its last two axes have been exchanged. */
  turned: boolean;
}
/** undefined: comes from a node that cannot be imported. */
export type Value = { constant: Constant } | { activation: Activation } | { scores: Scores } | undefined;

export const constant = (value: Constant): Value => ({ constant: value });

/** A node of the file with its attributes by name. Absent attributes have the default given. */
export class OnnxNode {
  readonly #attributes: Map<string, AttributeProto>;

  constructor(
    readonly proto: NodeProto,
    readonly index: number,
    readonly opset: number,
  ) {
    this.#attributes = new Map(proto.attribute.map((a) => [a.name, a]));
  }

  get operator(): string {
    const { domain, opType } = this.proto;
    return domain === '' || domain === 'ai.onnx' ? opType : `${domain}.${opType}`;
  }
  get label(): string {
    return this.proto.name || this.proto.output[0] || `node ${this.index}`;
  }
  has(name: string): boolean {
    return this.#attributes.has(name);
  }
  int(name: string, otherwise: number): number {
    return this.#attributes.get(name)?.i ?? otherwise;
  }
  float(name: string, otherwise: number): number {
    return this.#attributes.get(name)?.f ?? otherwise;
  }
  ints(name: string): number[] | undefined {
    return this.#attributes.get(name)?.ints;
  }
  floats(name: string): number[] | undefined {
    return this.#attributes.get(name)?.floats;
  }
  text(name: string, otherwise: string): string {
    const bytes = this.#attributes.get(name)?.s;
    return bytes ? Buffer.from(bytes).toString('utf8') : otherwise;
  }
  strings(name: string): string[] | undefined {
    return this.#attributes.get(name)?.strings.map((bytes) => Buffer.from(bytes).toString('utf8'));
  }
  tensor(name: string) {
    return this.#attributes.get(name)?.t;
  }
}

/** The network in the making. */
export class Building {
  readonly nodes: NodeDescription[] = [];
  readonly state: State = {};
  readonly #kinds = new Set(binding.operators().map(({ kind }) => kind));
  readonly #names = new Set(['input']);
  readonly #made = new Map<string, string>();
  /** How often elements had to be put in another order. */
  rearranged = 0;

  /** `countsExamples`: an axis of the input counts examples, so that nothing may be computed along it, however many there are. */
  constructor(readonly countsExamples: boolean) {}

  /** @throws Unsupported where the table of operators has no such kind */
  require(kind: string): void {
    if (!this.#kinds.has(kind)) throw new Unsupported(`the operator "${kind}", which this version does not have`);
  }

  /** Appends a node, with values of its parameters. @returns its name */
  add(kind: string, label: string, inputs: string[], fields: object = {}, parameters: Record<string, Float32Array | undefined> = {}): string {
    this.require(kind);
    const base = label.replace(/[^\w-]+/g, '_').replace(/^_+|_+$/g, '') || kind;
    const name = this.take(base);
    this.nodes.push({ kind, name, inputs, ...fields } as NodeDescription);
    for (const [suffix, values] of Object.entries(parameters)) if (values) this.state[`${name}.${suffix}`] = values;
    return name;
  }

  /** A name that no node has, and none will get. */
  take(wanted: string): string {
    let name = wanted;
    for (let i = 2; this.#names.has(name); i++) name = `${wanted}_${i}`;
    this.#names.add(name);
    return name;
  }

  /** The node that was made for the same purpose before, or a new one. */
  once(purpose: string, make: () => string): string {
    const name = this.#made.get(purpose) ?? make();
    this.#made.set(purpose, name);
    return name;
  }

  node(name: string): NodeDescription | undefined {
    return this.nodes.find((n) => n.name === name);
  }
}

/** What a rule gets. */
export interface RuleContext {
  build: Building;
  node: OnnxNode;
  /** Absent optional inputs are undefined, as are those that could not be imported (then the rule is not called). */
  inputs: Value[];
  /** Whether somebody reads the output of this number. */
  reads: (output: number) => boolean;
}

/** The input as the output of a network's node; `tokens`: it may be whole numbers, that nothing is computed with. */
export function activationOf({ inputs }: RuleContext, index = 0, tokens = false): Activation {
  const value = inputs[index];
  if (value && 'scores' in value) throw new Unsupported('a product of two computed tensors in an attention alone');
  if (!value || !('activation' in value)) throw new Unsupported(`an input ${index} that depends on the network's input`);
  if (value.activation.isTokens && !tokens) throw new Unsupported('whole numbers of the input only as rows of a table (Gather)');
  return value.activation;
}

/** For rules that read it more than once: nothing may be joined to its node. */
export const readTwice = (x: Activation): Activation => x.with({ exclusive: false });

/** @throws Unsupported for whole numbers of the input */
export function isActivation(value: Value): value is { activation: Activation } {
  if (!value || !('activation' in value)) return false;
  if (value.activation.isTokens) throw new Unsupported('whole numbers of the input only as rows of a table (Gather)');
  return true;
}

/** The input as numbers that the file fixes. */
export function constantOf({ inputs }: RuleContext, index: number, what: string): Constant {
  const value = inputs[index];
  if (!value || !('constant' in value)) throw new Unsupported(`${what} that the file fixes, not computed ones`);
  return value.constant;
}

/** The constant as one number. */
export function numberOf(given: Constant, what: string): number {
  const value = scalarOf(given);
  if (value === undefined) throw new Unsupported(`one number as ${what} (it has [${given.shape}])`);
  return value;
}

export function optionalConstant(c: RuleContext, index: number, what: string): Constant | undefined {
  return c.inputs[index] === undefined ? undefined : constantOf(c, index, what);
}
