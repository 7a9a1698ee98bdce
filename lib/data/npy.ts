/** NumPy's array files .npy (format versions 1 to 3, numpy/lib/format.py). */
import { DataError } from '../errors.js';
import { item } from '../indexing.js';
import { runPaced } from '../pace.js';
import type { ByteSource } from './byte-source.js';
import { countElements, decodeElements, type ElementType, elementBytes, fromFortranOrder, type Tensor } from './elements.js';
import { withDataFile } from './files.js';

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/** Longer headers are those of tables with named columns, which are not read here. */
const MOST_HEADER = 1 << 16;

const kinds: Record<string, ElementType> = {
  b1: 'bool',
  u1: 'u8',
  i1: 'i8',
  u2: 'u16',
  i2: 'i16',
  u4: 'u32',
  i4: 'i32',
  u8: 'u64',
  i8: 'i64',
  f2: 'f16',
  f4: 'f32',
  f8: 'f64',
};

interface Header {
  type: ElementType;
  isBigEndian: boolean;
  isFortran: boolean;
  shape: number[];
}

/** The header is a dictionary as Python prints it: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }. */
function parseHeader(text: string, path: string): Header {
  const field = (name: string, value: string) => new RegExp(`['"]${name}['"]\\s*:\\s*${value}`).exec(text);
  const descr = field('descr', `['"]([<>|=]?)([a-zA-Z]\\d*)['"]`);
  const order = field('fortran_order', '(True|False)');
  // One pattern for the whole list would try the ways to cut a long row of digits, which are without number.
  const sizes = field('shape', '\\(([^()]*)\\)')?.[1]
    ?.split(',')
    .map((size) => size.trim())
    .filter(Boolean);
  const isShape = sizes?.every((size) => /^\d{1,16}L?$/.test(size));
  if (!field('descr', '') || !order || !sizes || !isShape) throw new DataError('the header is not that of an array of NumPy', path);
  const type = descr && kinds[item(descr, 2)];
  if (!type) {
    const found = descr ? descr[2] : 'a table with named columns or objects';
    throw new DataError(`expected numbers (one of ${Object.keys(kinds).join(', ')}) but found ${found}`, path);
  }
  return { type, isBigEndian: descr[1] === '>', isFortran: order[1] === 'True', shape: sizes.map((size) => Number.parseInt(size, 10)) };
}

/** One array, from its beginning to its end. */
export async function readNpyFrom(source: ByteSource): Promise<Tensor> {
  const { path } = source;
  const start = await source.read(8, 'an .npy header');
  if (MAGIC.some((byte, i) => start[i] !== byte)) throw new DataError('not an .npy file: it does not start with \\x93NUMPY', path);
  const [major, minor] = [item(start, 6), item(start, 7)];
  if (major < 1 || major > 3) throw new DataError(`version ${major}.${minor} of the format is not known`, path);
  const lengthBytes = await source.read(major === 1 ? 2 : 4, 'an .npy header');
  const length = lengthBytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
  if (length > MOST_HEADER) throw new DataError(`a header of ${length} bytes`, path);
  const text = Buffer.from(await source.read(length, 'an .npy header')).toString('latin1');
  const { type, isBigEndian, isFortran, shape } = parseHeader(text, path);
  if (shape.length > 8) throw new DataError(`${shape.length} dimensions`, path);
  const bytes = await source.read(countElements(shape, path) * elementBytes[type], `data (${shape.join('×')} of ${type})`);
  await source.expectEnd();
  const tensor = { shape, type, data: await runPaced(decodeElements(bytes, type, isBigEndian)) };
  return isFortran && shape.length > 1 ? runPaced(fromFortranOrder(tensor)) : tensor;
}

/** The array of an .npy file, plain or gzipped. @throws DataError */
export async function readNpy(path: string): Promise<Tensor> {
  return withDataFile(path, readNpyFrom);
}
