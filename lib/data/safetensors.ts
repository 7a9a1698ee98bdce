/** Safetensors files: a header in JSON of types, shapes and places, then the elements of all tensors, little endian. */
import { DataError } from '../errors.js';
import { runPaced } from '../pace.js';
import { countElements, decodeElements, type ElementType, elementBytes, type Tensor } from './elements.js';
import { withDataFile } from './files.js';

/** Data sets hold few tensors; parsing more at once would hold up the event loop. */
const MOST_HEADER = 1 << 20;

const types: Record<string, ElementType> = {
  BOOL: 'bool',
  U8: 'u8',
  I8: 'i8',
  U16: 'u16',
  I16: 'i16',
  U32: 'u32',
  I32: 'i32',
  U64: 'u64',
  I64: 'i64',
  F16: 'f16',
  BF16: 'bf16',
  F32: 'f32',
  F64: 'f64',
};

interface Place {
  name: string;
  type: ElementType;
  shape: number[];
  from: number;
  bytes: number;
}

const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.every((v) => Number.isSafeInteger(v) && v >= 0);

function parsePlace(name: string, value: unknown, path: string): Place {
  const wrong = (message: string) => new DataError(`tensor "${name}": ${message}`, path);
  const { dtype, shape, data_offsets: offsets } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const type = typeof dtype === 'string' && Object.hasOwn(types, dtype) ? types[dtype] : undefined;
  if (!type) throw wrong(`expected one of the types ${Object.keys(types).join(', ')} but found ${JSON.stringify(dtype)}`);
  if (!isCounts(shape) || shape.length > 8) throw wrong('its shape is no list of at most 8 sizes');
  const [from = 0, to = -1, ...more] = isCounts(offsets) ? offsets : [];
  if (to < from || more.length > 0) throw wrong('data_offsets are not [begin, end]');
  const bytes = countElements(shape, path) * elementBytes[type];
  if (to - from !== bytes) throw wrong(`${shape.join('×')} of ${dtype} are ${bytes} bytes but its place has ${to - from}`);
  return { name, type, shape, from, bytes };
}

/** Where every tensor lies, in the order of the file, without gaps. */
function parseHeader(text: string, path: string): Place[] {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    throw new DataError(`the header is no JSON: ${(cause as Error).message}`, path, { cause });
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) throw new DataError('the header is no JSON object', path);
  const places = Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, value]) => parsePlace(name, value, path))
    .sort((a, b) => a.from - b.from || a.bytes - b.bytes);
  let end = 0;
  for (const { name, from, bytes } of places) {
    if (from !== end) throw new DataError(`tensor "${name}" begins at ${from} but the one before ends at ${end}`, path);
    end += bytes;
  }
  return places;
}

/** All tensors of a file by name, in the order of the file. @throws DataError */
export async function readSafetensors(path: string): Promise<Map<string, Tensor>> {
  return withDataFile(path, async (source) => {
    const start = Buffer.from(await source.read(8, 'a safetensors header'));
    const length = start.readBigUInt64LE();
    if (length > MOST_HEADER) throw new DataError(`not a safetensors file of data: a header of ${length} bytes`, path);
    const text = Buffer.from(await source.read(Number(length), 'a safetensors header')).toString('utf8');
    const tensors = new Map<string, Tensor>();
    for (const { name, type, shape, bytes } of parseHeader(text, path)) {
      const data = await source.read(bytes, `tensor "${name}"`);
      tensors.set(name, { shape, type, data: await runPaced(decodeElements(data, type, false)) });
    }
    await source.expectEnd();
    return tensors;
  });
}
