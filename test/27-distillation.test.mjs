// A teacher beside the labels: PyTorch's loss and gradient, runs that go on to the same bits, the options of the command line.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  binding,
  cli,
  difference,
  floats,
  initialState,
  inspectNetwork,
  randomNumbers,
  range,
  Trainer,
  temporaryFolder,
  toyDataset,
  toyNetwork,
} from './support.mjs';

const python = '/usr/bin/python3';
const hasTorch = spawnSync(python, ['-c', 'import torch'], { encoding: 'utf8' }).status === 0;
const script = `
import json, sys, torch
import torch.nn.functional as F
job = json.load(sys.stdin)
x = torch.tensor(job["images"]).view(job["shape"])
weight, teacher = (torch.tensor(job[name]).view(job["classes"], -1) for name in ("weight", "teacher"))
weight.requires_grad_()
rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
labels, T, share = torch.tensor(job["labels"]), job["temperature"], job["share"]
z, u = rows @ weight.T, rows @ teacher.T
weights = torch.tensor(job["classWeights"]) if job.get("classWeights") else None
hard = F.cross_entropy(z, labels, weight=weights, ignore_index=-1, label_smoothing=job["labelSmoothing"])
counts = labels != -1
soft = F.kl_div(F.log_softmax(z[counts] / T, 1), F.log_softmax(u[counts] / T, 1), reduction="batchmean", log_target=True)
loss = (1 - share) * hard + share * T * T * soft
loss.backward()
json.dump({"loss": loss.item(), "gradient": weight.grad.flatten().tolist()}, sys.stdout)
`;
const settings = { step: 1, seed: 1, gamma: 0, learningRate: 1, bitDepthLearningRate: 0, exponentLearningRate: 0 };

t.test("loss and gradient are PyTorch's", { skip: hasTorch ? false : 'python3-torch is not installed' }, async (t) => {
  const random = randomNumbers(8);
  const pick = (from, to) => from + Math.floor(random() * (to - from + 1));
  for (const perPosition of [false, true])
    for (const [share, temperature, labelSmoothing, weighted] of [
      [0.9, 4, 0, false],
      [0.3, 1, 0.1, true],
      [1, 0.5, 0, false],
      [0, 3, 0, true],
    ]) {
      const [classes, channels, count] = [pick(2, 19), pick(1, 6), pick(17, 40)];
      const [height, width] = perPosition ? [pick(2, 5), pick(1, 7)] : [1, 1];
      const classWeights = weighted ? [...floats(random, classes, 0.2, 2)] : undefined;
      const nodes = [{ kind: 'conv2d', name: 'out', inputs: ['input'], outChannels: classes, kernel: [1, 1], bias: false, compress: false }];
      const description = { input: [channels, height, width], nodes, output: 'out' };
      const loss = { kind: 'crossEntropy', labelSmoothing, ...(perPosition && { perPosition }), ...(classWeights && { classWeights }) };
      const optimizer = { kind: 'sgd', momentum: 0, nesterov: false };
      const common = { device: 'cpu', loss, optimizer, batchSize: count };
      const network = new binding.Network(description, { ...common, distillation: { weight: share, temperature } });
      const teacher = new binding.Network(description, common);
      const images = floats(random, count * channels * height * width, -2, 2);
      const [weight, other] = [floats(random, classes * channels, -2, 2), floats(random, classes * channels, -2, 2)];
      const label = () => (perPosition && random() < 0.2 ? -1 : pick(0, classes - 1));
      const labels = Int32Array.from({ length: count * height * width }, label);
      await network.loadState({ 'out.weight': weight });
      await teacher.loadState({ 'out.weight': other });
      const data = new binding.DataSet({ shape: description.input, images, labels, classes });
      const job = { images: [...images], shape: [count, channels, height, width], weight: [...weight], teacher: [...other], labels: [...labels] };
      const input = JSON.stringify({ ...job, classes, temperature, share, labelSmoothing, classWeights });
      const { stdout, stderr, status } = spawnSync(python, ['-c', script], { input, encoding: 'utf8' });
      t.equal(status, 0, stderr);
      const expected = JSON.parse(stdout);
      const { loss: actual } = await network.trainStep(data, range(count), { ...settings, teacher });
      const after = (await network.state())['out.weight'];
      const name = JSON.stringify({ perPosition, share, temperature, labelSmoothing, weighted });
      t.ok(Math.abs(actual - expected.loss) < 1e-5 * Math.max(1, expected.loss), `${name}: ${actual} ${expected.loss}`);
      t.ok(
        difference(
          weight.map((w, i) => w - after[i]),
          expected.gradient,
        ) < 1e-5,
        name,
      );
      await network.dispose();
      await teacher.dispose();
    }
});

const quick = { epochs: 2, batchSize: 64, learningRate: 0.01, gamma: 0.01, seed: 4, augmentation: { shift: 2, flip: true } };
const plain = (seed, classes = 4) => {
  const network = toyNetwork({ compress: false, classes });
  return { network, state: initialState(inspectNetwork(network).parameters, seed, { bitDepth: 8, headroom: 1 }) };
};
const teacher = plain(1);
const create = (options) => Trainer.create({ network: toyNetwork(), data: toyDataset(), teacher, ...quick, ...options });
const run = async (options) => {
  const trainer = create(options);
  await trainer.run();
  return trainer;
};

t.test('what the options do', async (t) => {
  const [none, labels, soft, hot] = [
    await run({ teacher: undefined }),
    await run({ teacherWeight: 0 }),
    await run({ teacherWeight: 1, temperature: 1, epochs: 6, gamma: 0 }),
    await run({}),
  ];
  t.same(await labels.state(), await none.state(), 'a teacher without weight changes nothing, to the same bits');
  t.notSame(await hot.state(), await none.state());
  const losses = soft.history.map(({ trainLoss }) => trainLoss);
  t.ok(losses.at(-1) < 0.3 * losses[0], `the divergence falls: ${losses.join(' ')}`);
  t.same([hot.options.teacherWeight, hot.options.temperature], [0.9, 4]);
  for (const trainer of [none, labels, soft, hot]) await trainer.dispose();
});

t.test('a run goes on to the same bits, with the same teacher alone', async (t) => {
  const data = toyDataset();
  const whole = await run({ temperature: 2 });
  const first = create({ temperature: 2 });
  first.on('step', ({ step }) => step === 3 && first.stop('step'));
  await first.run();
  const path = join(temporaryFolder(t), 'checkpoint');
  await first.saveCheckpoint(path);
  const second = await Trainer.resume(path, data, { teacher });
  await second.run();
  t.same(await second.state(), await whole.state());
  await t.rejects(Trainer.resume(path, data), { name: 'TypeError', message: /for changes\.teacher but received undefined/ });
  await t.rejects(Trainer.resume(path, data, { teacher: plain(2) }), { message: /the network that the run began with for changes\.teacher/ });
  for (const trainer of [whole, first, second]) await trainer.dispose();
});

t.test('wrong values', async (t) => {
  for (const [name, values] of [
    ['teacherWeight', [-0.1, 1.5, Number.NaN, '1']],
    ['temperature', [0, -1, 1000, Number.NaN, null]],
  ])
    for (const value of values)
      t.throws(() => create({ [name]: value }), { code: 'ERR_SELFCOMPRESS_ARGUMENT', message: new RegExp(`options\\.${name}`) });
  t.throws(() => create({ teacher: plain(1, 7) }), {
    name: 'RangeError',
    message:
      'Expected a network of input 1×12×12 and 4 outputs, as the one that learns, for teacher but received "one of input 1×12×12 and 7 outputs"',
  });
  const nodes = [{ kind: 'linear', name: 'out', inputs: ['input'], outFeatures: 4, compress: false }];
  const description = { input: [1, 12, 12], nodes, output: 'out' };
  const common = { device: 'cpu', loss: { kind: 'crossEntropy' }, optimizer: { kind: 'adam' }, batchSize: 8 };
  const make = (more) => new binding.Network(description, { ...common, ...more });
  for (const distillation of [{}, { weight: 2, temperature: 1 }, { weight: 1, temperature: 0 }, { weight: 1, temperature: 1, heat: 1 }, 5])
    t.throws(() => make({ distillation }), { message: /options\.distillation/ });
  const distillation = { weight: 0.5, temperature: 2 };
  t.throws(() => make({ distillation, loss: { kind: 'meanSquaredError' } }), { message: /crossEntropy for all outputs, with options\.distillation/ });
  const { images, labels } = toyDataset().train;
  const data = new binding.DataSet({ shape: [1, 12, 12], images, labels, classes: 4 });
  const network = make({ distillation });
  t.throws(() => network.trainStep(data, range(8), settings), {
    name: 'TypeError',
    message: /which options\.distillation needs, for settings\.teacher/,
  });
  t.throws(() => network.gradients(data, range(8), settings), { message: /no options\.distillation/ });
  t.equal((await network.evaluate(data, range(8))).count, 8, 'evaluation is by the labels');
  await network.dispose();
});

t.test('--teacher', (t) => {
  const folder = temporaryFolder(t);
  const selfcompress = (...args) => spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', cwd: folder });
  const train = (...args) => {
    const { status, stdout, stderr } = selfcompress('train', ...args, '--json', '--quiet');
    t.equal(status, 0, stderr);
    return stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  };
  const args = ['--model', 'mlp', '--limit', '300', '--epochs', '1'];
  const [plainly] = train(...args, '--plain', '--out', 'teacher');
  const teacher = ['--teacher', 'teacher'];
  const [taught] = train(...args, ...teacher, '--temperature', '2', '--teacher-weight', '0.5', '--out', 'taught');
  t.not(taught.trainLoss, plainly.trainLoss);
  const [byFile] = train(...args, '--teacher', 'teacher/model.scnn', '--temperature', '2', '--teacher-weight', '0.5', '--out', 'by-file');
  const near = (a, b) => Math.abs(a - b) < 2e-3 * b; // a model file has its own rounding of statistics
  t.ok(near(byFile.trainLoss, taught.trainLoss), `${byFile.trainLoss} ${taught.trainLoss}`);
  t.equal(selfcompress('export', 'teacher', '--format', 'onnx', '--out', 'teacher.onnx').status, 0);
  const [byOnnx] = train(...args, '--teacher', 'teacher.onnx', '--temperature', '2', '--teacher-weight', '0.5', '--out', 'by-onnx');
  t.ok(near(byOnnx.trainLoss, taught.trainLoss), `${byOnnx.trainLoss} ${taught.trainLoss}`);
  const mean = ['--mean', '0.3', '--std', '0.4'];
  const [other] = train(...args, ...mean, '--teacher', 'teacher', '--teacher-weight', '1', '--temperature', '1', '--lr', '0', '--out', 'other');
  const [same] = train(
    ...args,
    ...mean,
    '--start',
    'other',
    '--teacher',
    'other',
    '--teacher-weight',
    '1',
    '--temperature',
    '1',
    '--lr',
    '0',
    '--out',
    'same',
  );
  t.ok(same.trainLoss < other.trainLoss);
  const { run } = JSON.parse(readFileSync(join(folder, 'taught/config.json'), 'utf8'));
  t.equal(run.teacher, join(folder, 'teacher'));
  t.equal(train('--resume', 'taught', '--epochs', '2').length, 1, 'the folder knows the teacher');
  mkdirSync(join(folder, 'elsewhere'));
  renameSync(join(folder, 'teacher'), join(folder, 'elsewhere/teacher'));
  t.equal(selfcompress('train', '--resume', 'taught', '--epochs', '3').status, 1, 'it is gone');
  t.equal(train('--resume', 'taught', '--epochs', '3', '--teacher', 'elsewhere/teacher').length, 1);
  const wrong = (...more) => {
    const { status, stderr } = selfcompress('train', ...args, ...more);
    t.equal(status, 2, stderr);
    return stderr;
  };
  t.match(
    selfcompress('train', '--resume', 'taught', '--epochs', '4', '--teacher', 'other').stderr,
    /the network that the run began with for --teacher/,
  );
  t.match(wrong('--temperature', '2'), /Expected --teacher RUN or FILE with --temperature but received none/);
  t.match(wrong('--teacher-weight', '2', '--teacher', 'other'), /--teacher-weight/);
  t.match(wrong('--teacher', 'other', '--image-size', '8'), /a network of input .* for --teacher/);
  t.end();
});
