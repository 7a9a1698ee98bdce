// Training runs: learning, shrinking, repeating, stopping, failing clearly.
import t from 'tap';
import { binding, createModel, datasetFromArrays, Trainer, TrainingDivergedError, toyDataset, toyNetwork, withoutTimes } from './support.mjs';

const quick = { epochs: 6, batchSize: 64, learningRate: 0.01, gamma: 0.3, bits: { initial: 6, learningRate: 0.2, freezeAt: 0.8 }, seed: 4 };

t.test('a listener whose promise fails after the run has failed ends nothing else', async (t) => {
  const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), epochs: 2, batchSize: 64, gamma: 0 });
  const late = [];
  const keep = (error) => late.push(error);
  process.on('unhandledRejection', keep);
  trainer.on('step', async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    throw new Error('late');
  });
  trainer.onEpochEnd = () => Promise.reject(new Error('first'));
  await t.rejects(trainer.run(), { message: /first|late/ });
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.same(late, []);
  process.off('unhandledRejection', keep);
  await trainer.dispose();
});

t.test('a network learns while it shrinks, and its channels are removed', async (t) => {
  const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset({ count: 512 }), ...quick, epochs: 25, gamma: 0.15 });
  const removals = [];
  trainer.on('removal', (event) => removals.push(event));
  t.equal(await trainer.run(), 'epochs');
  const [first, last] = [trainer.history[0], trainer.history.at(-1)];
  t.ok(last.testAccuracy > 0.95, `accuracy ${last.testAccuracy}`);
  t.ok(last.bitsFraction < first.bitsFraction / 2, `bits ${first.bitsFraction} -> ${last.bitsFraction}`);
  t.ok(last.weights < first.weights, `weights ${first.weights} -> ${last.weights}`);
  t.ok(removals.length > 0);
  t.ok(last.modelBytes < first.modelBytes);
  const present = trainer.description.nodes.find((n) => n.name === 'conv3').outChannels;
  t.equal(present, removals.at(-1).left.conv3);
  const state = await trainer.state();
  t.equal(state['conv3.weight/moment1'].length, state['conv3.weight'].length);
  t.ok((await trainer.memory()).parameterBytes > 0);
  await trainer.dispose();
});

t.test('bf16 rounds what training multiplies, not what evaluation measures', async (t) => {
  const data = toyDataset({ count: 512, size: 20 });
  const network = createModel('notebook', { input: [1, 20, 20], classes: 4 });
  const options = { network, data, epochs: 1, batchSize: 64, gamma: 0.1, seed: 3, device: 'cpu' };
  const trainers = ['fp32', 'bf16', 'bf16'].map((precision) => Trainer.create({ ...options, precision }));
  for (const trainer of trainers) await trainer.run();
  const [exact, rounded, again] = trainers.map((trainer) => trainer.history[0]);
  t.not(rounded.trainLoss, exact.trainLoss);
  t.ok(Math.abs(rounded.trainLoss / exact.trainLoss - 1) < 0.1, `${rounded.trainLoss} against ${exact.trainLoss}`);
  t.equal(again.trainLoss, rounded.trainLoss, 'a seeded run repeats');
  const compile = (precision) =>
    new binding.Network(trainers[1].description, {
      device: 'cpu',
      precision,
      loss: { kind: 'crossEntropy' },
      optimizer: { kind: 'sgd' },
      batchSize: 8,
    });
  const [plain, short] = [compile('fp32'), compile('bf16')];
  const parameters = Object.fromEntries(Object.entries(await trainers[1].state()).filter(([name]) => !name.includes('/')));
  for (const compiled of [plain, short]) await compiled.loadState(parameters);
  const images = Float32Array.from({ length: 8 * 400 }, (_, i) => Math.sin(i));
  t.same(await short.predict(images, 8), await plain.predict(images, 8));
  for (const one of [...trainers, plain, short]) await one.dispose();
});

t.test('metrics are what they say', async (t) => {
  const data = toyDataset();
  const trainer = Trainer.create({ network: toyNetwork(), data, ...quick, epochs: 2 });
  await trainer.run();
  const m = trainer.history[1];
  const { loss, accuracy } = await trainer.evaluate();
  t.equal(m.testLoss, loss);
  t.equal(m.testAccuracy, accuracy);
  t.equal(m.step, 8);
  t.equal(
    m.bits,
    m.layers.reduce((sum, layer) => sum + layer.bits, 0),
  );
  t.equal(m.bitsFraction, m.bits / 32 / (72 + 576 + 864 + 768));
  t.equal((await trainer.encodeModel()).length, m.modelBytes);
});

t.test('a seed repeats a run exactly, whatever the number of threads; another seed does not', async (t) => {
  const before = binding.info().threads;
  const all = { shift: 1, flip: true, cutout: 3, rotate: 20, scale: 0.2 };
  const run = async (seed, threads, augmentation = all) => {
    binding.setThreads(threads);
    const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick, seed, augmentation });
    await trainer.run();
    return trainer.history.map(withoutTimes);
  };
  const one = await run(1, 1);
  t.same(await run(1, 4), one);
  t.notSame(await run(2, 1), one);
  t.notSame(await run(1, 1, { ...all, rotate: 0 }), one, 'images are turned');
  t.notSame(await run(1, 1, { ...all, scale: 0 }), one, 'and scaled');
  binding.setThreads(before);
});

t.test('events come in order', async (t) => {
  const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick, epochs: 2 });
  const events = [];
  trainer.on('step', (s) => events.push(`step ${s.epoch}.${s.stepInEpoch}`));
  trainer.on('epoch', (m) => events.push(`epoch ${m.epoch}`));
  await trainer.run();
  t.same(events, ['step 1.1', 'step 1.2', 'step 1.3', 'step 1.4', 'epoch 1', 'step 2.1', 'step 2.2', 'step 2.3', 'step 2.4', 'epoch 2']);
});

t.test('targets and stop end a run early', async (t) => {
  const target = Trainer.create({
    network: toyNetwork(),
    data: toyDataset(),
    ...quick,
    epochs: 50,
    gamma: 1,
    stopAt: { bitsFraction: 0.1, accuracy: 0.5 },
  });
  t.equal(await target.run(), 'early');
  t.ok(target.history.at(-1).bitsFraction <= 0.1);
  t.ok(target.epoch < 50);
  const smaller = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick, epochs: 50, gamma: 1, stopAt: { weightsFraction: 0.7 } });
  t.equal(await smaller.run(), 'early');
  const shares = smaller.history.map(({ weightsFraction }) => weightsFraction);
  t.ok(shares.at(-1) <= 0.7 && shares.slice(0, -1).every((share) => share > 0.7), `after the first epoch that has it: ${shares}`);
  const stopped = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick });
  stopped.on('epoch', () => stopped.stop());
  t.equal(await stopped.run(), 'stopped');
  t.equal(stopped.epoch, 1);
  t.equal(await stopped.run(), 'stopped', 'and may go on');
  t.equal(stopped.epoch, 2);
});

t.test('sizes stay as they are after they freeze', async (t) => {
  const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick, epochs: 6, bits: { ...quick.bits, freezeAt: 0.5 } });
  const depths = [];
  trainer.onEpochEnd = async () => depths.push([...(await trainer.state())['conv3.bitDepth']].filter((b) => b > 0));
  await trainer.run();
  t.same(depths[3], depths[5]);
  t.ok(depths[3].every((b) => Number.isInteger(b)));
  t.notSame(depths[0], depths[1]);
});

t.test('a channel keeps its range or its steps when its depth changes', async (t) => {
  for (const keepRange of [true, false]) {
    const trainer = Trainer.create({
      network: toyNetwork(),
      data: toyDataset(),
      ...quick,
      remove: false,
      bits: { ...quick.bits, exponentLearningRate: 0, keepRange },
    });
    const before = await trainer.state();
    await trainer.run();
    const after = await trainer.state();
    let changed = 0;
    for (const layer of ['conv1', 'conv2', 'conv3', 'linear']) {
      for (let c = 0; c < after[`${layer}.bitDepth`].length; c++) {
        const [b0, b1] = [before, after].map((state) => state[`${layer}.bitDepth`][c]);
        const [e0, e1] = [before, after].map((state) => state[`${layer}.exponent`][c]);
        if (b1 === 0) continue;
        changed += b0 !== b1;
        if (keepRange) t.ok(Math.abs(e1 + b1 - e0 - b0) < 1e-3, `${layer} ${c}: ${e0} + ${b0}, ${e1} + ${b1}`);
        else t.equal(e1, e0);
      }
    }
    t.ok(changed > 10);
  }
});

t.test('plain networks train in the same trainer', async (t) => {
  const trainer = Trainer.create({ network: toyNetwork({ compress: false }), data: toyDataset(), ...quick });
  await trainer.run();
  t.equal(trainer.history.at(-1).bitsFraction, 1);
  t.ok(trainer.history.at(-1).testAccuracy > 0.9);
});

t.test('every optimizer and schedule trains', async (t) => {
  for (const optimizer of [
    { kind: 'sgd', momentum: 0.9 },
    { kind: 'adamw', weightDecay: 0.01 },
    { kind: 'adam', maxGradientNorm: 1 },
  ]) {
    for (const schedule of [{ kind: 'constant' }, { kind: 'cosine', warmup: 0.1 }, { kind: 'step', at: [0.5] }]) {
      const learningRate = optimizer.kind === 'sgd' ? 0.05 : 0.01;
      const trainer = Trainer.create({
        network: toyNetwork(),
        data: toyDataset(),
        ...quick,
        learningRate,
        optimizer,
        schedule,
        penalty: 'coupled',
        gamma: 0.05,
      });
      await trainer.run();
      t.ok(trainer.history.at(-1).trainLoss < 0.5, `${optimizer.kind} ${schedule.kind}: ${trainer.history.at(-1).trainLoss}`);
    }
  }
});

t.test('a loss that is no number ends the run with a clear error', async (t) => {
  const diverges = Trainer.create({
    network: toyNetwork({ compress: false }),
    data: toyDataset(),
    ...quick,
    learningRate: 1e6,
    optimizer: { kind: 'sgd' },
    schedule: { kind: 'constant' },
  });
  await t.rejects(diverges.run(), { name: 'TrainingDivergedError', message: /The loss became (NaN|Infinity|-Infinity) in step \d+ \(epoch \d+\)/ });
  const toy = toyDataset();
  const images = Float32Array.from(toy.train.images);
  images[5] = 8e37; // finite, as data must be, but no sum of its products is
  const test = { images: toy.test.images, labels: toy.test.labels };
  const data = await datasetFromArrays({ shape: toy.shape, classes: 4, mean: [0], std: [1], train: { images, labels: toy.train.labels }, test });
  await t.rejects(Trainer.create({ network: toyNetwork(), data, ...quick }).run(), TrainingDivergedError);
});

t.test('wrong options are named', async (t) => {
  const create = (options) => () => Trainer.create({ network: toyNetwork(), data: toyDataset(), ...options });
  t.throws(create({ gamma: -0.1 }), { name: 'RangeError', message: 'Expected a number from 0 to 1000000 for options.gamma but received -0.1' });
  t.throws(create({ gamma: '0.1' }), { name: 'TypeError', message: /options\.gamma/ });
  t.throws(create({ gamma: Number.NaN }), { name: 'RangeError', message: /options\.gamma/ });
  t.throws(create({ epochs: 0 }), { name: 'RangeError', message: /options\.epochs/ });
  t.throws(create({ batchSize: 1.5 }), { message: /options\.batchSize/ });
  t.throws(create({ learnRate: 1 }), { message: /learnRate/ });
  t.throws(create({ schedule: { kind: 'linear' } }), { message: /options\.schedule\.kind/ });
  t.throws(create({ bits: { inital: 3 } }), { message: /inital/ });
  t.throws(create({ optimizer: { kind: 'adam', keepRange: false } }), { message: /options\.bits\.keepRange/ });
  t.throws(create({ device: 'gpu' }), { name: 'TypeError', message: /options\.device/ });
  t.throws(create({ device: 'cuda:999' }), { message: /options\.device/ });
  await t.rejects(Trainer.create({ network: toyNetwork({ size: 14 }), data: toyDataset() }).evaluate(), RangeError, 'images of another shape');
  const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick });
  const running = trainer.run();
  await t.rejects(trainer.run(), /already running/);
  await running;
});
