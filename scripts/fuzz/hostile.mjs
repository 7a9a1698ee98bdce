// Values that are wrong for nearly everything, and changes to arguments that are right.

/** Seeded uniform numbers in [0, 1): mulberry32. */
export function randomNumbers(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pick = (random, list) => list[Math.floor(random() * list.length)];
const detach = (array) => structuredClone(array.buffer, { transfer: [array.buffer] });
const revoked = (target) => {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
};

const numbers = [
  Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, -0, 0, 0.5, 1, 2, 3, 7, 16, 255, 1024, 32768, 2 ** 20, 2 ** 24, 2 ** 31 - 1,
  2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 53, 1e300, 5e-324, -(2 ** 31),
]; // biome-ignore format: one list
const others = [
  () => undefined, () => null, () => true, () => '', () => 'x', () => 'x'.repeat(1 << 20), () => 'é'.repeat(50), () => '__proto__', () => Symbol('s'),
  () => Symbol.iterator, () => 12n, () => 2n ** 80n, () => () => {}, () => class {}, () => ({}), () => Object.create(null), () => [], () => [1],
  () => [1, 2], () => [16384, 16384], () => [2 ** 30, 2 ** 30], () => [1, 2, 3, 4], () => new Array(1e6), () => [Number.NaN, 1], () => [1n, 2n], () => ['a', {}],
  () => new Map([['a', 1]]), () => new Set(), () => new WeakMap(), () => new Date(), () => new Date(Number.NaN), () => /x/, () => Promise.resolve(1),
  () => new Error('e'), () => new Number(3), () => new String('relu'), () => new URL('file:///x'), () => new ArrayBuffer(8),
  () => new SharedArrayBuffer(8), () => new DataView(new ArrayBuffer(8)), () => Buffer.from('abc'), () => new Float32Array(0), () => new Float32Array(6),
  () => new Float32Array(96), () => new Int32Array(3), () => new Float64Array(6), () => new BigInt64Array(2), () => new Uint8Array(96), () => new Uint8ClampedArray(6),
  () => new Float32Array(6).fill(Number.NaN), () => new Int32Array(6).fill(-(2 ** 31)), () => new Proxy({}, {}), () => new Proxy([], {}),
  () => new Proxy(new Float32Array(6), {}), () => revoked({}), () => revoked([]), () => revoked(() => {}),
  () => new Proxy({}, { get() { throw new Error('the user\'s own'); } }), () => new Proxy({}, { ownKeys() { throw 5; } }),
  () => new Proxy({}, { get: () => 3, has: () => true, ownKeys: () => ['a', 'b'], getOwnPropertyDescriptor: () => ({ value: 1, configurable: true, enumerable: true }) }),
  () => ({ toString() { throw new Error('the user\'s own'); }, valueOf: () => 3 }), () => ({ get [Symbol.toStringTag]() { throw new Error('the user\'s own'); } }),
  () => ({ [Symbol.toStringTag]: 'Object' }), () => ({ length: 2, 0: 1, 1: 1 }), () => Object.setPrototypeOf([1, 1], null),
  () => Object.setPrototypeOf(new Float32Array(6), Array.prototype), () => Object.setPrototypeOf(new Map(), null),
  () => new Float32Array(new ArrayBuffer(24, { maxByteLength: 48 })), () => new Float32Array(new SharedArrayBuffer(24)),
  () => new Float32Array(new SharedArrayBuffer(24, { maxByteLength: 48 })),
  () => { const a = new Float32Array(6); detach(a); return a; },
  () => { const a = [1, 1]; Object.defineProperty(a, 0, { get() { throw new Error('the user\'s own'); } }); return a; },
]; // biome-ignore format: one list

export function hostile(random) {
  return random() < 0.4 ? pick(random, numbers) : pick(random, others)();
}

/** Getters do what they do on the side only during the call. */
export const armed = { on: false };

function isPlain(value) {
  try {
    return value !== null && typeof value === 'object' && (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype);
  } catch {
    return false; // a revoked proxy
  }
}

/** All places in the arguments: [object, key]. Runs no getters. */
function places(args) {
  const found = [];
  const visit = (object, depth) => {
    for (const key of Object.keys(object).slice(0, 100)) {
      const descriptor = Object.getOwnPropertyDescriptor(object, key);
      if (!descriptor || !('value' in descriptor)) continue;
      found.push([object, key]);
      if (isPlain(descriptor.value) && depth < 6) visit(descriptor.value, depth + 1);
    }
  };
  visit(args, 0);
  return found;
}

const arraysOf = (args) =>
  places(args)
    .map(([object, key]) => object[key])
    .filter(ArrayBuffer.isView);

/** What a getter does on the side before it gives a value: things that calls must survive. */
const sideEffects = [
  (args, random) => { const all = arraysOf(args); if (all.length > 0) detach(pick(random, all)); },
  (args) => { for (const array of arraysOf(args)) detach(array); },
  (_, __, subject) => { subject?.dispose?.(); },
  (args, random) => { const [object, key] = pick(random, places(args)); delete object[key]; },
  (args, random) => { const [object, key] = pick(random, places(args)); try { object[key] = hostile(random); } catch {} },
  () => { throw new Error('the user\'s own'); },
  () => { throw null; },
  () => { gc?.(); },
]; // biome-ignore format: one list

const getter = (object, key, get) => Object.defineProperty(object, key, { enumerable: true, configurable: true, get, set() {} });

/** Changes of arguments in place. Each returns what it did. */
const changes = {
  replace(random, args) {
    const [object, key] = pick(random, places(args));
    object[key] = hostile(random);
  },
  remove(random, args) {
    const [object, key] = pick(random, places(args));
    delete object[key];
  },
  misspell(random, args) {
    const named = places(args).filter(([object]) => !Array.isArray(object));
    if (named.length === 0) return;
    const [object, key] = pick(random, named);
    object[pick(random, [`${key}s`, key.slice(0, -1), key.toUpperCase(), ` ${key}`, '__proto__', 'constructor', 'toString', 'x'.repeat(5000)])] = object[key];
  },
  prototype(random, args) {
    const [object, key] = pick(random, places(args));
    if (object[key] === null || typeof object[key] !== 'object') return;
    Object.setPrototypeOf(object[key], pick(random, [null, Map.prototype, Array.prototype, { kind: 'relu', training: 5 }, new Proxy({}, {})]));
  },
  sideEffect(random, args, subject) {
    const [object, key] = pick(random, places(args));
    const value = object[key];
    const effect = pick(random, sideEffects);
    let left = 1 + Math.floor(random() * 2);
    getter(object, key, () => {
      if (armed.on && left-- > 0) effect(args, random, subject);
      return value;
    });
  },
  otherEachTime(random, args) {
    const [object, key] = pick(random, places(args));
    const values = [object[key], hostile(random), hostile(random)];
    let reads = 0;
    getter(object, key, () => values[armed.on ? reads++ % values.length : 0]);
  },
  proxy(random, args) {
    const [object, key] = pick(random, places(args));
    if (object[key] !== null && typeof object[key] === 'object') object[key] = new Proxy(object[key], {});
  },
  overlap(random, args) {
    const all = places(args).filter(([object, key]) => ArrayBuffer.isView(object[key]));
    if (all.length < 2) return;
    const [a, b] = [pick(random, all), pick(random, all)];
    const array = b[0][b[1]];
    if (!(array instanceof Float32Array)) return;
    a[0][a[1]] = random() < 0.5 ? array : new Float32Array(array.buffer, array.byteOffset, array.length);
  },
  memory(random, args) {
    const all = places(args).filter(([object, key]) => ArrayBuffer.isView(object[key]));
    if (all.length === 0) return;
    const [object, key] = pick(random, all);
    const old = object[key];
    const bytes = old.length * old.BYTES_PER_ELEMENT;
    const kind = Math.floor(random() * 5);
    if (kind === 0) object[key] = new old.constructor(new SharedArrayBuffer(bytes));
    if (kind === 1 && bytes > 0) object[key] = new old.constructor(new ArrayBuffer(bytes, { maxByteLength: 2 * bytes }));
    if (kind === 2) {
      const buffer = new ArrayBuffer(bytes, { maxByteLength: 2 * bytes });
      Object.defineProperty(buffer, 'resizable', { value: false });
      object[key] = new old.constructor(buffer);
    }
    if (kind === 3) detach(old);
    if (kind === 4) object[key] = new old.constructor(old.length + pick(random, [-1, 1, 5, 1000]) || 1);
  },
}; // biome-ignore format: one list

/** One to three changes; their names. */
export function change(random, args, subject) {
  const done = [];
  for (let n = 0; n < 1 + Math.floor(random() * 3); n++) {
    const name = pick(random, Object.keys(changes));
    try {
      changes[name](random, args, subject);
      done.push(name);
    } catch {} // there is nothing to change, or what was changed before does not let itself be changed again
  }
  return done;
}
