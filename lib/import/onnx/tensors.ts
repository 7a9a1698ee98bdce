/** Constants of an ONNX file: initializers, attributes, external data; and the arithmetic of shapes on them. */
import { open, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { countElements, decodeElements, type ElementType, elementBytes } from '../../data/elements.js';
import { DataError } from '../../errors.js';
import { item } from '../../indexing.js';
import { runNow, runPaced } from '../../pace.js';
import type { TensorProto } from './proto.js';

/** Numbers row by row. Integers are held as doubles. */
export interface Constant {
  shape: number[];
  data: Float32Array | Float64Array;
  isInteger: boolean;
  /** TensorProto.DataType of one that was read; of one that was computed it is not known. */
  dataType?: number;
}

/** TensorProto.DataType → elements. */
const types: Record<number, ElementType> = {
  1: 'f32',
  2: 'u8',
  3: 'i8',
  4: 'u16',
  5: 'i16',
  6: 'i32',
  7: 'i64',
  9: 'bool',
  10: 'f16',
  11: 'f64',
  12: 'u32',
  13: 'u64',
  16: 'bf16',
};

/** A type as errors name it. */
export const typeName = (dataType: number) => types[dataType] ?? (dataType === 8 ? 'strings' : `the type ${dataType}`);

export const elementsOf = (shape: number[]) => shape.reduce((product, size) => product * size, 1);
export const isFloatType = (dataType: number) => (types[dataType] ?? '').includes('f');

/** The path of a file that a model names, in the model's folder or below it. `what` is said of one that is not. */
export async function fileInside(modelFolder: string, location: string, what: string, modelPath: string): Promise<string> {
  if (location === '' || isAbsolute(location) || location.includes('\0')) throw new DataError(`${what}, which is no relative path`, modelPath);
  const folder = await realpath(modelFolder);
  let path: string;
  try {
    path = await realpath(join(folder, location));
  } catch (cause) {
    throw new DataError(`${what} (${(cause as Error).message})`, modelPath, { cause });
  }
  const inside = relative(folder, path);
  if (inside.startsWith('..') || isAbsolute(inside)) throw new DataError(`${what}, outside of the model's folder`, modelPath);
  return path;
}

/** The bytes of a tensor kept beside the model. */
async function externalBytes(proto: TensorProto, modelPath: string): Promise<Uint8Array> {
  const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get('location') ?? '';
  const wrong = (what: string) => new DataError(`tensor "${proto.name}": external data ${what}`, modelPath);
  const path = await fileInside(dirname(modelPath), location, `tensor "${proto.name}": external data at ${JSON.stringify(location)}`, modelPath);
  const file = await open(path, 'r');
  try {
    const info = await file.stat();
    const offset = Number(entries.get('offset') ?? 0);
    const length = Number(entries.get('length') ?? info.size - offset);
    const fits = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0 && offset + length <= info.size;
    if (!info.isFile() || !fits) throw wrong(`of ${length} bytes at ${offset} of ${JSON.stringify(location)}, which has ${info.size}`);
    const bytes = new Uint8Array(length);
    const { bytesRead } = await file.read(bytes, 0, length, offset);
    if (bytesRead !== length) throw wrong(`ends early in ${JSON.stringify(location)}`);
    return bytes;
  } finally {
    await file.close();
  }
}

function typedData(proto: TensorProto): number[] {
  return [proto.floatData, proto.int32Data, proto.int64Data, proto.doubleData, proto.uint64Data].find((list) => list.length > 0) ?? [];
}

export async function readTensor(proto: TensorProto, path: string): Promise<Constant> {
  const type = types[proto.dataType];
  const name = proto.name ? `tensor "${proto.name}"` : 'a tensor';
  if (!type) throw new DataError(`${name} has ${proto.dataType === 8 ? 'strings' : `the type ${proto.dataType}`}, which are no numbers`, path);
  const count = countElements(proto.dims, path);
  const isInteger = !type.includes('f');
  const stored = proto.dataLocation === 1 ? await externalBytes(proto, path) : proto.rawData;
  const wrong = (has: string) => new DataError(`${name} of ${count} elements has ${has}`, path);
  if (!stored) {
    let list = typedData(proto);
    if (list.length !== count) throw wrong(`${list.length}`);
    if (type === 'f16' || type === 'bf16') {
      // The bits of each element stand in an integer.
      list = Array.from(runNow(decodeElements(new Uint8Array(Uint16Array.from(list).buffer), type, false)));
    }
    return { shape: proto.dims, data: isInteger ? Float64Array.from(list) : Float32Array.from(list), isInteger, dataType: proto.dataType };
  }
  if (stored.length !== count * elementBytes[type]) throw wrong(`${stored.length} bytes of ${type}`);
  // A copy in memory of its own: slice() of a Buffer would be the same memory.
  const values = await runPaced(decodeElements(new Uint8Array(stored), type, false));
  const data = isInteger ? new Float64Array(values) : values instanceof Float32Array ? values : new Float32Array(values);
  return { shape: proto.dims, data, isInteger, dataType: proto.dataType };
}

export const scalarOf = ({ data }: Constant): number | undefined => (data.length === 1 ? data[0] : undefined);

export const integers = (values: number[]): Constant => ({ shape: [values.length], data: Float64Array.from(values), isInteger: true });

const stridesOf = (shape: number[]) => shape.map((_, i) => elementsOf(shape.slice(i + 1)));

/** Element `index(place)` of `from` at every place of the shape. */
export function gatherElements(from: Constant, shape: number[], index: (place: number[]) => number): Constant {
  const data = new (from.data.constructor as Float32ArrayConstructor)(elementsOf(shape));
  const place = new Array<number>(shape.length).fill(0);
  for (let i = 0; i < data.length; i++) {
    data[i] = item(from.data, index(place));
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const next = item(place, axis) + 1;
      place[axis] = next === shape[axis] ? 0 : next;
      if (next !== shape[axis]) break;
    }
  }
  return { shape, data, isInteger: from.isInteger };
}

export const isPermutation = (axes: number[], rank: number) =>
  axes.length === rank && new Set(axes).size === rank && axes.every((axis) => Number.isInteger(axis) && axis >= 0 && axis < rank);

/** Axis i of the result is axis `permutation[i]`. @throws RangeError for what is no permutation of the axes */
export function transpose(c: Constant, permutation: number[]): Constant {
  if (!isPermutation(permutation, c.shape.length))
    throw new RangeError(`Expected a permutation of ${c.shape.length} axes but received [${permutation}]`);
  const strides = stridesOf(c.shape);
  const shape = permutation.map((axis) => item(c.shape, axis));
  return {
    shape,
    data: byStrides(
      c.data,
      shape,
      permutation.map((axis) => item(strides, axis)),
    ),
    isInteger: c.isInteger,
  };
}

/** Elements that lie so far apart along each axis, row by row. */
function byStrides<T extends Float32Array | Float64Array>(from: T, shape: number[], strides: number[]): T {
  const data = new (from.constructor as new (count: number) => T)(elementsOf(shape));
  const inner = shape.at(-1) ?? 1;
  const step = strides.at(-1) ?? 1;
  const place = shape.slice(0, -1).fill(0);
  let start = 0;
  for (let at = 0; at < data.length; ) {
    for (let i = 0; i < inner; i++) data[at++] = from[start + i * step] as number;
    for (let axis = place.length - 1; axis >= 0; axis--) {
      const next = item(place, axis) + 1;
      const isLast = next === shape[axis];
      place[axis] = isLast ? 0 : next;
      start += isLast ? -item(strides, axis) * (next - 1) : item(strides, axis);
      if (!isLast) break;
    }
  }
  return data;
}

/** The numbers as float32: the same memory where they are that. Nothing changes parameters in place. */
export const floatsOf = ({ data }: Constant): Float32Array => (data instanceof Float32Array ? data : new Float32Array(data));

/** The shape that two shapes broadcast to, undefined where they do not. */
export function broadcastShape(a: number[], b: number[]): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const result: number[] = [];
  for (let i = 0; i < rank; i++) {
    const [x, y] = [a[a.length - rank + i] ?? 1, b[b.length - rank + i] ?? 1];
    if (x !== y && x !== 1 && y !== 1) return undefined;
    result.push(x === 1 ? y : x);
  }
  return result;
}

/** The constant repeated along axes of one element until it has the shape. */
export function expand(c: Constant, shape: number[]): Constant {
  const strides = stridesOf(c.shape);
  const offset = shape.length - c.shape.length;
  return gatherElements(c, shape, (place) => c.shape.reduce((at, size, i) => at + (size === 1 ? 0 : item(place, offset + i) * item(strides, i)), 0));
}
