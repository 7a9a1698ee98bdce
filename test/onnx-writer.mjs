// Writes small ONNX files: the wire format of protobuf by hand, so that the importer's reading is not judged by its own code.
import { writeFileSync } from 'node:fs';

const varint = (value) => {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes = [];
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest ? low | 128 : low);
  } while (rest);
  return Buffer.from(bytes);
};
const integer = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, value) => {
  const data = Buffer.isBuffer(value) ? value : Buffer.from(value);
  return Buffer.concat([varint((field << 3) | 2), varint(data.length), data]);
};
const float = (field, value) => {
  const data = Buffer.alloc(4);
  data.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), data]);
};

/** `data`: Float32Array, or BigInt64Array; kept as raw bytes, as typed data, or in a file beside the model. */
export function tensor(name, shape, data, { typed = false, external, type = data instanceof BigInt64Array ? 7 : 1 } = {}) {
  const head = [...shape.map((size) => integer(1, size)), integer(2, type), bytes(8, name)];
  if (external) {
    const entries = Object.entries(external).map(([key, value]) => bytes(13, Buffer.concat([bytes(1, key), bytes(2, String(value))])));
    return Buffer.concat([...head, ...entries, integer(14, 1)]);
  }
  if (typed && data instanceof BigInt64Array) return Buffer.concat([...head, bytes(7, Buffer.concat([...data].map(varint)))]);
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.concat([...head, bytes(typed ? 4 : 9, raw)]);
}

function attribute(name, value) {
  const head = bytes(1, name);
  if (typeof value === 'string') return Buffer.concat([head, bytes(4, value), integer(20, 3)]);
  if (Buffer.isBuffer(value)) return Buffer.concat([head, bytes(5, value), integer(20, 4)]);
  if (Array.isArray(value)) return Buffer.concat([head, ...value.map((v) => integer(8, v)), integer(20, 7)]);
  if (value?.float !== undefined) return Buffer.concat([head, float(2, value.float), integer(20, 1)]);
  return Buffer.concat([head, integer(3, value), integer(20, 2)]);
}

export function node(opType, input, output, attributes = {}, name = `${opType}_of_${output}`) {
  const list = Object.entries(attributes).map(([key, value]) => bytes(5, attribute(key, value)));
  return Buffer.concat([...input.map((i) => bytes(1, i)), ...[output].flat().map((o) => bytes(2, o)), bytes(3, name), bytes(4, opType), ...list]);
}

/** `shape`, or { shape, type } for other numbers than float32. */
function valueInfo(field, name, given) {
  const { shape, type: element } = Array.isArray(given) ? { shape: given, type: 1 } : given;
  const dims = shape.map((size) => bytes(1, typeof size === 'string' ? bytes(2, size) : integer(1, size)));
  const type = bytes(1, Buffer.concat([integer(1, element), bytes(2, Buffer.concat(dims))]));
  return bytes(field, Buffer.concat([bytes(1, name), bytes(2, type)]));
}

/** `inputs` and `outputs`: { name: shape }. */
export function writeModel(path, { nodes, initializers = [], inputs, outputs, opset = 17 }) {
  const graph = Buffer.concat([
    ...nodes.map((n) => bytes(1, n)),
    bytes(2, 'graph'),
    ...initializers.map((t) => bytes(5, t)),
    ...Object.entries(inputs).map(([name, shape]) => valueInfo(11, name, shape)),
    ...Object.entries(outputs).map(([name, shape]) => valueInfo(12, name, shape)),
  ]);
  writeFileSync(path, Buffer.concat([integer(1, 8), bytes(2, 'test'), bytes(7, graph), bytes(8, Buffer.concat([bytes(1, ''), integer(2, opset)]))]));
}
