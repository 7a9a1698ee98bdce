// Learning the outputs of another network: for the images as they are augmented, and resumed with the same network alone.
import { join } from 'node:path';
import t from 'tap';
import { binding, floats, initialState, inspectNetwork, randomNumbers, range, Trainer, temporaryFolder, toyDataset, toyNetwork } from './support.mjs';

const CLASSES = 4;
const loss = { kind: 'meanSquaredError' };
const quick = {
  epochs: 2,
  batchSize: 64,
  learningRate: 0.01,
  gamma: 0.01,
  bits: { initial: 8 },
  seed: 4,
  loss,
  augmentation: { shift: 2, flip: true },
};
const images = toyDataset();
const split = ({ count, images }) => ({ count, images, targets: new Float32Array(count * CLASSES) });
const data = { ...images, task: 'regression', classes: 0, train: split(images.train), test: split(images.test) };
const plainNetwork = (seed) => {
  const network = toyNetwork({ compress: false });
  return { network, state: initialState(inspectNetwork(network).parameters, seed, { bitDepth: 8, headroom: 1 }) };
};
const teacher = plainNetwork(1);
const create = (changes) => Trainer.create({ network: toyNetwork(), data, teacher, ...quick, ...changes });

/** One step of a network without norms and dropout, which is the same in training and evaluation. */
const nodes = [
  { kind: 'conv2d', name: 'conv', inputs: ['input'], outChannels: 5, kernel: [3, 3], compress: false },
  { kind: 'relu', name: 'relu', inputs: ['conv'] },
  { kind: 'linear', name: 'out', inputs: ['relu'], outFeatures: CLASSES, compress: false },
];
const smooth = { input: data.shape, nodes, output: 'out' };
const settings = { step: 3, seed: 9, gamma: 0, learningRate: 0, bitDepthLearningRate: 0, exponentLearningRate: 0 };
const optimizer = { kind: 'adam' };
const network = (description = smooth, more = {}) => new binding.Network(description, { device: 'cpu', loss, optimizer, batchSize: 64, ...more });
async function compiled(seed, batchSize = 64) {
  const made = network(smooth, { batchSize });
  const random = randomNumbers(seed);
  const count = (shape) => shape.reduce((a, b) => a * b, 1);
  await made.loadState(Object.fromEntries(made.parameters.map(({ name, shape }) => [name, floats(random, count(shape), -0.3, 0.3)])));
  return made;
}
const native = (targets = data.train.targets) =>
  new binding.DataSet({ images: data.train.images, shape: data.shape, mean: data.mean, std: data.std, targets });

t.test('the teacher sees the images as they are augmented', async (t) => {
  const [student, same, other] = [await compiled(5), await compiled(5), await compiled(6, 80)];
  const step = async (augmentation, more, set = native()) => (await student.trainStep(set, range(64), { ...settings, augmentation, ...more })).loss;
  for (const augmentation of [
    {},
    { shift: 3 },
    { flip: true },
    { shift: 2, flip: true, cutout: 5 },
    { mixup: 1, flip: true },
    { cutmix: 1, mixup: 0.2, colour: 0.3 },
  ]) {
    t.equal(await step(augmentation, { teacher: same }), 0, JSON.stringify(augmentation));
    t.ok((await step(augmentation, { teacher: other })) > 1e-3);
  }
  const normalised = Float32Array.from(data.train.images.subarray(0, 64 * 144), (v) => (v / 255 - data.mean[0]) / data.std[0]);
  const outputs = await other.predict(normalised, 64);
  const targets = new Float32Array(data.train.targets.length);
  targets.set(outputs);
  const expected = await step({}, {}, native(targets));
  t.ok(Math.abs((await step({}, { teacher: other })) - expected) < 1e-5 * expected, 'the same as from targets made beforehand');
  const few = await student.trainStep(native(), Int32Array.of(200, 3, 77), { ...settings, augmentation: { shift: 1 }, teacher: same });
  t.equal(few.loss, 0, 'a part of a batch, in any order');
});

t.test('a student learns', async (t) => {
  const trainer = create({ epochs: 6, gamma: 0 });
  await trainer.run();
  const losses = trainer.history.map(({ trainLoss }) => trainLoss);
  t.ok(losses.at(-1) < 0.5 * losses[0], losses.join(' '));
  await trainer.dispose();
});

t.test('a run goes on with the same teacher alone', async (t) => {
  const folder = temporaryFolder(t);
  const whole = create();
  await whole.run();
  const first = create();
  first.on('epoch', () => first.stop());
  await first.run();
  const path = join(folder, 'checkpoint');
  await first.saveCheckpoint(path);
  const resumed = await Trainer.resume(path, data, { teacher });
  await resumed.run();
  t.same(await resumed.state(), await whole.state(), 'to the same bits');
  await t.rejects(Trainer.resume(path, data), { name: 'TypeError', message: /for changes\.teacher but received undefined/ });
  await t.rejects(Trainer.resume(path, data, { teacher: plainNetwork(2) }), { message: /the network that the run began with for changes\.teacher/ });
  const alone = Trainer.create({ network: toyNetwork(), data, ...quick });
  await t.rejects(Trainer.resume(await alone.checkpoint(), data, { teacher }), { message: /no teacher, as the run has none, for changes\.teacher/ });
});

t.test('what is no teacher is refused', async (t) => {
  const refuses = (change, message) => t.throws(() => create(change), { code: 'ERR_SELFCOMPRESS_ARGUMENT', message });
  refuses({ teacher: 5 }, /for teacher but received 5/);
  refuses({ teacher: { ...teacher, state: {} } }, /Float32Array for teacher\.state\["[^"]+"\] but received undefined/);
  refuses({ teacher: { ...teacher, network: {} } }, /for teacher\.network|network\./);
  refuses({ teacher: { ...teacher, network: { ...smooth, nodes: [...nodes.slice(0, 2), { ...nodes[2], outFeatures: 7 }] } } }, /state/);
  const [student, small] = [await compiled(5), await compiled(5, 16)];
  const step = (given) => student.trainStep(native(), range(8), { ...settings, teacher: given });
  const throws = (given, message) => t.throws(() => step(given), { name: 'TypeError', message });
  throws(student, /another network for settings\.teacher/);
  throws({}, /a Network for settings\.teacher/);
  throws(small, /batch size 64 or more for settings\.teacher but received 16/);
  throws(network({ ...smooth, input: [1, 8, 8] }), /a network of input/);
  const wide = { ...smooth, nodes: nodes.with(2, { ...nodes[2], outFeatures: 7 }) };
  throws(network(wide), /4 outputs for settings\.teacher but received 7/);
  const gone = await compiled(7);
  await gone.dispose();
  throws(gone, /a network in use for settings\.teacher/);
  const classifier = network(smooth, { loss: { kind: 'crossEntropy' } });
  t.throws(() => classifier.trainStep(native(), range(8), { ...settings, teacher: student }), {
    message: /no value with the loss crossEntropy without options\.distillation for settings\.teacher/,
  });
  t.throws(() => student.gradients(native(), range(8), { ...settings, teacher: small }), { message: /teacher/ });
  const later = await compiled(8);
  const work = student.trainStep(native(), range(8), { ...settings, teacher: later });
  await later.dispose(); // queued behind the step
  t.ok(Number.isFinite((await work).loss));
});
