// The inference engine: predictions of a model file, inputs of every kind, the command, and what is refused.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual, promisify } from 'node:util';
import sharp from 'sharp';
import t from 'tap';
import { resizePlanes } from '../dist/data/area-resize.js';
import { Prediction } from '../dist/inference/prediction.js';
import { runNow } from '../dist/pace.js';
import {
  binding,
  cli,
  decodeModel,
  difference,
  encodeModel,
  floats,
  InferenceModel,
  initialState,
  inspectNetwork,
  loadModel,
  NetworkBuilder,
  randomNumbers,
  temporaryFolder,
  toyNetwork,
} from './support.mjs';

const info = { name: 'toy', classes: 4, classNames: ['left', 'right', 'up', 'down'], mean: [0.2], std: [0.3] };
const pixels = (seed) => Uint8Array.from(floats(randomNumbers(seed), 144, 0, 256));
const normalised = (bytes) => Float32Array.from(bytes, (byte) => (byte / 255 - 0.2) / 0.3);

function toyState(description, seed) {
  const random = randomNumbers(seed);
  const state = initialState(inspectNetwork(description).parameters, seed, { bitDepth: 6, headroom: 0 });
  for (const [name, values] of Object.entries(state)) {
    if (name.endsWith('.bitDepth')) values.set(values.map(() => (random() < 0.2 ? 0 : 0.5 + 9 * random())));
    if (name.endsWith('.bias') || name.endsWith('.runningMean')) values.set(floats(random, values.length, -0.2, 0.2));
    if (name.endsWith('.runningVar')) values.set(floats(random, values.length, 0.5, 2));
  }
  return state;
}

async function trained(description, state) {
  const network = new binding.Network(description, { device: 'cpu', loss: { kind: 'crossEntropy' }, optimizer: { kind: 'sgd' }, batchSize: 16 });
  await network.loadState(Object.fromEntries(Object.entries(state).filter(([name]) => !name.includes('/'))));
  return network;
}

const description = toyNetwork();
const state = toyState(description, 1);
const bytes = await encodeModel(description, state, info);

t.test('predicts what the training network predicts, for every number of examples, packed and unpacked', async (t) => {
  for (let seed = 1; seed <= 6; seed++) {
    const network = toyNetwork({ compress: seed % 3 !== 0 });
    const values = toyState(network, seed);
    const reference = await trained(network, values);
    for (const weights of ['unpacked', 'packed']) {
      const model = await binding.loadModelFile({ bytes: await encodeModel(network, values, info), weights });
      for (const count of [0, 1, 3, 16, 37]) {
        const images = floats(randomNumbers(seed + count), count * 144);
        const expected = await reference.predict(images, count);
        t.ok(difference(await model.predict(images, count), expected) < 2e-5);
        t.same(model.predictSync(images, count), await model.predict(images, count));
      }
      model.dispose();
    }
    await reference.dispose();
  }
});

t.test('inputs of every kind give the same', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'model.scnn');
  writeFileSync(file, bytes);
  const path = join(folder, 'image.png');
  await sharp(pixels(1), { raw: { width: 12, height: 12, channels: 1 } })
    .png()
    .toFile(path);
  const model = await loadModel(file);
  t.ok(model instanceof InferenceModel);
  t.same(model.input, [1, 12, 12]);
  t.same(model.output, [4]);
  t.equal(model.metadata.name, 'toy');
  const expected = await model.predict(normalised(pixels(1)));
  const image = await sharp(path).toBuffer();
  for (const input of [pixels(1), Uint8ClampedArray.from(pixels(1)), path, image]) {
    const { scores } = await model.predict(input);
    t.ok(difference(scores, expected.scores) < 1e-5);
  }
  t.same(model.predictSync(pixels(1)).scores, (await model.predict(pixels(1))).scores);
  const several = await model.predict([path, pixels(2), normalised(pixels(3))]);
  t.equal(several.length, 3);
  t.ok(difference(several[1].scores, (await model.predict(pixels(2))).scores) < 1e-5);
  t.same(await model.predict([]), []);
  model.dispose();
});

t.test('a model of images that were averaged to its size averages image files too', async (t) => {
  const { network, state } = await decodeModel(bytes);
  const model = await loadModel(await encodeModel(network, state, { ...info, resize: 'area' }));
  t.equal(model.metadata.resize, 'area');
  t.equal((await decodeModel(await encodeModel(network, state, { ...info, resize: 'area' }))).info.resize, 'area');
  const folder = temporaryFolder(t);
  for (const [height, width] of [
    [28, 28],
    [24, 31],
    [5, 9],
    [12, 12],
  ]) {
    const image = Uint8Array.from(floats(randomNumbers(height), height * width, 0, 256));
    const path = join(folder, `${height}.png`);
    await sharp(image, { raw: { width, height, channels: 1 } })
      .png()
      .toFile(path);
    const small = new Uint8Array(144);
    runNow(resizePlanes(image, { from: [height, width], to: [12, 12] }, small));
    t.same((await model.predict(path)).scores, model.predictSync(small).scores, `${height}×${width}`);
    t.same((await model.predict(await sharp(path).toBuffer())).scores, model.predictSync(small).scores);
  }
  model.dispose();
  await t.rejects(encodeModel(network, state, { ...info, resize: 'linear' }), { message: /Expected .*area.* for info.resize but received "linear"/ });
});

t.test('labels and probabilities', async (t) => {
  const model = await loadModel(bytes);
  const prediction = await model.predict(pixels(4));
  const all = prediction.top(9);
  t.equal(all.length, 4);
  t.ok(Math.abs(all.reduce((sum, { probability }) => sum + probability, 0) - 1) < 1e-12);
  t.same(
    all.map(({ index }) => prediction.scores[index]),
    Array.from(prediction.scores).sort((a, b) => b - a),
  );
  t.equal(prediction.label, info.classNames[all[0].index]);
  t.equal(prediction.probability, all[0].probability);
  t.equal(prediction.top(2).length, 2);
  for (const k of [-1, 0.5, '2', Number.NaN, undefined]) t.throws(() => prediction.top(k), { message: /an integer >= 0 for k/ });
  const plain = new NetworkBuilder([2, 1, 1]);
  const regression = plain.build(plain.linear('input', { name: 'a', outFeatures: 3 }));
  const file = await binding.encodeModelFile({ network: regression, state: toyState(regression, 1), metadata: { task: 'regression' } });
  const numbers = await (await loadModel(file)).predict(new Float32Array(2));
  t.same([numbers.label, numbers.probability, numbers.top(5)], [undefined, undefined, []]);
  t.equal(numbers.scores.length, 3);
});

t.test('the k likeliest, against sorting all', (t) => {
  const random = randomNumbers(12);
  const below = (n) => Math.floor(random() * n);
  for (let trial = 0; trial < 500; trial++) {
    const scores = Float32Array.from({ length: below(90) }, () => (trial % 9 === 8 ? Number.NaN : below(6)));
    const k = below(100);
    const byScore = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);
    const found = new Prediction(scores, true, undefined).top(k).map(({ index }) => index);
    if (!isDeepStrictEqual(found, byScore.slice(0, k))) t.fail(`top(${k}) of ${scores}: ${found}`);
  }
  t.end();
});

t.test('the number of threads changes nothing', async (t) => {
  const before = binding.info().threads;
  t.teardown(() => binding.setThreads(before));
  const model = await binding.loadModelFile({ bytes });
  for (const count of [1, 70]) {
    const images = floats(randomNumbers(count), count * 144);
    const results = [];
    for (const threads of [1, 2, 5]) {
      binding.setThreads(threads);
      results.push(await model.predict(images, count));
    }
    t.same(results[1], results[0]);
    t.same(results[2], results[0]);
  }
});

t.test('what is refused', async (t) => {
  const model = await loadModel(bytes);
  await t.rejects(model.predict(new Float32Array(143)), { name: 'RangeError', message: /^Expected 144 elements.* for input but received/ });
  await t.rejects(model.predict([pixels(1), 5]), { name: 'TypeError', message: /for inputs\[1\] but received 5/ });
  await t.rejects(model.predict(['no-such-image.png', 5]), { name: 'TypeError' });
  await t.rejects(model.predict('no-such-image.png'), { name: 'DataError' });
  await t.rejects(model.predict(Buffer.from('no image')), { name: 'DataError' });
  t.throws(() => model.predictSync('image.png'), { name: 'TypeError', message: /predictSync/ });
  t.throws(() => new binding.Model(), { name: 'TypeError' });
  t.throws(() => binding.loadModelFile({ bytes: new Float32Array(3) }), { name: 'TypeError' });
  t.throws(() => binding.loadModelFile({ bytes, weights: 'other' }), { name: 'TypeError' });
  await t.rejects(loadModel(5), { name: 'TypeError' });
  await t.rejects(loadModel(bytes, { wieghts: 'packed' }), { name: 'TypeError' });
  await t.rejects(loadModel(bytes.subarray(0, bytes.length - 1)), { name: 'ModelFileError' });
  await t.rejects(loadModel(bytes, { maxActivationBytes: 1000 }), { name: 'ModelFileError', message: /at most 1000 bytes of activations/ });
  for (let i = 0; i < bytes.length; i += 7) {
    const damaged = Uint8Array.from(bytes);
    damaged[i] ^= 1 << (i % 8);
    await t.rejects(loadModel(damaged), { name: 'ModelFileError' });
  }
  model.dispose();
  await t.rejects(model.predict(pixels(1)), { code: 'ERR_SELFCOMPRESS_DISPOSED' });
  t.throws(() => model.predictSync(pixels(1)), { code: 'ERR_SELFCOMPRESS_DISPOSED' });
});

t.test('a model that is disposed of while it predicts ends its work', async (t) => {
  const model = await binding.loadModelFile({ bytes });
  const images = floats(randomNumbers(1), 64 * 144);
  const pending = model.predict(images, 64);
  model.dispose();
  t.equal((await pending).length, 64 * 4);
});

t.test('selfcompress predict', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'model.scnn'), bytes);
  for (const i of [1, 2])
    await sharp(pixels(i), { raw: { width: 12, height: 12, channels: 1 } })
      .png()
      .toFile(join(folder, `${i}.png`));
  const run = (...args) => promisify(execFile)(process.execPath, [cli, 'predict', ...args], { cwd: folder });
  const { stdout } = await run('model.scnn', '1.png', '2.png', '--json', '--top', '2');
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.same(
    lines.map(({ input, top }) => [input, top.length]),
    [
      ['1.png', 2],
      ['2.png', 2],
    ],
  );
  t.match((await run('model.scnn', '1.png')).stdout, /^1\.png: (left|right|up|down) [\d.]+ %, /);
  await t.rejects(run('model.scnn', 'none.png'), { stderr: /none\.png/ });
});
