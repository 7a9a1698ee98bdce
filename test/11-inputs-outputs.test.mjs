// Networks with several inputs and outputs: built, trained on data with several answers, saved, loaded, predicted with, exported and imported.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { judged, ort, weights } from './import-support.mjs';
import { node, writeModel } from './onnx-writer.mjs';
import {
  binding,
  datasetFromArrays,
  difference,
  encodeModel,
  exportModel,
  floats,
  importModel,
  initialState,
  inspectNetwork,
  loadModel,
  NetworkBuilder,
  randomNumbers,
  Trainer,
  temporaryFolder,
} from './support.mjs';

t.setTimeout(300_000);
const folder = temporaryFolder(t);
const common = { batchSize: 32, device: 'cpu', learningRate: 0.01 };

/** Bright squares at one of four places, and a number that their brightness and a second input make up. */
function examples(count, seed = 1) {
  const random = randomNumbers(seed);
  const image = new Uint8Array(count * 64);
  const more = floats(random, count * 3);
  const place = new Int32Array(count);
  const parity = new Int32Array(count);
  const height = new Float32Array(count);
  const mask = new Int32Array(count * 64);
  for (let i = 0; i < count; i++) {
    place[i] = Math.floor(4 * random());
    const bright = 100 + Math.floor(150 * random());
    for (let y = 0; y < 3; y++)
      for (let x = 0; x < 3; x++) {
        const at = i * 64 + ((place[i] >> 1) * 4 + y) * 8 + (place[i] % 2) * 4 + x;
        image[at] = bright;
        mask[at] = 1;
      }
    parity[i] = more[i * 3] > 0 ? 1 : 0;
    height[i] = bright / 100 + more[i * 3 + 1];
  }
  return { image, more, place, parity, height, mask };
}
const trainSplit = ({ image, more, place, parity, height, mask }) => ({
  images: { image, more },
  labels: { place, parity, mask },
  targets: { height },
});
const several = (options = {}) =>
  datasetFromArrays({
    name: 'several',
    shape: { image: [1, 8, 8], more: [3] },
    classes: { place: 4, parity: 2, mask: 2 },
    classNames: { parity: ['even', 'odd'] },
    train: trainSplit(examples(256)),
    test: trainSplit(examples(64, 2)),
    ...options,
  });

/** Four outputs from two inputs of different axes. */
function network({ width = 12 } = {}) {
  const net = new NetworkBuilder();
  const image = net.relu(net.conv2d(net.input('image', [1, 8, 8]), { name: 'conv', outChannels: width, kernel: 3, padding: 1 }));
  const more = net.input('more', [3]);
  const x = net.relu(net.linear(net.concat([net.flatten(net.maxPool(image, { kernel: 2 })), more]), { name: 'hidden', outFeatures: 32 }));
  return net.build({
    place: net.linear(x, { name: 'to-place', outFeatures: 4 }),
    parity: net.linear(x, { name: 'to-parity', outFeatures: 2 }),
    mask: net.conv2d(image, { name: 'to-mask', outChannels: 2, kernel: 1 }),
    height: net.linear(x, { name: 'to-height', outFeatures: 1 }),
  });
}

t.test('the builder keeps names and axes, and packs by channels or as a vector', async (t) => {
  const description = network();
  t.same(description.inputs, [
    { name: 'image', axes: [1, 8, 8] },
    { name: 'more', axes: [3] },
  ]);
  t.same(description.input, [67]);
  t.same(
    description.outputs.map(({ name, axes }) => [name, axes]),
    [
      ['place', [4]],
      ['parity', [2]],
      ['mask', [2, 8, 8]],
      ['height', [1]],
    ],
  );
  const { shapes } = inspectNetwork(description);
  t.same(shapes[description.output], [4 + 2 + 128 + 1]);
  const net = new NetworkBuilder();
  const a = net.input('a', [1, 5, 5]);
  const b = net.input('b', [2, 5, 5]);
  const alike = net.build({
    first: net.conv2d(a, { outChannels: 3, kernel: 1 }),
    second: net.conv2d(net.concat([a, b]), { outChannels: 1, kernel: 1 }),
  });
  t.same(alike.input, [3, 5, 5]);
  t.same(inspectNetwork(alike).shapes[alike.output], [4, 5, 5]);
  const one = new NetworkBuilder();
  const single = one.build({ only: one.linear(one.input('x', [4]), { outFeatures: 2 }) });
  t.same([single.input, single.inputs, single.outputs], [[4], [{ name: 'x', axes: [4] }], [{ name: 'only', axes: [2] }]]);
  t.ok(single.nodes.length === 1, 'one input and one output need nothing around them');
  // Names that are numbers come in the order of an object's properties.
  const numbers = new NetworkBuilder();
  const [ten, two] = [numbers.input('10', [1]), numbers.input('2', [1])];
  t.same(
    numbers.build(numbers.linear(numbers.concat([ten, two]), { outFeatures: 1 })).inputs.map(({ name }) => name),
    ['2', '10'],
  );
});

t.test('wrong arguments of the builder are typed errors that name them', async (t) => {
  const fails = (make, expected) => t.throws(make, expected);
  const net = new NetworkBuilder();
  net.input('a', [3]);
  fails(() => net.input('a', [3]), { name: 'RangeError', message: /a name that no other has for name/ });
  fails(() => net.input('', [3]), { name: 'TypeError', message: /for name / });
  fails(() => net.input(7, [3]), { name: 'TypeError', message: /for name / });
  fails(() => net.input('b', []), { name: 'TypeError', message: /for axes / });
  fails(() => net.input('b', [1, 2, 3, 4, 5]), { name: 'TypeError', message: /for axes / });
  fails(() => net.input('b', [0]), { name: 'RangeError', message: /for axes\[0\]/ });
  fails(() => net.input('b', [1, '2']), { name: 'TypeError', message: /for axes\[1\]/ });
  fails(() => new NetworkBuilder([3]).input('a', [3]), { name: 'TypeError', message: /without an input of its own/ });
  fails(() => new NetworkBuilder().build('x'), { name: 'TypeError', message: /new NetworkBuilder/ });
  fails(() => net.build({}), { name: 'TypeError', message: /for output / });
  fails(() => net.build({ x: 3 }), { name: 'TypeError', message: /for output\.x / });
  fails(() => net.build({ x: 'none' }), { message: /none/ });
  for (let i = 0; i < 15; i++) net.input(`more${i}`, [1]);
  fails(() => net.input('seventeenth', [1]), { name: 'RangeError', message: /at most 16/ });
});

t.test('data sets of several inputs and outputs', async (t) => {
  const data = await several({ validation: 56 });
  t.same([data.shape, data.input, data.classes], [[67, 1, 1], 'vector', 0]);
  t.same(
    data.outputs.map(({ name, task, classes, size }) => [name, task, classes, size]),
    [
      ['place', 'classification', 4, 1],
      ['parity', 'classification', 2, 1],
      ['mask', 'perPosition', 2, 64],
      ['height', 'regression', 0, 1],
    ],
  );
  t.equal(data.train.count, 200);
  t.equal(data.validation.count, 56);
  t.same([data.train.labels.length, data.train.targets.length], [200 * 66, 200]);
  t.same([data.mean.length, data.std.length], [4, 4], 'numbers for the channels of each input');
  const given = examples(256);
  const all = await several();
  t.ok(
    difference(
      all.train.images.subarray(67, 67 + 64),
      Float32Array.from(given.image.subarray(64, 128), (x) => x / 255),
    ) < 1e-6,
  );
  t.same(all.train.images.subarray(67 + 64, 134), given.more.subarray(3, 6));
  t.same(all.train.labels.subarray(66, 68), Int32Array.of(given.place[1], given.parity[1]));
  const bytes = await datasetFromArrays({
    shape: { a: [1, 2, 2], b: [2, 2, 2] },
    classes: { c: 2 },
    train: { images: { a: new Uint8Array(8), b: Uint8Array.from({ length: 16 }, (_, i) => i) }, labels: { c: [0, 1] } },
    test: { images: { a: new Uint8Array(4), b: new Uint8Array(8) }, labels: { c: [-1] } },
  });
  t.ok(bytes.train.images instanceof Uint8Array);
  t.same([bytes.shape, bytes.input], [[3, 2, 2], 'image']);
  t.same([...bytes.train.images.subarray(12, 24)], [0, 0, 0, 0, 8, 9, 10, 11, 12, 13, 14, 15]);
});

t.test('wrong arrays are typed errors that name the value as the user wrote it', async (t) => {
  const split = () => trainSplit(examples(32));
  const fails = async (change, expected) => {
    const options = {
      shape: { image: [1, 8, 8], more: [3] },
      classes: { place: 4, parity: 2, mask: 2 },
      train: split(),
      test: split(),
    };
    change(options);
    await t.rejects(datasetFromArrays(options), expected);
  };
  await fails((o) => (o.shape.more = [2]), { name: 'RangeError', message: /train\.images\.more/ });
  await fails((o) => (o.shape.more = 3), { name: 'TypeError', message: /shape\.more/ });
  await fails((o) => (o.shape = {}), { name: 'TypeError', message: /shape/ });
  await fails((o) => (o.shape.third = [1]), { message: /train\.images\.third/ });
  await fails((o) => delete o.shape.more, { name: 'TypeError', message: /train\.images/ });
  await fails((o) => (o.train.images = o.train.images.image), { name: 'TypeError', message: /train\.images/ });
  await fails((o) => (o.train.images.more = [1, 2]), { name: 'TypeError', message: /train\.images\.more/ });
  await fails((o) => (o.train.images.more[5] = Number.NaN), { name: 'RangeError', message: /train\.images\.more\[5\]/ });
  await fails((o) => (o.train.labels.place[3] = 4), { name: 'RangeError', message: /train\.labels\.place\[3\]/ });
  await fails((o) => (o.test.labels.mask = new Int32Array(31)), { name: 'RangeError', message: /test\.labels\.mask/ });
  await fails((o) => (o.test.labels.mask = new Int32Array(32)), { name: 'TypeError', message: /test\.labels\.mask/ });
  await fails((o) => delete o.test.labels.mask, { name: 'TypeError', message: /test\.mask/ });
  await fails((o) => (o.test.labels.other = new Int32Array(32)), { name: 'TypeError', message: /test\.labels/ });
  await fails((o) => (o.train.targets.place = new Float32Array(32)), { name: 'TypeError', message: /train\.place/ });
  await fails((o) => (o.train.labels = o.train.labels.place), { name: 'TypeError', message: /train\.labels/ });
  await fails((o) => (o.test.targets.height = new Float32Array(64)), { name: 'RangeError', message: /test\.targets\.height/ });
  await fails((o) => (o.classes = 4), { name: 'TypeError', message: /classes/ });
  await fails((o) => (o.classes.place = 0), { name: 'RangeError', message: /classes\.place/ });
  await fails((o) => delete o.classes.place, { name: 'TypeError', message: /classes\.place/ });
  await fails((o) => (o.classes.other = 2), { name: 'TypeError', message: /classes/ });
  await fails((o) => (o.task = { height: 'multiLabel' }), { message: /classes\.height/ });
  await fails((o) => (o.task = { place: 'all' }), { name: 'TypeError', message: /task\.place/ });
  await fails((o) => (o.classNames = { place: ['a'] }), { name: 'RangeError', message: /classNames\.place/ });
  await fails((o) => (o.mean = [0, 0, 0, 0]), { name: 'TypeError', message: /mean/ });
  await fails((o) => (o.mean = { image: [0] }), { name: 'TypeError', message: /mean\.more/ });
  await fails((o) => (o.std = { image: [0], more: [1, 1, 1] }), { name: 'RangeError', message: /std\.image\[0\]/ });
});

/** Trained once, looked at by the tests below. */
const data = await several({ validation: 32 });
const trainer = Trainer.create({ network: network(), data, ...common, epochs: 24, gamma: 0.02, bits: { initial: 6 } });

t.test('training: each output has a loss of its own, and metrics', async (t) => {
  t.equal(trainer.options.loss.kind, 'sum');
  t.same(trainer.options.loss.outputs, {
    place: { kind: 'crossEntropy' },
    parity: { kind: 'crossEntropy' },
    mask: { kind: 'crossEntropy', perPosition: true },
    height: { kind: 'meanSquaredError' },
  });
  await trainer.run();
  const [first, last] = [trainer.history[0], trainer.history.at(-1)];
  t.same(Object.keys(last.outputs), ['place', 'parity', 'mask', 'height']);
  const sum = Object.values(last.outputs).reduce((total, { testLoss }) => total + testLoss, 0);
  t.ok(Math.abs(sum - last.testLoss) < 1e-6 * sum);
  t.ok(last.outputs.place.testAccuracy > 0.95, `place ${last.outputs.place.testAccuracy}`);
  t.ok(last.outputs.parity.testAccuracy > 0.9, `parity ${last.outputs.parity.testAccuracy}`);
  t.ok(last.outputs.mask.testAccuracy > 0.95, `mask ${last.outputs.mask.testAccuracy}`);
  t.ok(last.outputs.height.testLoss < first.outputs.height.testLoss / 2, `height ${last.outputs.height.testLoss}`);
  t.ok(last.outputs.height.validationLoss > 0);
  t.equal(last.outputs.height.testAccuracy, 0);
  const evaluated = await trainer.evaluate();
  t.same(
    Object.entries(evaluated.outputs).map(([name, { loss }]) => [name, loss]),
    Object.entries(last.outputs).map(([name, { testLoss }]) => [name, testLoss]),
  );
  t.same(trainer.description.inputs, network().inputs);
  t.same(trainer.description.outputs, network().outputs);
});

t.test('a run goes on from any step with the same numbers', async (t) => {
  const start = () => Trainer.create({ network: network(), data, ...common, epochs: 2, gamma: 0.02 });
  const whole = start();
  await whole.run();
  const stopped = start();
  stopped.on('step', ({ step }) => {
    if (step === 3) stopped.stop('step');
  });
  await stopped.run();
  const path = join(folder, 'checkpoint');
  await stopped.saveCheckpoint(path);
  const resumed = await Trainer.resume(path, data);
  await resumed.run();
  const bare = ({ epochSeconds: _, imagesPerSecond: __, ...metrics }) => metrics;
  t.same(resumed.history.map(bare), whole.history.map(bare));
  t.same(await resumed.state(), await whole.state());
  await t.rejects(Trainer.resume(path, await several()), /the very data|training images/);
  for (const one of [whole, stopped, resumed]) await one.dispose();
});

t.test('what does not fit is an error before training', async (t) => {
  const fails = (change, expected) => t.throws(() => Trainer.create({ network: network(), data, ...common, epochs: 1, ...change }), expected);
  fails({ loss: { kind: 'crossEntropy' } }, { name: 'TypeError', message: /options\.loss\.kind/ });
  fails({ loss: { kind: 'sum' } }, { name: 'TypeError', message: /options\.loss\.outputs/ });
  fails({ loss: { kind: 'sum', outputs: { other: { kind: 'l1' } } } }, { name: 'TypeError', message: /options\.loss\.outputs/ });
  fails({ loss: { kind: 'sum', outputs: { place: { kind: 'l1' } } } }, { name: 'TypeError', message: /options\.loss\.outputs\.place\.kind/ });
  fails({ loss: { kind: 'sum', outputs: { height: { kind: 'crossEntropy' } } } }, { message: /data|height/ });
  fails({ loss: { kind: 'sum', outputs: { height: { kind: 'l2' } } } }, { name: 'TypeError', message: /options\.loss\.outputs\.height\.kind/ });
  fails(
    { loss: { kind: 'sum', outputs: { height: { kind: 'l1', weight: -1 } } } },
    { name: 'RangeError', message: /options\.loss\.outputs\.height\.weight/ },
  );
  fails({ loss: { kind: 'sum', outputs: { height: { kind: 'l1', delta: 'x' } } } }, { message: /options\.loss\.outputs\.height/ });
  fails({ augmentation: { flip: true } }, { name: 'RangeError', message: /options\.augmentation/ });
  const net = new NetworkBuilder([67]);
  fails({ network: net.build(net.linear('input', { outFeatures: 4 })) }, { name: 'RangeError', message: /data/ });
  const other = new NetworkBuilder();
  const [more, image] = [other.input('more', [3]), other.input('image', [1, 8, 8])];
  const x = other.concat([other.flatten(image), more]);
  const outputs = Object.fromEntries(
    Object.entries({ place: 4, parity: 2, mask: 128, height: 1 }).map(([name, outFeatures]) => [name, other.linear(x, { outFeatures })]),
  );
  fails({ network: other.build(outputs) }, { name: 'RangeError', message: /in their order \(more 3, image 1×8×8\).*data/ });
  for (const wrong of [5, 'ab', {}, [], [5], [{}], [null], new Array(17).fill(data.outputs[0]), { filter: 3 }, new Float32Array(2)]) {
    fails({ data: { ...data, outputs: wrong } }, { code: 'ERR_SELFCOMPRESS_ARGUMENT', message: /data\.outputs/ });
    fails({ data: { ...data, inputs: wrong } }, { code: 'ERR_SELFCOMPRESS_ARGUMENT', message: /data\.inputs/ });
  }
  for (const [field, wrong] of Object.entries({ name: 5, task: 'other', classes: -1, size: 0 })) {
    const changed = data.outputs.with(0, { ...data.outputs[0], [field]: wrong });
    fails({ data: { ...data, outputs: changed } }, { code: 'ERR_SELFCOMPRESS_ARGUMENT', message: new RegExp(`data\\.outputs\\[0\\]\\.${field}`) });
  }
  for (const axes of [undefined, [], [0], [1.5], ['2'], [1, 1, 1, 1, 1]])
    fails({ data: { ...data, inputs: [{ name: 'image', axes }] } }, { code: 'ERR_SELFCOMPRESS_ARGUMENT', message: /data\.inputs\[0\]\.axes/ });
  for (const labels of [0, false, '', null, {}])
    fails({ data: { ...data, train: { ...data.train, labels } } }, { code: 'ERR_SELFCOMPRESS_ARGUMENT', message: /labels/ });
  const { outputs: _, ...plain } = data;
  fails({ data: { ...plain, classes: 4 } }, { message: /data/ });
});

t.test('weights of losses: an output of weight 0 learns nothing', async (t) => {
  const loss = {
    kind: 'sum',
    outputs: {
      place: { kind: 'crossEntropy', weight: 0 },
      mask: { kind: 'crossEntropy', weight: 0 },
      height: { kind: 'huber', delta: 0.5, weight: 3 },
    },
  };
  const one = Trainer.create({ network: network(), data, ...common, epochs: 1, loss, gamma: 0, remove: false });
  const before = await one.state();
  await one.run();
  const after = await one.state();
  t.same(after['to-place.bias'], before['to-place.bias']);
  t.same(after['to-mask.bias'], before['to-mask.bias']);
  t.not(after['to-height.bias'][0], before['to-height.bias'][0]);
  t.not(after['to-parity.bias'][0], before['to-parity.bias'][0]);
  const [{ outputs, testLoss }] = one.history;
  t.ok(Math.abs(3 * outputs.height.testLoss + outputs.parity.testLoss - testLoss) < 1e-6);
  await one.dispose();
});

/** Inputs of examples by name: normalised floats. */
function inputsOf({ image, more }, i, { mean, std }) {
  const own = (values, channels, at) =>
    Float32Array.from(
      values,
      (x, k) => ((values instanceof Uint8Array ? x / 255 : x) - mean[at + (channels > 1 ? k : 0)]) / std[at + (channels > 1 ? k : 0)],
    );
  return { image: own(image.subarray(i * 64, (i + 1) * 64), 1, 0), more: own(more.subarray(i * 3, (i + 1) * 3), 3, 1) };
}

const given = examples(5, 9);
let file;
t.test('a model file has inputs and outputs by name', async (t) => {
  file = await trainer.encodeModel();
  const model = await loadModel(file);
  t.same(model.inputs, network().inputs);
  t.same(model.outputs, network().outputs);
  const inputs = [0, 1, 2, 3, 4].map((i) => inputsOf(given, i, data));
  const predictions = await model.predict(inputs);
  const compiled = new binding.Network(trainer.description, { device: 'cpu', loss: { kind: 'l1' }, optimizer: { kind: 'sgd' }, batchSize: 8 });
  const state = await trainer.state();
  await compiled.loadState(Object.fromEntries(compiled.parameters.map(({ name }) => [name, state[name]])));
  const packed = Float32Array.from(inputs.flatMap(({ image, more }) => [...image, ...more]));
  const expected = await compiled.predict(packed, 5);
  await compiled.dispose();
  predictions.forEach((prediction, i) => {
    t.ok(difference(prediction.scores, expected.subarray(i * 135, (i + 1) * 135)) < 1e-3);
    t.same(Object.keys(prediction.outputs), ['place', 'parity', 'mask', 'height']);
    t.same(prediction.outputs.place.scores, prediction.scores.slice(0, 4));
    t.same(prediction.outputs.height.scores, prediction.scores.slice(134));
    t.equal(prediction.outputs.place.label, String(given.place[i]));
    t.ok(['even', 'odd'].includes(prediction.outputs.parity.label));
    t.equal(prediction.outputs.height.label, undefined);
    t.equal(prediction.outputs.mask.label, undefined);
    t.equal(prediction.label, undefined);
    t.equal(prediction.toJSON().outputs.parity.label, prediction.outputs.parity.label);
  });
  const one = model.predictSync(inputs[1]);
  t.ok(difference(one.scores, predictions[1].scores) < 1e-5);
  const asBytes = await model.predict({ image: given.image.subarray(0, 64), more: inputs[0].more });
  t.ok(difference(asBytes.scores, predictions[0].scores) < 1e-3);
  const whole = await model.predict(packed.slice(0, 67));
  t.ok(difference(whole.scores, predictions[0].scores) < 1e-5, 'all inputs as numbers behind one another');
  await t.rejects(model.predict({ image: inputs[0].image }), { name: 'TypeError', message: /input\.more/ });
  await t.rejects(model.predict({ ...inputs[0], third: 1 }), { name: 'TypeError', message: /input/ });
  await t.rejects(model.predict([inputs[0], { image: new Float32Array(3), more: inputs[0].more }]), {
    name: 'RangeError',
    message: /inputs\[1\]\.image/,
  });
  await t.rejects(model.predict(given.image.subarray(0, 64)), { name: 'TypeError', message: /"image", "more"/ });
  await t.rejects(model.predict(new Float32Array(3)), { name: 'RangeError', message: /input/ });
  model.dispose();
});

t.test('a description with parts that are wrong is an error', async (t) => {
  const inspect = (change) => () => inspectNetwork({ ...network(), ...change });
  const { inputs, outputs } = network();
  t.throws(inspect({ inputs: [] }), { name: 'RangeError', message: /network\.inputs/ });
  t.throws(inspect({ inputs: inputs.slice(1) }), { name: 'RangeError', message: /network\.inputs/ });
  t.throws(inspect({ inputs: 'x' }), { name: 'TypeError', message: /network\.inputs/ });
  t.throws(inspect({ inputs: [{ name: 'image', axes: [1, 8] }, inputs[1]] }), { name: 'RangeError', message: /network\.inputs/ });
  t.throws(inspect({ inputs: [{ name: 'image', axes: [0] }, inputs[1]] }), { name: 'RangeError', message: /network\.inputs\[0\]\.axes\[0\]/ });
  t.throws(inspect({ inputs: [{ name: 3, axes: [1] }] }), { name: 'TypeError', message: /network\.inputs\[0\]\.name/ });
  t.throws(inspect({ outputs: outputs.map((part) => ({ ...part, name: 'same' })) }), { name: 'RangeError', message: /network\.outputs\[1\]\.name/ });
  t.throws(inspect({ outputs: [{ ...outputs[0], more: 1 }] }), { name: 'TypeError', message: /network\.outputs\[0\]/ });
  t.throws(inspect({ outputs: Array.from({ length: 17 }, (_, i) => ({ name: `o${i}`, axes: [1] })) }), {
    name: 'RangeError',
    message: /network\.outputs/,
  });
});

async function runOnnx(bytes, feeds) {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const tensors = Object.fromEntries(Object.entries(feeds).map(([name, [values, shape]]) => [name, new ort.Tensor('float32', values, shape)]));
  const results = await session.run(tensors);
  return { results, inputs: [...session.inputNames], outputs: [...session.outputNames] };
}

t.test('an ONNX file has the inputs and outputs by name, and comes back', judged, async (t) => {
  const state = await trainer.state();
  const source = { network: trainer.description, state, info: { name: 'several', classes: 0, mean: data.mean, std: data.std } };
  const inputs = [0, 1, 2, 3, 4].map((i) => inputsOf(given, i, data));
  const join4 = (name) => Float32Array.from(inputs.flatMap((input) => [...input[name]]));
  const feeds = { image: [join4('image'), [5, 1, 8, 8]], more: [join4('more'), [5, 3]] };
  const model = await loadModel(file);
  const predictions = await model.predict(inputs);
  const bytes = await exportModel(source, { format: 'onnx' });
  const { results, inputs: inputNames, outputs: outputNames } = await runOnnx(bytes, feeds);
  t.same(inputNames, ['image', 'more']);
  t.same(outputNames, ['place', 'parity', 'mask', 'height']);
  for (const name of outputNames) {
    const expected = Float32Array.from(predictions.flatMap(({ outputs }) => [...outputs[name].scores]));
    t.ok(difference(results[name].data, expected) < 1e-3, name);
  }
  t.same(results.mask.dims, [5, 2, 8, 8]);
  const path = join(folder, 'several.onnx');
  writeFileSync(path, bytes);
  const back = await importModel(path);
  t.same(back.network.inputs, network().inputs);
  t.same(back.network.outputs, network().outputs);
  t.same(Object.keys(back.report.inputs), ['image', 'more']);
  t.same(Object.keys(back.report.outputs), ['place', 'parity', 'mask', 'height']);
  const again = Trainer.create({ network: back.network, state: back.state, data, ...common, epochs: 1, gamma: 0 });
  await again.run();
  t.ok(again.history[0].outputs.place.testAccuracy > 0.9);
  await again.dispose();
  const only = await importModel(path, { output: 'place' });
  t.equal(only.network.outputs.length, 1);
  const some = await importModel(path, { output: ['height', 'parity'] });
  t.same(
    some.network.outputs.map(({ name }) => name),
    ['height', 'parity'],
  );
  await t.rejects(importModel(path, { output: 'other' }), { name: 'ImportError', message: /other/ });
  await t.rejects(importModel(path, { output: [3] }), { name: 'TypeError', message: /options\.output/ });
  await t.rejects(importModel(path, { input: { image: 'x' } }), { name: 'TypeError', message: /options\.input\.image/ });
  // What does not join its outputs plainly is taken apart in the file.
  const folded = await exportModel(source, { format: 'onnx', foldNorms: true });
  t.same((await runOnnx(folded, feeds)).outputs, outputNames);
  const calibration = Float32Array.from(inputs.flatMap(({ image, more }) => [...image, ...more]));
  const integers = await runOnnx(await exportModel(source, { format: 'onnx', arithmetic: 'integer', calibration }), feeds);
  t.same([integers.inputs, integers.outputs], [inputNames, outputNames]);
  t.ok(difference(integers.results.place.data, results.place.data) < 0.2);
});

t.test('an ONNX file of others: shapes that stay open, an output behind another, one that nobody asks for', judged, async (t) => {
  const random = randomNumbers(5);
  const path = join(folder, 'others.onnx');
  writeModel(path, {
    opset: 13,
    inputs: { 'left.1': ['batch', 2, 'h', 'w'], right: ['batch', 4], unread: ['batch', 2] },
    outputs: { sum: ['batch', 3], chance: ['batch', 3], 'deep/map': ['batch', 2, 'h', 'w'], twice: ['batch', 3] },
    initializers: [weights('w1', 2, 2, 3, 3), weights('w2', 4, 3), weights('w3', 2, 3)],
    nodes: [
      node('Conv', ['left.1', 'w1'], 'deep/map', { pads: [1, 1, 1, 1] }),
      node('GlobalAveragePool', ['deep/map'], 'pooled'),
      node('Flatten', ['pooled'], 'flat'),
      node('MatMul', ['flat', 'w3'], 'a'),
      node('MatMul', ['right', 'w2'], 'b'),
      node('Add', ['a', 'b'], 'sum'),
      node('Softmax', ['sum'], 'chance'),
      node('Add', ['sum', 'sum'], 'twice'),
    ],
  });
  await t.rejects(importModel(path), { name: 'ImportError', message: /left\.1/ });
  const imported = await importModel(path, { input: { 'left.1': [2, 5, 6] } });
  t.same(imported.network.inputs, [
    { name: 'left.1', axes: [2, 5, 6] },
    { name: 'right', axes: [4] },
  ]);
  t.same(
    imported.network.outputs.map(({ name }) => name),
    ['sum', 'deep/map', 'twice'],
    'an output that differs by its tail alone is that output',
  );
  t.same(
    imported.report.tail.map(({ operator }) => operator),
    ['Softmax'],
  );
  const feeds = { 'left.1': [floats(random, 60), [1, 2, 5, 6]], right: [floats(random, 4), [1, 4]], unread: [new Float32Array(2), [1, 2]] };
  const { results } = await runOnnx(readFileSync(path), feeds);
  const { parameters } = inspectNetwork(imported.network);
  const state = initialState(parameters, 1, { bitDepth: 16, headroom: 1 }, imported.state);
  const { unread: _, ...ownFeeds } = feeds;
  const bytes = await exportModel({ network: imported.network, state }, { format: 'onnx' });
  const own = await runOnnx(bytes, ownFeeds);
  t.same(own.inputs, ['left.1', 'right']);
  t.same(own.outputs, ['sum', 'deep/map', 'twice']);
  for (const name of own.outputs) t.ok(difference(own.results[name].data, results[name].data) < 1e-3, name);
  const model = await loadModel(await encodeModel(imported.network, state, { name: '', classes: 0, mean: [], std: [] }));
  const prediction = await model.predict({ 'left.1': feeds['left.1'][0], right: feeds.right[0] });
  for (const name of own.outputs) t.ok(difference(prediction.outputs[name].scores, results[name].data) < 1e-3, name);
  const only = await importModel(path, { input: { 'left.1': [2, 5, 6] }, output: 'deep/map' });
  t.same([only.network.inputs, only.network.outputs], [undefined, undefined], 'one input and one output have no names');
});

t.test('whatever channels are dead: same axes, and the same numbers from training, model file and ONNX file', judged, async (t) => {
  const random = randomNumbers(11);
  const description = network();
  const { parameters } = inspectNetwork(description);
  const feeds = { image: [floats(random, 3 * 64), [3, 1, 8, 8]], more: [floats(random, 9), [3, 3]] };
  const inputs = [0, 1, 2].map((i) => ({ image: feeds.image[0].slice(i * 64, (i + 1) * 64), more: feeds.more[0].slice(i * 3, (i + 1) * 3) }));
  let removed = 0;
  for (let trial = 0; trial < 12; trial++) {
    const state = initialState(parameters, trial, { bitDepth: 6, headroom: 1 });
    for (const { name, role } of parameters) {
      if (role === 'bias') state[name] = floats(random, state[name].length);
      if (role !== 'bitDepth') continue;
      const share = [0.2, 0.6, 1][Math.floor(3 * random())];
      state[name] = state[name].map((b) => (random() < share ? 0 : b));
      const bias = name.replace('bitDepth', 'bias');
      if (random() < 0.5) state[bias] = (state[bias] ?? new Float32Array(state[name].length)).map(() => 0);
    }
    const source = { network: description, state, info: { name: '', classes: 0, mean: [], std: [] } };
    const compiled = new binding.Network(description, { device: 'cpu', loss: { kind: 'l1' }, optimizer: { kind: 'sgd' }, batchSize: 4 });
    await compiled.loadState(state);
    const expected = await compiled.predict(Float32Array.from(inputs.flatMap(({ image, more }) => [...image, ...more])), 3);
    if (await compiled.prune()) removed++;
    t.same([compiled.description.inputs, compiled.description.outputs], [description.inputs, description.outputs]);
    await compiled.dispose();
    const model = await loadModel(await exportModel(source, { format: 'scnn' }));
    t.same([model.inputs, model.outputs], [description.inputs, description.outputs]);
    const predictions = await model.predict(inputs);
    model.dispose();
    t.ok(difference(Float32Array.from(predictions.flatMap(({ scores }) => [...scores])), expected) < 1e-4, `${trial}: model file`);
    const { results, inputs: inputNames, outputs: outputNames } = await runOnnx(await exportModel(source, { format: 'onnx' }), feeds);
    t.same([inputNames, outputNames], [['image', 'more'], description.outputs.map(({ name }) => name)]);
    for (const [k, { name, axes }] of description.outputs.entries()) {
      t.same(results[name].dims, [3, ...axes]);
      const own = Float32Array.from(predictions.flatMap(({ outputs }) => [...outputs[name].scores]));
      t.ok(difference(results[name].data, own) < 1e-4, `${trial}: ONNX, output ${k}`);
    }
  }
  t.ok(removed >= 8, `${removed} networks lost channels`);
});

/** Paths to everything that is inside plain data, arrays of numbers as a whole. */
function pathsIn(value, path = []) {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => pathsIn(inner, [...path, key]))];
}
function changed(value, [key, ...rest], to) {
  if (key === undefined) return to;
  const copy = Array.isArray(value) ? [...value] : { ...value };
  copy[key] = changed(value[key], rest, to);
  return copy;
}
const hostile = [
  undefined,
  null,
  true,
  'x',
  '',
  12n,
  Symbol('s'),
  () => {},
  {},
  [],
  [1],
  { x: 1 },
  Number.NaN,
  -1,
  0.5,
  2 ** 40,
  new Float32Array(3),
  new Proxy({}, {}),
];

t.test('random wrong arguments: a typed error that names a place, or it is right after all', async (t) => {
  const random = randomNumbers(21);
  const small = () => trainSplit(examples(4));
  const options = { shape: { image: [1, 8, 8], more: [3] }, classes: { place: 4, parity: 2, mask: 2 }, classNames: { parity: ['a', 'b'] } };
  const arrays = { ...options, mean: { image: [0], more: [0, 0, 0] }, std: { image: [1], more: [1, 1, 1] }, train: small(), test: small() };
  const loss = { kind: 'sum', outputs: { place: { kind: 'crossEntropy', labelSmoothing: 0.1, weight: 2 }, height: { kind: 'huber', delta: 1 } } };
  const few = await datasetFromArrays(arrays);
  const labelParts = [
    { labels: 1, classes: 4 },
    { labels: 1, classes: 2 },
  ];
  const set = { shape: [2, 1, 1], images: new Float32Array(8), labels: new Int32Array(8), labelParts, targets: new Float32Array(4) };
  const calls = {
    datasetFromArrays: [arrays, (given) => datasetFromArrays(given)],
    inspectNetwork: [
      (({ input, inputs, outputs }) => ({ input, inputs, outputs }))(network()),
      (given) => inspectNetwork({ ...network(), ...given }),
    ],
    Trainer: [loss, (given) => Trainer.create({ network: network(), data: few, epochs: 1, batchSize: 4, loss: given }).dispose()],
    DataSet: [set, (given) => new binding.DataSet(given)],
    importModel: [{ output: ['a', 'b'], input: { a: [1, 2] } }, (given) => importModel('none.onnx', given)],
  };
  for (const [name, [right, call]] of Object.entries(calls)) {
    const paths = pathsIn(right);
    let errors = 0;
    for (let i = 0; i < 150; i++) {
      const path = paths[Math.floor(paths.length * random())];
      const value = hostile[Math.floor(hostile.length * random())];
      let error;
      try {
        await call(changed(right, path, value));
      } catch (caught) {
        error = caught;
      }
      if (!error) continue;
      errors++;
      const typed = ['ERR_SELFCOMPRESS_ARGUMENT', 'ERR_SELFCOMPRESS_DATA'].includes(error.code) && /^Expected .+|none\.onnx/s.test(error.message);
      if (!typed) t.fail(`${name}: ${path.join('.')} = ${String(value)}: ${error.stack}`);
    }
    t.ok(errors > 30, `${name}: ${errors} errors`);
  }
});

t.teardown(() => trainer.dispose());
