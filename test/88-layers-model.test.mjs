// Networks as layers models of TensorFlow.js, and a layers model made small: TensorFlow.js judges the outputs.
import t from 'tap';
import { readLayers } from '../dist/export/layers.js';
import { encodeLayersModel, rules } from '../dist/export/layers-model/export.js';
import { cases, describeCase, predictWith, randomState } from './export-support.mjs';
import { binding, compressLayersModel, difference, floats, randomNumbers, toyDataset } from './support.mjs';

await import('@tensorflow/tfjs-backend-cpu');
const tf = await import('@tensorflow/tfjs-core');
const layers = (await import('@tensorflow/tfjs-layers')).default;
await tf.setBackend('cpu');
t.setTimeout(300_000);
tf.env().set('IS_NODE', false); // or it recommends another package

const COUNT = 3;
const elements = (axes) => axes.reduce((a, b) => a * b, 1);

/** Examples [count, channels, ...positions] as [count, ...positions, channels]. */
function channelsLast(values, [channels, ...positions]) {
  const places = elements(positions);
  return Float32Array.from(values, (_, i) => {
    const [example, within] = [Math.floor(i / (channels * places)), i % (channels * places)];
    return values[(example * channels + (within % channels)) * places + Math.floor(within / channels)];
  });
}
const lastShape = ([channels, ...positions]) => [...positions, channels];

async function loaded(network, state) {
  const artifacts = encodeLayersModel(await readLayers(network, state), { name: 'case' });
  return layers.loadLayersModel({ load: async () => artifacts });
}
function predicted(model, images, axes, count) {
  return tf.tidy(() => model.predict(tf.tensor(channelsLast(images, axes), [count, ...lastShape(axes)])).dataSync());
}

/** Cases that layers of TensorFlow.js do not have, with what the error says they need. */
const refused = {
  'conv2d in groups': /one group/,
  conv2d: /not both/,
  'conv2d of a sequence, padded rows': /one row/,
  'conv2d of a vector': /along one or two axes/,
  convTranspose2d: /one group/,
  'convTranspose2d of a sequence': /an image/,
  clip: /0 as the smallest/,
  'hardSigmoid with fields': /0.2·x/,
  hardSigmoid: /0.2·x/,
  'elu with alpha': /an alpha of 1/,
  'layerNorm with removed channels': /all 9 channels/,
  'softmax of positions': /axis of channels/,
  'softmax of the positions of a sequence': /axis of channels/,
  maxPool: /"same" or none/,
  'averagePool without padding': /"same" or none/,
  'multiply by a vector': /as many axes/,
  'concat rows of sequences': /images/,
  slicePositions: /next to each other/,
  'slicePositions of a sequence': /next to each other/,
};

t.test('every operator with a rule gives its outputs in TensorFlow.js, or says what is missing', async (t) => {
  const kinds = new Set(Object.values(cases).flatMap(([, nodes]) => nodes.map(({ kind }) => kind)));
  t.same(
    Object.keys(rules).filter((kind) => !kinds.has(kind)),
    [],
  );
  const withRule = (name) => describeCase(name).nodes.every(({ kind }) => kind in rules);
  for (const name of Object.keys(cases)) {
    const network = describeCase(name);
    const state = randomState(network);
    const images = floats(randomNumbers(5), COUNT * elements(network.input));
    let model;
    try {
      model = await loaded(network, state);
    } catch (error) {
      t.equal(error.name, 'ExportError', `${name}: ${error.stack}`);
      const wanted = withRule(name) ? (refused[name] ?? /(mode is|as often as)/) : /a layer of TensorFlow.js/;
      t.match(error.message, wanted, name);
      continue;
    }
    const axes = binding.inspectNetwork(network).shapes[network.output];
    const expected = channelsLast(await predictWith(network, state, images, COUNT), axes);
    t.same(model.outputs[0].shape.slice(1), lastShape(axes), `${name}: shape`);
    try {
      const off = difference(predicted(model, images, network.input, COUNT), expected);
      t.ok(off < 2e-5, `${name}: ${off}`);
    } catch (error) {
      t.fail(`${name}: ${error.message}`);
    }
    model.dispose();
  }
});

const L = layers.layers;
const seeded = { kernelInitializer: layers.initializers.glorotUniform({ seed: 1 }) };
const data = toyDataset({ count: 384 });
const imagesOf = ({ images, count }) =>
  tf.tensor(
    Float32Array.from(images, (x) => (x / 255 - data.mean[0]) / data.std[0]),
    [count, 12, 12, 1],
  );

const chain = () =>
  layers.sequential({
    layers: [
      L.conv2d({ filters: 24, kernelSize: 3, ...seeded, activation: 'relu', inputShape: [12, 12, 1] }),
      L.maxPooling2d({ poolSize: 2 }),
      L.conv2d({ filters: 24, kernelSize: 3, ...seeded, activation: 'relu' }),
      L.flatten(),
      L.dense({ units: 4, ...seeded, activation: 'softmax' }),
    ],
  });

/** Two branches that meet, and probabilities at the end. */
function branched() {
  const x = layers.input({ shape: [12, 12, 1] });
  const a = L.maxPooling2d({ poolSize: 2 }).apply(
    L.conv2d({ filters: 8, kernelSize: 3, ...seeded, padding: 'same', activation: 'relu', name: 'first' }).apply(x),
  );
  const b = L.activation({ activation: 'relu' }).apply(
    L.batchNormalization({}).apply(L.conv2d({ filters: 8, kernelSize: 3, ...seeded, padding: 'same', useBias: false }).apply(a)),
  );
  const flat = L.flatten({}).apply(L.concatenate({}).apply([L.add().apply([a, b]), b]));
  return layers.model({ inputs: x, outputs: L.dense({ units: 4, ...seeded, activation: 'softmax', name: 'head' }).apply(flat) });
}

async function trained(model, epochs = 6) {
  model.compile({ optimizer: tf.train.adam(0.01), loss: 'categoricalCrossentropy' });
  const x = imagesOf(data.train);
  await model.fit(x, tf.oneHot(tf.tensor(data.train.labels, undefined, 'int32'), 4), { epochs, batchSize: 32, verbose: 0, shuffle: false });
  x.dispose();
  return model;
}

await import('../dist/tfjs/index.js');
const options = { target: { bytes: 900 }, epochs: 20, batchSize: 32, learningRate: 0.003, device: 'cpu' };
const classes = (output) => Array.from(tf.argMax(output, -1).dataSync());

for (const [name, make] of Object.entries({ 'a chain': chain, 'branches that meet': branched })) {
  t.test(`${name} of layers becomes a smaller one`, async (t) => {
    await tf.setBackend('selfcompress');
    t.teardown(() => tf.setBackend('cpu'));
    const model = await trained(make());
    const before = model.getWeights().map((weight) => weight.dataSync().slice());
    const { layersModel, model: file, report, network, state } = await compressLayersModel(model, data, options);
    t.same(
      model.getWeights().map((weight) => weight.dataSync()),
      before,
      'the original is as it was',
    );
    t.ok(layersModel instanceof layers.LayersModel);
    t.same(layersModel.outputs[0].shape, model.outputs[0].shape);
    t.ok(report.accuracyBefore > 0.9 && report.agreement > 0.9, `${report.accuracyBefore}, ${report.agreement} agree`);
    t.ok(file.length < report.bytesBefore / 4, `${report.bytesBefore} → ${file.length} bytes`);
    for (const [layer, [, channels]] of Object.entries(report.channels))
      t.equal(layersModel.getLayer(layer).weights[0].shape.at(-1), channels, layer);
    if (make === chain)
      t.ok(layersModel.countParams() < 0.9 * model.countParams(), `${model.countParams()} → ${layersModel.countParams()} parameters`);

    // The network's outputs, behind the softmax that the model ends with.
    const { count } = data.test;
    const normalised = Float32Array.from(data.test.images, (x) => (x / 255 - data.mean[0]) / data.std[0]);
    const logits = tf.tensor(await predictWith(network, state, normalised, count), [count, 4]);
    const small = layersModel.predict(imagesOf(data.test));
    t.ok(difference(small.dataSync(), tf.softmax(logits).dataSync()) < 1e-4);
    const original = classes(model.predict(imagesOf(data.test)));
    const same = classes(small).filter((label, i) => label === original[i]).length / count;
    t.ok(Math.abs(same - report.agreement) < 0.02, `${same} of the classes, ${report.agreement} by the report`);

    // It is a model like any other.
    await trained(layersModel, 1);
    const again = await compressLayersModel(layersModel, data, { ...options, target: { bitsFraction: 0.5 }, epochs: 1 });
    t.same(again.layersModel.outputs[0].shape, model.outputs[0].shape, 'made small again');
  });
}

t.test('vectors in, numbers out', async (t) => {
  const model = layers.sequential({ layers: [L.dense({ units: 16, inputShape: [8], activation: 'relu' }), L.dense({ units: 1 })] });
  const random = randomNumbers(3);
  const part = (count) => ({ images: floats(random, 8 * count), targets: floats(random, count) });
  const { datasetFromArrays } = await import('./support.mjs');
  const vectors = await datasetFromArrays({ shape: [8], train: part(64), test: part(16) });
  const { layersModel, report } = await compressLayersModel(model, vectors, { epochs: 2, batchSize: 16, device: 'cpu' });
  t.same(layersModel.inputs[0].shape, [null, 8]);
  t.same(layersModel.predict(tf.zeros([2, 8])).shape, [2, 1]);
  t.ok(report.bytesAfter < report.bytesBefore);
});

t.test('what is no such model, and what could not come back, is refused before anything is trained', async (t) => {
  for (const model of [undefined, 7, {}, { save: 1 }]) {
    await t.rejects(compressLayersModel(model, data), {
      name: 'TypeError',
      message: /^Expected a LayersModel of TensorFlow.js for model but received/,
    });
  }
  await t.rejects(
    compressLayersModel(
      Object.defineProperty({}, 'save', {
        get: () => {
          throw new Error('no');
        },
      }),
      data,
    ),
    { name: 'TypeError', message: /for model/ },
  );
  await t.rejects(compressLayersModel({ name: 'mute', save: async () => {} }, data), { name: 'DataError', message: /mute: it saves no layers/ });
  await t.rejects(compressLayersModel({ name: 'odd', save: ({ save }) => save({ weightSpecs: 7 }) }, data), { name: 'DataError', message: /odd/ });
  const failing = {
    name: 'failing',
    save: async () => {
      throw new Error('disk');
    },
  };
  await t.rejects(compressLayersModel(failing, data), { name: 'DataError', message: /cannot be read \(disk\)/ });
  const model = branched();
  await t.rejects(compressLayersModel(model, {}), { name: 'TypeError', message: /data/ });
  await t.rejects(compressLayersModel(model, data, { epochs: 'many' }), { message: /epochs/ });
  await t.rejects(compressLayersModel(model, data, { colour: 1 }), { name: 'TypeError', message: /options/ });
  const inner = layers.sequential({ layers: [L.inputLayer({ inputShape: [12, 12, 1] }), chain()] });
  await t.rejects(compressLayersModel(inner, data, { epochs: 1 }), { name: 'ImportError', message: /Sequential/ });
});

t.test('axes that the model has in another order', async (t) => {
  const few = toyDataset({ count: 16 });
  const { mean, std, ...rest } = few;
  const inOrder = { ...rest, shape: [12, 12, 1], mean: Array(12).fill(mean[0]), std: Array(12).fill(std[0]) };
  const once = { epochs: 1, batchSize: 8, target: { bitsFraction: 0.9 }, device: 'cpu' };
  const values = floats(randomNumbers(9), 2 * 144);
  const images = tf.tensor(values, [2, 12, 12, 1]);

  const vector = layers.sequential({ layers: [L.flatten({ inputShape: [12, 12, 1] }), L.dense({ units: 4 })] });
  const flat = await compressLayersModel(vector, inOrder, once);
  t.same(flat.layersModel.inputs[0].shape, [null, 12, 12, 1]);
  const off = difference(flat.layersModel.predict(images).dataSync(), await predictWith(flat.network, flat.state, values, 2));
  t.ok(off < 1e-5, `the input: ${off}`);

  const turned = layers.sequential({
    layers: [L.conv2d({ filters: 3, kernelSize: [3, 2], inputShape: [12, 12, 1] }), L.permute({ dims: [2, 1, 3] })],
  });
  const { layersModel, network, state } = await compressLayersModel(turned, few, once);
  const result = layersModel.predict(images);
  t.same(result.shape, turned.predict(images).shape);
  const expected = tf.transpose(tf.tensor(await predictWith(network, state, values, 2), [2, 3, 10, 11]), [0, 3, 2, 1]);
  t.ok(difference(result.dataSync(), expected.dataSync()) < 1e-5, 'the output');
});
