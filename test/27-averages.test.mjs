// Averages of parameters (`ema`): evaluated and exported, kept by checkpoints, gone with removed channels.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { binding, cli, decodeModel, readCheckpoint, Trainer, temporaryFolder, toyDataset, toyNetwork, withoutTimes } from './support.mjs';

const quick = {
  epochs: 6,
  batchSize: 64,
  learningRate: 0.01,
  gamma: 3,
  bits: { initial: 5, learningRate: 0.5, freezeAt: 0.5 },
  seed: 4,
  augmentation: { shift: 1 },
  ema: 0.9,
};
const create = (options) => Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick, ...options });
const AVERAGE = '/average';
const averagesOf = (state) =>
  Object.fromEntries(
    Object.entries(state)
      .filter(([name]) => name.endsWith(AVERAGE))
      .map(([name, values]) => [name.slice(0, -AVERAGE.length), values]),
  );

/** Accuracy and loss of a network with these parameters, by itself. */
async function evaluated(description, state, data) {
  const options = { device: 'cpu', loss: { kind: 'crossEntropy' }, optimizer: { kind: 'sgd' }, batchSize: 64 };
  const network = new binding.Network(description, options);
  await network.loadState(state);
  const { images, labels, count } = data.test;
  const { shape, classes, mean, std } = data;
  const { loss, correct } = await network.evaluate(
    new binding.DataSet({ images, labels, shape, classes, mean, std }),
    Int32Array.from({ length: count }, (_, i) => i),
  );
  await network.dispose();
  return { loss, accuracy: correct / count };
}

t.test('what is evaluated and exported is the averages; training goes on with the parameters', async (t) => {
  const trainer = create({});
  await trainer.run();
  const plain = create({ ema: 0 });
  await plain.run();
  const state = await trainer.state();
  const averages = averagesOf(state);
  const parameters = Object.keys(state).filter((name) => !name.includes('/'));
  t.same(Object.keys(averages).sort(), parameters.sort(), 'one for each parameter');
  const raw = Object.fromEntries(parameters.map((name) => [name, state[name]]));
  t.notSame(averages, raw);
  const last = trainer.history.at(-1);
  t.same(await evaluated(trainer.description, averages, toyDataset()), { loss: last.testLoss, accuracy: last.testAccuracy });
  t.not((await evaluated(trainer.description, raw, toyDataset())).loss, last.testLoss);
  t.ok(last.channels < plain.history[0].layers.reduce((sum, { originalChannels }) => sum + originalChannels, 0), 'channels left');
  // Removal may come later than without, as averages have to agree; the steps are the same until then.
  t.equal(trainer.history[0].trainLoss, plain.history[0].trainLoss);
  const { state: saved } = await decodeModel(await trainer.encodeModel());
  const biases = Object.keys(saved).filter((name) => name.endsWith('.bias') && saved[name.replace(/bias$/, 'bitDepth')]); // norms' are folded
  for (const name of biases) t.same(saved[name], averages[name], name);
  t.ok(biases.length > 2);
  for (const [name, values] of Object.entries(averages).filter(([name]) => name.endsWith('.bitDepth'))) {
    values.forEach((b, c) => {
      if ((b === 0) !== (state[name][c] === 0)) t.fail(`${name}[${c}]: dead in one alone`);
      if (b !== Math.round(b)) t.fail(`${name}[${c}]: rounded depths stay whole`);
    });
  }
  await Promise.all([trainer.dispose(), plain.dispose()]);
});

t.test('a resumed run goes on exactly, at the end of an epoch and inside one', async (t) => {
  const whole = create({});
  await whole.run();
  for (const [event, at] of [
    ['epoch', ({ epoch }) => epoch === 3],
    ['step', ({ step }) => step === 10],
  ]) {
    const path = join(temporaryFolder(t), 'checkpoint');
    const first = create({});
    first.on(event, (e) => at(e) && first.stop(event));
    await first.run();
    await first.saveCheckpoint(path);
    t.equal((await readCheckpoint(path)).options.ema, 0.9);
    const second = await Trainer.resume(path, toyDataset());
    await second.run();
    t.same(second.history.map(withoutTimes), whole.history.map(withoutTimes), event);
    t.same(await second.state(), await whole.state(), event);
    await Promise.all([first.dispose(), second.dispose()]);
  }
  await whole.dispose();
});

t.test('with the length of the file as the penalty: biases of the averages are rounded, and a size is steered to', async (t) => {
  const { bits, gamma, ...rest } = quick;
  const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...rest, epochs: 8, penalty: 'rate', target: { bytes: 700 } });
  await trainer.run();
  const state = await trainer.state();
  for (const [name, values] of Object.entries(averagesOf(state))) {
    if (!name.endsWith('.bias') || !state[name.replace(/bias$/, 'bitDepth')]) continue;
    const step = values.reduce((least, b) => (b === 0 ? least : Math.min(least, Math.abs(b))), Infinity);
    if (step === Infinity) continue;
    const power = 2 ** Math.floor(Math.log2(step));
    t.ok(
      values.every((b) => Number.isInteger((b / power) * 16)),
      name,
    );
  }
  t.equal((await trainer.encodeModel()).length, trainer.history.at(-1).modelBytes);
  t.ok(trainer.history.at(-1).modelBytes < 1.1 * 700, trainer.history.at(-1).modelBytes);
  await trainer.dispose();
});

t.test('a run that starts from a state with averages starts from them', async (t) => {
  const first = create({ epochs: 1 });
  await first.run();
  const state = await first.state();
  const { description } = first;
  const second = Trainer.create({ network: description, data: toyDataset(), ...quick, state });
  const begun = await second.state();
  t.same(begun['conv2d1.weight'], state['conv2d1.weight/average']);
  t.same(begun['conv2d1.weight/average'], state['conv2d1.weight/average']);
  await Promise.all([first.dispose(), second.dispose()]);
});

t.test('numbers that are no decay', (t) => {
  for (const ema of [-0.1, 1, Number.NaN]) t.throws(() => create({ ema }), { name: 'RangeError', message: /options\.ema/ });
  t.throws(() => create({ ema: '0.9' }), { name: 'TypeError', message: /options\.ema/ });
  const options = { device: 'cpu', loss: { kind: 'crossEntropy' }, optimizer: { kind: 'sgd' }, batchSize: 4 };
  t.throws(() => new binding.Network(toyNetwork(), { ...options, ema: 1 }), { message: /options\.ema/ });
  t.end();
});

t.test('--ema', (t) => {
  const folder = temporaryFolder(t);
  const selfcompress = (...args) => spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
  const out = join(folder, 'run');
  const common = ['--model', 'mlp', '--limit', '300', '--epochs', '2', '--batch-size', '64', '--json', '--quiet'];
  const trained = selfcompress('train', ...common, '--out', out, '--ema', '0.9');
  t.equal(trained.status, 0, trained.stderr);
  const last = JSON.parse(trained.stdout.trim().split('\n').at(-1));
  for (const file of ['', 'model.scnn']) {
    const { stdout, stderr } = selfcompress('eval', join(out, file), '--dataset', 'digits', '--json');
    const { accuracy, testAccuracy = accuracy } = JSON.parse(stdout);
    t.equal(testAccuracy, last.testAccuracy, `eval of the run's ${file || 'checkpoint'} is of the averages: ${stderr}`);
  }
  t.equal(readFileSync(join(out, 'model.scnn')).length, last.modelBytes);
  const refused = selfcompress('train', '--resume', out, '--ema', '0.5', '--epochs', '3');
  t.match(refused.stderr, /Expected no --ema with --resume/);
  t.match(selfcompress('train', ...common, '--out', out, '--ema', '1').stderr, /'--ema <decay>'/);
  const started = selfcompress('train', ...common, '--start', out, '--out', join(folder, 'next'));
  t.equal(started.status, 0, started.stderr);
  t.end();
});
