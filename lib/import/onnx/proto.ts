/** ONNX files: the messages of its public schema that importer and exporter need, from the protobuf wire format and to it. */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

type Scalar = 'int' | 'float' | 'double' | 'string' | 'bytes';
interface Field {
  name: string;
  type: Scalar | (() => Message);
  repeated?: boolean;
}
type Message = Record<number, Field>;

const one = (name: string, type: Field['type']): Field => ({ name, type });
const many = (name: string, type: Field['type']): Field => ({ name, type, repeated: true });

export interface TensorProto {
  dims: number[];
  dataType: number;
  floatData: number[];
  int32Data: number[];
  int64Data: number[];
  uint64Data: number[];
  doubleData: number[];
  stringData: Uint8Array[];
  name: string;
  rawData?: Uint8Array;
  externalData: { key: string; value: string }[];
  dataLocation: number;
}
export interface AttributeProto {
  name: string;
  f: number;
  i: number;
  s?: Uint8Array;
  t?: TensorProto;
  g?: unknown;
  floats: number[];
  ints: number[];
  strings: Uint8Array[];
  /** Which of these it has: 1 f, 2 i, 3 s, 4 t, 6 floats, 7 ints. */
  type: number;
}
export interface NodeProto {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  domain: string;
  attribute: AttributeProto[];
}
export interface ValueInfoProto {
  name: string;
  type?: { tensorType?: { elemType: number; shape?: { dim: { dimValue?: number; dimParam?: string }[] } } };
}
export interface GraphProto {
  name: string;
  node: NodeProto[];
  initializer: TensorProto[];
  sparseInitializer: unknown[];
  input: ValueInfoProto[];
  output: ValueInfoProto[];
}
export interface ModelProto {
  irVersion: number;
  producerName: string;
  producerVersion: string;
  graph?: GraphProto;
  opsetImport: { domain: string; version: number }[];
}

const entry: Message = { 1: one('key', 'string'), 2: one('value', 'string') };
const tensor: Message = {
  1: many('dims', 'int'),
  2: one('dataType', 'int'),
  4: many('floatData', 'float'),
  5: many('int32Data', 'int'),
  6: many('stringData', 'bytes'),
  7: many('int64Data', 'int'),
  8: one('name', 'string'),
  9: one('rawData', 'bytes'),
  10: many('doubleData', 'double'),
  11: many('uint64Data', 'int'),
  13: many('externalData', () => entry),
  14: one('dataLocation', 'int'),
};
const attribute: Message = {
  1: one('name', 'string'),
  2: one('f', 'float'),
  3: one('i', 'int'),
  4: one('s', 'bytes'),
  5: one('t', () => tensor),
  6: one('g', () => graph),
  7: many('floats', 'float'),
  8: many('ints', 'int'),
  9: many('strings', 'bytes'),
  20: one('type', 'int'),
};
const node: Message = {
  1: many('input', 'string'),
  2: many('output', 'string'),
  3: one('name', 'string'),
  4: one('opType', 'string'),
  5: many('attribute', () => attribute),
  7: one('domain', 'string'),
};
const dimension: Message = { 1: one('dimValue', 'int'), 2: one('dimParam', 'string') };
const shape: Message = { 1: many('dim', () => dimension) };
const tensorType: Message = { 1: one('elemType', 'int'), 2: one('shape', () => shape) };
const valueType: Message = { 1: one('tensorType', () => tensorType) };
const valueInfo: Message = { 1: one('name', 'string'), 2: one('type', () => valueType) };
const graph: Message = {
  1: many('node', () => node),
  2: one('name', 'string'),
  5: many('initializer', () => tensor),
  11: many('input', () => valueInfo),
  12: many('output', () => valueInfo),
  15: many('sparseInitializer', 'bytes'),
};
const operatorSet: Message = { 1: one('domain', 'string'), 2: one('version', 'int') };
const model: Message = {
  1: one('irVersion', 'int'),
  2: one('producerName', 'string'),
  3: one('producerVersion', 'string'),
  7: one('graph', () => graph),
  8: many('opsetImport', () => operatorSet),
};

const wireTypes: Record<Scalar, WireType> = {
  int: WireType.Varint,
  float: WireType.Bit32,
  double: WireType.Bit64,
  string: WireType.LengthDelimited,
  bytes: WireType.LengthDelimited,
};
/** Messages inside messages: subgraphs may nest, but a file may not exhaust the stack. */
const DEEPEST = 32;

function scalar(reader: BinaryReader, type: Scalar): unknown {
  switch (type) {
    case 'int':
      return Number(reader.int64());
    case 'float':
      return reader.float();
    case 'double':
      return reader.double();
    case 'string':
      return reader.string();
    case 'bytes':
      return reader.bytes();
  }
}

/** A message whose single scalars have their defaults: 0 and ''; bytes and messages that are not there are undefined. */
function blank(message: Message): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const { name, type, repeated } of Object.values(message)) {
    if (repeated) result[name] = [];
    else if (type === 'string') result[name] = '';
    else if (type === 'int' || type === 'float' || type === 'double') result[name] = message === dimension ? undefined : 0;
  }
  return result;
}

function decode(reader: BinaryReader, end: number, message: Message, depth: number): Record<string, unknown> {
  if (depth > DEEPEST) throw new RangeError(`messages more than ${DEEPEST} deep`);
  const result = blank(message);
  while (reader.pos < end) {
    const [number, wire] = reader.tag();
    const field = message[number];
    if (!field) {
      reader.skip(wire, number);
      continue;
    }
    const { name, type, repeated } = field;
    const put = (value: unknown) => {
      if (repeated) (result[name] as unknown[]).push(value);
      else result[name] = value;
    };
    if (typeof type === 'function' || (wire === WireType.LengthDelimited && wireTypes[type] !== wire)) {
      if (wire !== WireType.LengthDelimited || (typeof type !== 'function' && !repeated)) throw new RangeError(`field ${name} of another type`);
      const length = reader.uint32();
      const last = reader.pos + length;
      if (last > end) throw new RangeError(`field ${name} ends behind what holds it`);
      if (typeof type === 'function') put(decode(reader, last, type(), depth + 1));
      else while (reader.pos < last) put(scalar(reader, type));
      if (reader.pos !== last) throw new RangeError(`field ${name} has another length than it says`);
    } else {
      if (wire !== wireTypes[type]) throw new RangeError(`field ${name} of another type`);
      put(scalar(reader, type));
    }
  }
  return result;
}

/** @throws RangeError and others for bytes that are no such message */
export function decodeModelProto(bytes: Uint8Array): ModelProto {
  return decode(new BinaryReader(bytes), bytes.length, model, 0) as unknown as ModelProto;
}
/** A tensor by itself, as the standard's tests keep them. */
export function decodeTensorProto(bytes: Uint8Array): TensorProto {
  return decode(new BinaryReader(bytes), bytes.length, tensor, 0) as unknown as TensorProto;
}

/** A message as it is written: what is left out is not in the file. */
export type Written<T> = {
  [Field in keyof T]?: NonNullable<T[Field]> extends Uint8Array | string | number
    ? T[Field]
    : NonNullable<T[Field]> extends (infer Item)[]
      ? (Item extends Uint8Array | string | number ? Item : Written<Item>)[]
      : Written<NonNullable<T[Field]>>;
};

function writeScalar(writer: BinaryWriter, type: Scalar, value: unknown): void {
  switch (type) {
    case 'int':
      writer.int64(value as number);
      break;
    case 'float':
      writer.float(value as number);
      break;
    case 'double':
      writer.double(value as number);
      break;
    case 'string':
      writer.string(value as string);
      break;
    case 'bytes':
      writer.bytes(value as Uint8Array);
  }
}

function encode(writer: BinaryWriter, record: Record<string, unknown>, message: Message): void {
  for (const [number, { name, type, repeated }] of Object.entries(message)) {
    const given = record[name];
    for (const value of repeated ? ((given ?? []) as unknown[]) : given === undefined ? [] : [given]) {
      if (typeof type === 'function') {
        writer.tag(Number(number), WireType.LengthDelimited).fork();
        encode(writer, value as Record<string, unknown>, type());
        writer.join();
      } else {
        writer.tag(Number(number), wireTypes[type]);
        writeScalar(writer, type, value);
      }
    }
  }
}

export function encodeModelProto(proto: Written<ModelProto>): Uint8Array {
  const writer = new BinaryWriter();
  encode(writer, proto, model);
  return writer.finish();
}
