/** Reading what a caller gave: each property once, so that what was checked is what is used. */
import { describe, isPlainObject, withCode, wrongType, wrongValue } from './errors.js';

/** Arguments are a few levels deep; what is deeper holds itself. */
const DEEPEST = 16;
/** A list that is nothing but a length must not fill the memory. */
const LONGEST = 2 ** 26;

/** What getters and proxies throw while `read` runs becomes a TypeError that names the argument, with the exception as its cause. */
export function reading<T>(argument: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const detail = cause instanceof Error && typeof cause.message === 'string' ? `: ${cause.message.slice(0, 200)}` : '';
    const message = `Expected a value that can be read for ${argument} but received an exception${detail}`;
    throw withCode(new TypeError(message, { cause }), 'ERR_SELFCOMPRESS_ARGUMENT');
  }
}

/** A copy of plain objects and arrays, whose properties are read in order; everything else (typed arrays, functions, ...) as it is. */
export function readArgument<T>(value: T, argument: string): T {
  return copy(value, argument, 0) as T;
}

function copy(value: unknown, argument: string, depth: number): unknown {
  if (typeof value === 'function') reading(argument, () => Array.isArray(value)); // a revoked proxy of one throws wherever it is asked what it is
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if (depth > DEEPEST) throw wrongType(`plain data of at most ${DEEPEST} levels`, argument, value);
  if (reading(argument, () => Array.isArray(value))) {
    const { length } = reading(argument, () => ({ length: (value as unknown[]).length }));
    if (length > LONGEST) throw wrongValue(`an array of at most ${LONGEST} values`, argument, length);
    const items = reading(argument, () => Array.from({ length }, (_, i) => (value as unknown[])[i]));
    for (let i = 0; i < items.length; i++) {
      if (typeof items[i] === 'object' || typeof items[i] === 'function') items[i] = copy(items[i], `${argument}[${i}]`, depth + 1);
    }
    return items;
  }
  reading(argument, () => Object.prototype.toString.call(value)); // what throws already here cannot be told from a plain object
  if (!isPlainObject(value)) return value;
  const object: Record<string, unknown> = value;
  const names = reading(argument, () => Object.keys(object));
  return Object.fromEntries(
    names.map((name) => {
      const at = depth === 0 && argument === 'options' ? name : `${argument}.${name}`;
      return [
        name,
        copy(
          reading(at, () => object[name]),
          at,
          depth + 1,
        ),
      ];
    }),
  );
}

/** A typed array of one of these kinds over memory that is there; proxies of one are none. */
export function checkTyped<T extends Uint8Array | Float32Array | Int32Array>(
  value: unknown,
  argument: string,
  ...kinds: (new (
    length: number,
  ) => T)[]
): T {
  if (ArrayBuffer.isView(value) && kinds.some((kind) => value instanceof kind)) return value as unknown as T;
  throw wrongType(kinds.map((kind) => kind.name).join(' or '), argument, value);
}

/** The path of a file or folder. */
export function checkPath(value: unknown, argument: string): string {
  if (typeof value !== 'string') throw wrongType('a path', argument, value);
  if (value === '' || value.includes('\0')) throw wrongValue('a path without NUL characters', argument, describe(value));
  return value;
}
