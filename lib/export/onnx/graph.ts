/** An ONNX graph in the making: nodes and constants with names of their own. */
import type { AxesSizes } from '../../binding.js';
import { type AttributeProto, encodeModelProto, type GraphProto, type NodeProto, type TensorProto, type Written } from '../../import/onnx/proto.js';

export type OnnxData = Float32Array | BigInt64Array | Int32Array | Int8Array | Uint8Array;
/** Whole numbers are `int`s, lists of them `ints`; numbers with a fraction are wrapped, since 1 may be one. */
export type AttributeValue = number | number[] | string | { float: number };

/** Of ONNX's TensorProto. */
export const OnnxType = { FLOAT: 1, INT64: 7, INT4: 22 } as const;
const typeOf = (data: OnnxData): number => {
  if (data instanceof Float32Array) return OnnxType.FLOAT;
  if (data instanceof Uint8Array) return 2;
  if (data instanceof Int8Array) return 3;
  return data instanceof Int32Array ? 6 : 7;
};

function attribute(name: string, value: AttributeValue): Written<AttributeProto> {
  if (typeof value === 'string') return { name, type: 3, s: Buffer.from(value) };
  if (Array.isArray(value)) return { name, type: 7, ints: value };
  return typeof value === 'number' ? { name, type: 2, i: value } : { name, type: 1, f: value.float };
}

export interface OnnxValue {
  name: string;
  /** A string is a size that stays open. */
  shape: (number | string)[];
}

/** An output of the file: its name, and the tensor that it is. */
export interface OnnxOutput {
  name: string;
  tensor: string;
  axes: AxesSizes;
}

export class OnnxGraph {
  constructor(readonly opset: number) {}

  readonly #nodes: Written<NodeProto>[] = [];
  readonly #constants: Written<TensorProto>[] = [];
  readonly #names = new Set<string>();
  readonly #shared = new Map<string, string>();

  /** A name that nothing else has yet. */
  fresh(wanted: string): string {
    let name = wanted;
    for (let i = 2; this.#names.has(name); i++) name = `${wanted}_${i}`;
    this.#names.add(name);
    return name;
  }

  /** @returns name of its output */
  add(operator: string, label: string, inputs: string[], attributes: Record<string, AttributeValue> = {}): string {
    const [output = ''] = this.addMany(operator, label, inputs, attributes, 1);
    return output;
  }

  /** @returns names of its outputs; those beyond `count` are left out */
  addMany(operator: string, label: string, inputs: string[], attributes: Record<string, AttributeValue>, count: number): string[] {
    const name = this.fresh(label);
    const output = Array.from({ length: count }, (_, i) => (i === 0 ? name : this.fresh(`${label}_${i}`)));
    this.#nodes.push({
      name,
      opType: operator,
      input: inputs,
      output,
      attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
    });
    return output;
  }

  /** A constant tensor. @returns its name */
  constant(label: string, shape: number[], data: OnnxData, dataType = typeOf(data)): string {
    const name = this.fresh(label);
    this.#constants.push({ name, dims: shape, dataType, rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) });
    return name;
  }
  /** Whole numbers as int64, such as a shape; equal ones are there once. */
  integers(values: number[], shape = [values.length]): string {
    return this.once(`i${shape}:${values}`, () => this.constant('integers', shape, BigInt64Array.from(values.map(BigInt))));
  }
  /** One number without axes. */
  number(value: number): string {
    return this.once(`f${value}`, () => this.constant('number', [], Float32Array.of(value)));
  }
  /** The tensor that was made for the same key before, or a new one. */
  once(key: string, make: () => string): string {
    const name = this.#shared.get(key) ?? make();
    this.#shared.set(key, name);
    return name;
  }

  /** Gives tensors the names of outputs, which `fresh` has kept free; one that has a name for good is copied. */
  nameOutputs(outputs: readonly OnnxOutput[], inputs: readonly string[]): void {
    const names = new Map<string, string>();
    for (const { name, tensor } of outputs) {
      if (name === tensor) continue;
      if (!names.has(tensor) && !inputs.includes(tensor)) names.set(tensor, name);
      else this.#nodes.push({ name, opType: 'Identity', input: [tensor], output: [name], attribute: [] });
    }
    const renamed = (tensors: readonly string[] = []) => tensors.map((tensor) => names.get(tensor) ?? tensor);
    for (const node of this.#nodes) {
      node.input = renamed(node.input);
      node.output = renamed(node.output);
    }
  }

  /** Bytes of the file. */
  finish(
    inputs: (OnnxValue & { tokens?: boolean })[],
    outputs: OnnxValue[],
    { producer, version }: { producer: string; version: string },
  ): Uint8Array {
    const info = ({ name, shape }: OnnxValue, elemType: number = OnnxType.FLOAT) => ({
      name,
      type: {
        tensorType: { elemType, shape: { dim: shape.map((s) => (typeof s === 'string' ? { dimParam: s } : { dimValue: s })) } },
      },
    });
    const graph: Written<GraphProto> = {
      name: 'network',
      node: this.#nodes,
      initializer: this.#constants,
      input: inputs.map((input) => info(input, input.tokens ? OnnxType.INT64 : OnnxType.FLOAT)),
      output: outputs.map((output) => info(output)),
    };
    return encodeModelProto({
      irVersion: this.opset < 21 ? 8 : 10,
      producerName: producer,
      producerVersion: version,
      graph,
      opsetImport: [{ domain: '', version: this.opset }],
    });
  }
}
