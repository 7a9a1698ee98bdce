/** State dictionaries of PyTorch, .pth and .pt: a zip of a pickle that says where each tensor lies, and of the storages that they lie in. */
import { DataError } from '../errors.js';
import { item } from '../indexing.js';
import { pauses, runPaced, SLICE, type Steps } from '../pace.js';
import type { ByteSource } from './byte-source.js';
import { countElements, decodeElements, type ElementType, elementBytes, type Numbers, type Tensor } from './elements.js';
import { bytesOf, withFile } from './files.js';
import { type Pickled, PickledGlobal, type PickledMap, PickledObject, readPickle } from './pickle.js';
import { readZip } from './zip.js';

/** A pickle of names and places is small: a thousand tensors take some 100 KB. */
const MOST_PICKLE = 1 << 26;
const MOST_AXES = 16;

const STORAGES: Record<string, ElementType> = {
  FloatStorage: 'f32',
  DoubleStorage: 'f64',
  HalfStorage: 'f16',
  BFloat16Storage: 'bf16',
  ByteStorage: 'u8',
  CharStorage: 'i8',
  ShortStorage: 'i16',
  IntStorage: 'i32',
  LongStorage: 'i64',
  BoolStorage: 'bool',
};
const DTYPES: Record<string, ElementType> = {
  float32: 'f32',
  float64: 'f64',
  float16: 'f16',
  bfloat16: 'bf16',
  uint8: 'u8',
  int8: 'i8',
  int16: 'i16',
  int32: 'i32',
  int64: 'i64',
  bool: 'bool',
};

/** Elements beside the pickle. */
class Storage {
  constructor(
    readonly key: string,
    /** undefined: bytes, of which each tensor says what they are. */
    readonly type: ElementType | undefined,
    readonly count: number,
  ) {}
}

/** Where a tensor lies in a storage. */
class Place {
  constructor(
    readonly storage: Storage,
    readonly type: ElementType,
    readonly offset: number,
    readonly shape: number[],
    readonly strides: number[],
  ) {}
}

const isCount = (value: Pickled): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
const isCounts = (value: Pickled): value is number[] => Array.isArray(value) && value.length <= MOST_AXES && value.every(isCount);

/** Places of tensors in the pickle: the few functions that PyTorch writes them with. */
class Rules {
  constructor(readonly path: string) {}

  persistent = (id: Pickled): Storage => {
    const [kind, type, key, , count] = Array.isArray(id) ? id : [];
    const name = type instanceof PickledGlobal ? type.name.replace(/^torch\.(storage\.)?/, '') : '';
    const known = Object.hasOwn(STORAGES, name) ? STORAGES[name] : undefined;
    if (kind !== 'storage' || typeof key !== 'string' || !isCount(count) || (!known && name !== 'UntypedStorage'))
      throw new DataError(`a storage of numbers is expected in its pickle, not ${name || 'something else'}`, this.path);
    return new Storage(key, known, count);
  };

  call = (name: string, args: Pickled[]): Pickled | undefined => {
    switch (name) {
      case 'collections.OrderedDict':
        return this.#dictionary(args[0]);
      case 'torch._utils._rebuild_tensor':
      case 'torch._utils._rebuild_tensor_v2':
        return this.#place(args);
      case 'torch._utils._rebuild_tensor_v3':
        return this.#place(args, args[6]);
      case 'torch._utils._rebuild_parameter':
      case 'torch._utils._rebuild_parameter_with_state':
        return args[0] instanceof Place ? args[0] : undefined;
      case 'torch.Size':
        return args[0];
      default:
        return undefined;
    }
  };

  #dictionary(pairs: Pickled): PickledMap | undefined {
    if (pairs === undefined) return new Map();
    if (!Array.isArray(pairs) || !pairs.every((pair) => Array.isArray(pair) && pair.length === 2)) return undefined;
    return new Map(pairs as [Pickled, Pickled][]);
  }

  #place([storage, offset, shape, strides]: Pickled[], dtype?: Pickled): Place {
    if (!(storage instanceof Storage) || !isCount(offset) || !isCounts(shape) || !isCounts(strides) || shape.length !== strides.length)
      throw new DataError('a tensor in its pickle has no storage, offset, sizes and strides', this.path);
    const named = dtype instanceof PickledGlobal ? dtype.name.replace(/^torch\./, '') : '';
    const type = storage.type ?? (Object.hasOwn(DTYPES, named) ? DTYPES[named] : undefined);
    if (!type) throw new DataError(`a tensor of the type ${named || 'unknown'}`, this.path);
    return new Place(storage, type, offset, shape, strides);
  }
}

/** Under these names training scripts keep the weights beside epochs and optimizers. */
const USUAL = ['state_dict', 'model_state_dict', 'model_state', 'model', 'net', 'network', 'params', 'weights'];

/** The tensors of a dictionary by name, undefined where it has none. */
function tensorsOf(value: Pickled): Map<string, Place> | undefined {
  if (!(value instanceof Map)) return undefined;
  const places = [...value].filter((pair): pair is [string, Place] => typeof pair[0] === 'string' && pair[1] instanceof Place);
  return places.length ? new Map(places) : undefined;
}

function stateOf(root: Pickled, path: string): Map<string, Place> {
  const own = tensorsOf(root);
  if (own) return own;
  const save = 'save the state_dict() of the model';
  if (root instanceof PickledObject) throw new DataError(`an object of ${root.name}, not a state dictionary: ${save}`, path);
  if (!(root instanceof Map)) throw new DataError(`no state dictionary: ${save}`, path);
  for (const name of USUAL) {
    const inner = tensorsOf(root.get(name));
    if (inner) return inner;
  }
  const keys = [...root.keys()].slice(0, 12).map(String).join(', ');
  throw new DataError(`no state dictionary: it holds ${keys || 'nothing'}, and no tensors under one of ${USUAL.join(', ')}; ${save}`, path);
}

/** The pickle, and the folder of the archive that it lies in. */
async function readDirectory(path: string): Promise<{ bytes: Uint8Array; folder: string }> {
  let found: { bytes: Uint8Array; folder: string } | undefined;
  await readZip(path, async (name, source) => {
    const [, folder] = name.match(/^([^/]+\/)data\.pkl$/) ?? [];
    if (folder === undefined || found) return;
    found = { bytes: await bytesOf(source, MOST_PICKLE), folder };
  });
  if (!found) throw new DataError('no file of PyTorch: there is no data.pkl in the archive', path);
  return found;
}

/** Whether the elements lie row by row. */
const isContiguous = ({ shape, strides }: Place) => {
  let run = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (item(shape, axis) !== 1 && item(strides, axis) !== run) return false;
    run *= item(shape, axis);
  }
  return true;
};

/** Elements that lie in any other order, row by row. */
function* gathered({ offset, shape, strides }: Place, data: Numbers): Steps<Numbers> {
  const count = shape.reduce((a, b) => a * b, 1);
  const result = new (data.constructor as new (count: number) => Numbers)(count);
  const place = shape.map(() => 0);
  let from = offset;
  for (let i = 0; i < count; i++) {
    result[i] = data[from] as number;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const next = item(place, axis) + 1;
      const [size, stride] = [item(shape, axis), item(strides, axis)];
      place[axis] = next === size ? 0 : next;
      from += next === size ? -stride * (size - 1) : stride;
      if (next !== size) break;
    }
    if (i % SLICE === SLICE - 1) yield;
  }
  return result;
}

/** The tensors that lie in storages, checked: inside of them, and not larger than them. */
class Storages {
  readonly #byKey = new Map<string, [string, Place][]>();
  readonly tensors = new Map<string, Tensor>();
  /** Elements that were copied, since they lie in another order. */
  #copied = 0;

  constructor(
    readonly places: Map<string, Place>,
    readonly path: string,
  ) {
    for (const [name, place] of places) {
      this.#check(name, place);
      const { key } = place.storage;
      const inIt = this.#byKey.get(key) ?? [];
      inIt.push([name, place]);
      this.#byKey.set(key, inIt);
    }
  }

  #check(name: string, { storage, offset, shape, strides, type }: Place): void {
    const wrong = (message: string) => new DataError(`tensor "${name}": ${message}`, this.path);
    const count = countElements(shape, this.path);
    const width = storage.type ? 1 : elementBytes[type]; // of a storage of bytes
    const held = Math.floor(storage.count / width);
    const last = shape.reduce((sum, size, axis) => sum + (size - 1) * item(strides, axis), offset);
    if (count > held || (count > 0 && last >= held))
      throw wrong(`[${shape}] at ${offset} by [${strides}] is outside of its storage of ${held} elements`);
  }

  wants = (key: string) => this.#byKey.has(key);
  get missing(): string[] {
    return [...this.#byKey.keys()];
  }

  async read(key: string, source: ByteSource): Promise<void> {
    const places = this.#byKey.get(key) ?? [];
    const [first] = places;
    if (!first) return;
    const [, { storage, type }] = first;
    if (places.some(([, place]) => place.type !== type || place.storage.count !== storage.count))
      throw new DataError(`storage ${key}: tensors of several types or sizes are in it`, this.path);
    const bytes = await source.read(storage.count * (storage.type ? elementBytes[type] : 1), `storage ${key}`);
    await source.expectEnd();
    const whole = storage.type ? bytes : bytes.subarray(0, bytes.length - (bytes.length % elementBytes[type]));
    const data = await runPaced(decodeElements(whole, type, false));
    for (const [name, place] of places) {
      const count = countElements(place.shape, this.path);
      if (isContiguous(place)) {
        this.tensors.set(name, { shape: place.shape, type, data: data.subarray(place.offset, place.offset + count) });
        continue;
      }
      this.#copied += count;
      if (this.#copied > MOST_PICKLE + 4 * data.length) throw new DataError('too many tensors that lie over each other', this.path);
      this.tensors.set(name, { shape: place.shape, type, data: await runPaced(gathered(place, data)) });
    }
    this.#byKey.delete(key);
  }
}

/** The first bytes of a pickle by itself, as PyTorch wrote files before version 1.6. */
async function checkArchive(path: string): Promise<void> {
  const start = Buffer.alloc(2);
  await withFile(path, (handle) => handle.read(start, 0, 2, 0));
  if (start.toString('latin1') === 'PK') return;
  if (start[0] === 0x80) throw new DataError('a file of PyTorch before version 1.6: load and save it with a newer one', path);
  throw new DataError('no file of PyTorch: it is no zip archive', path);
}

/**
 * All tensors of a state dictionary by name, in its order. The pickle is data here: what it names is not called.
 * @throws DataError for what is no state dictionary, and for damaged files
 */
export async function readPytorch(path: string): Promise<Map<string, Tensor>> {
  await checkArchive(path);
  const { bytes, folder } = await readDirectory(path);
  const places = stateOf(await runPaced(readPickle(bytes, path, new Rules(path))), path);
  const storages = new Storages(places, path);
  const rest = pauses();
  await readZip(path, async (name, source) => {
    await rest();
    if (name === `${folder}byteorder` && Buffer.from(await bytesOf(source, 64)).toString('latin1') !== 'little')
      throw new DataError('numbers with the highest byte first', path);
    const key = name.startsWith(`${folder}data/`) ? name.slice(folder.length + 'data/'.length) : undefined;
    if (key !== undefined && storages.wants(key)) await storages.read(key, source);
  });
  const [missing] = storages.missing;
  if (missing !== undefined) throw new DataError(`there is no storage ${missing} in the archive`, path);
  return new Map([...places.keys()].map((name) => [name, storages.tensors.get(name) as Tensor]));
}
