// The penalty `rate`: what it predicts is what the file has, channels die and leave, and a run repeats and resumes exactly.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import * as library from '../dist/index.js';
import { binding, temporaryFolder, toyDataset, toyNetwork } from './support.mjs';

const { Trainer, createModel, loadDataset } = library;
const options = { epochs: 6, batchSize: 32, seed: 2, penalty: 'rate' };

t.test('defaults follow the penalty, and what is given goes before them', async (t) => {
  const create = (more) => Trainer.create({ network: toyNetwork(), data: toyDataset(), ...options, ...more });
  const trainer = create();
  t.match(trainer.options, { gamma: 1, coupling: 1, bits: { start: 'rms', exponents: 'layer', learningRate: 0, freezeAt: 1, keepRange: false } });
  t.equal(trainer.options.optimizer.quantizerEpsilon, 1e-8);
  t.match(create({ gamma: 0.5, bits: { exponents: 'channel', learningRate: 0.1 } }).options, {
    gamma: 0.5,
    bits: { exponents: 'channel', start: 'rms', learningRate: 0.1 },
  });
  t.equal(Trainer.create({ network: toyNetwork(), data: toyDataset() }).options.gamma, 0.05);
  t.throws(() => create({ bits: { keepRange: true } }), { message: /false, which .*for options\.bits\.keepRange but received true/ });
  t.throws(() => create({ bits: { start: 'max' } }), { message: /options\.bits\.start/ });
  t.throws(() => create({ coupling: -1 }), { message: /options\.coupling/ });
});

t.test('exponents start at half the rms and stay alike within a layer', async (t) => {
  const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...options, epochs: 1 });
  const start = await trainer.state();
  const rms = (w) => Math.sqrt(w.reduce((sum, x) => sum + x * x, 0) / w.length);
  for (const e of start['conv1.exponent']) t.ok(Math.abs(e - Math.log2(rms(start['conv1.weight']) / 2)) < 1e-5);
  await trainer.run();
  const end = await trainer.state();
  for (const layer of ['conv1', 'conv2']) {
    const live = end[`${layer}.exponent`].filter((_, c) => end[`${layer}.bitDepth`][c] > 0);
    t.ok(live.length > 0 && live.every((e) => e === live[0]), layer);
    t.not(live[0], start[`${layer}.exponent`][0]);
  }
  await trainer.dispose();
});

t.test('a run that is resumed inside an epoch ends with the same state, counters of idle channels included', async (t) => {
  const folder = temporaryFolder(t);
  const input = { network: toyNetwork(), data: toyDataset(), ...options, gamma: 20 };
  const whole = Trainer.create(input);
  let removed = 0;
  whole.on('removal', (event) => {
    removed += Object.values(event.removed).reduce((a, b) => a + b, 0);
  });
  whole.on('step', ({ step }) => step === 13 && whole.saveCheckpoint(join(folder, 'checkpoint')));
  await whole.run();
  t.ok(existsSync(join(folder, 'checkpoint')));
  const later = await Trainer.resume(join(folder, 'checkpoint'), input.data);
  await later.run();
  const [a, b] = [await whole.state(), await later.state()];
  t.same(Object.keys(a), Object.keys(b));
  t.ok(Object.keys(a).some((name) => name.endsWith('.idle')));
  for (const name of Object.keys(a)) t.ok(Buffer.from(a[name].buffer).equals(Buffer.from(b[name].buffer)), name);
  t.ok(removed > 0, `${removed} channels have left`);
  const warm = Trainer.create({ network: whole.description, data: input.data, state: a, epochs: 1 });
  t.notOk(
    Object.keys(await warm.state()).some((name) => name.endsWith('.idle')),
    'another penalty has no counters',
  );
  await Promise.all([whole.dispose(), later.dispose(), warm.dispose()]);
});

t.test('the bytes that are predicted are those of the file', async (t) => {
  const data = await loadDataset('digits');
  const network = createModel('lenet300', { input: data.shape, classes: data.classes });
  const trainer = Trainer.create({ network, data, ...options, epochs: 10, gamma: 0.3 });
  await trainer.run();
  const state = await trainer.state();
  const description = trainer.description;
  const n = binding
    .inspectNetwork(network)
    .parameters.filter(({ role }) => role === 'weight')
    .reduce((sum, { shape }) => sum + shape[0] * shape[1], 0);
  // One more step that changes nothing: its Rate is that of the present weights.
  const compiled = new binding.Network(description, {
    device: 'cpu',
    loss: { kind: 'crossEntropy' },
    optimizer: { kind: 'adam' },
    penalty: 'rate',
    originalWeights: n,
    batchSize: 32,
  });
  await compiled.loadState(state);
  const { shape, mean, std, classes } = data;
  const set = new binding.DataSet({ shape, mean, std, classes, images: data.train.images, labels: data.train.labels });
  const settings = { step: 1, seed: 1, gamma: 0, learningRate: 0, bitDepthLearningRate: 0, exponentLearningRate: 0 };
  const { bitsPerWeight } = await compiled.trainStep(
    set,
    Int32Array.from({ length: 32 }, (_, i) => i),
    settings,
  );
  const predicted = (bitsPerWeight * n) / 8;
  // What the file has beyond the same file with all codes zero, which takes next to nothing for them.
  const zeros = Object.fromEntries(
    Object.entries(state).map(([name, values]) => [name, name.endsWith('.weight') ? new Float32Array(values.length) : values]),
  );
  const bytesOf = async (state) => (await binding.encodeModelFile({ network: description, state })).length;
  const coded = (await bytesOf(state)) - (await bytesOf(zeros));
  t.comment(`predicted ${predicted.toFixed(0)} bytes, coded ${coded}`);
  t.ok(Math.abs(predicted / coded - 1) < 0.05, `predicted ${predicted.toFixed(0)}, coded ${coded}`);
  await Promise.all([trainer.dispose(), compiled.dispose()]);
});
