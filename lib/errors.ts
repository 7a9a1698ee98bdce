/** Errors of the library. Wrong arguments are TypeErrors and RangeErrors, made here in one form. */

import type { Device } from '../binding.js';

/** What `code` an error of the library has. Errors of the native side have these as well. */
export type ErrorCode =
  | 'ERR_SELFCOMPRESS_ARGUMENT'
  | 'ERR_SELFCOMPRESS_ENVIRONMENT'
  | 'ERR_SELFCOMPRESS_MEMORY'
  | 'ERR_SELFCOMPRESS_DEVICE'
  | 'ERR_SELFCOMPRESS_DISPOSED'
  | 'ERR_SELFCOMPRESS_CLOSED'
  | 'ERR_SELFCOMPRESS_NATIVE'
  | 'ERR_SELFCOMPRESS_ADDON'
  | 'ERR_SELFCOMPRESS_DATA'
  | 'ERR_SELFCOMPRESS_CHECKPOINT'
  | 'ERR_SELFCOMPRESS_FILE'
  | 'ERR_SELFCOMPRESS_MODEL_FILE'
  | 'ERR_SELFCOMPRESS_IMPORT'
  | 'ERR_SELFCOMPRESS_EXPORT'
  | 'ERR_SELFCOMPRESS_DIVERGED';

/** The error with its code, which programs can tell it by. */
export function withCode<T extends Error>(error: T, code: ErrorCode): T & { code: ErrorCode } {
  return Object.assign(error, { code });
}

/** Short text of a value for an error message. May run code of the value's (getters, proxies), but never throws. */
export function describe(value: unknown): string {
  try {
    return describeValue(value);
  } catch {
    return typeof value === 'function' ? 'a function' : 'an object';
  }
}

function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
  if (typeof value === 'bigint') return BigInt.asIntN(64, value) === value ? `${value}n` : 'a bigint';
  if (typeof value === 'symbol') return 'a symbol';
  if (typeof value === 'function') return 'a function';
  if (value === null || typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `an array of length ${value.length}`;
  const tag = Object.prototype.toString.call(value).slice('[object '.length, -1);
  if (ArrayBuffer.isView(value) && /^[A-Za-z0-9]*Array$/.test(tag)) return `${tag} of length ${(value as unknown as { length: number }).length}`;
  if (tag !== 'Object' && /^[A-Za-z0-9]{1,40}$/.test(tag)) return `${/^[AEIOU]/.test(tag) ? 'an' : 'a'} ${tag}`;
  const made = value.constructor;
  const name = typeof made === 'function' && made !== Object ? made.name : '';
  return name ? `an object of class ${name}` : 'an object';
}

/** `Expected <what> for <argument> but received <value>`: a TypeError for a wrong type. */
export function wrongType(what: string, argument: string, value: unknown): TypeError {
  return withCode(new TypeError(`Expected ${what} for ${argument} but received ${describe(value)}`), 'ERR_SELFCOMPRESS_ARGUMENT');
}

/** The same as a RangeError, for a value of the right type. */
export function wrongValue(what: string, argument: string, value: unknown): RangeError {
  return withCode(new RangeError(`Expected ${what} for ${argument} but received ${describe(value)}`), 'ERR_SELFCOMPRESS_ARGUMENT');
}

/** A data set that cannot be used: missing, corrupt, truncated, empty or mislabelled files. */
export class DataError extends Error {
  override name = 'DataError';
  readonly code: ErrorCode = 'ERR_SELFCOMPRESS_DATA';
  constructor(
    message: string,
    /** File or folder at fault. */
    readonly path: string,
    options?: ErrorOptions,
  ) {
    super(`${path}: ${message}`, options);
  }
}

/** A checkpoint, or the folder of a run, that cannot be read, written or taken. */
export class CheckpointError extends Error {
  override name = 'CheckpointError';
  readonly code: ErrorCode = 'ERR_SELFCOMPRESS_CHECKPOINT';
}

/** A file or folder that cannot be made or written; the cause is the system's error. */
export class FileError extends Error {
  override name = 'FileError';
  readonly code: ErrorCode = 'ERR_SELFCOMPRESS_FILE';
  constructor(
    message: string,
    /** File or folder at fault. */
    readonly path: string,
    options?: ErrorOptions,
  ) {
    super(`${path} ${message}`, options);
  }
}

/** A model file that cannot be decoded. */
export class ModelFileError extends Error {
  override name = 'ModelFileError';
  readonly code: ErrorCode = 'ERR_SELFCOMPRESS_MODEL_FILE';
}

/** A node that cannot be brought from one format to another, and what it would need. */
export interface NodeFault {
  node: string;
  operator: string;
  needs: string;
}
export type ImportFault = NodeFault;
export type ExportFault = NodeFault;

const faultsText = (what: string, faults: readonly NodeFault[]): string => {
  const list = faults.map(({ node, operator, needs }) => `\n  ${operator} "${node}" needs ${needs}`);
  return `${faults.length} of its ${what} ${faults.length === 1 ? 'is' : 'are'} not supported${list.join('')}`;
};

/** A model of another program that has no counterpart here. */
export class ImportError extends Error {
  override name = 'ImportError';
  readonly code: ErrorCode = 'ERR_SELFCOMPRESS_IMPORT';
  constructor(
    readonly path: string,
    /** All of them. */
    readonly faults: readonly ImportFault[],
  ) {
    super(`${path} cannot be imported: ${faultsText('parts', faults)}`);
  }
}

/** A network that cannot be written in the format that was asked for. */
export class ExportError extends Error {
  override name = 'ExportError';
  readonly code: ErrorCode = 'ERR_SELFCOMPRESS_EXPORT';
  constructor(
    /** Such as "an ONNX file". */
    readonly format: string,
    /** All of them. */
    readonly faults: readonly ExportFault[],
  ) {
    super(`The network cannot become ${format}: ${faultsText('nodes', faults)}`);
  }
}

/** Where the last good state of a diverged run is. */
export interface GoodCheckpoint {
  path: string;
  /** Epochs and steps it has completed. */
  epoch: number;
  step: number;
}

/** The training has left the finite numbers: its state is spoilt and is not saved. The last checkpoint is from before. */
export class TrainingDivergedError extends Error {
  override name = 'TrainingDivergedError';
  readonly code: ErrorCode = 'ERR_SELFCOMPRESS_DIVERGED';
  constructor(
    readonly epoch: number,
    readonly step: number,
    /** The value that is not finite. */
    readonly loss: number,
    /** What has this value. */
    what = 'The loss',
    readonly checkpoint?: GoodCheckpoint,
  ) {
    const kept = checkpoint ? `${checkpoint.path} keeps the state of step ${checkpoint.step} (${checkpoint.epoch} epochs done). ` : '';
    super(
      `${what} became ${loss} in step ${step} (epoch ${epoch}). ${kept}` +
        'A smaller learning rate, gradient clipping (maxGradientNorm) or a smaller gamma may help.',
    );
  }
}

export function checkNumber(value: unknown, argument: string, low: number, high = Number.POSITIVE_INFINITY): number {
  const what = high === Number.POSITIVE_INFINITY ? `a number >= ${low}` : `a number from ${low} to ${high}`;
  if (typeof value !== 'number') throw wrongType(what, argument, value);
  if (!(value >= low && value <= high) || !Number.isFinite(value)) throw wrongValue(what, argument, value);
  return value;
}

export function checkInteger(value: unknown, argument: string, low: number, high = Number.MAX_SAFE_INTEGER): number {
  const what = high === Number.MAX_SAFE_INTEGER ? `an integer >= ${low}` : `an integer from ${low} to ${high}`;
  if (typeof value !== 'number') throw wrongType(what, argument, value);
  if (!Number.isInteger(value) || value < low || value > high) throw wrongValue(what, argument, value);
  return value;
}

export function checkChoice<T extends string>(value: unknown, argument: string, choices: readonly T[]): T {
  if (!choices.includes(value as T)) throw wrongType(`one of ${choices.map((c) => `"${c}"`).join(', ')}`, argument, value);
  return value as T;
}

const DEVICE = /^(auto|cpu|cuda|cuda:\d{1,3})$/;

/** 'auto', 'cpu', 'cuda' or 'cuda:N'; whether there is such a device, the native side knows. */
export function checkDevice(value: unknown, argument: string): Device {
  if (typeof value !== 'string' || !DEVICE.test(value)) throw wrongType('one of "auto", "cpu", "cuda", "cuda:0", "cuda:1", ...', argument, value);
  return value as Device;
}

/** `instanceof`, which runs code of a proxy and throws for one that was revoked: that is no instance. */
export function isInstance<T>(value: unknown, kind: abstract new (...parameters: never[]) => T): value is T {
  try {
    return value instanceof kind;
  } catch {
    return false;
  }
}

/** Whether a value is an object that was written as `{...}`, in this realm or another: no array, no instance of a class. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  try {
    if (Array.isArray(value) || Object.prototype.toString.call(value) !== '[object Object]') return false;
    const prototype = Object.getPrototypeOf(value);
    return prototype === null || Object.getPrototypeOf(prototype) === null;
  } catch {
    return false; // a revoked proxy, or the user's code
  }
}

/** TypeError for what is no plain object, or has a name that is not among `names`. */
export function checkNames(object: unknown, argument: string, names: readonly string[]): asserts object is Record<string, unknown> {
  if (!isPlainObject(object)) throw wrongType('a plain object', argument, object);
  for (const name of Object.keys(object)) {
    if (!names.includes(name)) throw wrongType(`only known names (${names.join(', ')})`, argument, name);
  }
}

/** An instance of a class, or what has another prototype, is refused: its properties may be anything at each reading. */
export function checkObject(object: unknown, argument: string): Record<string, unknown> {
  if (!isPlainObject(object)) throw wrongType('a plain object', argument, object);
  return object;
}
