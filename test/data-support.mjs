// Writers of the data formats that the readers are tested with, and fuzzed with by scripts/fuzz/data.mjs.
import { deflateRawSync } from 'node:zlib';

/** IDX: two zero bytes, the type, the number of dimensions, the sizes big endian. */
export function idx(shape, data) {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header[2] = 8;
  header[3] = shape.length;
  for (const [i, size] of shape.entries()) header.writeUInt32BE(size, 4 + 4 * i);
  return Buffer.concat([header, Buffer.from(data)]);
}

/** One element as bytes. */
const writers = {
  b1: (b, v, at) => b.writeUInt8(v ? 1 : 0, at),
  u1: (b, v, at) => b.writeUInt8(v, at),
  i1: (b, v, at) => b.writeInt8(v, at),
  u2: (b, v, at, big) => (big ? b.writeUInt16BE(v, at) : b.writeUInt16LE(v, at)),
  i2: (b, v, at, big) => (big ? b.writeInt16BE(v, at) : b.writeInt16LE(v, at)),
  u4: (b, v, at, big) => (big ? b.writeUInt32BE(v, at) : b.writeUInt32LE(v, at)),
  i4: (b, v, at, big) => (big ? b.writeInt32BE(v, at) : b.writeInt32LE(v, at)),
  u8: (b, v, at, big) => (big ? b.writeBigUInt64BE(BigInt(v), at) : b.writeBigUInt64LE(BigInt(v), at)),
  i8: (b, v, at, big) => (big ? b.writeBigInt64BE(BigInt(v), at) : b.writeBigInt64LE(BigInt(v), at)),
  f4: (b, v, at, big) => (big ? b.writeFloatBE(v, at) : b.writeFloatLE(v, at)),
  f8: (b, v, at, big) => (big ? b.writeDoubleBE(v, at) : b.writeDoubleLE(v, at)),
};

export function elementsOf(kind, values, big = false) {
  const width = Number(kind[1]);
  const bytes = Buffer.alloc(values.length * width);
  for (const [i, value] of values.entries()) writers[kind](bytes, value, i * width, big);
  return bytes;
}

/** .npy, version 1, 2 or 3. `descr` such as '<f4'; `values` in the order of the file. */
export function npy(descr, shape, values, { fortran = false, version = 1 } = {}) {
  const data = Buffer.isBuffer(values) ? values : elementsOf(descr.slice(1), values, descr[0] === '>');
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  let text = `{'descr': '${descr}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (${sizes}), }`;
  const fixed = version === 1 ? 10 : 12;
  text += `${' '.repeat(63 - ((fixed + text.length) % 64))}\n`;
  const header = Buffer.alloc(fixed);
  header.write('\x93NUMPY', 'latin1');
  header[6] = version;
  if (version === 1) header.writeUInt16LE(text.length, 8);
  else header.writeUInt32LE(text.length, 8);
  return Buffer.concat([header, Buffer.from(text, 'latin1'), data]);
}

const table = Int32Array.from({ length: 256 }, (_, i) => {
  let c = i;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c;
});

export function crc32(bytes) {
  let c = -1;
  for (const byte of bytes) c = table[(c ^ byte) & 255] ^ (c >>> 8);
  return ~c >>> 0;
}

/** A zip archive of { name: bytes }, stored or deflated. */
export function zip(files, { deflate = true } = {}) {
  const parts = [];
  const central = [];
  let offset = 0;
  for (const [name, bytes] of Object.entries(files)) {
    const packed = deflate ? deflateRawSync(bytes) : bytes;
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(deflate ? 8 : 0, 4);
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), packed]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    central.push(Buffer.concat([Buffer.from('PK\x01\x02'), Buffer.from([20, 0]), common, rest, Buffer.from(name)]));
    parts.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(central.length, 8);
  end.writeUInt16LE(central.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, directory, end]);
}

export function npz(arrays, options) {
  return zip(Object.fromEntries(Object.entries(arrays).map(([name, bytes]) => [`${name}.npy`, bytes])), options);
}

/** Safetensors of { name: { dtype, shape, data } }. */
export function safetensors(tensors, change = (header) => header) {
  const header = { __metadata__: { format: 'np' } };
  let at = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [at, at + data.length] };
    at += data.length;
  }
  const text = Buffer.from(JSON.stringify(change(header)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...Object.values(tensors).map(({ data }) => data)]);
}

const text = (value) => Buffer.concat([Buffer.from('X'), elementsOf('u4', [Buffer.byteLength(value)]), Buffer.from(value)]);
/** Protocol 2 of a pickle, for texts, whole numbers, lists as tuples, dictionaries as [[key, value]...] in `dict`, and raw operations. */
export function pickled(value) {
  if (Buffer.isBuffer(value)) return value;
  if (typeof value === 'string') return text(value);
  if (typeof value === 'boolean') return Buffer.from([value ? 0x88 : 0x89]);
  if (typeof value === 'number') {
    const bytes = elementsOf('i8', [value]);
    return Buffer.concat([Buffer.from([0x8a, 8]), bytes]);
  }
  if (Array.isArray(value)) return Buffer.concat([Buffer.from('('), ...value.map(pickled), Buffer.from('t')]);
  const pairs = Object.entries(value).flatMap(([key, of]) => [pickled(key), pickled(of)]);
  return Buffer.concat([Buffer.from('}('), ...pairs, Buffer.from('u')]);
}
export const pickledGlobal = (name) => Buffer.from(`c${name.slice(0, name.lastIndexOf('.'))}\n${name.slice(name.lastIndexOf('.') + 1)}\n`);
export const pickledCall = (name, ...args) => Buffer.concat([pickledGlobal(name), pickled(args), Buffer.from('R')]);

const rowByRow = (shape) => shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
/** A tensor in a storage of so many elements. */
export function pickledTensor({ type = 'torch.FloatStorage', key = '0', count, offset = 0, shape, strides = rowByRow(shape) }) {
  const storage = Buffer.concat([pickled(['storage', pickledGlobal(type), key, 'cpu', count]), Buffer.from('Q')]);
  return pickledCall('torch._utils._rebuild_tensor_v2', storage, offset, shape, strides, false, pickledCall('collections.OrderedDict'));
}

/** A file of PyTorch: the pickle of a value, and its storages. */
export const pytorch = (value, storages, { folder = 'archive', deflate = false } = {}) =>
  zip(
    {
      [`${folder}/data.pkl`]: Buffer.concat([Buffer.from([0x80, 2]), pickled(value), Buffer.from('.')]),
      [`${folder}/byteorder`]: Buffer.from('little'),
      ...Object.fromEntries(Object.entries(storages).map(([key, bytes]) => [`${folder}/data/${key}`, bytes])),
      [`${folder}/version`]: Buffer.from('3\n'),
    },
    { deflate },
  );
