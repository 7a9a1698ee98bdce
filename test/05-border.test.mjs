// What crosses the border between JavaScript and native code, by whole kinds: sizes whose product wraps, code of the user that
// runs inside a call, memory that pretends, values that pretend, errors that can be told apart and traced.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { describe } from '../dist/errors.js';
import { fuzz } from '../scripts/fuzz/args.mjs';
import { declared, entries, missing, typescript } from '../scripts/fuzz/surface.mjs';
import { binding, decodeModel, initialState, inspectNetwork, measureSize, originOf, root } from './support.mjs';

const raw = Object.keys(entries).filter((name) => entries[name].names[0] === 'the arguments');
const first = (name) => entries[name].make()[0];
const detach = (array) => structuredClone(array.buffer, { transfer: [array.buffer] });
const caught = (call) => {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
};

t.test('sizes whose product is too large are refused by name, in every operation that multiplies sizes', async (t) => {
  const most = { batch: 2 ** 20, channels: 2 ** 24, inChannels: 2 ** 24, height: 2 ** 15, width: 2 ** 15, classes: 2 ** 24, features: 2 ** 24 };
  let tried = 0;
  for (const name of raw) {
    const sizes = Object.keys(first(name)).filter((field) => field in most);
    if (sizes.length < 2) continue;
    tried++;
    for (const empty of [false, true]) {
      const args = first(name);
      for (const field of sizes) args[field] = most[field];
      // The product used to wrap to 0, the length of arrays that are empty.
      if (empty) for (const [field, value] of Object.entries(args)) if (ArrayBuffer.isView(value)) args[field] = new value.constructor(0);
      const error = caught(() => binding[name](args));
      t.ok(error instanceof RangeError, name);
      t.match(error.message, new RegExp(`^Expected a product of at most \\d+ for ${sizes.join(' x ')} but received [\\dx ]+ = \\d`), name);
      t.equal(error.code, 'ERR_SELFCOMPRESS_ARGUMENT');
    }
  }
  t.equal(tried, 22, 'eleven operations, each in two forms');
  for (const [field, value] of [
    ['kernel', [2 ** 14, 2 ** 14]],
    ['padding', [2 ** 14, 2 ** 14]],
    ['outChannels', 2 ** 24],
  ])
    t.throws(() => binding.conv2dForward({ ...first('conv2dForward'), [field]: value }), {
      name: /^(Type|Range)Error$/,
      message: /^Expected .* for [\w ]+ but/,
    });
  t.throws(() => binding.poolForward({ ...first('poolForward'), kernel: [9, 9] }), { name: 'RangeError', message: / for kernel but received 9x9/ });
});

t.test('a getter that detaches memory is seen, whichever argument has it and whichever array is gone', async (t) => {
  for (const name of raw) {
    const fields = Object.keys(first(name));
    const arrays = fields.filter((field) => ArrayBuffer.isView(first(name)[field]));
    for (const gone of arrays)
      for (const field of fields) {
        const args = first(name);
        const value = args[field];
        const victim = args[gone];
        Object.defineProperty(args, field, {
          enumerable: true,
          get() {
            if (victim.length > 0) detach(victim);
            return value;
          },
        });
        const error = caught(() => binding[name](args));
        t.ok(error instanceof TypeError && error.message.includes(gone), `${name}: ${field} detaches ${gone}: ${error?.message}`);
      }
  }
});

t.test('every property is read once, so that what was checked is what is used', async (t) => {
  for (const name of raw) {
    const reads = new Map();
    const args = first(name);
    await binding[name](
      new Proxy(args, {
        get(target, field) {
          if (field !== Symbol.toStringTag) reads.set(field, (reads.get(field) ?? 0) + 1);
          return target[field];
        },
      }),
    );
    for (const field of Object.keys(args)) t.equal(reads.get(field), 1, `${name}.${field}`);
  }
});

t.test('memory that can change its size is refused whatever its properties say', async (t) => {
  if (!ArrayBuffer.prototype.resize) return t.skip('this engine has no resizable buffers');
  for (const name of raw)
    for (const [field, value] of Object.entries(first(name))) {
      if (!ArrayBuffer.isView(value)) continue;
      const buffer = new ArrayBuffer(value.byteLength, { maxByteLength: 2 * value.byteLength });
      for (const property of ['resizable', 'growable']) Object.defineProperty(buffer, property, { value: false });
      Object.setPrototypeOf(buffer, Object.create(ArrayBuffer.prototype, { resizable: { value: false } }));
      const error = caught(() => binding[name]({ ...first(name), [field]: new value.constructor(buffer) }));
      t.ok(error instanceof TypeError && /resizable/.test(error.message) && error.message.includes(field), `${name}.${field}: ${error?.message}`);
      const honest = new ArrayBuffer(value.byteLength);
      Object.defineProperty(honest, 'resizable', { value: true });
      const same = new value.constructor(honest);
      same.set(value);
      t.equal(
        caught(() => binding[name]({ ...first(name), [field]: same })),
        undefined,
        `${name}.${field}: one that only says so is taken`,
      );
    }
});

t.test('what is no object of arguments is none', async (t) => {
  const nothings = [
    new Map(),
    new Date(),
    Promise.resolve(),
    new ArrayBuffer(8),
    new Set(),
    /x/,
    [],
    new Float32Array(1),
    new Error('x'),
    null,
    3n,
    'x',
  ];
  for (const name of [...raw, 'DataSet'])
    for (const value of nothings) {
      const error = caught(() => entries[name].call([value]));
      t.ok(error instanceof TypeError, name);
      t.match(error?.message, /^Expected an object for (the arguments|options) but received /, name);
    }
  t.match(caught(() => binding.quantizeForward(new Map()))?.message, /received a Map$/);
  class Settings {
    constructor() {
      Object.assign(this, first('quantizeForward'));
    }
  }
  await binding.quantizeForward(new Settings());
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  for (const name of raw)
    t.match(caught(() => binding[name](proxy))?.message, /^Expected a value that can be read for the arguments but received an exception/);
  const own = new Error('mine');
  const thrown = caught(() =>
    binding.quantizeForward({
      ...first('quantizeForward'),
      get weight() {
        throw own;
      },
    }),
  );
  t.equal(thrown.message, 'Expected a value that can be read for weight but received an exception: mine');
  t.equal(thrown.cause, own);
  t.match(caught(() => binding.setThreads(2n))?.message, /^Expected an integer from 1 to 1024 for count but received 2n$/);
});

t.test('methods of another object, and classes without new, are refused in the words of the library', async (t) => {
  const network = entries['Network.state'].subject();
  for (const receiver of [undefined, {}, Object.create(network), new Proxy(network, {})]) {
    const error = caught(() => network.state.call(receiver));
    t.ok(error instanceof TypeError);
    t.match(error.message, /^Expected a Network for this but received /);
    t.equal(error.code, 'ERR_SELFCOMPRESS_ARGUMENT');
  }
  await network.dispose();
  t.match(caught(() => binding.DataSet({}))?.message, /^Expected new for the call of DataSet/);
});

t.test('data sets: images are finite, and are not divided by the rounding of a constant', async (t) => {
  const make = (change) => new binding.DataSet({ ...entries.DataSet.make()[0], ...change });
  const images = new Float32Array(36 * 5).fill(0.5);
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    images[40] = value;
    t.throws(() => make({ images, mean: [Number.NaN] }), {
      name: 'RangeError',
      message: `Expected finite numbers for options.images[40] but received ${value < 0 || value > 0 ? 'inf' : 'nan'}`,
    });
  }
  images[40] = 0;
  t.throws(() => make({ images, mean: [0.5], std: [1e-9] }), { name: 'RangeError', message: /for options\.std\[0\] but received 1e-09/ });
  t.throws(() => make({ images, std: [0] }), { name: 'RangeError', message: /options\.std\[0\]/ });
  t.throws(() => make({ images, std: [Number.NaN] }), { name: 'RangeError', message: /options\.std\[0\]/ });
  t.throws(() => make({ images, mean: [Number.NaN] }), { name: 'RangeError', message: /options\.mean\[0\]/ });
  t.throws(() => make({ images, mean: [1n] }), { name: 'TypeError', message: /options\.mean\[0\] but received 1n/ });
  t.throws(() => make({ images: images.map((x) => x * 1e35), mean: [0], std: [1e-6] }), { name: 'RangeError', message: /options\.std\[0\]/ });
  make({ images: images.map((x) => x * 1e-9), mean: [1e-10], std: [1e-10] });
});

t.test('a promise that is rejected has the stack of the call, and a code', async (t) => {
  if (process.platform !== 'linux') return t.skip('needs a limit of memory');
  const script = `
    import { binding } from ${JSON.stringify(pathToFileURL(join(root, 'dist/index.js')).href)};
    const size = { batch: 1, channels: 2 ** 20, height: 64, width: 1 };
    async function caller() {
      await binding.poolForward({ ...size, kind: 'max', kernel: [1, 1], input: new Float32Array(2 ** 26), output: new Float32Array(2 ** 26) });
    }
    caller().catch((error) => console.log(JSON.stringify({ ...error, message: error.message, stack: error.stack, name: error.name })));`;
  const { stdout, stderr } = spawnSync(
    'sh',
    ['-c', `ulimit -v 6000000; "${process.execPath}" --input-type=module -e '${script.replaceAll("'", '"')}'`],
    { encoding: 'utf8' },
  );
  t.not(stdout, '', stderr);
  const error = JSON.parse(stdout);
  t.equal(error.code, 'ERR_SELFCOMPRESS_MEMORY');
  t.match(error.message, /memory/i);
  t.match(error.stack, /^Error: .*memory/i);
  t.match(error.stack, /at caller/);
});

t.test('environment variables that cannot be used are named, with what they want and got', async (t) => {
  for (const [name, value, wanted] of [
    ['SELFCOMPRESS_ISA', 'foo', /Expected one of .*"scalar".* for SELFCOMPRESS_ISA but received "foo"/],
    ['SELFCOMPRESS_ISA', '', /for SELFCOMPRESS_ISA but received ""/],
    ['SELFCOMPRESS_THREADS', 'many', /Expected an integer from 1 to 1024 for SELFCOMPRESS_THREADS but received "many"/],
    ['SELFCOMPRESS_THREADS', '0', /for SELFCOMPRESS_THREADS but received "0"/],
    ['SELFCOMPRESS_THREADS', '1e3', /for SELFCOMPRESS_THREADS but received "1e3"/],
  ]) {
    const code = `import(${JSON.stringify(pathToFileURL(join(root, 'dist/index.js')).href)}).catch((e) => console.log(e.code + ' ' + e.message))`;
    const { stdout } = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8', env: { ...process.env, [name]: value } });
    t.match(stdout, wanted);
    t.match(stdout, /^ERR_SELFCOMPRESS_ENVIRONMENT /);
    const cli = spawnSync(process.execPath, [join(root, 'dist/cli/main.js'), 'info'], { encoding: 'utf8', env: { ...process.env, [name]: value } });
    t.not(cli.status, 0);
    t.match(cli.stderr, wanted);
    t.notMatch(cli.stderr, /npm rebuild/);
    t.match(cli.stderr, /^selfcompress: [^\n]*\n$/, 'one line');
  }
});

t.test('nodes may have any name of whole text; results hold it as a property of their own', async (t) => {
  const make = (name) => {
    const nodes = [
      { kind: 'linear', name, inputs: ['input'], outFeatures: 4, compress: true },
      { kind: 'relu', name: 'relu', inputs: [name] },
      { kind: 'linear', name: 'out', inputs: ['relu'], outFeatures: 2, compress: true },
    ];
    return { input: [3], nodes, output: 'out' };
  };
  for (const name of ['__proto__', 'constructor', 'toString', 'é😀', ' ']) {
    const network = make(name);
    const { parameters, shapes } = inspectNetwork(network);
    t.ok(Object.hasOwn(shapes, name), name);
    const state = initialState(parameters, 1, { bitDepth: 4, headroom: 1 });
    t.ok(state[`${name}.weight`].every(Number.isFinite));
    state[`${name}.bitDepth`][1] = 0;
    state[`${name}.bias`][1] = 0;
    const origin = originOf(parameters);
    t.ok(Object.hasOwn(origin.present, name) && Object.hasOwn(origin.layers, name));
    const compiled = new binding.Network(network, { loss: { kind: 'crossEntropy' }, optimizer: { kind: 'sgd' }, batchSize: 1 });
    await compiled.loadState(state);
    t.equal((await measureSize(compiled, origin)).layers[0].channels, 3);
    const { removed, kept } = await compiled.prune();
    t.equal(Object.getOwnPropertyDescriptor(removed, name)?.value, 1);
    t.same([...Object.getOwnPropertyDescriptor(kept, name).value], [0, 2, 3]);
    const decoded = await decodeModel(await compiled.encodeModel({ name: 'x', classes: 2, mean: [0], std: [1] }));
    t.equal(decoded.network.nodes[0].name, name);
    await compiled.dispose();
  }
  for (const name of ['a\0b', '\0', '\ud800', 'a\udc00b']) {
    const error = caught(() => inspectNetwork(make(name)));
    t.ok(error instanceof RangeError && error.code === 'ERR_SELFCOMPRESS_ARGUMENT', error?.message);
  }
  const network = entries['Network.state'].subject();
  const weights = new Float32Array((await network.state())['conv1.weight'].length);
  for (const name of ['conv1.weight\0', '\ud800', '__proto__x'])
    t.match(caught(() => network.loadState({ [name]: weights }))?.code, 'ERR_SELFCOMPRESS_ARGUMENT', JSON.stringify(name));
  const metadata = JSON.parse('{"a\\u0000b": "c\\u0000d", "__proto__": 5}');
  const back = (await binding.decodeModelFile({ bytes: await network.encodeModel(metadata) })).metadata;
  t.same(Object.entries(back), Object.entries(metadata));
  await network.dispose();
});

t.test('a bit depth or exponent that is no number makes the size no number either', async (t) => {
  const network = entries['Network.state'].subject();
  const state = await network.state();
  for (const [name, values] of Object.entries(state)) if (name.endsWith('.bitDepth')) values.fill(4);
  await network.loadState(state);
  t.ok((await network.measure()).every(({ bits, codeBits }) => Number.isInteger(bits) && codeBits.every((b) => b >= 0)));
  const compressed = Object.keys(state).filter((name) => /\.(bitDepth|exponent)$/.test(name));
  t.ok(compressed.length > 0);
  for (const name of compressed) {
    const spoilt = state[name].slice();
    spoilt[1] = Number.NaN;
    await network.loadState({ [name]: spoilt });
    const layer = (await network.measure()).find((size) => size.name === name.split('.')[0]);
    t.same([layer.bits, layer.codeBits[1]], [Number.NaN, -1], name);
    await network.loadState({ [name]: state[name] });
  }
  await network.dispose();
});

t.test('the value of an error message can be anything', async (t) => {
  const { proxy, revoke } = Proxy.revocable(() => {}, {});
  revoke();
  const { proxy: array, revoke: revokeArray } = Proxy.revocable([], {});
  revokeArray();
  const throwing = () => {
    throw new Error('no');
  };
  const values = [
    undefined, null, true, 1, Number.NaN, 12n, 2n ** 200n, 'x'.repeat(1e6), '"', Symbol('s'), throwing, class A {}, {}, [], new Map(), new Date(Number.NaN), proxy, array,
    new Proxy({}, { get: throwing, getPrototypeOf: throwing, has: throwing, ownKeys: throwing }), { toString: throwing, valueOf: throwing, toJSON: throwing },
    { get [Symbol.toStringTag]() { throw new Error('no'); } }, { [Symbol.toStringTag]: 'x'.repeat(1e6) }, Object.create(null), new Float32Array(3), new BigInt64Array(1),
    Object.setPrototypeOf(new Float32Array(2), null), new DataView(new ArrayBuffer(1)), Object.assign(() => {}, { toString: throwing }),
  ]; // biome-ignore format: one list
  for (const value of values) {
    const text = describe(value);
    t.ok(typeof text === 'string' && text.length > 0 && text.length < 120, text.slice(0, 100));
  }
  t.equal(describe(new Float32Array(3)), 'Float32Array of length 3');
  t.equal(describe(new Map()), 'a Map');
  t.equal(describe(12n), '12n');
});

t.test('the fuzzer of arguments knows every way into the library', async (t) => {
  t.same(missing(), []);
  t.same(declared('export function newOne(x: number): void;\nexport class Thing {\n  constructor();\n  method(): void;\n}\n'), [
    'newOne',
    'Thing',
    'Thing.method',
  ]);
  const result = await fuzz({ seconds: 5, seed: 20, entries: [...raw, 'info', 'setThreads', 'DataSet'] });
  t.ok(result.cases > 300);
  t.equal(result.failed, 0);
  const quick = Object.keys(typescript).filter((name) => !typescript[name].slow);
  const methods = Object.keys(entries).filter((name) => name.startsWith('Network'));
  const others = await fuzz({ seconds: 5, seed: 21, entries: [...quick, ...methods, 'encodeModelFile', 'decodeModelFile'] });
  t.ok(others.cases > 50);
  t.equal(others.failed, 0);
});
