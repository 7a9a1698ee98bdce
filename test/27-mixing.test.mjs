// Images that are mixed with others and change colour: in training alone, to the same bits when a run goes on, and where it is refused.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { binding, cli, initialState, inspectNetwork, range, Trainer, temporaryFolder, toyDataset, toyNetwork } from './support.mjs';

const augmentation = { shift: 1, flip: true, rotate: 5, colour: 0.2, mixup: 0.3, cutmix: 1 };
const quick = { epochs: 2, batchSize: 64, learningRate: 0.01, gamma: 0.01, seed: 4, augmentation };
const create = (options) => Trainer.create({ network: toyNetwork(), data: toyDataset(), ...quick, ...options });
const network = toyNetwork({ compress: false });
const teacher = { network, state: initialState(inspectNetwork(network).parameters, 1, { bitDepth: 8, headroom: 1 }) };

t.test('a run goes on to the same bits, with a teacher and without', async (t) => {
  for (const more of [{}, { teacher }]) {
    const whole = create(more);
    await whole.run();
    const first = create(more);
    first.on('step', ({ step }) => step === 3 && first.stop('step'));
    await first.run();
    const path = join(temporaryFolder(t), 'checkpoint');
    await first.saveCheckpoint(path);
    const second = await Trainer.resume(path, toyDataset(), more);
    await second.run();
    t.same(await second.state(), await whole.state());
    t.same(second.options.augmentation, augmentation);
    for (const trainer of [whole, first, second]) await trainer.dispose();
  }
});

t.test('each of them changes training; evaluations see images as they are', async (t) => {
  const { images, labels } = toyDataset().train;
  const data = new binding.DataSet({ shape: [1, 12, 12], images, labels, classes: 4 });
  const settings = { step: 3, seed: 9, gamma: 0, learningRate: 0, bitDepthLearningRate: 0, exponentLearningRate: 0 };
  for (const classWeights of [undefined, [1, 2, 0.5, 1]]) {
    const loss = { kind: 'crossEntropy', ...(classWeights && { classWeights }) };
    const made = new binding.Network(network, { device: 'cpu', loss, optimizer: { kind: 'sgd' }, batchSize: 64 });
    await made.loadState(teacher.state);
    const step = async (augmentation) => (await made.trainStep(data, range(64), { ...settings, augmentation })).loss;
    const before = await made.evaluate(data, range(64));
    const plain = await step({}); // which moves running statistics
    for (const one of [{ colour: 0.5 }, { mixup: 1 }, { cutmix: 1 }]) {
      const [changed, again] = [await step(one), await step(one)];
      t.not(changed, plain, JSON.stringify(one));
      t.ok(Number.isFinite(changed));
      t.equal(changed, again, 'the same seed, step and place');
    }
    t.equal(await step({ colour: 0, mixup: 0, cutmix: 0 }), plain);
    await made.loadState(teacher.state);
    t.same(await made.evaluate(data, range(64)), before);
    await made.dispose();
  }
});

t.test('what is refused', async (t) => {
  for (const [name, most] of [
    ['colour', 1],
    ['mixup', 2],
    ['cutmix', 2],
  ])
    for (const value of [-0.1, most + 0.1, Number.NaN, '1', true])
      t.throws(() => create({ augmentation: { [name]: value } }), {
        code: 'ERR_SELFCOMPRESS_ARGUMENT',
        message: new RegExp(`for options\\.augmentation\\.${name} but received`),
      });
  const images = toyDataset();
  const numbers = ({ count, images }) => ({ count, images, targets: new Float32Array(count * 4) });
  const regression = { ...images, task: 'regression', classes: 0, train: numbers(images.train), test: numbers(images.test) };
  const loss = { kind: 'meanSquaredError' };
  t.throws(() => create({ data: regression, loss }), {
    name: 'RangeError',
    message: 'Expected 0, as a loss compares with no labels and there is no teacher, for options.augmentation.mixup but received 0.3',
  });
  const taught = create({ data: regression, loss, teacher });
  await taught.run();
  await taught.dispose();
  const vectors = { ...images, input: 'vector', shape: [144, 1, 1] };
  for (const name of ['colour', 'cutmix'])
    t.throws(() => create({ data: vectors, augmentation: { [name]: 0.5 } }), {
      message: new RegExp(`no images, for options\\.augmentation\\.${name}`),
    });
  const two = { ...images, shape: [2, 12, 6], mean: [0.5, 0.5], std: [1, 1] };
  t.throws(() => create({ data: two }), { message: /as images have 2 channels, not 1 or 3, for options\.augmentation\.colour but received 0\.2/ });

  const settings = { step: 1, seed: 1, gamma: 0, learningRate: 0, bitDepthLearningRate: 0, exponentLearningRate: 0 };
  const description = (nodes) => ({ input: [2, 3, 3], nodes, output: nodes.at(-1).name });
  const conv = { kind: 'conv2d', name: 'out', inputs: ['input'], outChannels: 3, kernel: [1, 1], compress: false };
  const made = (nodes, loss) => new binding.Network(description(nodes), { device: 'cpu', loss, optimizer: { kind: 'sgd' }, batchSize: 4 });
  const step = (net, answers, augmentation) =>
    net.trainStep(new binding.DataSet({ shape: [2, 3, 3], images: new Float32Array(72), ...answers }), range(4), { ...settings, augmentation });
  const positions = made([conv], { kind: 'crossEntropy', perPosition: true });
  const linear = { kind: 'linear', name: 'out', inputs: ['input'], outFeatures: 3, compress: false };
  const label = { labels: new Int32Array(4), classes: 3 };
  const refused = (net, answers, augmentation, message) => t.throws(() => step(net, answers, augmentation), { message });
  refused(positions, { labels: new Int32Array(36), classes: 3 }, { mixup: 1 }, /one label for each example with mixup for settings\.augmentation/);
  refused(made([linear], { kind: 'huber' }), { targets: new Float32Array(12) }, { cutmix: 1 }, /a loss of labels, or a teacher, with cutmix/);
  refused(made([linear], { kind: 'crossEntropy' }), label, { colour: 1 }, /images of 1 or 3 channels with colour/);
  refused(made([linear], { kind: 'crossEntropy' }), label, { mixup: 3 }, /settings\.augmentation\.mixup/);
  refused(made([linear], { kind: 'crossEntropy' }), label, { blur: 1 }, /settings\.augmentation/);
});

t.test('--augment', (t) => {
  const folder = temporaryFolder(t);
  const train = (...args) => spawnSync(process.execPath, [cli, 'train', ...args], { encoding: 'utf8', cwd: folder });
  const args = ['--model', 'mlp', '--limit', '300', '--epochs', '1', '--json', '--quiet'];
  const mixed = train(...args, '--augment', 'mixup=0.2,cutmix=1,colour=0.2', '--out', 'run');
  t.equal(mixed.status, 0, mixed.stderr);
  const plain = train(...args, '--out', 'plain');
  t.not(JSON.parse(mixed.stdout).trainLoss, JSON.parse(plain.stdout).trainLoss);
  t.equal(train('--resume', 'run', '--epochs', '2', '--quiet').status, 0);
  for (const list of ['mixup=3', 'cutmix=-1', 'colour=2', 'mixup', 'colours=1']) {
    const { status, stderr } = train(...args, '--augment', list);
    t.equal(status, 2);
    t.match(stderr, /--augment <list>/);
  }
  const scenes = train('--dataset', 'digit-scenes', '--model', 'unet', '--limit', '20', '--epochs', '1', '--augment', 'mixup=0.2');
  t.equal(scenes.status, 2);
  t.match(scenes.stderr, /Expected 0, as every position has a label of its own, for --augment but received 0\.2/);
  t.end();
});
