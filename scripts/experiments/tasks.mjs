// Every kind of task and loss: a float network, which then goes on for as long as the compressing one that starts from it.
// Writes docs/tasks.json and docs/tasks.md.
//   node scripts/experiments/tasks.mjs [--only NAME,NAME] [--tables DIR] [--runs runs/tasks] [--seeds 1,2] [--pilot true]
// --tables: the folder of scikit-learn's tables (Debian: python3-sklearn); without them these rows stay what they were.
// --pilot true: on a fifth of the training examples in the place of the test examples, prints and writes no page.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { binding, createModel, decodeModel, loadModel, NetworkBuilder, Trainer } from '../../dist/index.js';
import { scriptOptions } from './runs.mjs';
import { diabetes, digitPlace, digitProperties, friedman, haveTables, metrics, pilot, scenes, tumours } from './task-data.mjs';
import { tasksPage, worse } from './task-page.mjs';

/** Share of the bits that is asked for of all tasks; where it costs quality, the second. */
const SHARES = [0.05, 0.1];
const SEEDS = [1, 2, 3];
/** Where γ, which is steered, begins: these losses are smaller than the cross-entropies that its default is meant for. */
const GAMMA = 0.05;

/** Nine tenths of all pixels are background, class 0. */
const PIXELS = { kind: 'crossEntropy', perPosition: true, classWeights: [0.2, ...Array(10).fill(1)] };

/** Hidden layers of 64 and 64. */
function mlp(outputs) {
  return ({ shape }) => {
    const net = new NetworkBuilder([shape[0]]);
    const hidden = (x) => net.relu(net.linear(x, { outFeatures: 64 }));
    return net.build(net.linear(hidden(hidden('input')), { outFeatures: outputs }));
  };
}

/** Three convolutions, each with a norm and a pool, and two linear layers. */
function convolutions(outputs) {
  return ({ shape }) => {
    const net = new NetworkBuilder(shape);
    const x = [8, 16, 32].reduce((below, outChannels) => {
      const conv = net.conv2d(below, { outChannels, kernel: 3, padding: 1, bias: false });
      return net.maxPool(net.relu(net.batchNorm(conv)), { kernel: 2 });
    }, 'input');
    return net.build(net.linear(net.relu(net.linear(net.flatten(x), { outFeatures: 64 })), { outFeatures: outputs }));
  };
}

const perceptron = { layers: 'linear 64, 64', batchSize: 32, learningRate: 0.003 };
const images = { layers: 'conv 8, 16, 32, linear 64', batchSize: 64, learningRate: 0.003 };

/** `epochs`: of the first float network, and of both that go on from it. Seeds of tables also choose the test rows. */
export const tasks = [
  {
    ...{ name: 'digit-properties', task: 'several labels at once', loss: { kind: 'binaryCrossEntropy' }, metric: 'f1', ...images },
    ...{ about: 'digits: even, prime, above 4, with a loop (7,996; 2,004)', data: digitProperties, network: convolutions(4), epochs: [4, 8] },
  },
  {
    ...{ name: 'friedman', task: 'regression', loss: { kind: 'meanSquaredError' }, metric: 'r2', ...perceptron },
    ...{
      about: "Friedman's first function of 10 inputs, noise in training (4,000; 2,000)",
      data: () => friedman(0),
      network: mlp(1),
      epochs: [20, 40],
    },
  },
  {
    ...{ name: 'digit-place', task: 'regression', loss: { kind: 'l1' }, metric: 'pixels', ...images },
    ...{ about: 'where the digit is in an image of 40×40 (4,000; 1,000)', data: digitPlace, network: convolutions(2), epochs: [4, 8], seeds: [1] },
  },
  {
    ...{ name: 'friedman-l1', task: 'regression', loss: { kind: 'l1' }, metric: 'r2', ...perceptron },
    ...{ about: 'the same as friedman', data: () => friedman(0), network: mlp(1), epochs: [20, 40] },
  },
  {
    ...{ name: 'friedman-outliers', task: 'regression', loss: { kind: 'huber', delta: 0.5 }, metric: 'r2', ...perceptron },
    ...{ about: 'the same, a tenth of the training targets far off', data: () => friedman(0.1), network: mlp(1), epochs: [20, 40] },
  },
  {
    ...{ name: 'digit-scenes', task: 'a class for every pixel', loss: PIXELS, metric: 'meanIoU' },
    ...{ about: 'digit-scenes: 1 or 2 digits in 40×40 (3,000; 1,000)', data: () => scenes([1, 2], 3000), seeds: [1], epochs: [6, 12] },
    ...{ layers: 'unet, a quarter as wide', network: ({ shape: input, classes }) => createModel('unet', { input, classes, width: 0.25 }) },
    ...{ batchSize: 16, learningRate: 0.003 },
  },
  {
    ...{ name: 'breast-cancer', task: 'table: classes', loss: { kind: 'crossEntropy' }, metric: 'accuracy', ...perceptron },
    ...{ about: "scikit-learn's breast_cancer.csv (398; 171)", data: tumours, network: mlp(2), epochs: [40, 80], table: true },
  },
  {
    ...{ name: 'diabetes', task: 'table: numbers', loss: { kind: 'meanSquaredError' }, metric: 'r2', ...perceptron },
    ...{ about: "scikit-learn's diabetes (309; 133)", data: diabetes, network: mlp(1), epochs: [40, 80], table: true },
  },
];

/** What the file says of the test examples. */
async function judge(file, { metric }, { test, mean, std, shape }) {
  const model = await loadModel(file);
  const [elements, pixels] = [shape[0] * shape[1] * shape[2], shape[1] * shape[2]];
  const bytes = test.images instanceof Uint8Array;
  const examples = Array.from({ length: test.count }, (_, i) => {
    const own = test.images.subarray(i * elements, (i + 1) * elements);
    return bytes ? own : own.map((x, k) => (x - mean[Math.floor(k / pixels)]) / std[Math.floor(k / pixels)]);
  });
  const scores = (await model.predict(examples)).map((prediction) => prediction.scores);
  model.dispose();
  return metrics[metric].of(scores, test);
}

/** One training, unless `directory` has it with the very same options. @returns what of it goes into the page */
async function train(directory, task, data, { start, ...options }) {
  const file = `${directory}/model.scnn`;
  const { loss, batchSize, learningRate, layers } = task;
  const asked = JSON.stringify({ loss, batchSize, learningRate, layers, options, start });
  if (existsSync(`${directory}/result.json`)) {
    const { asked: before, result } = JSON.parse(readFileSync(`${directory}/result.json`, 'utf8'));
    if (before === asked) return result;
  }
  const state = start && (await decodeModel(readFileSync(start))).state;
  const schedule = { kind: 'cosine', warmup: 0.01 };
  const network = task.network(data);
  const trainer = Trainer.create({ network, data, loss, batchSize, learningRate, schedule, device: 'cpu', ...options, ...(state && { state }) });
  await trainer.run();
  const { bitsFraction, weightsFraction, modelBytes } = trainer.history.at(-1);
  const seconds = trainer.history.reduce((sum, { epochSeconds }) => sum + epochSeconds, 0);
  mkdirSync(directory, { recursive: true });
  writeFileSync(file, await trainer.encodeModel());
  const outcome = trainer.outcome?.text;
  await trainer.dispose();
  const result = { value: await judge(file, task, data), bitsFraction, weightsFraction, bytes: modelBytes, seconds, ...(outcome && { outcome }) };
  writeFileSync(`${directory}/result.json`, JSON.stringify({ asked, result }));
  console.error(directory, JSON.stringify(result));
  return result;
}

/** Float network, the same for longer, and the small one that starts from the first, for one seed. */
async function oneSeed(task, seed, share, options) {
  const given = await task.data(seed, options);
  const data = options.pilot ? pilot(given) : given;
  const directory = (what) => `${options.runs}${options.pilot ? '-pilot' : ''}/${task.name}/${what}-seed${seed}`;
  const [first, more] = task.epochs;
  const float = { layers: [{ name: '*', compress: false }], gamma: 0 };
  const begun = await train(directory('start'), task, data, { ...float, seed, epochs: first });
  const onwards = { start: `${directory('start')}/model.scnn`, seed, epochs: more };
  const plain = await train(directory('plain'), task, data, { ...onwards, ...float });
  const small = await train(directory(`small-${share}`), task, data, { ...onwards, penalty: 'rate', gamma: GAMMA, target: { bitsFraction: share } });
  return { seed, start: begun, plain, small };
}

async function oneTask(task, options) {
  const { name, loss, metric, about, layers, epochs, batchSize, learningRate } = task;
  const seeds = options.seeds ? options.seeds.split(',').map(Number) : (task.seeds ?? SEEDS);
  const tries = [];
  for (const share of SHARES) {
    const runs = [];
    for (const seed of seeds) runs.push(await oneSeed(task, seed, share, options));
    tries.push({ share, runs });
    if (!worse({ metric, runs })) break;
  }
  const command = `node scripts/experiments/tasks.mjs --only ${name}`;
  const machine = `${cpus()[0].model}, ${binding.info().isa}`;
  return { name, task: task.task, loss, metric, about, layers, epochs, batchSize, learningRate, tries, command, machine };
}

async function main() {
  const options = scriptOptions({
    only: '',
    tables: '/usr/lib/python3/dist-packages/sklearn/datasets/data',
    runs: 'runs/tasks',
    seeds: '',
    pilot: '',
  });
  binding.setThreads(1);
  const docs = (name) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
  const chosen = tasks.filter(({ name }) => !options.only || options.only.split(',').includes(name));
  for (const task of chosen) {
    if (task.table && !haveTables(options)) {
      console.error(`${task.name}: no scikit-learn tables in ${options.tables} (Debian: apt install python3-sklearn, or --tables DIR)`);
      continue;
    }
    const row = await oneTask(task, options);
    if (options.pilot) continue;
    const file = docs('tasks.json');
    const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).rows : [];
    const rows = tasks.flatMap(({ name }) => (name === row.name ? [row] : before.filter((old) => old.name === name)));
    writeFileSync(file, `${JSON.stringify({ rows }, undefined, 2)}\n`);
    writeFileSync(docs('tasks.md'), tasksPage(rows));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
