/**
 * Python's pickles as plain data, protocols 2 to 5: a machine with a stack that builds numbers, texts, lists and dictionaries. Nothing that
 * a pickle names is looked up or called: what it would make of a class or function is handed to `call`, which knows a few by name.
 */
import { DataError } from '../errors.js';
import { SLICE, type Steps } from '../pace.js';

/** A class or function by name, which is never called. */
export class PickledGlobal {
  constructor(readonly name: string) {}
}

/** What a pickle makes of something by calling it, unknown here. */
export class PickledObject {
  constructor(readonly name: string) {}
}

/** A tuple, or a list. */
export type PickledList = Pickled[];
export type PickledMap = Map<Pickled, Pickled>;
export type Pickled = undefined | null | boolean | number | bigint | string | Uint8Array | PickledList | PickledMap | PickledGlobal | object;

export interface PickleRules {
  /** What the call of a class or function by these arguments makes; undefined: nothing that is known. */
  call: (name: string, args: Pickled[]) => Pickled | undefined;
  /** An object that is kept beside the pickle. */
  persistent: (id: Pickled) => Pickled;
}

class Mark {}
const MARK = new Mark();

/** Bytes of a pickle from the beginning to the end. */
class Reader {
  at = 0;
  readonly #view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    readonly path: string,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  wrong(message: string): DataError {
    return new DataError(`the pickle is damaged: ${message} (byte ${this.at})`, this.path);
  }
  take(count: number): Uint8Array {
    if (!(count >= 0 && count <= this.bytes.length - this.at)) throw this.wrong(`it ends within ${count} bytes`);
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
  #place(count: number): number {
    this.take(count);
    return this.at - count;
  }
  u8 = () => this.#view.getUint8(this.#place(1));
  u16 = () => this.#view.getUint16(this.#place(2), true);
  u32 = () => this.#view.getUint32(this.#place(4), true);
  i32 = () => this.#view.getInt32(this.#place(4), true);
  u64 = () => Number(this.#view.getBigUint64(this.#place(8), true));
  f64 = () => this.#view.getFloat64(this.#place(8), false);
  text = (count: number) => Buffer.from(this.take(count)).toString('utf8');
  line(): string {
    const end = this.bytes.indexOf(10, this.at);
    if (end < 0) throw this.wrong('a line without an end');
    const text = this.text(end - this.at);
    this.at++;
    return text;
  }
  /** Two's complement, the least byte first. */
  long(count: number): number | bigint {
    const bytes = this.take(count);
    if (count > 8) return 0n; // hashes and the like; nothing here counts so far
    let value = 0n;
    for (let i = count - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number);
    value = BigInt.asIntN(8 * count, value);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }
}

class Machine {
  readonly stack: (Pickled | Mark)[] = [];
  readonly memo = new Map<number, Pickled>();

  constructor(
    readonly reader: Reader,
    readonly rules: PickleRules,
  ) {}

  pop(): Pickled {
    if (this.stack.length === 0) throw this.reader.wrong('it takes from an empty stack');
    const value = this.stack.pop();
    if (value instanceof Mark) throw this.reader.wrong('it takes a mark');
    return value;
  }
  top(): Pickled {
    const value = this.stack.at(-1);
    if (this.stack.length === 0 || value instanceof Mark) throw this.reader.wrong('it reads from an empty stack');
    return value;
  }
  push(value: Pickled): void {
    this.stack.push(value);
  }
  /** What lies above the last mark. */
  marked(): Pickled[] {
    const at = this.stack.lastIndexOf(MARK);
    if (at < 0) throw this.reader.wrong('a mark is missing');
    const values = this.stack.splice(at) as Pickled[];
    values.shift();
    return values;
  }
  several(count: number): Pickled[] {
    const values = Array.from({ length: count }, () => this.pop());
    return values.reverse();
  }

  append(values: Pickled[]): void {
    const list = this.top();
    if (list instanceof PickledObject) return;
    if (!Array.isArray(list)) throw this.reader.wrong('it appends to what is no list');
    for (const value of values) list.push(value);
  }
  set(pairs: Pickled[]): void {
    const map = this.top();
    if (map instanceof PickledObject) return;
    if (!(map instanceof Map) || pairs.length % 2) throw this.reader.wrong('it sets keys of what is no dictionary');
    for (let i = 0; i < pairs.length; i += 2) map.set(pairs[i], pairs[i + 1]);
  }
  reduce(): void {
    const args = this.pop();
    const callee = this.pop();
    const name = callee instanceof PickledGlobal ? callee.name : 'an object';
    this.push((Array.isArray(args) ? this.rules.call(name, args) : undefined) ?? new PickledObject(name));
  }
  remember(index: number): void {
    this.memo.set(index, this.top());
  }
  recall(index: number): void {
    if (!this.memo.has(index)) throw this.reader.wrong('it recalls what was not remembered');
    this.push(this.memo.get(index));
  }
  global(): void {
    const [module, name] = this.several(2);
    if (typeof module !== 'string' || typeof name !== 'string') throw this.reader.wrong('a class without a name');
    this.push(new PickledGlobal(`${module}.${name}`));
  }
}

type Operation = (m: Machine, r: Reader) => void;
const op = (character: string) => character.charCodeAt(0);

const operations = new Map<number, Operation>([
  [0x80, (_, r) => void r.u8()], // protocol
  [0x95, (_, r) => void r.u64()], // frame: bytes that belong together
  [op('('), (m) => void m.stack.push(MARK)],
  [op('0'), (m) => void m.stack.pop()],
  [op('1'), (m) => void m.marked()],
  [op('2'), (m) => m.push(m.top())],
  [op('N'), (m) => m.push(null)],
  [0x88, (m) => m.push(true)],
  [0x89, (m) => m.push(false)],
  [op('J'), (m, r) => m.push(r.i32())],
  [op('K'), (m, r) => m.push(r.u8())],
  [op('M'), (m, r) => m.push(r.u16())],
  [0x8a, (m, r) => m.push(r.long(r.u8()))],
  [0x8b, (m, r) => m.push(r.long(r.u32()))],
  [op('G'), (m, r) => m.push(r.f64())],
  [op('X'), (m, r) => m.push(r.text(r.u32()))],
  [0x8c, (m, r) => m.push(r.text(r.u8()))],
  [0x8d, (m, r) => m.push(r.text(r.u64()))],
  [op('U'), (m, r) => m.push(r.text(r.u8()))],
  [op('T'), (m, r) => m.push(r.text(r.u32()))],
  [op('C'), (m, r) => m.push(r.take(r.u8()))],
  [op('B'), (m, r) => m.push(r.take(r.u32()))],
  [0x8e, (m, r) => m.push(r.take(r.u64()))],
  [0x96, (m, r) => m.push(r.take(r.u64()))],
  [op(')'), (m) => m.push([])],
  [op(']'), (m) => m.push([])],
  [op('}'), (m) => m.push(new Map())],
  [0x8f, (m) => m.push([])], // a set
  [op('t'), (m) => m.push(m.marked())],
  [op('l'), (m) => m.push(m.marked())],
  [0x91, (m) => m.push(m.marked())], // a frozen set
  [0x85, (m) => m.push(m.several(1))],
  [0x86, (m) => m.push(m.several(2))],
  [0x87, (m) => m.push(m.several(3))],
  [op('a'), (m) => m.append([m.pop()])],
  [op('e'), (m) => m.append(m.marked())],
  [0x90, (m) => m.append(m.marked())],
  [op('s'), (m) => m.set(m.several(2))],
  [op('u'), (m) => m.set(m.marked())],
  [op('c'), (m, r) => m.push(new PickledGlobal(`${r.line()}.${r.line()}`))],
  [0x93, (m) => m.global()],
  [op('R'), (m) => m.reduce()],
  [0x81, (m) => m.reduce()], // a new object of a class
  [op('b'), (m) => void m.pop()], // attributes of an object: nothing that is read has any
  [op('Q'), (m) => m.push(m.rules.persistent(m.pop()))],
  [op('q'), (m, r) => m.remember(r.u8())],
  [op('r'), (m, r) => m.remember(r.u32())],
  [0x94, (m) => m.remember(m.memo.size)],
  [op('h'), (m, r) => m.recall(r.u8())],
  [op('j'), (m, r) => m.recall(r.u32())],
]);
const STOP = op('.');
/** What it builds is never larger than so many times the pickle. */
const STEPS_BETWEEN = SLICE >> 4;

/** The object of the pickle at the beginning of the bytes. @throws DataError */
export function* readPickle(bytes: Uint8Array, path: string, rules: PickleRules): Steps<Pickled> {
  const reader = new Reader(bytes, path);
  const machine = new Machine(reader, rules);
  for (let step = 1; ; step++) {
    const code = reader.u8();
    if (code === STOP) return machine.pop();
    const operation = operations.get(code);
    if (!operation) throw reader.wrong(`it has the operation ${code}`);
    operation(machine, reader);
    if (step % STEPS_BETWEEN === 0) yield;
  }
}
