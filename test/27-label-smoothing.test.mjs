// Label smoothing: PyTorch's loss and gradients at labels, positions, with weights of classes; the option of a run.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { binding, cli, difference, floats, randomNumbers, range, Trainer, temporaryFolder, toyDataset, toyNetwork } from './support.mjs';

const python = '/usr/bin/python3';
const hasTorch = spawnSync(python, ['-c', 'import torch'], { encoding: 'utf8' }).status === 0;
const script = `
import json, sys, torch
job = json.load(sys.stdin)
x, w = torch.tensor(job["images"]).view(job["shape"]), torch.tensor(job["weight"]).requires_grad_()
z = torch.einsum("nchw,kc->nkhw", x, w.view(job["classes"], -1))
labels = torch.tensor(job["labels"])
z, labels = (z, labels.view(z.shape[0], *z.shape[2:])) if job["perPosition"] else (z[:, :, 0, 0], labels)
weights = torch.tensor(job["classWeights"]) if job.get("classWeights") else None
loss = torch.nn.CrossEntropyLoss(weight=weights, ignore_index=-1, label_smoothing=job["labelSmoothing"])
value = loss(z, labels)
value.backward()
plain = torch.nn.CrossEntropyLoss(weight=weights, ignore_index=-1)(z, labels)
json.dump({"loss": value.item(), "plain": plain.item(), "gradient": w.grad.flatten().tolist()}, sys.stdout)
`;
const settings = { step: 1, seed: 1, gamma: 0, learningRate: 0, bitDepthLearningRate: 0, exponentLearningRate: 0 };

t.test('loss and gradient are those of torch.nn.CrossEntropyLoss', { skip: hasTorch ? false : 'python3-torch is not installed' }, async (t) => {
  const random = randomNumbers(3);
  const pick = (from, to) => from + Math.floor(random() * (to - from + 1));
  for (const perPosition of [false, true]) {
    for (const [labelSmoothing, weighted] of [
      [0.1, false],
      [0.3, true],
      [1, true],
      [0, true],
    ]) {
      const [classes, channels, count] = [pick(2, 19), pick(1, 6), pick(17, 40)];
      const [height, width] = perPosition ? [pick(1, 5), pick(1, 7)] : [1, 1];
      const classWeights = weighted ? [...floats(random, classes, 0.2, 2)] : undefined;
      const nodes = [{ kind: 'conv2d', name: 'out', inputs: ['input'], outChannels: classes, kernel: [1, 1], bias: false, compress: false }];
      const description = { input: [channels, height, width], nodes, output: 'out' };
      const loss = { kind: 'crossEntropy', labelSmoothing, ...(perPosition && { perPosition }), ...(classWeights && { classWeights }) };
      const network = new binding.Network(description, { device: 'cpu', loss, optimizer: { kind: 'sgd' }, batchSize: count });
      const images = floats(random, count * channels * height * width, -2, 2);
      const weight = floats(random, classes * channels, -2, 2);
      const label = () => (perPosition && random() < 0.2 ? -1 : pick(0, classes - 1));
      const labels = Int32Array.from({ length: count * height * width }, label);
      await network.loadState({ 'out.weight': weight });
      const data = new binding.DataSet({ shape: description.input, images, labels, classes });
      const job = { images: [...images], shape: [count, channels, height, width], weight: [...weight], labels: [...labels] };
      const input = JSON.stringify({ ...job, classes, perPosition, labelSmoothing, classWeights });
      const { stdout, stderr, status } = spawnSync(python, ['-c', script], { input, encoding: 'utf8' });
      t.equal(status, 0, stderr);
      const expected = JSON.parse(stdout);
      const { loss: actual } = await network.trainStep(data, range(count), settings);
      const { loss: evaluated } = await network.evaluate(data, range(count));
      const name = JSON.stringify({ perPosition, labelSmoothing, weighted });
      const agree = (a, b) => Math.abs(a - b) < 1e-5 * Math.max(1, Math.abs(b));
      t.ok(agree(actual, expected.loss), `${name}: ${actual} ${expected.loss}`);
      t.ok(agree(evaluated, expected.plain), `${name}: evaluation without it, ${evaluated} ${expected.plain}`);
      const gradients = await network.gradients(data, range(count), settings);
      t.ok(difference(gradients['out.weight'], expected.gradient) < 1e-5, name);
      await network.dispose();
    }
  }
});

const quick = { epochs: 2, batchSize: 64, learningRate: 0.01, gamma: 0.01, seed: 4 };
const create = (options) => Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick, ...options });
const run = async (options) => {
  const trainer = create(options);
  await trainer.run();
  return trainer;
};

t.test('the option of a run is that of its loss, and stays', async (t) => {
  const [plain, smooth, own] = [
    await run({}),
    await run({ labelSmoothing: 0.2 }),
    await run({ loss: { kind: 'crossEntropy', labelSmoothing: 0.2 } }),
  ];
  t.same(smooth.options.loss, { kind: 'crossEntropy', labelSmoothing: 0.2 });
  t.same(await smooth.state(), await own.state());
  t.notSame(await smooth.state(), await plain.state());
  t.ok(smooth.history[1].trainLoss > plain.history[1].trainLoss, 'the loss of training is that which is trained');
  const both = create({ labelSmoothing: 0.2, loss: { kind: 'crossEntropy', labelSmoothing: 0.1 } });
  t.equal(both.options.loss.labelSmoothing, 0.1, 'a loss that says its own keeps it');
  const first = create({ labelSmoothing: 0.2 });
  first.on('epoch', () => first.stop());
  await first.run();
  const path = join(temporaryFolder(t), 'checkpoint');
  await first.saveCheckpoint(path);
  const second = await Trainer.resume(path, toyDataset());
  t.equal(second.options.labelSmoothing, 0.2);
  await second.run();
  t.same(await second.state(), await smooth.state());
  for (const trainer of [plain, smooth, own, both, first, second]) await trainer.dispose();
});

t.test('losses without labels, and numbers that are no share', (t) => {
  for (const kind of ['meanSquaredError', 'binaryCrossEntropy', 'l1', 'huber'])
    t.throws(() => create({ loss: { kind }, labelSmoothing: 0.1 }), {
      name: 'RangeError',
      message: 'Expected 0, as the loss compares with no labels, for options.labelSmoothing but received 0.1',
    });
  for (const value of [-0.1, 1.5, Number.NaN]) t.throws(() => create({ labelSmoothing: value }), { message: /options\.labelSmoothing/ });
  t.throws(() => create({ labelSmoothing: '0.1' }), { name: 'TypeError', message: /options\.labelSmoothing/ });
  t.end();
});

t.test('of several outputs those with labels', (t) => {
  const count = 8;
  const outputs = [
    { name: 'kind', task: 'classification', classes: 4, size: 1 },
    { name: 'size', task: 'regression', classes: 0, size: 2 },
  ];
  const data = toyDataset();
  const split = ({ images }) => ({
    count,
    images: images.subarray(0, count * 144),
    labels: new Int32Array(count),
    targets: new Float32Array(2 * count),
  });
  const nodes = [{ kind: 'linear', name: 'a', inputs: ['input'], outFeatures: 6 }];
  const network = {
    input: [1, 12, 12],
    nodes,
    output: 'a',
    outputs: [
      { name: 'kind', axes: [4] },
      { name: 'size', axes: [2] },
    ],
  };
  const trainer = Trainer.create({
    network,
    data: { ...data, outputs, train: split(data.train), test: split(data.test) },
    ...quick,
    labelSmoothing: 0.1,
  });
  t.same(trainer.options.loss.outputs, { kind: { kind: 'crossEntropy', labelSmoothing: 0.1 }, size: { kind: 'meanSquaredError' } });
  return trainer.dispose();
});

t.test('--label-smoothing', (t) => {
  const folder = temporaryFolder(t);
  const selfcompress = (...args) => spawnSync(process.execPath, [cli, 'train', ...args], { encoding: 'utf8' });
  const out = join(folder, 'run');
  const args = ['--model', 'mlp', '--limit', '300', '--epochs', '1', '--json', '--quiet', '--out', out];
  const smooth = selfcompress(...args, '--label-smoothing', '0.1');
  t.equal(smooth.status, 0, smooth.stderr);
  const plain = JSON.parse(selfcompress(...args, '--force').stdout);
  t.not(JSON.parse(smooth.stdout).trainLoss, plain.trainLoss);
  const refused = selfcompress('--resume', out, '--label-smoothing', '0.1', '--epochs', '2');
  t.equal(refused.status, 2);
  t.match(refused.stderr, /Expected no --label-smoothing with --resume/);
  t.match(selfcompress(...args, '--label-smoothing', '2').stderr, /'--label-smoothing <share>'/);
  t.end();
});
