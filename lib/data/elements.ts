/** Numbers of tensors in files, of any common type and byte order, as typed arrays. */
import { DataError } from '../errors.js';
import { SLICE, type Steps } from '../pace.js';

export type ElementType = 'bool' | 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'u64' | 'i64' | 'f16' | 'bf16' | 'f32' | 'f64';

export type Numbers = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array;

/** A tensor of a file, row by row (C order). 64-bit integers are held as doubles, 16-bit floats as float32. */
export interface Tensor {
  shape: number[];
  type: ElementType;
  data: Numbers;
}

export const elementBytes: Record<ElementType, number> = {
  bool: 1,
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  u64: 8,
  i64: 8,
  f16: 2,
  bf16: 2,
  f32: 4,
  f64: 8,
};

export const isFloat = (type: ElementType) => type.includes('f');

/** Number of elements of a shape. @throws DataError where it is no number that can be counted with */
export function countElements(shape: number[], path: string): number {
  let count = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) throw new DataError(`the shape has the size ${size}`, path);
    count *= size;
  }
  if (!Number.isSafeInteger(count)) throw new DataError(`a shape of ${count} elements`, path);
  return count;
}

/** The value of the bits of an IEEE half. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Reverses the bytes of every element in place. */
function* swapBytes(bytes: Uint8Array, width: number): Steps<void> {
  for (let at = 0; at < bytes.length; at += width) {
    for (let i = 0, j = width - 1; i < j; i++, j--) {
      const byte = bytes[at + i] as number;
      bytes[at + i] = bytes[at + j] as number;
      bytes[at + j] = byte;
    }
    if ((at / width) % SLICE === SLICE - 1) yield;
  }
}

/** Elements that no typed array holds, converted one by one. */
function* convert<T extends Numbers>(to: T, element: (i: number) => number): Steps<T> {
  for (let i = 0; i < to.length; i++) {
    to[i] = element(i);
    if (i % SLICE === SLICE - 1) yield;
  }
  return to;
}

/** The elements in `bytes`, which become part of the result where they can. `bytes` starts at its buffer's beginning. */
export function* decodeElements(bytes: Uint8Array, type: ElementType, isBigEndian: boolean): Steps<Numbers> {
  const width = elementBytes[type];
  if (isBigEndian && width > 1) yield* swapBytes(bytes, width);
  const buffer = bytes.buffer as ArrayBuffer;
  const count = bytes.length / width;
  switch (type) {
    case 'bool':
      return yield* convert(bytes, (i) => (bytes[i] ? 1 : 0));
    case 'u8':
      return bytes;
    case 'i8':
      return new Int8Array(buffer, 0, count);
    case 'u16':
      return new Uint16Array(buffer, 0, count);
    case 'i16':
      return new Int16Array(buffer, 0, count);
    case 'u32':
      return new Uint32Array(buffer, 0, count);
    case 'i32':
      return new Int32Array(buffer, 0, count);
    case 'f32':
      return new Float32Array(buffer, 0, count);
    case 'f64':
      return new Float64Array(buffer, 0, count);
    case 'f16': {
      const words = new Uint16Array(buffer, 0, count);
      return yield* convert(new Float32Array(count), (i) => half(words[i] as number));
    }
    case 'bf16': {
      const words = new Uint16Array(buffer, 0, count);
      const result = new Uint32Array(count);
      yield* convert(result, (i) => (words[i] as number) << 16);
      return new Float32Array(result.buffer);
    }
    case 'i64':
    case 'u64': {
      const low = new Uint32Array(buffer, 0, 2 * count);
      const high = type === 'i64' ? new Int32Array(buffer, 0, 2 * count) : low;
      return yield* convert(new Float64Array(count), (i) => (high[2 * i + 1] as number) * 2 ** 32 + (low[2 * i] as number));
    }
  }
}

/** The same tensor, whose elements were stored column by column (Fortran order), row by row. */
export function* fromFortranOrder({ shape, type, data }: Tensor): Steps<Tensor> {
  const result = new (data.constructor as new (count: number) => Numbers)(data.length);
  // Axes from the last, which runs fastest in the result.
  const axes = shape.map((size, i) => ({ size, stride: shape.slice(0, i).reduce((a, b) => a * b, 1), place: 0 })).reverse();
  for (let i = 0, from = 0; i < data.length; i++) {
    result[i] = data[from] as number;
    for (const axis of axes) {
      from += axis.stride;
      if (++axis.place < axis.size) break;
      from -= axis.stride * axis.size;
      axis.place = 0;
    }
    if (i % SLICE === SLICE - 1) yield;
  }
  return { shape, type, data: result };
}
