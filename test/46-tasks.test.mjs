// A network of every kind of task: it learns, its file says what it predicts, and docs/tasks.md is what was measured.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { friedman, metrics } from '../scripts/experiments/task-data.mjs';
import { tasksPage, worse } from '../scripts/experiments/task-page.mjs';
import {
  compressModel,
  datasetFromArrays,
  decodeModel,
  encodeModel,
  floats,
  loadModel,
  NetworkBuilder,
  randomNumbers,
  readCheckpoint,
  root,
  Trainer,
  temporaryFolder,
} from './support.mjs';

t.setTimeout(300_000);
const COUNT = 96;

/** Vectors of 6 numbers with answers that follow from them. */
async function dataOf(task) {
  const random = randomNumbers(3);
  const split = () => {
    const images = floats(random, COUNT * 6);
    const answers = (width, of) => Array.from({ length: COUNT * width }, (_, i) => of(images[6 * Math.floor(i / width) + (i % width)]));
    if (task === 'classification') return { images, labels: answers(1, (x) => Number(x > 0)) };
    return { images, targets: answers(3, task === 'multiLabel' ? (x) => Number(x > 0) : (x) => x / 50) };
  };
  const classes = { classification: 2, multiLabel: 3 }[task];
  return datasetFromArrays({ shape: [6], task, ...(classes && { classes }), train: split(), test: split() });
}

const networkFor = (outFeatures) => {
  const net = new NetworkBuilder([6]);
  return net.build(net.linear(net.relu(net.linear('input', { outFeatures: 24 })), { outFeatures }));
};
const bare = (data) => {
  const net = new NetworkBuilder([...data.shape]);
  return net.build(net.linear(net.flatten('input'), { outFeatures: 3 }));
};

const LOSSES = [
  ['classification', { kind: 'crossEntropy' }],
  ['multiLabel', { kind: 'binaryCrossEntropy' }],
  ['regression', { kind: 'meanSquaredError' }],
  ['regression', { kind: 'l1' }],
  ['regression', { kind: 'huber', delta: 0.01 }],
];

for (const [task, loss] of LOSSES) {
  t.test(`${task}, ${loss.kind}`, async (t) => {
    const data = await dataOf(task);
    const outFeatures = task === 'classification' ? 2 : 3;
    const trainer = Trainer.create({ network: networkFor(outFeatures), data, loss, epochs: 12, batchSize: 16, learningRate: 0.01, gamma: 1e-4 });
    const before = await trainer.evaluate();
    await trainer.run();
    t.ok((await trainer.evaluate()).loss < 0.6 * before.loss, `${before.loss} → ${(await trainer.evaluate()).loss}`);
    const bytes = await trainer.encodeModel();
    const model = await loadModel(bytes);
    const [prediction] = await model.predict([data.test.images.slice(0, 6)]);
    const classifies = task === 'classification';
    t.equal(prediction.label !== undefined, classifies, 'only classes have a label');
    t.equal(prediction.top(2).length, classifies ? 2 : 0);
    t.equal(model.metadata.task, classifies ? undefined : task);
    const { network, state, info } = await decodeModel(bytes);
    t.equal(info.task, classifies ? undefined : task);
    t.ok(Buffer.from(await encodeModel(network, state, info)).equals(Buffer.from(bytes)), 'the file again, to the byte');
    const path = join(temporaryFolder(t), 'checkpoint');
    await trainer.saveCheckpoint(path);
    const again = await Trainer.resume(path, data, { epochs: 13 });
    await again.run();
    t.equal((await readCheckpoint(path)).data.task, classifies ? undefined : task);
    await t.rejects(
      Promise.resolve().then(() => encodeModel(network, state, { ...info, task: 'guess' })),
      { message: /info\.task/ },
    );
    await Promise.all([trainer.dispose(), again.dispose()]);
    model.dispose();
  });
}

t.test('a compressed network of several labels or numbers has no label either', async (t) => {
  for (const task of ['multiLabel', 'regression']) {
    const data = await dataOf(task);
    const trainer = Trainer.create({ network: bare(data), data, loss: { kind: 'l1' }, epochs: 1, batchSize: 16 });
    const original = { network: trainer.description, state: await trainer.state() };
    const { model } = await compressModel(original, data, { epochs: 1, target: { bitsFraction: 0.1 } });
    t.equal((await decodeModel(model)).info.task, task);
    await trainer.dispose();
  }
});

t.test('metrics on answers that are known', (t) => {
  const scores = (...rows) => rows.map((row) => Float32Array.from(row));
  t.equal(metrics.accuracy.of(scores([1, 0], [0, 1], [3, 2]), { labels: [0, 0, 0], count: 3 }), 2 / 3);
  t.equal(metrics.f1.of(scores([1, -1], [1, 1]), { targets: [1, 0, 0, 1] }), 4 / 5);
  t.equal(metrics.r2.of(scores([1], [2], [3]), { targets: [1, 2, 3] }), 1);
  t.equal(metrics.r2.of(scores([2], [2], [2]), { targets: [1, 2, 3] }), 0);
  t.equal(metrics.pixels.of(scores([0.5, 0], [0, 0]), { targets: [0, 0, 0, 0] }), 2.5);
  const labels = new Int32Array(1600).fill(1, 0, 800);
  const right = Float32Array.from({ length: 3200 }, (_, i) => Number(labels[i % 1600] === Math.floor(i / 1600)));
  t.equal(metrics.meanIoU.of([right], { labels }), 1);
  t.equal(metrics.meanIoU.of([new Float32Array(3200)], { labels }), 0.25);
  t.end();
});

t.test("Friedman's function is the same every time, and noise is in the training targets alone", async (t) => {
  const [clean, again, noisy] = await Promise.all([friedman(0), friedman(0), friedman(0.1)]);
  t.same(clean.train.targets, again.train.targets);
  const variance = ({ targets }) => targets.reduce((sum, y) => sum + y * y, 0) / targets.length;
  t.ok(Math.abs(variance(clean.test) - 1) < 0.1, `in units of its deviation: ${variance(clean.test)}`);
  t.ok(Math.abs(variance(noisy.test) - 1) < 0.1);
  t.ok(variance(noisy.train) > 2);
});

t.test('the page is that of the runs, and says what is worse', (t) => {
  const { rows } = JSON.parse(readFileSync(join(root, 'docs/tasks.json'), 'utf8'));
  t.ok(rows.length >= 5);
  t.equal(readFileSync(join(root, 'docs/tasks.md'), 'utf8'), tasksPage(rows));
  const [row] = structuredClone(rows);
  for (const { small } of row.tries.at(-1).runs) small.value = metrics[row.metric].higher ? 0 : 1e3;
  t.ok(worse({ ...row, runs: row.tries.at(-1).runs }));
  t.match(tasksPage([row]), /Still worse at the second/);
  t.end();
});
