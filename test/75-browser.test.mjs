// selfcompress/browser: the engine as WebAssembly against the native one, on the same files.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import t from 'tap';
import {
  binding,
  createModel,
  difference,
  encodeModel,
  floats,
  initialState,
  inspectNetwork,
  NetworkBuilder,
  randomNumbers,
  toyNetwork,
} from './support.mjs';

const wasm = new URL('../dist/browser/engine.wasm', import.meta.url);
const skip = existsSync(wasm) ? false : 'no dist/browser/engine.wasm: npm run build:wasm';
const { loadModel } = await import('../dist/browser/browser.js');
const options = skip ? {} : { wasm: readFileSync(wasm) };
const info = { name: 'toy "quoted"\n', classes: 4, classNames: ['left', 'right', 'up', 'dö\\wn'], mean: [0.2], std: [0.3] };
const pixels = (seed) => Uint8Array.from(floats(randomNumbers(seed), 144, 0, 256));

function stateOf(description, seed) {
  const random = randomNumbers(seed);
  const state = initialState(inspectNetwork(description).parameters, seed, { bitDepth: 6, headroom: 0 });
  for (const [name, values] of Object.entries(state)) {
    if (name.endsWith('.bitDepth')) values.set(values.map(() => (random() < 0.2 ? 0 : 0.5 + 9 * random())));
    if (name.endsWith('.bias') || name.endsWith('.runningMean')) values.set(floats(random, values.length, -0.2, 0.2));
    if (name.endsWith('.runningVar')) values.set(floats(random, values.length, 0.5, 2));
  }
  return state;
}

/** Convolutions that blocks take by tiles, depthwise ones, and functions with exponentials. */
function wideNetwork() {
  const net = new NetworkBuilder([3, 13, 11]);
  let x = net.relu(net.batchNorm(net.conv2d('input', { outChannels: 20, kernel: 3, padding: 1 })));
  x = net.add(x, net.silu(net.conv2d(x, { outChannels: 20, kernel: 5, padding: 2 })));
  x = net.gelu(net.conv2d(x, { outChannels: 20, kernel: 3, groups: 20, stride: 2 }));
  return net.build(net.linear(net.flatten(x), { outFeatures: 5 }));
}

t.test('predicts what the native engine predicts', { skip }, async (t) => {
  for (const [network, elements] of [
    [toyNetwork(), 144],
    [toyNetwork({ compress: false }), 144],
    [wideNetwork(), 429],
  ]) {
    const bytes = await encodeModel(network, stateOf(network, elements), info);
    const native = await binding.loadModelFile({ bytes });
    for (const weights of ['unpacked', 'packed']) {
      const model = await loadModel(bytes, { ...options, weights });
      t.same([model.input, model.output, model.metadata], [native.input, native.output, native.metadata]);
      for (const count of [0, 1, 3, 16, 37]) {
        const images = floats(randomNumbers(count), count * elements);
        const examples = Array.from({ length: count }, (_, i) => images.subarray(i * elements, (i + 1) * elements));
        const scores = (await model.predict(examples)).flatMap((prediction) => Array.from(prediction.scores));
        t.ok(difference(Float32Array.from(scores), await native.predict(images, count)) < 2e-5);
      }
      t.equal(model.memory.weightBytes > 0, true);
      model.dispose();
      t.throws(() => model.predictSync(new Float32Array(elements)), { code: 'ERR_SELFCOMPRESS_DISPOSED' });
    }
    native.dispose();
  }
});

t.test('integers: the codes of the vectors', { skip }, async (t) => {
  const folder = new URL('vectors/', import.meta.url);
  const floatsOf = (text) => new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer);
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.scnn'))) {
    const model = await loadModel(readFileSync(new URL(name, folder)), { ...options, arithmetic: 'integer' });
    const { images, scores } = JSON.parse(readFileSync(new URL(name.replace('.scnn', '.json'), folder), 'utf8'));
    const size = floatsOf(images).length / 4;
    const predictions = await model.predict(Array.from({ length: 4 }, (_, i) => floatsOf(images).subarray(i * size, (i + 1) * size)));
    t.same(Float32Array.from(predictions.flatMap((prediction) => [...prediction.scores])), floatsOf(scores), name);
    model.dispose();
  }
  const network = toyNetwork();
  const bytes = await encodeModel(network, stateOf(network, 1), info);
  await t.rejects(loadModel(bytes, { ...options, arithmetic: 'integer' }), { name: 'ModelFileError', message: /ranges of the values/ });
  await t.rejects(loadModel(bytes, { ...options, arithmetic: 'whole' }), { name: 'TypeError', message: /options.arithmetic/ });
});

t.test('tokens', { skip }, async (t) => {
  const network = createModel('char-lm', { input: { tokens: 9 }, classes: 7, width: 0.125 });
  const bytes = await encodeModel(network, stateOf(network, 1), info);
  const model = await loadModel(bytes, options);
  const tokens = Int32Array.from({ length: 9 }, (_, i) => i % 7);
  t.equal(model.vocabulary, 7);
  const native = await binding.loadModelFile({ bytes });
  t.ok(difference(model.predictSync(tokens).scores, await native.predict(Float32Array.from(tokens), 1)) < 2e-5);
  t.throws(() => model.predictSync(tokens.map((token) => token + 1)), { message: /whole number below 7 for token 6 but received 7/ });
});

t.test('inputs, labels and what is refused', { skip }, async (t) => {
  const network = toyNetwork();
  const bytes = await encodeModel(network, stateOf(network, 1), info);
  const model = await loadModel(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), options);
  const expected = model.predictSync(pixels(4));
  t.equal(expected.top(9).length, 4);
  t.ok(info.classNames.includes(expected.label));
  const data = Uint8ClampedArray.from({ length: 576 }, (_, i) => (i % 4 === 3 ? 255 : pixels(4)[i >> 2]));
  t.same((await model.predict({ width: 12, height: 12, data })).scores, expected.scores);
  t.throws(() => model.predictSync({ width: 24, height: 6, data }), { name: 'RangeError', message: /ImageData of 12×12/ });
  t.throws(() => model.predictSync(new Float32Array(143)), { name: 'RangeError', message: /^Expected 144 elements.* for input/ });
  t.throws(() => model.predictSync([pixels(1), 5]), { name: 'TypeError', message: /for inputs\[1\] but received 5/ });
  await t.rejects(loadModel(5, options), { name: 'TypeError' });
  await t.rejects(loadModel(bytes, { ...options, maxActivationBytes: 1000 }), { name: 'ModelFileError', message: /at most 1000 bytes/ });
  const random = randomNumbers(9);
  for (let i = 0; i < 300; i++) {
    const damaged = Uint8Array.from(bytes.subarray(0, i % 3 ? bytes.length : Math.floor(random() * bytes.length)));
    if (damaged.length === bytes.length) damaged[Math.floor(random() * damaged.length)] ^= 1 << (i % 8);
    await t.rejects(loadModel(damaged, options), { name: 'ModelFileError' });
  }
  t.same(model.predictSync(pixels(4)).scores, expected.scores); // whatever has been thrown before
});

t.test('needs nothing of Node, and is small', { skip }, async (t) => {
  const folder = new URL('../dist/', import.meta.url);
  const seen = new Set();
  const visit = (file) => {
    if (seen.has(file.href)) return;
    seen.add(file.href);
    for (const [, target] of readFileSync(file, 'utf8').matchAll(/from '([^']+)'|import\('([^']+)'\)/g)) {
      t.match(target, /^\.\.?\//);
      visit(new URL(target, file));
    }
  };
  visit(new URL('browser/browser.js', folder));
  // As scripts/build/wasm.mjs counts: the modules in one file, as a bundler of a page makes it.
  const entry = fileURLToPath(new URL('browser/browser.js', folder));
  const bundle = await build({ entryPoints: [entry], bundle: true, minify: true, format: 'esm', write: false });
  const bytes = [bundle.outputFiles[0].contents, readFileSync(wasm)].reduce((sum, file) => sum + gzipSync(file, { level: 9 }).length, 0);
  t.comment(`${seen.size} modules in one file and engine.wasm: ${bytes} bytes gzipped`);
  t.ok(bytes <= 150_000);
  t.ok(readdirSync(new URL('browser', folder)).includes('browser.d.ts'));
});
