/**
 * The inference engine against the training network's predict, in turn in one run: latency at 1 image, throughput at 16 and 256;
 * memory, and time from the file's bytes to the first prediction. Writes docs/bench-inference.md.
 *   node scripts/bench/inference.mjs [--seconds 3]
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { binding, createModel, initialState, inspectNetwork, NetworkBuilder } from '../../dist/index.js';

const { values: flags } = parseArgs({ options: { seconds: { type: 'string', default: '3' } } });
/** Of each comparison. */
const budget = Number(flags.seconds);

/** The notebook's network with these channels instead of its 32, 32, 64, 64. */
function notebookWith([a, b, c, d]) {
  const net = new NetworkBuilder([1, 28, 28]);
  let x = net.relu(net.conv2d('input', { outChannels: a, kernel: 5 }));
  x = net.relu(net.conv2d(x, { outChannels: b, kernel: 5 }));
  x = net.maxPool(net.batchNorm(x), { kernel: 2 });
  x = net.relu(net.conv2d(x, { outChannels: c, kernel: 3 }));
  x = net.relu(net.conv2d(x, { outChannels: d, kernel: 3 }));
  x = net.maxPool(net.batchNorm(x), { kernel: 2 });
  return net.build(net.linear(net.flatten(x), { outFeatures: 10 }));
}

const weightsOf = (description) =>
  inspectNetwork(description)
    .parameters.filter((p) => p.role === 'weight')
    .reduce((sum, p) => sum + p.shape.reduce((a, b) => a * b), 0);
const full = createModel('notebook', { input: [1, 28, 28], classes: 10 });
const networks = [
  { name: 'notebook', description: full },
  { name: 'notebook, channels cut by hand to 16, 16, 32, 32', description: notebookWith([16, 16, 32, 32]) },
  { name: 'notebook, channels cut by hand to 13, 15, 33, 31', description: notebookWith([13, 15, 33, 31]) },
];

/** Least seconds of a call of each subject, in turn: what other programs take is not the subject's. */
async function time(subjects) {
  const seconds = subjects.map(() => Number.POSITIVE_INFINITY);
  for (const subject of subjects) await subject();
  const end = performance.now() + 1000 * budget;
  for (let round = 0; round < 5 || (round < 2000 && performance.now() < end); round++) {
    for (let s = 0; s < subjects.length; s++) {
      const begin = performance.now();
      await subjects[s]();
      seconds[s] = Math.min(seconds[s], (performance.now() - begin) / 1000);
    }
  }
  return seconds;
}

const rows = [];
const loads = [];
for (const { name, description } of networks) {
  const state = initialState(inspectNetwork(description).parameters, 1, { bitDepth: 4, headroom: 0 });
  const weights = weightsOf(description);
  const trained = {};
  for (const batch of [1, 16, 256]) {
    trained[batch] = new binding.Network(description, {
      device: 'cpu',
      loss: { kind: 'crossEntropy' },
      optimizer: { kind: 'sgd' },
      batchSize: batch,
    });
    await trained[batch].loadState(state);
  }
  const bytes = await trained[1].encodeModel();
  const [unpacked, packed] = [await binding.loadModelFile({ bytes }), await binding.loadModelFile({ bytes, weights: 'packed' })];
  for (const threads of [1, 2]) {
    binding.setThreads(threads);
    for (const batch of [1, 16, 256]) {
      const images = Float32Array.from({ length: batch * 784 }, (_, i) => Math.sin(i));
      const [train, fast, small, sync] = await time([
        () => trained[batch].predict(images, batch),
        () => unpacked.predict(images, batch),
        () => packed.predict(images, batch),
        () => unpacked.predictSync(images, batch),
      ]);
      rows.push({ name, weights, threads, batch, train, fast, small, sync });
      console.error(name, threads, batch, [train, fast, small, sync].map((s) => `${((s / batch) * 1e6).toFixed(1)} µs`).join(' '));
    }
  }
  binding.setThreads(1);
  const image = new Float32Array(784);
  const [load] = await time([
    async () => {
      const model = await binding.loadModelFile({ bytes });
      await model.predict(image, 1);
      model.dispose();
    },
  ]);
  loads.push({ name, file: bytes.length, load, packed: packed.memory(), unpacked: unpacked.memory() });
}

const share = weightsOf(full);
const micro = (seconds, batch) => ((seconds / batch) * 1e6).toFixed(1);
const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).stdout.trim();
writeFileSync(
  new URL('../../docs/bench-inference.md', import.meta.url),
  `# Inference: the engine against the training network's predict

\`node scripts/bench/inference.mjs --seconds ${budget}\` at ${commit}, ${cpus()[0].model}, ${cpus().length} processors that other programs used at the same
time, kernels ${binding.info().isa}. Microseconds an image, the fastest of the rounds in which the subjects took turns. Random weights of 4 bits; no trained
net has these channels, they were cut by hand. *unpacked* and *packed*: \`loadModelFile\`'s \`weights\`; *sync*: \`predictSync\`, without the way
over the native thread and back that a promise takes.

| network | weights | threads | images a call | training's predict | unpacked | packed | sync | training's / unpacked |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
${rows
  .map(
    (r) =>
      `| ${r.name} | ${r.weights} (${Math.round((100 * r.weights) / share)} %) | ${r.threads} | ${r.batch} | ${micro(r.train, r.batch)} | ${micro(r.fast, r.batch)} | ${micro(r.small, r.batch)} | ${micro(r.sync, r.batch)} | ${(r.train / r.fast).toFixed(2)} |`,
  )
  .join('\n')}

Memory in bytes, after predictions at 1, 16 and 256 images; *unpacked weights* are floats for both layouts. *Load*: from the file's bytes to the end of the first
prediction, one thread.

| network | file | weights as kept | unpacked weights | activations of one image | the same, packed | load, ms |
| --- | --- | --- | --- | --- | --- | --- |
${loads
  .map(
    (l) =>
      `| ${l.name} | ${l.file} | ${l.unpacked.weightBytes} | ${l.unpacked.panelBytes} | ${l.unpacked.activationBytes} | ${l.packed.activationBytes} | ${(l.load * 1000).toFixed(2)} |`,
  )
  .join('\n')}
`,
);
process.exit(0);
