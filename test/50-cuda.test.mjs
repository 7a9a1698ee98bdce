// The CUDA backend as users meet it: what is said where it is missing, how it is chosen, and whole trainings on it. Those run on
// the library that SELFCOMPRESS_CUDA_LIBRARY names, or on the model of a GPU that `npm run test:cuda:host` builds.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cli, root, temporaryFolder } from './support.mjs';

const model = process.env.SELFCOMPRESS_CUDA_LIBRARY ?? join(root, 'build/cuda-host/selfcompress-cuda-model.so');
const onModel = existsSync(model) ? {} : { skip: 'the model of a GPU is not built (npm run test:cuda:host)' };
const built = join(root, 'build/Release', process.platform === 'win32' ? 'selfcompress-cuda.dll' : 'selfcompress-cuda.so');

/** What `code`, a module with the library as `sc` and test helpers, prints as JSON. A process of its own: a library is loaded once. */
function evaluate(code, env = {}) {
  const text = `import * as sc from ${JSON.stringify(join(root, 'test/support.mjs'))}; const { binding } = sc; ${code}`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', text], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  try {
    return JSON.parse(stdout);
  } catch {
    throw new Error(`no JSON: ${stdout}${stderr}`);
  }
}
const run = (args, env = {}) =>
  spawnSync(process.execPath, [cli, ...args.map(String)], { encoding: 'utf8', env: { ...process.env, SELFCOMPRESS_CUDA_LIBRARY: model, ...env } });
const options = `{ loss: { kind: 'crossEntropy' }, optimizer: { kind: 'adam' }, batchSize: 16 }`;
const failure = (device) =>
  `let error; try { new binding.Network(sc.toyNetwork(), { ...${options}, ...${JSON.stringify(device)} }); } catch (e) { error = e; }
   const made = new binding.Network(sc.toyNetwork(), { ...${options}, device: 'auto' });
   console.log(JSON.stringify({ name: error?.name, message: error?.message, auto: made.backend, cuda: binding.info().cuda }));`;

t.test('without a library, a driver or a device: said by name, and everything else works', async (t) => {
  const folder = temporaryFolder(t);
  const nowhere = join(folder, 'nothing.so');
  const absent = evaluate(failure({ device: 'cuda' }), { SELFCOMPRESS_CUDA_LIBRARY: nowhere });
  t.same(absent.cuda, { ...absent.cuda, available: false, missing: 'library', library: nowhere, devices: [] });
  t.equal(absent.name, 'Error');
  t.match(absent.message, 'Expected an available device for options.device but received "cuda": looked for the library');
  t.match(absent.message, nowhere);
  t.match(absent.auto, /^cpu\//);

  const text = join(folder, 'text.so');
  writeFileSync(text, 'not a library');
  t.match(
    evaluate(failure({ device: 'cuda:0' }), { SELFCOMPRESS_CUDA_LIBRARY: text }).message,
    /received "cuda:0": the library .* could not be loaded/,
  );

  const cuda = run(['train', '--device', 'cuda', '--out', join(folder, 'run')], { SELFCOMPRESS_CUDA_LIBRARY: nowhere });
  t.equal(cuda.status, 1);
  t.match(cuda.stderr, `looked for the library ${nowhere}`);
  t.match(run(['info'], { SELFCOMPRESS_CUDA_LIBRARY: nowhere }).stdout, /CUDA +not available: looked for/);
});

t.test('another library is refused', { skip: process.platform !== 'linux' }, async (t) => {
  const addons = readdirSync(join(root, 'build/Release')).filter((name) => name.endsWith('.node'));
  const [addon] = addons; // a shared library, but another one
  const { message, cuda } = evaluate(failure({ device: 'cuda' }), { SELFCOMPRESS_CUDA_LIBRARY: join(root, 'build/Release', addon) });
  t.match(message, /is not the CUDA library of selfcompress/);
  t.equal(cuda.missing, 'library');
});

t.test('the library beside the addon is found', onModel, async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'build/Release'), { recursive: true });
  copyFileSync(join(root, 'build/Release/selfcompress.node'), join(folder, 'build/Release/selfcompress.node'));
  const addon = join(folder, 'build/Release/selfcompress.node');
  const cuda = () => {
    const env = { ...process.env };
    delete env.SELFCOMPRESS_CUDA_LIBRARY;
    const { stdout } = spawnSync(process.execPath, ['--print', `JSON.stringify(require(${JSON.stringify(addon)}).info().cuda)`], {
      encoding: 'utf8',
      env,
    });
    return JSON.parse(stdout);
  };
  t.match(cuda(), { available: false, library: join(folder, 'build/Release/selfcompress-cuda.so') });
  copyFileSync(model, join(folder, 'build/Release/selfcompress-cuda.so'));
  t.match(cuda(), { available: true, missing: null, library: join(folder, 'build/Release/selfcompress-cuda.so') });
});

t.test('the library for GPUs: one entry, and a reason where there is no GPU', { skip: !existsSync(built) && 'npm run build:cuda' }, async (t) => {
  const { cuda } = evaluate(failure({ device: 'cuda' }), { SELFCOMPRESS_CUDA_LIBRARY: built });
  t.not(cuda.missing, 'library', cuda.reason);
  if (!cuda.available) t.match(cuda.reason, /was found, but .*(driver|device)/);
  const { status, stdout } = spawnSync('nm', ['-D', '--defined-only', built], { encoding: 'utf8' });
  if (status === 0) t.match(stdout.trim(), /^\S+ T selfcompress_cuda_library$/, 'nothing else is exported');
});

t.test('choosing a device', onModel, async (t) => {
  const all = evaluate(failure({ device: 'cuda:99' }), { SELFCOMPRESS_CUDA_LIBRARY: model });
  t.ok(all.cuda.available);
  t.equal(all.name, 'RangeError');
  t.match(all.message, `Expected "cuda:0" to "cuda:${all.cuda.devices.length - 1}" for options.device but received "cuda:99"`);
  t.match(all.auto, /^cuda\/.*\/fp32$/, 'auto takes it');
  for (const device of all.cuda.devices) t.match(device, { name: /./, computeCapability: /^\d+\.\d$/, memoryBytes: Number });
  const last = all.cuda.devices.length - 1;
  const chosen = (device, env) =>
    evaluate(`console.log(JSON.stringify(new binding.Network(sc.toyNetwork(), { ...${options}, device: '${device}' }).backend))`, {
      SELFCOMPRESS_CUDA_LIBRARY: model,
      ...env,
    });
  t.match(chosen(`cuda:${last}`), all.cuda.devices[last].name);
  t.match(chosen('cuda', { SELFCOMPRESS_CUDA_DEVICE: last }), all.cuda.devices[last].name);
  t.throws(() => chosen('cuda', { SELFCOMPRESS_CUDA_DEVICE: 'first' }), /SELFCOMPRESS_CUDA_DEVICE but received 'first'/);
  t.throws(() => chosen('cuda', { SELFCOMPRESS_CUDA_MEMORY: 'much' }), /SELFCOMPRESS_CUDA_MEMORY but received 'much'/);
  t.match(chosen('cpu'), /^cpu\//);
});

t.test('precision', async (t) => {
  const cpu = evaluate(failure({ device: 'cpu', precision: 'tf32' }));
  t.match(cpu, { name: 'RangeError', message: /options\.precision but received "tf32"/ });
  t.match(evaluate(failure({ precision: 'fp16' })), {
    name: 'TypeError',
    message: 'Expected one of "fp32", "tf32", "bf16" for options.precision but received "fp16"',
  });
  t.match(run(['train', '--precision', 'half']).stderr, /--precision/);
  const { precision } = evaluate('console.log(JSON.stringify(sc.defaultTrainOptions))');
  t.equal(precision, 'fp32');
});

t.test('out of device memory: an error with the sizes, and the process goes on', onModel, async (t) => {
  const result = evaluate(
    `const big = { ...${options}, device: 'cuda', batchSize: 4096, memoryLimit: 60 * 2 ** 20 };
     const errors = [];
     for (let i = 0; i < 3; i++) try { await new binding.Network(sc.toyNetwork(), big).memory(); } catch (e) { errors.push([e.name, e.message]); }
     const network = new binding.Network(sc.toyNetwork(), { ...${options}, device: 'cuda', memoryLimit: 60 * 2 ** 20 });
     const images = new Float32Array(144);
     console.log(JSON.stringify({ errors, predicted: (await network.predict(images, 1)).length }));`,
    { SELFCOMPRESS_CUDA_LIBRARY: model },
  );
  t.equal(result.errors.length, 3);
  for (const [name, message] of result.errors) {
    t.equal(name, 'Error');
    t.match(message, /^Out of memory on the CUDA device: \d+ bytes were asked for, \d+ are free, this process holds \d+ of a limit of 62914560/);
  }
  t.equal(new Set(result.errors.map(([, message]) => message)).size, 1, 'what a failed network held is given back');
  t.equal(result.predicted, 4);
});

const training = (device, precision, more = '{}') => `
  const network = new binding.Network(sc.toyNetwork({ size: 8 }), { ...${options}, device: '${device}', precision: '${precision}', ...${more} });
  const { parameters } = sc.inspectNetwork(sc.toyNetwork({ size: 8 }));
  await network.loadState(sc.initialState(parameters, 1, { bitDepth: 4, headroom: 1 }));
  const { train } = sc.toyDataset({ count: 48, size: 8 });
  const data = new binding.DataSet({ shape: [1, 8, 8], classes: 4, images: train.images, labels: train.labels });
  const indices = (step) => Int32Array.from({ length: step % 3 ? 16 : 9 }, (_, i) => (step * 16 + i * 5) % 48);
  const settings = (step) => ({ step, seed: 3, gamma: 0.1, learningRate: 0.01, bitDepthLearningRate: 0.05, exponentLearningRate: 0.02, augmentation: { flip: true, shift: 1 } });`;

t.test('steps that are queued ahead give the numbers of steps one by one, and those of the CPU', onModel, async (t) => {
  const steps = (device, precision, ahead, env = {}) =>
    evaluate(
      `${training(device, precision)}
       const losses = [];
       const queue = [];
       for (let step = 1; step <= 8; step++) {
         queue.push(network.trainStep(data, indices(step), settings(step)));
         if (!${ahead}) await queue[step - 1];
       }
       for (const { loss } of await Promise.all(queue)) losses.push(loss);
       const state = await network.state();
       const { loss, correct, count } = await network.evaluate(data, sc.range(48));
       console.log(JSON.stringify({ losses, loss, correct, count, weights: [...state['conv2.weight']] }));`,
      { SELFCOMPRESS_CUDA_LIBRARY: model, ...env },
    );
  const cpu = steps('cpu', 'fp32', true);
  const ahead = steps('cuda', 'fp32', true);
  t.same(ahead, steps('cuda', 'fp32', false), 'to the bit');
  t.same(ahead, steps('cuda', 'fp32', true, { SELFCOMPRESS_CUDA_SYNC: 1 }), 'to the bit, one operation at a time');
  t.equal(ahead.count, 48);
  const apart = (other) => Math.max(...other.losses.map((loss, i) => Math.abs(loss - cpu.losses[i]) / cpu.losses[i]));
  t.ok(apart(ahead) < 0.02, `losses ${ahead.losses} and ${cpu.losses}`);
  const bf16 = steps('cuda', 'bf16', true);
  t.ok(apart(bf16) < 0.15, `losses ${bf16.losses} and ${cpu.losses}`);
  t.notSame(bf16.losses, ahead.losses);
});

t.test('the penalty rate and a teacher: the numbers of the CPU', onModel, async (t) => {
  const steps = (device) =>
    evaluate(
      `${training(device, 'fp32', "{ penalty: 'rate', loss: { kind: 'meanSquaredError' } }")}
       const teacher = new binding.Network(sc.toyNetwork({ size: 8 }), { ...${options}, loss: { kind: 'meanSquaredError' }, device: '${device}' });
       await teacher.loadState(sc.initialState(parameters, 2, { bitDepth: 8, headroom: 1 }));
       const targets = new Float32Array(48 * 4);
       const learned = new binding.DataSet({ shape: [1, 8, 8], images: train.images, targets });
       const queue = [];
       for (let step = 1; step <= 8; step++) queue.push(network.trainStep(learned, indices(step), { ...settings(step), gamma: 2, teacher }));
       const results = await Promise.all(queue);
       console.log(JSON.stringify(results.map(({ loss, bitsPerWeight }) => [loss, bitsPerWeight])));`,
      { SELFCOMPRESS_CUDA_LIBRARY: model },
    );
  const [cpu, cuda] = [steps('cpu'), steps('cuda')];
  for (const [i, [loss, bits]] of cuda.entries()) {
    t.ok(Math.abs(loss - cpu[i][0]) < 0.02 * cpu[i][0], `losses ${cuda} and ${cpu}`);
    t.ok(Math.abs(bits - cpu[i][1]) < 0.01 * cpu[i][1], `lengths ${cuda} and ${cpu}`);
  }
  t.ok(cpu[7][1] < cpu[0][1] && cpu[7][0] !== cpu[0][0]);
});

/** The smallest limit with which `make(limit)` makes a network. */
const leastMemory = `async function leastMemory(make) {
  let [low, high] = [1, 2 ** 27];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    try {
      const network = make(middle);
      await network.memory();
      await network.dispose();
      high = middle;
    } catch {
      low = middle;
    }
  }
  return high;
}`;

t.test('a step that runs out of memory rejects; the network and the process can still be used', onModel, async (t) => {
  const result = evaluate(
    `const make = (memoryLimit) => new binding.Network(sc.toyNetwork({ size: 8 }), { ...${options}, device: 'cuda', memoryLimit });
     ${leastMemory}
     const tight = make(await leastMemory(make)); // none is left for its first batch
     const { train } = sc.toyDataset({ count: 48, size: 8 });
     const data = new binding.DataSet({ shape: [1, 8, 8], classes: 4, images: train.images, labels: train.labels });
     const settings = (step) => ({ step, seed: 3, gamma: 0, learningRate: 0.01, bitDepthLearningRate: 0, exponentLearningRate: 0 });
     const outcomes = await Promise.allSettled([1, 2, 3].map((step) => tight.trainStep(data, sc.range(16), settings(step))));
     const predicted = await tight.predict(new Float32Array(64), 1);
     await tight.dispose();
     const { loss } = await make(0).trainStep(data, sc.range(16), settings(1));
     console.log(JSON.stringify({ reasons: outcomes.map((o) => o.reason?.message), predicted: predicted.length, loss }));`,
    { SELFCOMPRESS_CUDA_LIBRARY: model },
  );
  for (const reason of result.reasons) t.match(reason, /^Out of memory on the CUDA device: 1024 bytes were asked for/);
  t.equal(result.predicted, 4);
  t.ok(Number.isFinite(result.loss));
});

t.test('train, prune, resume and evaluate on it', { ...onModel, timeout: 900_000 }, async (t) => {
  const folder = temporaryFolder(t);
  const network = join(folder, 'network.json');
  const description = {
    input: [1, 28, 28],
    nodes: [
      { kind: 'averagePool', name: 'small', inputs: ['input'], kernel: [4, 4] },
      { kind: 'conv2d', name: 'conv', inputs: ['small'], outChannels: 8, kernel: [3, 3] },
      { kind: 'relu', name: 'relu', inputs: ['conv'] },
      { kind: 'flatten', name: 'flat', inputs: ['relu'] },
      { kind: 'linear', name: 'out', inputs: ['flat'], outFeatures: 10 },
    ],
    output: 'out',
  };
  writeFileSync(network, JSON.stringify(description));
  const quick = [
    '--dataset',
    'digits',
    '--limit',
    128,
    '--batch-size',
    32,
    '--gamma',
    4,
    '--gamma-warmup',
    0,
    '--bits-lr',
    1.5,
    '--lr',
    0.02,
    '--freeze-at',
    1,
  ];
  // Enough for one network and its batches, not for a second one: a pruned network takes the place of the one before.
  const least = evaluate(
    `${leastMemory}
     const make = (memoryLimit) => new binding.Network(${JSON.stringify(description)}, { ...${options}, batchSize: 32, device: 'cuda', memoryLimit });
     console.log(await leastMemory(make));`,
    { SELFCOMPRESS_CUDA_LIBRARY: model },
  );
  const results = {};
  for (const device of ['cpu', 'cuda']) {
    const out = join(folder, device);
    const { status, stderr } = run([
      'train',
      '--model',
      network,
      ...quick,
      '--device',
      device,
      '--epochs',
      3,
      '--memory-limit',
      least + 65536,
      '--out',
      out,
    ]);
    t.equal(status, 0, stderr);
    t.match(stderr, device === 'cuda' ? /, cuda\/.*\/fp32, / : /, cpu\//);
    results[device] = readFileSync(join(out, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  }
  t.ok(results.cuda.at(-1).weightsFraction < 1, 'channels were removed');
  for (const [i, { trainLoss, bitsFraction, weightsFraction }] of results.cuda.entries()) {
    const cpu = results.cpu[i];
    t.ok(Math.abs(trainLoss - cpu.trainLoss) < 0.05, `epoch ${i + 1}: ${trainLoss} and ${cpu.trainLoss}`);
    t.ok(Math.abs(bitsFraction - cpu.bitsFraction) < 0.05, `epoch ${i + 1}: ${bitsFraction} and ${cpu.bitsFraction}`);
    t.ok(Math.abs(weightsFraction - cpu.weightsFraction) < 0.1, `epoch ${i + 1}: ${weightsFraction} and ${cpu.weightsFraction}`);
  }
  const resumed = run(['train', '--resume', join(folder, 'cuda'), '--epochs', 4, '--device', 'cpu']);
  t.equal(resumed.status, 0, resumed.stderr);
  t.match(resumed.stderr, /, cpu\//, 'a run may go on elsewhere');
});
