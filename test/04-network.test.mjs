// The native network: steps run off the event loop, in order, and repeat exactly; processes end cleanly.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { binding, floats, initialState, inspectNetwork, randomNumbers, range, root, temporaryFolder, toyDataset, toyNetwork } from './support.mjs';

const options = { device: 'cpu', loss: { kind: 'crossEntropy' }, optimizer: { kind: 'adam' }, batchSize: 64 };
const settings = (step) => ({ step, seed: 3, gamma: 0.1, learningRate: 0.01, bitDepthLearningRate: 0.05, exponentLearningRate: 0.02 });

function nativeData(toy) {
  return new binding.DataSet({
    shape: toy.shape,
    images: toy.train.images,
    labels: toy.train.labels,
    classes: toy.classes,
    mean: toy.mean,
    std: toy.std,
  });
}
async function startedNetwork(description = toyNetwork(), more = {}) {
  const network = new binding.Network(description, { ...options, ...more });
  await network.loadState(initialState(network.parameters, 1, { bitDepth: 6, headroom: 1 }));
  return network;
}

t.test('learns, and the same seed gives the same numbers for any number of threads', async (t) => {
  const data = nativeData(toyDataset());
  const before = binding.info().threads;
  const run = async (threads) => {
    binding.setThreads(threads);
    const network = await startedNetwork();
    const steps = [];
    for (let s = 1; s <= 25; s++) steps.push(network.trainStep(data, range(s % 5 === 0 ? 37 : 64), settings(s))); // queued without waiting
    const losses = (await Promise.all(steps)).map((r) => r.loss);
    return { losses, state: await network.state(), evaluation: await network.evaluate(data, range(256)) };
  };
  const one = await run(1);
  t.same(await run(3), one);
  t.ok(one.losses[24] < one.losses[0] / 3, `${one.losses[0]} -> ${one.losses[24]}`);
  t.ok(one.evaluation.correct > 200);
  binding.setThreads(before);
});

t.test('the event loop turns while native work runs', async (t) => {
  const data = nativeData(toyDataset());
  const network = await startedNetwork();
  let turns = 0;
  let running = true;
  const count = () => {
    turns++;
    if (running) setImmediate(count);
  };
  count();
  await network.evaluate(data, new Int32Array(20000));
  running = false;
  t.ok(turns > 10, `${turns} turns`);
});

t.test('predict agrees with evaluate', async (t) => {
  const toy = toyDataset();
  const data = nativeData(toy);
  const network = await startedNetwork();
  const images = Float32Array.from(toy.train.images, (x) => (x / 255 - toy.mean[0]) / toy.std[0]);
  const logits = await network.predict(images, toy.train.count);
  let correct = 0;
  for (let i = 0; i < toy.train.count; i++) {
    const row = logits.subarray(i * 4, i * 4 + 4);
    correct += row.indexOf(Math.max(...row)) === toy.train.labels[i];
  }
  t.equal(correct, (await network.evaluate(data, range(toy.train.count))).correct);
  t.equal((await network.predict(new Float32Array(0), 0)).length, 0);
});

t.test('a set made of slices is the set', async (t) => {
  const { train, ...rest } = toyDataset();
  const network = await startedNetwork();
  const options = { shape: rest.shape, classes: 4, mean: rest.mean, std: rest.std };
  const whole = await network.evaluate(nativeData({ train, ...rest }), range(train.count));
  const size = train.images.length / train.count;
  const part = (from, to) => ({ images: train.images.subarray(from * size, to * size), labels: train.labels.subarray(from, to) });
  const set = new binding.DataSet({ ...options, ...part(0, 5), examples: train.count });
  t.equal(set.count, train.count);
  t.throws(() => network.evaluate(set, range(4)), /all of its 256 examples for data but received one with 5/);
  set.append(part(5, 6));
  t.throws(() => set.append({ ...part(6, 8), labels: Int32Array.of(1, 4) }), /0 to 3 for more.labels\[7\] but received 4/);
  t.throws(() => set.append({ images: new Float32Array(size), labels: range(1) }), TypeError, 'bytes and floats');
  t.throws(() => set.append({ images: part(6, 7).images }), TypeError, 'no labels');
  t.throws(() => set.append({ ...part(6, 7), targets: new Float32Array(1) }), TypeError, 'targets, which the others lack');
  t.throws(() => set.append({ ...part(0, 256) }), RangeError, 'beyond the end');
  t.throws(() => set.append({ ...part(6, 8), images: train.images.subarray(1, size) }), RangeError, 'no whole image');
  let appended = false;
  const meddling = {
    images: part(6, 8).images,
    get labels() {
      if (!appended) set.append(part(6, 7));
      appended = true;
      return part(6, 8).labels;
    },
  };
  t.throws(() => set.append(meddling), /its own arguments leave alone/);
  set.append(part(7, train.count));
  t.same(await network.evaluate(set, range(train.count)), whole);
  t.throws(() => set.append(part(0, 1)), /lacks examples/);

  const tokens = Int32Array.from({ length: 50 }, (_, i) => i % 7);
  const text = new binding.DataSet({ tokens: tokens.subarray(0, 10), length: 8, vocabulary: 7, windows: true, examples: 42 });
  t.throws(() => text.append({ tokens: Int32Array.of(7) }), /0 to 6 for more.tokens\[10\]/);
  t.throws(() => text.append({ tokens: tokens.subarray(9) }), RangeError);
  text.append({ tokens: tokens.subarray(10) });
  t.throws(() => new binding.DataSet({ ...options, ...part(0, 5), examples: 4 }), RangeError);
});

t.test('gradients change nothing', async (t) => {
  const data = nativeData(toyDataset());
  const network = await startedNetwork();
  const before = await network.state();
  const gradients = await network.gradients(data, range(64), settings(1));
  t.same(await network.state(), before);
  t.ok(gradients['conv1.weight'].some((x) => x !== 0));
  t.ok(gradients['conv2.bitDepth'].every((x) => Number.isFinite(x)));
});

t.test('a disposed network rejects, and disposing waits for queued work', async (t) => {
  const data = nativeData(toyDataset());
  const network = await startedNetwork();
  const step = network.trainStep(data, range(64), settings(1));
  const disposed = network.dispose();
  t.ok(Number.isFinite((await step).loss));
  await disposed;
  await network.dispose();
  await t.rejects(network.state(), /disposed/);
  await t.rejects(network.trainStep(data, range(4), settings(2)), /disposed/);
});

t.test('mean squared error on targets', async (t) => {
  const random = randomNumbers(5);
  const images = floats(random, 64 * 6);
  const targets = Float32Array.from({ length: 64 }, (_, i) => images[i * 6] - 2 * images[i * 6 + 1]);
  const data = new binding.DataSet({ shape: [6, 1, 1], images, targets });
  const network = await startedNetwork(
    { input: [6, 1, 1], nodes: [{ kind: 'linear', name: 'out', inputs: ['input'], outFeatures: 1, compress: false }], output: 'out' },
    { loss: { kind: 'meanSquaredError' } },
  );
  let result;
  for (let s = 1; s <= 1000; s++) result = await network.trainStep(data, range(64), { ...settings(s), learningRate: 0.02 });
  t.ok(result.loss < 1e-3, `${result.loss}`);
  t.throws(() => network.evaluate(nativeData(toyDataset()), range(1)), RangeError, 'another shape');
});

t.test('inspectNetwork tells shapes and parameters', async (t) => {
  const { shapes, parameters, weights } = inspectNetwork(toyNetwork());
  t.same(shapes.conv2, [8, 12, 12]);
  t.same(parameters.find((p) => p.name === 'linear.weight').shape, [4, 12 * 4 * 4]);
  t.equal(weights, 8 * 9 + 8 * 8 * 9 + 12 * 8 * 9 + 4 * 192);
});

const program = `
  import { binding, Trainer } from ${JSON.stringify(pathToFileURL(join(root, 'dist/index.js')).href)};
  const net = { input: [1, 28, 28], nodes: [{ kind: 'conv2d', name: 'a', inputs: ['input'], outChannels: 64, kernel: [5, 5] }, { kind: 'linear', name: 'b', inputs: ['a'], outFeatures: 10 }], output: 'b' };
  const network = new binding.Network(net, { loss: { kind: 'crossEntropy' }, optimizer: { kind: 'adam' }, batchSize: 512 });
  const data = new binding.DataSet({ shape: [1, 28, 28], images: new Uint8Array(784 * 512), labels: new Int32Array(512), classes: 10 });
  const work = () => network.trainStep(data, Int32Array.from({ length: 512 }, (_, i) => i), { step: 1, seed: 1, gamma: 0, learningRate: 0, bitDepthLearningRate: 0, exponentLearningRate: 0 });
`;
t.test('processes end cleanly: with work queued, on exit, on an uncaught error', async (t) => {
  const run = (end) => spawnSync(process.execPath, ['--input-type=module', '-e', program + end], { encoding: 'utf8', timeout: 60000 });
  const waits = run('let n = 0; for (let i = 0; i < 5; i++) work().then(() => { if (++n === 5) console.log("all done") });');
  t.equal(waits.stdout.trim(), 'all done', 'the process stays alive for queued work');
  t.equal(waits.status, 0);
  const exits = run('for (let i = 0; i < 50; i++) work(); setTimeout(() => process.exit(7), 50);');
  t.equal(exits.status, 7, exits.stderr);
  const throws = run('for (let i = 0; i < 50; i++) work(); setTimeout(() => { throw new Error("own error") }, 50);');
  t.equal(throws.status, 1);
  t.match(throws.stderr, /own error/);
  t.equal(run('').status, 0, 'nothing queued: ends at once');
});

t.test('several worker threads, ended in the middle of their work', async (t) => {
  const file = join(temporaryFolder(t), 'worker.mjs');
  writeFileSync(
    file,
    `import { parentPort } from 'node:worker_threads';\n${program}\nfor (let i = 0; i < 100; i++) work().then(() => parentPort.postMessage('step'));`,
  );
  const workers = [1, 2, 3].map(() => new Worker(file));
  await Promise.all(
    workers.map(
      (w) =>
        new Promise((resolve, reject) => {
          w.once('message', resolve);
          w.once('error', reject);
        }),
    ),
  );
  await Promise.all(workers.map((w) => w.terminate()));
  const data = nativeData(toyDataset());
  t.ok(Number.isFinite((await (await startedNetwork()).trainStep(data, range(64), settings(1))).loss), 'this thread goes on');
});
