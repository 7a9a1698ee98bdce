/** Checks of arrays that users give: every message names the value as the user wrote it. */
import { wrongType, wrongValue } from '../errors.js';
import { SLICE, type Steps } from '../pace.js';
import { IGNORED, MOST_EXAMPLES } from './dataset.js';

type NumberArray = readonly number[] | Exclude<NodeJS.TypedArray, BigInt64Array | BigUint64Array>;

/** An array or a typed array; a text is neither, though it has a length and indices. */
export function isArrayLike(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

export function checkArray(value: unknown, argument: string, what: string): ArrayLike<unknown> {
  if (!isArrayLike(value)) throw wrongType(`an array or typed array of ${what}`, argument, value);
  return value;
}

/** How many rows of `width` values there are: whole ones, at least one, and no more than native code can number. */
export function countRows(values: ArrayLike<unknown>, argument: string, width: number, what: string): number {
  const count = values.length / width;
  if (count < 1 || !Number.isInteger(count)) throw wrongValue(`whole ${what} of ${width} values, at least one,`, argument, values);
  if (count > MOST_EXAMPLES) throw wrongValue(`at most ${MOST_EXAMPLES} ${what}`, argument, count);
  return count;
}

/** Classes 0..classes−1, and where `ignored` is given that value and −1 too, which both become −1. */
export function* checkLabels(labels: unknown, argument: string, classes: number, ignored?: number): Steps<Int32Array> {
  const values = checkArray(labels, argument, 'integers');
  const what = `an integer from 0 to ${classes - 1}${ignored === undefined ? '' : `, or ${ignored},`}`;
  const result = new Int32Array(values.length);
  for (let i = 0; i < result.length; i++) {
    const value = values[i];
    if (typeof value !== 'number') throw wrongType(what, `${argument}[${i}]`, value);
    if (ignored !== undefined && (value === ignored || value === IGNORED)) result[i] = IGNORED;
    else if (Number.isInteger(value) && value >= 0 && value < classes) result[i] = value;
    else throw wrongValue(what, `${argument}[${i}]`, value);
    if (i % SLICE === SLICE - 1) yield;
  }
  return result;
}

/** Finite float32 numbers; `place` says in words where in an example a value stands. */
export function* checkFinite(values: Float32Array, argument: string, place: (i: number) => string): Steps<void> {
  for (let from = 0; from < values.length; from += SLICE) {
    const end = Math.min(values.length, from + SLICE);
    for (let i = from; i < end; i++) {
      // x − x is 0 for finite numbers alone.
      const value = values[i] as number;
      if (value - value !== 0) throw wrongValue('a finite number', `${argument}[${i}] (${place(i)})`, value);
    }
    yield;
  }
}

/** Numbers as float32. */
export function* checkFloats(given: unknown, argument: string, place: (i: number) => string): Steps<Float32Array> {
  const values = checkArray(given, argument, 'numbers') as NumberArray;
  let floats: Float32Array;
  if (values instanceof Float32Array) floats = values;
  else {
    floats = new Float32Array(values.length);
    for (let i = 0; i < floats.length; i++) {
      const value = values[i];
      if (typeof value !== 'number') throw wrongType('a number', `${argument}[${i}]`, value);
      floats[i] = value;
      if (i % SLICE === SLICE - 1) yield;
    }
  }
  yield* checkFinite(floats, argument, place);
  return floats;
}

/** `image 3, channel 0, row 2, column 5` of a place in [count × channels × height × width] values. */
export function placeInImages([channels, height, width]: readonly [number, number, number], what = 'image'): (i: number) => string {
  return (i) => {
    const pixel = i % (height * width);
    const example = `${what} ${Math.floor(i / (channels * height * width))}`;
    const channel = Math.floor(i / (height * width)) % channels;
    if (what === 'vector') return `${example}, feature ${channel}`;
    if (what === 'sequence') return `${example}, channel ${channel}, position ${pixel}`;
    return `${example}, channel ${channel}, row ${Math.floor(pixel / width)}, column ${pixel % width}`;
  };
}
