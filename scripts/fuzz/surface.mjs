// Every way into the library: arguments that are right for each, and a check that none is missing.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as library from '../../dist/index.js';
import { rawArguments } from '../../test/raw-arguments.mjs';

const { binding } = library;
const f = (n) => new Float32Array(n);
const i = (n) => new Int32Array(n);

function description() {
  const net = new library.NetworkBuilder([1, 6, 6]);
  const a = net.relu(net.batchNorm(net.conv2d('input', { name: 'conv1', outChannels: 4, kernel: 3, padding: 1 }), { name: 'norm1' }));
  const b = net.add(a, net.conv2d(a, { name: 'conv2', outChannels: 4, kernel: 1 }), 'sum');
  return net.build(net.linear(net.flatten(net.maxPool(b, { kernel: 2 })), { name: 'linear', outFeatures: 3 }));
}
const networkOptions = () => ({
  device: 'cpu',
  precision: 'fp32',
  memoryLimit: 0,
  loss: { kind: 'crossEntropy', labelSmoothing: 0.1 },
  optimizer: { kind: 'adam', beta1: 0.9, weightDecay: 0, maxGradientNorm: 1 },
  penalty: 'coupled',
  originalWeights: 100,
  batchSize: 4,
  deadDecay: 0.05,
});
const settings = () => ({
  step: 1,
  seed: 1,
  gamma: 0.01,
  learningRate: 0.1,
  bitDepthLearningRate: 0.1,
  exponentLearningRate: 0.1,
  augmentation: { shift: 1, flip: true, cutout: 2, rotate: 10, scale: 0.1, colour: 0.2, mixup: 0.2, cutmix: 1 },
});
const dataOptions = () => ({ shape: [1, 6, 6], images: f(36 * 5), labels: i(5), classes: 3, targets: f(10), mean: [0.5], std: [0.25] });
const states = () => {
  const network = new binding.Network(description(), networkOptions());
  const state = library.initialState(network.parameters, 1, { bitDepth: 4, headroom: 1 });
  network.dispose();
  return state;
};
const data = () => new binding.DataSet(dataOptions());

/**
 * name → { make: fresh arguments, call: with them, names: of the parameters }. `subject` is a network that getters may dispose of;
 * `slow`: reads real files; `proportional`: takes time in proportion to the sizes that it is given.
 */
export const entries = {};
for (const operation of Object.keys(rawArguments))
  for (const name of [operation, `${operation}Sync`])
    entries[name] = {
      make: () => [rawArguments[operation]()],
      names: ['the arguments'],
      call: (args) => binding[name](...args),
      proportional: name !== operation,
    };
Object.assign(entries, {
  info: { make: () => [], names: [], call: (args) => binding.info(...args) },
  setThreads: { make: () => [2], names: ['count'], call: (args) => binding.setThreads(...args), small: true },
  DataSet: { make: () => [dataOptions()], names: ['options'], call: (args) => new binding.DataSet(...args) },
  'DataSet.append': {
    make: () => [{ images: f(36 * 2), labels: i(2), targets: f(4) }],
    names: ['more', 'this'],
    call: (args) => new binding.DataSet({ ...dataOptions(), examples: 9 }).append(...args),
  },
  Network: {
    make: () => [description(), networkOptions()],
    names: ['network', 'options', 'node'],
    call: (args) => {
      const network = new binding.Network(...args);
      const channels = Object.values(network.shapes).reduce((sum, [count]) => sum + count, 0);
      const compiled = channels < 2 ** 16 ? network.memory() : undefined; // takes time in proportion, if not of this thread
      network.dispose();
      return compiled;
    },
  },
});
const metadata = () => ({ name: 'toy', classes: 3, labels: ['a', 'b'], mean: [0.5], std: [0.25], flag: true });
const bytes = await binding.encodeModelFile({ network: description(), state: states(), metadata: metadata() });
Object.assign(entries, {
  operators: { make: () => [], names: [], call: (args) => binding.operators(...args) },
  inspectNetwork: { make: () => [description()], names: ['network', 'node'], call: (args) => binding.inspectNetwork(...args) },
  encodeModelFile: {
    make: () => [{ network: description(), state: states(), metadata: metadata() }],
    names: ['the arguments', 'network', 'state', 'metadata', 'node'],
    call: (args) => binding.encodeModelFile(...args),
  },
  exportC: {
    make: () => [{ bytes: new Uint8Array(64), name: 'net', weights: 'plain' }],
    names: ['bytes', 'name', 'weights'],
    call: (args) => binding.exportC(...args),
  },
  squeezeCodes: {
    make: () => [{ codes: i(12), cost: f(12), channels: 2, places: 3, lambda: 0.5 }],
    names: ['codes', 'cost', 'channels', 'places', 'lambda'],
    call: (args) => binding.squeezeCodes(...args),
  },
  decodeModelFile: {
    make: () => [{ bytes: bytes.slice(), maxWeights: 1000, maxNodes: 100 }],
    names: ['the arguments'],
    call: (args) => binding.decodeModelFile(...args),
  },
});
const methods = {
  state: { make: () => [], names: [] },
  loadState: { make: () => [states()], names: ['state'] },
  trainStep: { make: () => [data(), i(3), settings()], names: ['data', 'indices', 'settings'] },
  evaluate: { make: () => [data(), i(3)], names: ['data', 'indices'] },
  predict: { make: () => [f(72), 2], names: ['images', 'count'] },
  gradients: { make: () => [data(), i(3), settings()], names: ['data', 'indices', 'settings'] },
  prune: { make: () => [], names: [] },
  measure: { make: () => [], names: [] },
  memory: { make: () => [], names: [] },
  plan: { make: () => ['training'], names: ['which'] },
  encodeModel: { make: () => [metadata()], names: ['metadata'] },
  dispose: { make: () => [], names: [] },
};
for (const [name, { make, names }] of Object.entries(methods))
  entries[`Network.${name}`] = {
    make,
    names: [...names, 'this'],
    subject: () => new binding.Network(description(), networkOptions()),
    call: (args, subject) => subject[name](...args),
  };

const modelNetwork = new binding.Network(description(), networkOptions());
const modelBytes = await modelNetwork.encodeModel();
await modelNetwork.dispose();
const loaded = await binding.loadModelFile({ bytes: modelBytes });
entries.loadModelFile = {
  make: () => [{ bytes: new Uint8Array(modelBytes), maxWeights: 1e6, maxNodes: 1e3, maxActivationBytes: 1e8, weights: 'packed' }],
  names: ['the arguments'],
  call: (args) => binding.loadModelFile(...args),
};
entries.Model = { make: () => [], names: ['the maker of a Model'], call: (args) => new binding.Model(...args) };
entries.Decoder = { make: () => [], names: ['the maker of a Decoder'], call: (args) => new binding.Decoder(...args) };
const texts = library.createModel('lstm-lm', { input: { tokens: 4 }, classes: 3, width: 0.125 });
const textState = library.initialState(library.inspectNetwork(texts).parameters, 1, { bitDepth: 4, headroom: 1 });
const tokenModel = await binding.loadModelFile({
  bytes: await library.encodeModel(texts, textState, { name: 'texts', classes: 3, mean: [0], std: [1] }),
});
const decoder = await tokenModel.decoder();
for (const name of ['next', 'reset'])
  entries[`Decoder.${name}`] = {
    make: () => (name === 'next' ? [i(1)] : []),
    names: ['tokens', 'this'],
    subject: () => decoder,
    call: (args, subject) => {
      decoder.reset();
      return subject[name](...args);
    },
  };
for (const name of ['predict', 'predictSync', 'memory', 'decoder', 'dispose'])
  entries[`Model.${name}`] = {
    make: () => (name.startsWith('predict') ? [f(72), 2] : []),
    names: ['images', 'count', 'this'],
    subject: () => (name === 'decoder' ? tokenModel : loaded),
    call: (args, subject) => (name === 'dispose' ? undefined : subject[name](...args)),
  };

const dataset = () => {
  const part = () => ({ images: new Uint8Array(36 * 4), labels: i(4) });
  return { name: 'toy', shape: [1, 6, 6], classes: 3, train: part(), test: part() };
};
const info = () => ({ name: 'toy', classes: 3, classNames: ['a', 'b', 'c'], mean: [0.5], std: [0.25] });
const columns = () => [
  { name: 'a', index: 0, mean: 1, missing: new Set(['NA']) },
  { name: 'b', index: 1, categories: ['x', 'y'], mean: 0, missing: new Set() },
];
const nowhere = '/nonexistent/folder/file';
const loader = (options = () => ({})) => ({ make: () => [nowhere, options()], names: ['path', 'options', 'directory', 'dataDir', 'given'] });
const drained = (batches) => [batches.next(), batches.next()];
const tensorOptions = () => ({
  name: 'n',
  layout: 'channelsFirst',
  names: { 'train.images': 'a' },
  classes: 3,
  task: 'classification',
  holdOut: 0.2,
  seed: 1,
});
const sound = await library.datasetFromArrays(dataset());
/** Data of two inputs and two outputs, and a network for them. */
const manyParts = () => {
  const part = () => ({ images: { a: new Uint8Array(36 * 4), b: f(8) }, labels: { kind: i(4) }, targets: { size: f(4) } });
  return { name: 'parts', shape: { a: [1, 6, 6], b: [2] }, classes: { kind: 3 }, train: part(), test: part() };
};
const soundParts = await library.datasetFromArrays(manyParts());
const partsNetwork = () => {
  const net = new library.NetworkBuilder();
  const x = net.concat([net.flatten(net.input('a', [1, 6, 6])), net.input('b', [2])]);
  return net.build({ kind: net.linear(x, { outFeatures: 3 }), size: net.linear(x, { outFeatures: 1 }) });
};
/** Entry points in TypeScript. `with` makes the call of what is not simply a function. */
export const typescript = {
  createModel: { make: () => ['mlp', { input: [1, 4, 4], classes: 3, compress: true }], names: ['name', 'options', 'model'] },
  datasetFromArrays: { make: () => [dataset()], names: ['options', 'datasetFromArrays', 'arrays'] },
  inspectNetwork: { make: () => [description()], names: ['network', 'node', 'description'] },
  scheduleFactor: { make: () => [{ kind: 'cosine', warmup: 0.1, final: 0.1 }, 0.5], names: ['schedule', 'progress'] },
  decodeModel: { make: () => [new Uint8Array(64), { maxWeights: 100, maxNodes: 10 }], names: ['bytes', 'limits'] },
  exportModel: {
    make: () => [
      { network: description(), state: states(), info: info() },
      { format: 'onnx', foldNorms: true, arithmetic: 'float', int4: false, calibration: f(36), name: 'net', weights: 'packed' },
    ],
    names: [
      'source',
      'options',
      'format',
      'foldNorms',
      'arithmetic',
      'int4',
      'calibration',
      'name',
      'weights',
      'network',
      'state',
      'info',
      'metadata',
      'node',
    ],
  },
  encodeModel: { make: () => [description(), states(), info()], names: ['network', 'state', 'info', 'metadata', 'node'] },
  initialState: {
    proportional: true,
    make: () => [library.inspectNetwork(description()).parameters, 1, { bitDepth: 4, headroom: 1 }, { 'conv1.weight': f(36) }],
    names: ['parameters', 'seed', 'quantizer', 'state', 'options'],
  },
  originOf: { make: () => [library.inspectNetwork(description()).parameters], names: ['parameters'] },
  taskOf: { make: () => [structuredClone(sound)], names: ['data'] },
  encodeRow: { make: () => [columns(), { a: 2, b: 'x' }], names: ['columns', 'row'] },
  generateText: {
    make: () => [
      { length: 4, vocabulary: 2, predict: async () => new Float32Array(8) },
      new library.CharacterVocabulary(['a', 'b']),
      'ab',
      { tokens: 3, temperature: 1, topK: 2, seed: 1 },
    ],
    names: ['model', 'tokenizer', 'prompt', 'options', 'text'],
    with: async (args) => {
      let pieces = 0;
      for await (const _ of library.generateText(...args)) if (++pieces === 50) break;
    },
  },
  CharacterVocabulary: {
    make: () => [['a', 'b', 'c'], 1],
    names: ['characters', 'reserved'],
    with: (args) => new library.CharacterVocabulary(...args).encode('abc'),
  },
  datasetFromText: {
    make: () => ['to be or not to be'.repeat(9), { length: 4, holdOut: 0.2, validation: 0.1 }, 'text'],
    names: ['text', 'options', 'length', 'path', 'tokenizer'],
  },
  randomWindows: {
    make: () => [i(40), 4, 2, 1],
    names: ['tokens', 'length', 'batchSize', 'seed'],
    with: (args) => drained(library.randomWindows(...args)),
  },
  allWindows: { make: () => [i(40), 4, 2], names: ['tokens', 'length', 'batchSize'], with: (args) => drained(library.allWindows(...args)) },
  datasetFromGenerator: {
    make: () => [{ shape: [4], classes: 3, train: () => [{ images: f(20), labels: i(5) }], test: { images: f(8), labels: i(2) }, statisticsFrom: 5 }],
    names: ['options', 'datasetFromGenerator', 'batch', 'the result of train'],
  },
  digitScenes: { slow: true, make: () => [{ size: 28, digits: [1, 2], count: 2, testCount: 1, seed: 1 }], names: ['options'] },
  loadDataset: { slow: true, make: () => ['mnist', { dataDir: nowhere, limit: 5, validation: 1, seed: 1 }], names: ['dataset', 'options'] },
  loadImageMasks: loader(() => ({ classes: 2, size: [4, 4], fit: 'cover', values: [0, 255], ignoreValue: 7 })),
  loadJsonLines: loader(() => ({
    input: 'x',
    target: 'y',
    task: 'classification',
    classes: 3,
    length: 4,
    vocabulary: 9,
    testPath: nowhere,
    holdOut: 0.2,
  })),
  loadNpy: loader(tensorOptions),
  loadNpz: loader(tensorOptions),
  loadSafetensors: loader(tensorOptions),
  loadWeights: {
    make: () => [description(), nowhere, { map: {} }],
    names: ['network', 'path', 'options', 'map'],
  },
  loadSklearnTable: { make: () => ['iris', { dataDir: nowhere, holdOut: 0.2, seed: 1 }], names: ['table', 'options'] },
  loadTable: loader(() => ({
    target: 'y',
    task: 'classification',
    header: true,
    skip: 1,
    delimiter: ',',
    categorical: ['a'],
    ignore: ['b'],
    missing: ['NA'],
  })),
  loadText: loader(() => ({ length: 4, holdOut: 0.2, validation: 0.1 })),
  loadTokenizer: { make: () => [nowhere], names: ['path'] },
  readCheckpoint: { make: () => [nowhere], names: ['path'] },
  Trainer: {
    make: () => [
      {
        network: description(),
        data: structuredClone(sound),
        state: { 'conv1.weight': f(36) },
        epochs: 1,
        batchSize: 4,
        loss: { kind: 'crossEntropy' },
      },
    ],
    names: ['options', 'network', 'data', 'state', 'Trainer.create', 'node'],
    with: (args) => library.Trainer.create(...args).dispose(),
  },
  'Trainer of several inputs and outputs': {
    make: () => [
      {
        network: partsNetwork(),
        data: structuredClone(soundParts),
        epochs: 1,
        batchSize: 4,
        loss: { kind: 'sum', outputs: { size: { kind: 'l1' } } },
      },
    ],
    names: ['options', 'network', 'data', 'state', 'Trainer.create', 'node', 'size', 'kind'],
    with: (args) => library.Trainer.create(...args).dispose(),
  },
  'datasetFromArrays of several inputs and outputs': {
    make: () => [manyParts()],
    names: ['options', 'datasetFromArrays', 'arrays'],
    with: (args) => library.datasetFromArrays(...args),
  },
  compressModel: {
    make: () => [
      { network: description(), state: {} },
      structuredClone(sound),
      { target: { bytes: 500 }, epochs: 1, batchSize: 8, learningRate: 0.01, seed: 1, device: 'cpu', onEpoch: () => {} },
    ],
    names: ['original', 'options', 'data', 'network', 'state', 'node'],
  },
  compressOnnx: {
    make: () => [fileURLToPath(new URL('no.onnx', import.meta.url)), structuredClone(sound), { epochs: 1 }],
    names: ['path', 'options', 'data'],
  },
  compressLayersModel: {
    make: () => [{ name: 'mute', save: async () => {} }, structuredClone(sound), { epochs: 1 }],
    names: ['model', 'options', 'data', 'mute'],
  },
  importModel: {
    make: () => [fileURLToPath(new URL('no.onnx', import.meta.url)), { input: [1, 6, 6], output: 'y', batchAxis: 0 }],
    names: ['path', 'options', 'input', 'output', 'batchAxis'],
  },
  loadModel: { make: () => [new Uint8Array(64), { weights: 'packed', maxWeights: 100 }], names: ['file', 'options', 'model'] },
};
/** Without cases of their own here, and why. */
export const untried = {
  binding: 'the native functions above',
  CheckpointError: 'a class of errors',
  DataError: 'a class of errors',
  FileError: 'a class of errors',
  ExportError: 'a class of errors',
  ImportError: 'a class of errors',
  ModelFileError: 'a class of errors',
  TrainingDivergedError: 'a class of errors',
  InferenceModel: 'made by loadModel',
  Prediction: 'made by InferenceModel',
  NetworkBuilder: 'makes the descriptions that Network takes',
  datasetCatalog: 'a list',
  datasetNames: 'a list',
  modelNames: 'a list',
  exportFormats: 'a list',
  imageModelNames: 'a list',
  languageModelNames: 'a list',
  defaultTrainOptions: 'a value',
  writeCheckpoint: 'writes what Trainer.checkpoint returns',
  measureSize: 'takes a network that is compiled; Network.measure is among the cases',
};
const named = new Map(Object.entries(library));
for (const [name, entry] of Object.entries(typescript)) entry.call = entry.with ?? ((args) => named.get(name)(...args));

/** Functions, classes and methods that binding.d.ts declares. */
export function declared(text = readFileSync(new URL('../../binding.d.ts', import.meta.url), 'utf8')) {
  const names = [...text.matchAll(/^export function (\w+)/gm)].map((m) => m[1]);
  for (const [, name, body] of text.matchAll(/^export class (\w+) \{\n([\s\S]*?)^\}/gm)) {
    names.push(name);
    for (const [, method] of body.matchAll(/^ {2}(\w+)\(/gm)) if (method !== 'constructor') names.push(`${name}.${method}`);
  }
  return names;
}

/** What exists but has no case, or has a case but does not exist. */
export function missing() {
  const known = new Set(Object.keys(entries));
  const wanted = new Set(declared());
  for (const [name, value] of Object.entries(binding)) {
    wanted.add(name);
    for (const method of Object.getOwnPropertyNames(value.prototype ?? {})) if (method !== 'constructor') wanted.add(`${name}.${method}`);
  }
  const ts = new Set([...Object.keys(typescript), ...Object.keys(untried)]);
  return [
    ...[...wanted].filter((name) => !known.has(name)),
    ...[...known].filter((name) => !wanted.has(name)),
    ...Object.keys(library).filter((name) => !ts.has(name)),
    ...[...ts].filter((name) => !(name.split(' ')[0] in library)), // "Trainer of …": another form of its arguments
  ];
}
