// Classes at every pixel: training, the overlap of what is predicted and what is right, resuming.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { meanIoU } from '../dist/training/mean-iou.js';
import { cli, createModel, digitScenes, Trainer, temporaryFolder } from './support.mjs';

t.setTimeout(600_000);

t.test('overlap by hand', async (t) => {
  const data = { shape: [1, 1, 4], mean: [0], std: [1], classes: 3 };
  const split = { images: new Float32Array(8), labels: Int32Array.of(0, 0, 1, -1, 1, 1, 0, 0), count: 2 };
  // Predicted: 0 1 1 2, 1 1 1 0; the fourth pixel does not count, so class 2 does not occur.
  const classes = [0, 1, 1, 2, 1, 1, 1, 0];
  const predict = async (_, count) =>
    Float32Array.from({ length: count * 12 }, (_, i) => (classes[Math.floor(i / 12) * 4 + (i % 4)] === Math.floor((i % 12) / 4) ? 1 : 0));
  const [zero, one] = [2 / 4, 3 / 5]; // of class 0: 2 of both, 4 labels, 2 predictions; of class 1: 3, 3, 5
  t.ok(Math.abs((await meanIoU({ predict }, data, split)) - (zero + one) / 2) < 1e-12);
});

t.test('a U-Net on scenes of digits', async (t) => {
  const data = await digitScenes({ size: 32, count: 48, testCount: 12 });
  const network = createModel('unet', { input: data.shape, classes: data.classes, width: 0.125 });
  const trainer = Trainer.create({ network, data, epochs: 3, batchSize: 8, learningRate: 0.01, gamma: 0, device: 'cpu' });
  let middle;
  trainer.on('step', ({ step }) => {
    if (step === 14) middle = trainer.checkpoint();
  });
  await trainer.run();
  const [first, , last] = trainer.history;
  t.equal(trainer.options.loss.perPosition, true);
  t.ok(last.trainLoss < first.trainLoss);
  t.ok(last.meanIoU > 0 && last.meanIoU < 1);
  t.ok(last.testAccuracy > first.testAccuracy || last.testLoss < first.testLoss);
  const again = await Trainer.resume(await middle, data);
  await again.run();
  t.same({ ...again.history[2], epochSeconds: 0, imagesPerSecond: 0 }, { ...last, epochSeconds: 0, imagesPerSecond: 0 });
  await again.dispose();
  await trainer.dispose();
});

t.test('from the command line', async (t) => {
  const out = join(temporaryFolder(t), 'run');
  const run = (...args) => spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
  const flags = ['--dataset', 'digit-scenes', '--limit', '32', '--model', 'unet', '--width', '0.07', '--batch-size', '16', '--epochs', '1'];
  const trained = run('train', ...flags, '--threads', '1', '--out', out);
  t.equal(trained.status, 0, trained.stderr);
  t.match(trained.stdout + trained.stderr, /mean IoU/);
  t.match(run('train', ...flags, '--length', '3').stderr, /Expected --dataset text with --length/);
});
