// How a run starts: weights that are given, seeds of every size, options that are checked, batches that fit.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unsafeUniformIntDistribution, xoroshiro128plus } from 'pure-rand';
import t from 'tap';
import { RunDirectory } from '../dist/report/run-directory.js';
import { shuffledIndices } from '../dist/training/shuffle.js';
import { batchCount, batchRange } from '../dist/training/step-plan.js';
import {
  cli,
  createModel,
  initialState,
  inspectNetwork,
  loadDataset,
  randomNumbers,
  Trainer,
  temporaryFolder,
  toyDataset,
  toyNetwork,
} from './support.mjs';

const quick = { epochs: 2, batchSize: 64, learningRate: 0.01, gamma: 0.3, bits: { initial: 6 }, seed: 4 };
const create = (changes) => Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick, ...changes });
const { parameters } = inspectNetwork(toyNetwork());

t.test('given weights are taken, the rest is as without them', async (t) => {
  const plain = await create().state();
  const weight = plain['conv2.weight'].map((w) => 2 * w);
  const perChannel = weight.length / 8;
  weight.fill(0, 3 * perChannel, 4 * perChannel);
  weight.fill(-0, 7 * perChannel);
  const given = {
    'conv2.weight': weight,
    'conv1.bias': new Float32Array(8).fill(0.25),
    'conv2.weight/moment1': new Float32Array(weight.length).fill(9),
  };
  const trainer = create({ state: given });
  const state = await trainer.state();
  for (const [name, values] of Object.entries(state)) {
    if (name === 'conv2.bitDepth') t.same([...values], [6, 6, 6, 0, 6, 6, 6, 0], 'channels of zeros start dead');
    else if (name === 'conv2.exponent')
      for (const c of [0, 1, 2, 4, 5, 6]) t.ok(Math.abs(values[c] - plain[name][c] - 1) < 1e-5, 'the range is that of the given weights');
    else if (name.includes('/')) t.ok(values.every((x) => x === 0) || !name.startsWith('conv2.weight'), 'no moments');
    else t.same(values, given[name] ?? plain[name], name);
  }
  given['conv2.weight'].fill(5);
  t.notSame((await trainer.state())['conv2.weight'], given['conv2.weight'], 'a copy');
  t.equal(await trainer.run(), 'epochs');
  t.ok(trainer.history[0].layers.find(({ name }) => name === 'conv2').channels <= 6);
});

t.test('given depths and exponents stay; a given depth chooses its exponent', async (t) => {
  const bitDepth = Float32Array.of(2, 3, 4, 5, 0, 7, 8, 9);
  const exponent = Float32Array.from({ length: 8 }, (_, i) => -i);
  const plain = await create().state();
  const both = await create({ state: { 'conv1.bitDepth': bitDepth, 'conv1.exponent': exponent } }).state();
  t.same(both['conv1.bitDepth'], bitDepth);
  t.same(both['conv1.exponent'], exponent);
  t.same(both['conv1.weight'], plain['conv1.weight']);
  const depth = await create({ state: { 'conv1.bitDepth': bitDepth } }).state();
  for (const c of [0, 1, 2, 3, 5, 6, 7]) t.ok(Math.abs(depth['conv1.exponent'][c] - (plain['conv1.exponent'][c] + 6 - bitDepth[c])) < 1e-5);
  const again = create({ state: await create({ seed: 9 }).state() });
  t.same(await again.state(), await create({ seed: 9 }).state(), 'the whole state of another trainer');
});

t.test('what cannot be a starting state is named', async (t) => {
  const refused = (state, name, message) => t.throws(() => create({ state }), { name, message }, String(message));
  for (const value of [null, [], 'x', 5, new Map(), () => {}]) refused(value, 'TypeError', /for state but received/);
  refused(
    { 'conv9.weight': new Float32Array(72) },
    'RangeError',
    /names of the network's parameters \(conv1\.weight.* for state but received "conv9\.weight"/,
  );
  refused({ 'conv1.weight/moment3': new Float32Array(72) }, 'RangeError', /moment3/);
  refused({ 'conv1.weight': [1, 2] }, 'TypeError', /Float32Array of length 72 for state\["conv1\.weight"\] but received an array of length 2/);
  refused({ 'conv1.weight': new Float64Array(72) }, 'TypeError', /Float64Array/);
  refused({ 'conv1.weight': new Float32Array(71) }, 'RangeError', /length 72 for state\["conv1\.weight"\].*length 71/);
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY])
    refused({ 'conv1.weight': new Float32Array(72).fill(value, 70) }, 'RangeError', /finite numbers for state\["conv1\.weight"\]\[70\]/);
  refused({ 'norm1.runningVar': new Float32Array(8).fill(-1) }, 'RangeError', />= 0/);
});

t.test('every safe integer is a seed of its own; small seeds give the numbers that they always gave', async (t) => {
  const seeds = [0, 1, 2, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 33 + 1, 3 * 2 ** 32 + 1, 2 ** 52 + 1, Number.MAX_SAFE_INTEGER];
  const weights = new Set();
  const orders = new Set();
  for (const seed of seeds) {
    weights.add(initialState(parameters, seed, { bitDepth: 8, headroom: 1 })['conv1.weight'].join());
    for (const epoch of [1, 2]) orders.add(shuffledIndices(50, seed, epoch).join());
    t.same(
      [...shuffledIndices(50, seed, 1)].sort((a, b) => a - b),
      Array.from({ length: 50 }, (_, i) => i),
    );
  }
  t.equal(weights.size, seeds.length);
  t.equal(orders.size, 2 * seeds.length);
  for (const seed of [0, 1, 7, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
    const generator = xoroshiro128plus(seed);
    const next = () => unsafeUniformIntDistribution(0, 0xffffff, generator) / 0x1000000;
    const bound = 1 / 3;
    const expected = Float32Array.from({ length: 72 }, () => (2 * next() - 1) * bound);
    t.same(initialState(parameters, seed, { bitDepth: 8, headroom: 1 })['conv1.weight'], expected, `seed ${seed}`);
    const shuffler = xoroshiro128plus((Math.imul(seed, 0x9e3779b1) ^ Math.imul(3, 0x85ebca6b)) | 0);
    const random = () => unsafeUniformIntDistribution(0, 0xffffff, shuffler) / 0x1000000;
    const order = Array.from({ length: 40 }, (_, i) => i);
    for (let i = 39; i > 0; i--) {
      const j = Math.floor(((random() * 0x1000000 + random()) / 0x1000000) * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    t.same([...shuffledIndices(40, seed, 3)], order, `order of seed ${seed}`);
  }
});

t.test('batches are counted, not listed', async (t) => {
  const listed = (count, batchSize) => {
    const batches = [];
    for (let from = 0; from < count; from += batchSize) batches.push([from, Math.min(count, from + batchSize)]);
    const [from, to] = batches.at(-1);
    if (batches.length > 1 && to - from < batchSize / 4) batches.pop();
    return batches;
  };
  const random = randomNumbers(3);
  for (let i = 0; i < 3000; i++) {
    const count = 1 + Math.floor(random() * (i % 2 ? 40 : 1000));
    const batchSize = 1 + Math.floor(random() * (i % 3 ? 20 : 600));
    const expected = listed(count, batchSize);
    const found = Array.from({ length: batchCount(count, batchSize) }, (_, b) => batchRange(b, count, batchSize));
    if (JSON.stringify(found) !== JSON.stringify(expected)) t.same(found, expected, `${count} images, batches of ${batchSize}`);
  }
  t.equal(batchCount(2 ** 40, 1), 2 ** 40, 'more than any list could hold');
  t.same(batchRange(2 ** 40 - 1, 2 ** 40, 1), [2 ** 40 - 1, 2 ** 40]);
});

t.test('what is no plain object of plain data is refused by name', async (t) => {
  class Options {
    shift = 1;
  }
  const nonsense = [
    null,
    [],
    [1],
    'text',
    '',
    5,
    0,
    true,
    Symbol('s'),
    1n,
    new Map(),
    new Set(),
    new Date(),
    new Options(),
    () => {},
    new Float32Array(2),
    Promise.resolve(),
  ];
  for (const name of ['augmentation', 'bits', 'target', 'stopAt', 'loss', 'optimizer', 'schedule']) {
    for (const value of nonsense)
      t.throws(() => create({ [name]: value }), { name: 'TypeError', message: new RegExp(`for options\\.${name}`) }, `${name}: ${String(value)}`);
  }
  for (const [name, field] of [
    ['augmentation', 'shift'],
    ['augmentation', 'flip'],
    ['augmentation', 'cutout'],
    ['augmentation', 'rotate'],
    ['augmentation', 'scale'],
    ['bits', 'initial'],
    ['bits', 'keepRange'],
    ['bits', 'schedule'],
    ['stopAt', 'accuracy'],
    ['target', 'bitsFraction'],
    ['optimizer', 'kind'],
    ['loss', 'kind'],
    ['schedule', 'kind'],
  ]) {
    for (const value of [null, [], 'text', -1, Number.NaN, 1n, () => {}, new Map(), Symbol('s')])
      t.throws(
        () => create({ [name]: { ...quick[name], [field]: value } }),
        { message: new RegExp(`options\\.${name}\\.${field}`) },
        `${name}.${field}: ${String(value)}`,
      );
    t.throws(() => create({ [name]: { unknown: 1 } }), { name: 'TypeError', message: new RegExp(`options\\.${name}.*"unknown"`) });
  }
  for (const name of [
    'epochs',
    'batchSize',
    'seed',
    'device',
    'precision',
    'memoryLimit',
    'learningRate',
    'gamma',
    'gammaWarmup',
    'penalty',
    'remove',
  ]) {
    for (const value of [null, [], {}, 'text', Number.NaN, 1n, () => {}, new Map(), Symbol('s')])
      t.throws(() => create({ [name]: value }), { message: new RegExp(`options\\.${name} but`) }, `${name}: ${String(value)}`);
  }
  for (const value of [null, undefined, 5, 'x', [], {}, new Map()]) {
    t.throws(() => Trainer.create({ network: toyNetwork(), data: value }), { name: 'TypeError', message: /for data but/ });
    t.throws(() => Trainer.create({ data: toyDataset(), network: value }), { name: 'TypeError', message: /network/ });
    t.throws(() => Trainer.create(value), { name: 'TypeError' });
  }
  const cycle = { kind: 'constant' };
  cycle.warmup = cycle;
  t.throws(() => create({ schedule: cycle }), { name: 'TypeError', message: /levels for options\.schedule\.warmup/ });
  t.throws(() => create({ network: { ...toyNetwork(), nodes: [() => {}] } }), { name: 'TypeError', message: /network\.nodes\[0\]/ });
  const watched = new Proxy({ accuracy: 0.5 }, {});
  t.same(create({ stopAt: watched }).options.stopAt, { accuracy: 0.5 }, 'a proxy is read like the object behind it');
  const given = { accuracy: 0.5 };
  const trainer = create({ stopAt: given });
  given.accuracy = 2;
  t.same(trainer.options.stopAt, { accuracy: 0.5 }, 'options are a copy');
});

t.test('a batch that does not fit into memory is named, with what it would need', async (t) => {
  const data = await loadDataset('digits', { limit: 100 });
  const network = createModel('notebook', { input: data.shape, classes: 10 });
  for (const batchSize of [2 ** 20, 1_000_000]) {
    const trainer = Trainer.create({ network, data, batchSize, device: 'cpu' });
    const expected = {
      name: 'RangeError',
      message: new RegExp(
        `fits into memory \\(a step of ${batchSize} images needs 2\\d{5}\\.\\d MB, one of 128 \\d\\d\\.\\d MB; this machine has \\d+.*for options\\.batchSize but received ${batchSize}`,
      ),
    };
    await t.rejects(trainer.memory(), expected);
    await t.rejects(trainer.run(), expected, 'so does training');
    await trainer.dispose();
  }
  await Trainer.create({ network, data, batchSize: 2000, device: 'cpu' }).dispose();
});

t.test('a run that starts from given weights has them from its first moment in the folder', async (t) => {
  const folder = join(temporaryFolder(t), 'run');
  const weight = (await create().state())['conv2.weight'].map((w) => 3 * w);
  const trainer = create({ state: { 'conv2.weight': weight } });
  const expected = await trainer.state();
  const directory = await RunDirectory.create(folder, { model: 'toy', dataset: 'toy' });
  await directory.begin(trainer, true);
  await directory.close();
  const again = await RunDirectory.open(folder);
  const later = await again.resume(toyDataset());
  t.same(await later.state(), expected);
  t.equal(later.step, 0);
  t.equal(await later.run(), 'epochs');
  await Promise.all([trainer.dispose(), later.dispose(), again.close()]);
});

t.test('--start without --model trains the network of the run or file itself, with the channels that it has left', (t) => {
  const folder = temporaryFolder(t);
  const selfcompress = (...args) => spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', cwd: folder });
  const train = (...args) => {
    const { status, stdout, stderr } = selfcompress('train', '--limit', '300', '--batch-size', '60', '--json', '--quiet', ...args);
    t.equal(status, 0, stderr);
    return JSON.parse(stdout.trim().split('\n').at(-1));
  };
  const config = (run) => JSON.parse(readFileSync(join(folder, run, 'config.json'), 'utf8'));
  const width = (run) => config(run).network.nodes.find(({ name }) => name === 'linear1').outFeatures;
  const still = ['--lr', '0', '--bits-lr', '0', '--exponent-lr', '0', '--gamma', '0', '--freeze-at', '1', '--epochs', '1'];

  const plain = train('--model', 'mlp', '--plain', '--epochs', '2', '--out', 'plain');
  const first = train('--start', 'plain', ...still, '--bits', '16', '--out', 'first');
  t.ok(Math.abs(first.testLoss - plain.testLoss) < 1e-3, `${first.testLoss} ${plain.testLoss}`);
  t.ok(config('first').network.nodes.filter(({ compress }) => compress).length === 2, 'plain weights are to compress');
  t.equal(config('first').run.model, 'mlp');
  t.equal(train('--start', 'plain', '--plain', ...still, '--out', 'floats').bitsFraction, 1, 'or stay plain');

  const small = train('--start', 'plain', '--gamma', '3', '--bits', '3', '--bits-lr', '0.3', '--freeze-at', '1', '--epochs', '6', '--out', 'small');
  const left = small.layers.find(({ name }) => name === 'linear1').channels;
  t.ok(left > 0 && left < 128, `${left} channels`);
  for (const [from, name] of [
    ['small', 'mlp'],
    ['small/model.scnn', 'model'],
  ]) {
    const out = `again-${name}`;
    const again = train('--start', from, ...still, '--bits', '16', '--out', out);
    if (name === 'model')
      t.ok(Math.abs(again.testAccuracy - small.testAccuracy) < 0.002, `${again.testAccuracy}: it begins where ${small.testAccuracy} ended`);
    t.equal(width(out), left);
    const { weights } = inspectNetwork(config(out).network);
    t.ok(weights < inspectNetwork(config('small').network).weights);
    t.equal(Math.round(again.weights / again.weightsFraction), weights, 'shares are of the network that it starts with');
    t.equal(config(out).run.model, name);
  }

  mkdirSync(join(folder, 'described'));
  writeFileSync(join(folder, 'described/net.json'), JSON.stringify(config('first').network));
  train('--model', join(folder, 'described/net.json'), '--epochs', '1', '--out', 'of-a-file');
  train('--start', 'of-a-file', ...still);
  t.equal(config('runs/net-digits').run.model, 'net', 'a run is called by the name of the file, not by its path');

  for (const more of [[], ['--width', '0.5']]) {
    const { status, stderr } = selfcompress('train', '--model', 'mlp', ...more, '--start', 'small/model.scnn', '--out', 'refused');
    t.equal(status, 2);
    t.match(
      stderr,
      /Expected a run or file of mlp for --start but received "small\/model\.scnn" with \d+ numbers in linear\d\.\w+, where it has \d+; without --model/,
    );
  }
  const { stderr } = selfcompress('train', '--model', 'notebook', '--start', 'small/model.scnn', '--out', 'refused');
  t.match(stderr, /in linear1\.\w+, which it does not have; without --model/);
  t.end();
});
