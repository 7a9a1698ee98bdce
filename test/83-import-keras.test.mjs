// Models of TensorFlow.js and Keras as networks: TensorFlow.js judges the outputs.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { translateKeras } from '../dist/import/keras/model.js';
import { readTfjs } from '../dist/import/keras/tfjs.js';
import { applyTail, inFileOrder, inNetworkOrder, inputNumbers, inputTokens, predict, relativeDifference } from '../scripts/import/judge.mjs';
import { zip } from './data-support.mjs';
import { importModel, Trainer, temporaryFolder, toyDataset } from './support.mjs';

await import('@tensorflow/tfjs-backend-cpu');
const tf = await import('@tensorflow/tfjs-core');
const layers = await import('@tensorflow/tfjs-layers');
await tf.setBackend('cpu');
tf.env().set('IS_TEST', true);
const L = layers.layers;
const hdf5 = await import('h5wasm').then(
  (module) => module.default,
  () => undefined,
);

const shared = process.env.SELFCOMPRESS_SHARED ?? fileURLToPath(new URL('../../shared', import.meta.url));

/** Weights other than those that a model starts with, so that nothing is 0 or 1. */
function shake(model) {
  let seed = 1;
  model.setWeights(
    model.weights.map(({ name, shape }) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const scale = 1 / Math.sqrt(Math.max(1, count / shape.at(-1)));
      const numbers = inputNumbers(count, seed++).map((x) => (/variance|gamma/.test(name) ? 1 + Math.abs(x) : x * scale));
      return tf.tensor(numbers, shape);
    }),
  );
  return model;
}

/** Writes model.json and its weights. */
async function save(model, folder) {
  mkdirSync(folder, { recursive: true });
  await model.save({
    save: async ({ modelTopology, weightSpecs, weightData, format, generatedBy }) => {
      const weightsManifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
      writeFileSync(join(folder, 'model.json'), JSON.stringify({ modelTopology, weightsManifest, format, generatedBy }));
      writeFileSync(join(folder, 'weights.bin'), new Uint8Array(weightData));
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } };
    },
  });
  return join(folder, 'model.json');
}

/** The largest difference of the imported network's output, over the largest output. */
async function differenceOf(path, file, model) {
  const imported = await translateKeras(path, file);
  const { input, output, report } = imported;
  const count = input.sizes.reduce((a, b) => a * b, 1);
  const images = input.isTokens ? inputTokens(count, 11) : inputNumbers(count);
  const prediction = await predict(imported, input.isTokens ? images : inNetworkOrder(input, images), 1);
  const actual = applyTail(report.tail, inFileOrder(output, prediction, 1), output.shape);
  const expected = model.predict(tf.tensor(images, input.shape)).dataSync();
  return relativeDifference(actual, Array.from(expected));
}

const image = { inputShape: [9, 8, 3] };
const sequence = { inputShape: [7, 5] };
const conv = (more = {}) => L.conv2d({ filters: 6, kernelSize: 3, ...image, ...more });
const chain = (...list) => layers.sequential({ layers: list });
const same = { padding: 'same' };

const plainly = { recurrentActivation: 'sigmoid', recurrentInitializer: 'glorotNormal' };
const lstm = (more) => L.lstm({ ...plainly, ...more });
const gru = (more) => L.gru({ ...plainly, ...more });

const models = {
  'dense layers': () =>
    chain(L.dense({ units: 6, inputShape: [5], activation: 'tanh' }), L.dropout({ rate: 0.3 }), L.dense({ units: 3, activation: 'softmax' })),
  'dense layers of a sequence': () =>
    chain(L.dense({ units: 6, ...sequence, activation: 'elu' }), L.timeDistributed({ layer: L.dense({ units: 3 }) })),
  convolutions: () =>
    chain(
      conv({ ...same, strides: 2, activation: 'relu' }),
      L.batchNormalization({ momentum: 0.9 }),
      L.leakyReLU(),
      conv({ dilationRate: 2, useBias: false, ...same }),
      L.flatten(),
      L.dense({ units: 4 }),
    ),
  'depthwise and separable convolutions': () =>
    chain(
      L.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, ...image, ...same, activation: 'relu6' }),
      L.separableConv2d({ filters: 5, kernelSize: 3, strides: 2, ...same }),
      L.activation({ activation: 'hardSigmoid' }),
    ),
  'convolutions of a sequence': () =>
    chain(
      L.conv1d({ filters: 4, kernelSize: 3, ...sequence, padding: 'same', dilationRate: 2 }),
      L.maxPooling1d({ poolSize: 2 }),
      L.globalAveragePooling1d(),
    ),
  'transposed convolutions': () =>
    chain(
      conv(),
      L.conv2dTranspose({ filters: 4, kernelSize: 3, strides: 2, ...same, activation: 'selu' }),
      L.conv2dTranspose({ filters: 2, kernelSize: 2, strides: 3 }),
    ),
  pools: () =>
    chain(
      conv(),
      L.maxPooling2d({ poolSize: [3, 2], strides: [2, 1], ...same }),
      L.averagePooling2d({ poolSize: 3, strides: 2, ...same }),
      L.globalMaxPooling2d({}),
    ),
  'padding, cropping, up-sampling': () =>
    chain(
      L.zeroPadding2d({
        padding: [
          [1, 2],
          [0, 3],
        ],
        ...image,
      }),
      L.conv2d({ filters: 6, kernelSize: 3 }),
      L.cropping2D({
        cropping: [
          [1, 0],
          [2, 1],
        ],
      }),
      L.upSampling2d({ size: [2, 3] }),
      L.prelu({ sharedAxes: [1, 2] }),
    ),
  shapes: () =>
    chain(
      conv(),
      L.permute({ dims: [2, 1, 3] }),
      L.reshape({ targetShape: [-1, 12] }),
      L.layerNormalization(),
      L.dense({ units: 3 }),
      L.softmax({ axis: 2 }),
    ),
  LSTM: () =>
    chain(
      L.lstm({ units: 4, ...sequence, returnSequences: true, recurrentActivation: 'sigmoid', recurrentInitializer: 'glorotNormal' }),
      L.lstm({ units: 3, recurrentActivation: 'sigmoid', recurrentInitializer: 'glorotNormal' }),
    ),
  volumes: () =>
    chain(
      L.conv3d({ filters: 4, kernelSize: 3, strides: [1, 2, 1], inputShape: [5, 9, 6, 2], ...same, activation: 'relu' }),
      L.maxPooling3d({ poolSize: 2, strides: 1 }),
      L.conv3d({ filters: 3, kernelSize: [2, 3, 1] }),
      L.averagePooling3d({ poolSize: [2, 1, 2] }),
      L.flatten(),
      L.dense({ units: 3 }),
    ),
  'an LSTM backwards': () =>
    chain(lstm({ units: 4, ...sequence, returnSequences: true, goBackwards: true }), L.dense({ units: 3 }), lstm({ units: 3, goBackwards: true })),
  'layers of both directions': () =>
    chain(
      L.bidirectional({ layer: lstm({ units: 4, returnSequences: true }), mergeMode: 'concat', ...sequence }),
      L.bidirectional({ layer: lstm({ units: 3, returnSequences: true }), mergeMode: 'mul' }),
      L.bidirectional({ layer: gru({ units: 3 }), mergeMode: 'ave' }),
    ),
  'last states of both directions': () =>
    chain(L.bidirectional({ layer: gru({ units: 3 }), mergeMode: 'concat', ...sequence }), L.dense({ units: 2 })),
  'rows of a table': () =>
    chain(
      L.embedding({ inputDim: 11, outputDim: 4, inputLength: 6 }),
      L.bidirectional({ layer: lstm({ units: 3, returnSequences: true }), mergeMode: 'sum' }),
      L.globalAveragePooling1d(),
    ),
  GRU: () =>
    chain(
      L.gru({ units: 4, ...sequence, recurrentActivation: 'sigmoid', recurrentInitializer: 'glorotNormal' }),
      L.repeatVector({ n: 3 }),
      L.dense({ units: 2, activation: 'softplus' }),
    ),
  'branches that meet': () => {
    const x = layers.input({ shape: image.inputShape });
    const a = conv(same).apply(x);
    const b = L.conv2d({ filters: 6, kernelSize: 1, activation: 'sigmoid' }).apply(x);
    const merged = [L.add().apply([a, b]), L.multiply().apply([a, b]), L.average().apply([a, b]), L.maximum().apply([a, b])];
    return layers.model({ inputs: x, outputs: L.globalAveragePooling2d({}).apply(L.concatenate().apply(merged)) });
  },
};

t.test('layers models of TensorFlow.js give its outputs', async (t) => {
  const folder = temporaryFolder(t);
  for (const [name, make] of Object.entries(models)) {
    try {
      const model = shake(make());
      const path = await save(model, join(folder, name.replaceAll(' ', '-')));
      const difference = await differenceOf(path, await readTfjs(path), model);
      t.ok(difference < 1e-4, `${name}: ${difference}`);
    } catch (error) {
      t.fail(`${name}: ${error.stack}`);
    }
  }
});

t.test('a public layers model', { skip: existsSync(join(shared, 'models')) ? false : 'no shared models' }, async (t) => {
  const { network, report } = await importModel(join(shared, 'models/tfjs-layers/abalone/model.json'));
  t.same(network.input, [8]);
  t.match(report, { producer: /tfjs-layers/, operators: { Dense: 3 }, opset: undefined });
});

t.test('an imported model trains on images with the channels last', async (t) => {
  const model = shake(
    chain(
      L.conv2d({ filters: 6, kernelSize: 3, inputShape: [12, 12, 1], activation: 'relu' }),
      L.flatten(),
      L.dense({ units: 4, activation: 'softmax' }),
    ),
  );
  const { network, state, report } = await importModel(await save(model, temporaryFolder(t)));
  t.same([network.input, report.input.axes], [[1, 12, 12], [[3], [1], [2]].map((list, i) => (i === 0 ? [] : list))]);
  const trainer = Trainer.create({ network, state, data: toyDataset(), epochs: 4, batchSize: 32, gamma: 0 });
  t.teardown(() => trainer.dispose());
  const before = await trainer.evaluate();
  await trainer.run();
  t.ok((await trainer.evaluate()).loss < before.loss);
});

t.test('what is missing or wrong has a typed error', async (t) => {
  const folder = temporaryFolder(t);
  const path = await save(shake(chain(L.dense({ units: 2, inputShape: [3] }), L.dense({ units: 2 }))), folder);
  const whole = readFileSync(path, 'utf8');
  const changed = async (change) => {
    const json = JSON.parse(whole);
    change(json);
    writeFileSync(path, JSON.stringify(json));
    return importModel(path).then(
      () => undefined,
      (error) => error,
    );
  };
  const layersOf = (json) => json.modelTopology.config.layers;
  const cases = {
    'another class': [(json) => (layersOf(json)[1].class_name = 'Magic'), 'ImportError', /an import rule for Magic/],
    'another activation': [(json) => (layersOf(json)[0].config.activation = 'magic'), 'ImportError', /magic/],
    'no weights': [(json) => (json.weightsManifest[0].weights[0].name = 'other/kernel'), 'ImportError', /weights "kernel"/],
    'weights of another shape': [(json) => (json.weightsManifest[0].weights[0].shape = [2, 3]), 'ImportError', /weights for 3 inputs/],
    'weights that end early': [(json) => (json.weightsManifest[0].weights[1].shape = [99]), 'DataError', /end behind the files/],
    'huge weights': [(json) => (json.weightsManifest[0].weights[1].shape = [2 ** 40, 2 ** 40]), 'DataError', /end behind the files/],
    'a negative size': [(json) => (json.weightsManifest[0].weights[1].shape = [-1]), 'DataError', /a shape/],
    'files elsewhere': [(json) => (json.weightsManifest[0].paths = ['../../../etc/passwd']), 'DataError', /weights at/],
    'no topology': [(json) => delete json.modelTopology, 'DataError', /modelTopology/],
    'a graph model': [(json) => (json.format = 'graph-model'), 'DataError', /graph model/],
    'an input without a shape': [(json) => delete layersOf(json)[0].config.batch_input_shape, 'ImportError', /batch_input_shape/],
    'no list of layers': [(json) => (json.modelTopology.config.layers = 7), 'DataError', /a list of layers/],
  };
  for (const [name, [change, kind, message]] of Object.entries(cases)) t.match(await changed(change), { name: kind, message }, name);
  writeFileSync(path, whole);
  t.match(await importModel(path), { network: { input: [3] } }, 'unchanged');
});

t.test('models that Keras saved as HDF5', { skip: hdf5 ? false : 'h5wasm is not installed' }, async (t) => {
  const { FS } = await hdf5.ready;
  const model = shake(models.convolutions());
  const folder = temporaryFolder(t);
  const { modelTopology } = JSON.parse(readFileSync(await save(model, folder), 'utf8'));
  FS.mkdir('/written');
  const file = new hdf5.File('/written/model.h5', 'w');
  file.create_attribute('keras_version', '2.4.0');
  file.create_attribute('model_config', JSON.stringify(modelTopology));
  const root = file.create_group('model_weights');
  root.create_attribute(
    'layer_names',
    model.layers.map(({ name }) => name),
  );
  for (const layer of model.layers) {
    const group = root.create_group(layer.name);
    const names = layer.weights.map(({ originalName }) => `${originalName}:0`);
    if (names.length) group.create_attribute('weight_names', names);
    layer.weights.forEach((weight, i) => {
      const [own, last] = names[i].split('/');
      const inner = group.get(own) ?? group.create_group(own);
      inner.create_dataset({ name: last, data: weight.read().dataSync(), shape: weight.shape, dtype: '<f' });
    });
  }
  file.close();
  const path = join(folder, 'model.h5');
  writeFileSync(path, FS.readFile('/written/model.h5'));
  const { readHdf5 } = await import('../dist/import/keras/hdf5.js');
  const difference = await differenceOf(path, await readHdf5(path), model);
  t.ok(difference < 1e-4, `${difference}`);
  const bytes = readFileSync(path);
  for (let i = 0; i < 60; i++) {
    const damaged = Buffer.from(bytes);
    for (let k = 0; k < 8; k++) damaged[(i * 7919 + k * 104729) % damaged.length] ^= 1 << ((i + k) % 8);
    writeFileSync(path, i % 3 ? damaged : damaged.subarray(0, (i * 7919) % damaged.length));
    const error = await importModel(path).then(
      () => undefined,
      (e) => e,
    );
    if (error) t.match(error, { name: /^(DataError|ImportError)$/ }, error.message.slice(0, 90));
  }
});

/** The layers that Keras 3 lists, with weights under the names of their classes. */
const archived = {
  'convolutions and norms': () =>
    chain(
      conv({ ...same, activation: 'relu' }),
      L.batchNormalization({ scale: false }),
      L.separableConv2d({ filters: 5, kernelSize: 3 }),
      L.depthwiseConv2d({ kernelSize: 2, useBias: false }),
      L.batchNormalization({ center: false }),
      conv({ filters: 3, ...same }),
      L.prelu({ sharedAxes: [1, 2] }),
      L.flatten(),
      L.layerNormalization(),
      L.dense({ units: 4 }),
    ),
  'both directions behind a table': () =>
    chain(
      L.embedding({ inputDim: 11, outputDim: 4, inputLength: 6 }),
      L.bidirectional({ layer: lstm({ units: 3, returnSequences: true }), mergeMode: 'concat' }),
      L.timeDistributed({ layer: L.dense({ units: 3 }) }),
      L.dense({ units: 5 }),
      gru({ units: 4 }),
    ),
};
/** The parts of a layer that hold its weights. */
const partsOf = (layer) => {
  const name = layer.getClassName();
  if (name === 'Bidirectional')
    return [
      ['forward_layer/cell', layer.forwardLayer],
      ['backward_layer/cell', layer.backwardLayer],
    ];
  if (name === 'TimeDistributed') return [['layer', layer.layer]];
  return [[['LSTM', 'GRU'].includes(name) ? 'cell' : '', layer]];
};
const snakeCase = (name) =>
  ({ DepthwiseConv2D: 'depthwise_conv2d', SeparableConv2D: 'separable_conv2d', PReLU: 'p_re_lu', TimeDistributed: 'time_distributed' })[name] ??
  name.replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase();

/** What Keras 3 writes: config.json, metadata.json, and model.weights.h5 with layers/CLASS_N/PART/vars/I. */
async function archiveOf(model, folder, change = (files) => files, root = 'layers') {
  const { FS } = await hdf5.ready;
  const { modelTopology } = JSON.parse(readFileSync(await save(model, folder), 'utf8'));
  const file = new hdf5.File('/archived.h5', 'w');
  const groups = file.create_group(root);
  const counts = new Map();
  for (const layer of model.layers) {
    const name = snakeCase(layer.getClassName());
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    const group = groups.create_group(count ? `${name}_${count}` : name);
    for (const [part, own] of partsOf(layer)) {
      let inner = group;
      for (const step of [...part.split('/').filter(Boolean), 'vars']) inner = inner.create_group(step);
      own.weights.forEach((weight, i) => {
        inner.create_dataset({ name: String(i), data: weight.read().dataSync(), shape: weight.shape, dtype: '<f' });
      });
    }
  }
  file.close();
  const { class_name, config } = modelTopology;
  const files = {
    'metadata.json': Buffer.from(JSON.stringify({ keras_version: '3.3.3', date_saved: '2024-05-01@10:00:00' })),
    'config.json': Buffer.from(JSON.stringify({ module: 'keras', class_name, config })),
    'model.weights.h5': Buffer.from(FS.readFile('/archived.h5')),
  };
  FS.unlink('/archived.h5');
  const path = join(folder, 'model.keras');
  writeFileSync(path, zip(change(files), { deflate: false }));
  return path;
}

t.test('archives of Keras', { skip: hdf5 ? false : 'h5wasm is not installed' }, async (t) => {
  const { readArchive } = await import('../dist/import/keras/archive.js');
  for (const [name, make] of Object.entries(archived)) {
    const model = shake(make());
    for (const root of ['layers', '_layer_checkpoint_dependencies']) {
      const path = await archiveOf(model, join(temporaryFolder(t), 'a'), undefined, root);
      const difference = await differenceOf(path, await readArchive(path), model);
      t.ok(difference < 1e-4, `${name}: ${difference}`);
    }
  }
  const model = shake(chain(L.dense({ units: 2, inputShape: [3] }), L.dense({ units: 2 })));
  const wrong = async (change) => {
    const path = await archiveOf(model, join(temporaryFolder(t), 'b'), change);
    return importModel(path).then(
      () => undefined,
      (error) => error,
    );
  };
  const changed = (name, change) => (files) => ({ ...files, [name]: change(files[name]) });
  const config = (change) =>
    changed('config.json', (bytes) => {
      const json = JSON.parse(bytes.toString());
      change(json);
      return Buffer.from(JSON.stringify(json));
    });
  const cases = {
    'no configuration': [({ 'config.json': _, ...rest }) => rest, /no config\.json/],
    'no weights': [({ 'model.weights.h5': _, ...rest }) => rest, /no model\.weights\.h5/],
    'a configuration that is no JSON': [changed('config.json', () => Buffer.from('{')), /config\.json is no JSON/],
    'weights that are no HDF5': [changed('model.weights.h5', () => Buffer.from('hello')), /no HDF5 file/],
    'another number of layers': [config((json) => json.config.layers.pop()), /1 layers Dense but 2 groups/],
    'another number of weights': [config((json) => (json.config.layers[0].config.use_bias = false)), /has 2 weights in the archive/],
  };
  for (const [name, [change, message]] of Object.entries(cases)) t.match(await wrong(change), { name: 'DataError', message }, name);
  t.equal(await wrong((files) => files), undefined, 'unchanged');
  const path = await archiveOf(model, join(temporaryFolder(t), 'c'));
  const bytes = readFileSync(path);
  for (let i = 0; i < 80; i++) {
    const damaged = Buffer.from(bytes);
    for (let k = 0; k < 4; k++) damaged[(i * 7919 + k * 104729) % damaged.length] ^= 1 << ((i + k) % 8);
    writeFileSync(path, i % 3 ? damaged : damaged.subarray(0, (i * 7919) % damaged.length));
    const error = await importModel(path).then(
      () => undefined,
      (e) => e,
    );
    t.match(error, { name: /^(DataError|ImportError)$/ }, error?.message.slice(0, 90) ?? 'no error');
  }
});
