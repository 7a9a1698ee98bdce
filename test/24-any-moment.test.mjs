// Checkpoints of any moment, listeners that throw, and runs whose numbers are spoilt: what is saved is always good to go on from.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { RunDirectory } from '../dist/report/run-directory.js';
import {
  binding,
  datasetFromArrays,
  readCheckpoint,
  Trainer,
  TrainingDivergedError,
  temporaryFolder,
  toyDataset,
  toyNetwork,
  withoutTimes,
} from './support.mjs';

const quick = {
  epochs: 5,
  batchSize: 48,
  learningRate: 0.01,
  gamma: 2,
  bits: { initial: 3, learningRate: 0.4, freezeAt: 0.7 },
  seed: 4,
  augmentation: { shift: 1 },
};
const create = (changes) => Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick, ...changes });

async function finish(trainer) {
  await trainer.run();
  const result = { history: trainer.history.map(withoutTimes), state: await trainer.state(), description: trainer.description };
  await trainer.dispose();
  return result;
}
const whole = await finish(create());
t.ok(whole.history[0].channels > whole.history.at(-1).channels, 'channels are removed on the way');

t.test('a checkpoint of any moment resumes to the same numbers', async (t) => {
  const trainer = create();
  const taken = [];
  const take = (when) => taken.push(trainer.checkpoint().then((checkpoint) => ({ when, checkpoint })));
  trainer.on('step', ({ step }) => step % 3 === 0 && take(`step ${step}`));
  trainer.on('removal', ({ epoch }) => take(`removal ${epoch}`));
  trainer.on('epoch', ({ epoch }) => {
    take(`epoch ${epoch}`);
    setImmediate(() => take(`one tick after epoch ${epoch}`));
    Promise.resolve().then(() => take(`one microtask after epoch ${epoch}`));
  });
  trainer.onEpochEnd = async ({ epoch }) => take(`onEpochEnd ${epoch}`);
  take('before the start');
  let running = true;
  const others = (async () => {
    while (running) {
      await new Promise((resolve) => setTimeout(resolve, 3));
      if (running) take(`some moment, ${trainer.step} steps`);
    }
  })();
  const result = await trainer.run();
  running = false;
  await others;
  t.equal(result, 'epochs');
  const all = await Promise.all(taken);
  t.same(trainer.history.map(withoutTimes), whole.history, 'taking them changes nothing');
  const inside = all.filter(({ checkpoint }) => checkpoint.progress);
  t.ok(inside.length >= 5, `${inside.length} of ${all.length} inside an epoch`);
  const seen = new Set();
  for (const { when, checkpoint } of all) {
    const place = `${checkpoint.epoch} ${checkpoint.step}`;
    if (seen.has(place)) continue;
    seen.add(place);
    const { history, state } = await finish(await Trainer.resume(checkpoint, toyDataset()));
    t.same(history, whole.history, when);
    t.same(state, whole.state, when);
  }
  t.ok(seen.size >= 10, `${seen.size} places`);
});

t.test('stop at a step, save, and go on: in another trainer or in the same', async (t) => {
  const path = join(temporaryFolder(t), 'checkpoint');
  for (const at of [1, 4, 6, 13, 24]) {
    const first = create();
    first.on('step', ({ step }) => step === at && first.stop('step'));
    t.equal(await first.run(), 'stopped');
    t.ok(first.step >= at && first.step < at + 4, `step ${first.step}`);
    await first.saveCheckpoint(path);
    const { progress } = await readCheckpoint(path);
    t.equal(progress?.steps ?? 0, first.step % first.stepsPerEpoch);
    t.same((await finish(await Trainer.resume(path, toyDataset()))).history, whole.history);
    t.same((await finish(first)).state, whole.state);
  }
  t.throws(() => create().stop('now'), { name: 'TypeError', message: /after/ });
});

t.test('a listener that throws ends the run where it can go on', async (t) => {
  const wrong = new Error('from a listener');
  for (const how of ['throws', 'rejects']) {
    for (const [event, at] of [
      ['step', 1],
      ['step', 5],
      ['step', 6],
      ['step', 14],
      ['epoch', 1],
      ['epoch', 5],
      ['removal', 1],
    ]) {
      const trainer = create();
      let calls = 0;
      let others = 0;
      trainer.on(event, () => {
        if (++calls !== at) return;
        if (how === 'rejects') return Promise.reject(wrong);
        throw wrong;
      });
      trainer.on(event, () => others++);
      const saved = [];
      trainer.onEpochEnd = async ({ epoch }) => saved.push(epoch);
      await t.rejects(trainer.run(), wrong, `${event} ${at} ${how}`);
      t.equal(others, calls, 'the other listeners are called all the same');
      t.same(
        saved,
        trainer.history.map(({ epoch }) => epoch),
        'an epoch that is done has been saved',
      );
      const checkpoint = await trainer.checkpoint();
      t.same((await finish(await Trainer.resume(checkpoint, toyDataset()))).state, whole.state, `${event} ${at} ${how}, resumed`);
      t.same((await finish(trainer)).history, whole.history, `${event} ${at} ${how}, gone on`);
    }
  }
});

/** Runs `work` with networks whose tensor `name` is set to `value` by the update of step `at`. */
async function spoiling({ name, value, at }, work) {
  const Original = binding.Network;
  binding.Network = class extends Original {
    trainStep(data, indices, settings) {
      const result = super.trainStep(data, indices, settings);
      if (settings.step !== at) return result;
      const state = super.state();
      return result.then(async (r) => {
        const values = (await state)[name];
        values[values.length - 1] = value;
        await super.loadState({ [name]: values });
        return r;
      });
    }
  };
  try {
    return await work();
  } finally {
    binding.Network = Original;
  }
}

t.test('a state that is not finite takes nothing over: every tensor, at the last step of an epoch', async (t) => {
  const data = toyDataset({ count: 64 });
  const options = { network: toyNetwork(), data, ...quick, batchSize: 32, epochs: 3 };
  const example = Trainer.create(options);
  const names = Object.keys(await example.state());
  t.ok(names.some((name) => name.endsWith('/moment2')) && names.some((name) => name.endsWith('.bitDepth')));
  for (const [i, name] of names.entries()) {
    const value = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY][i % 3];
    const folder = temporaryFolder(t);
    await spoiling({ name, value, at: 4 }, async () => {
      const directory = await RunDirectory.create(folder, { model: 'toy', dataset: 'toy' });
      const trainer = Trainer.create(options);
      await directory.begin(trainer);
      trainer.onEpochEnd = (metrics) => directory.record(trainer, metrics);
      const before = {};
      trainer.on('step', ({ step }) => {
        if (step === 3) for (const file of ['checkpoint', 'model.scnn', 'metrics.jsonl']) before[file] = readFileSync(join(folder, file));
      });
      const error = await trainer.run().catch((e) => e);
      t.ok(error instanceof TrainingDivergedError, `${name}: ${error}`);
      t.match(error.message, /became (NaN|Infinity|-Infinity) in step 4 \(epoch 2\)/, name);
      t.match(error, { epoch: 2, step: 4, checkpoint: { path: join(folder, 'checkpoint'), epoch: 1, step: 2 } });
      t.ok(error.message.includes(`${join(folder, 'checkpoint')} keeps the state of step 2 (1 epochs done)`), error.message);
      for (const [file, bytes] of Object.entries(before)) t.same(readFileSync(join(folder, file)), bytes, `${file} stays`);
      for (const save of [() => trainer.checkpoint(), () => trainer.saveCheckpoint(join(folder, 'other')), () => trainer.run()])
        await t.rejects(save(), TrainingDivergedError, `${name} cannot be saved`);
      t.notOk(existsSync(join(folder, 'other')));
      await directory.close();
      await trainer.dispose();
    });
  }
});

t.test('a checkpoint inside an epoch is looked at as well, and so is the loss on the test images', async (t) => {
  await spoiling({ name: 'conv2.weight/moment2', value: Number.POSITIVE_INFINITY, at: 2 }, async () => {
    const trainer = create();
    trainer.on('step', ({ step }) => step === 2 && trainer.stop('step'));
    t.equal(await trainer.run(), 'stopped');
    await t.rejects(trainer.checkpoint(), { name: 'TrainingDivergedError', message: /conv2\.weight\/moment2 became Infinity/ });
  });
  const toy = toyDataset();
  const images = Float32Array.from(toy.test.images);
  images.fill(8e37, 0, 144); // finite, as data must be; the sum over such an image is not
  const test = { images, labels: toy.test.labels };
  const train = { images: Float32Array.from(toy.train.images, (x) => x / 255), labels: toy.train.labels };
  const data = await datasetFromArrays({ shape: toy.shape, classes: 4, mean: [0], std: [1], train, test });
  const network = { ...toyNetwork(), nodes: toyNetwork().nodes.filter(({ kind }) => kind === 'flatten' || kind === 'linear') };
  network.nodes[0].inputs = ['input'];
  const state = { 'linear.weight': new Float32Array(4 * 144).fill(1) };
  await t.rejects(Trainer.create({ network, data, state, ...quick }).run(), {
    name: 'TrainingDivergedError',
    message: /The loss on the test images became NaN/,
  });
});
