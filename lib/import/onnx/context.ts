/** What the rules of an import see: the node of the file, the values that are known, and the network that grows. */
import { binding, type NodeDescription } from '../../binding.js';
import type { State } from '../../network/initial.js';
import type { AttributeProto, NodeProto } from './proto.js';
import { type Constant, scalarOf } from './tensors.js';

/** The output of a node of the network, with the shape that the file's program sees, the batch first. */
export interface Activation {
  node: string;
  shape: number[];
  /** Nobody else reads it: what comes next may be joined to the node. */
  exclusive: boolean;
  /** The node has a weight, and may have a bias, whose channels are those of the output: a scale and a shift may be joined to them. */
  takesAffine?: boolean;
  /** Axes 1 and 2 are the channels of the node, which a Reshape has split in two. */
  split?: boolean;
}
/** undefined: comes from a node that cannot be imported. */
export type Value = { constant: Constant } | { activation: Activation } | undefined;

export const constant = (value: Constant): Value => ({ constant: value });

/** What a node would need that is not there. */
export class Unsupported extends Error {}

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

  /** @throws Unsupported where the table of operators has no such kind */
  require(kind: string): void {
    if (!this.#kinds.has(kind)) throw new Unsupported(`the operator "${kind}", which this version does not have`);
  }

  /** Appends a node, with values of its parameters. @returns its name */
  add(kind: string, label: string, inputs: string[], fields: object = {}, parameters: Record<string, Float32Array | undefined> = {}): string {
    this.require(kind);
    const base = label.replace(/[^\w-]+/g, '_').replace(/^_+|_+$/g, '') || kind;
    let name = base;
    for (let i = 2; this.#names.has(name); i++) name = `${base}_${i}`;
    this.#names.add(name);
    this.nodes.push({ kind, name, inputs, ...fields } as NodeDescription);
    for (const [suffix, values] of Object.entries(parameters)) if (values) this.state[`${name}.${suffix}`] = values;
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

/** The input as the output of a network's node; `split`: its channels may be split. */
export function activationOf({ inputs }: RuleContext, index = 0, split = false): Activation {
  const value = inputs[index];
  if (!value || !('activation' in value)) throw new Unsupported(`an input ${index} that depends on the network's input`);
  if (value.activation.split && !split) throw new Unsupported(`channels on one axis (they are split, [${value.activation.shape}])`);
  return value.activation;
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
