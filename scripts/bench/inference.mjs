/**
 * The inference engine against the training network's predict and onnxruntime-node, in turn in one run: latency at 1 image, throughput
 * at 16 and 256; memory, and time from the file's bytes to the first prediction. Writes docs/bench-inference.md.
 *   node scripts/bench/inference.mjs [--seconds 3] [--only notebook] [--threads 1,2] [--onnxruntime FOLDER]
 * FOLDER: where onnxruntime-node has been installed; left out, it is not compared.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { binding, exportModel, initialState, inspectNetwork } from '../../dist/index.js';
import { cutNetworks, weightsOf } from './networks.mjs';

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    threads: { type: 'string', default: '1,2' },
    onnxruntime: { type: 'string' },
  },
});
const ort = flags.onnxruntime && createRequire(resolve(flags.onnxruntime, 'package.json'))('onnxruntime-node');
const ortVersion = flags.onnxruntime && createRequire(resolve(flags.onnxruntime, 'package.json'))('onnxruntime-node/package.json').version;
/** Of each comparison. */
const budget = Number(flags.seconds);

const networks = cutNetworks.filter(({ name }) => name.startsWith(flags.only));

/** A function that runs a batch in onnxruntime; undefined without it. */
async function onnxruntime({ network, state }, input, threads, images, batch) {
  if (!ort) return undefined;
  const bytes = await exportModel({ network, state }, { format: 'onnx', foldNorms: true });
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: threads, interOpNumThreads: 1 });
  const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', images, [batch, ...input]) };
  return () => session.run(feeds);
}

/** Calls of a subject in its turn; the first one of them is not timed. */
const CALLS = 4;

/**
 * Least seconds of a call of each subject, in turn: what other programs take is not the subject's. Threads of onnxruntime go on looking
 * for work when it has done, and would take the processor that the next subject's threads need: each turn begins with a pause.
 */
async function time(subjects) {
  const seconds = subjects.map(() => Number.POSITIVE_INFINITY);
  for (const subject of subjects) await subject();
  const end = performance.now() + 1000 * budget;
  for (let round = 0; round < 3 || (round < 2000 && performance.now() < end); round++) {
    for (let s = 0; s < subjects.length; s++) {
      await new Promise((done) => setTimeout(done, 5));
      for (let call = 0; call < CALLS; call++) {
        const begin = performance.now();
        await subjects[s]();
        const spent = (performance.now() - begin) / 1000;
        if (call > 0 || spent > 0.05) seconds[s] = Math.min(seconds[s], spent);
        if (spent > 0.05) break; // so long a call is its own warm-up
      }
    }
  }
  return seconds;
}

const rows = [];
const loads = [];
const stateOf = (description) => initialState(inspectNetwork(description).parameters, 1, { bitDepth: 4, headroom: 0 });
for (const { name, description, full } of networks) {
  const state = stateOf(description);
  const [weights, share] = [weightsOf(description), weightsOf(description) / weightsOf(full)];
  const input = inspectNetwork(description).input ?? description.input.axes ?? description.input;
  const elements = input.reduce((product, size) => product * size, 1);
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
  for (const threads of flags.threads.split(',').map(Number)) {
    binding.setThreads(threads);
    for (const batch of [1, 16, 256]) {
      const images = Float32Array.from({ length: batch * elements }, (_, i) => Math.sin(i));
      const [original, exported] = [
        await onnxruntime({ network: full, state: stateOf(full) }, input, threads, images, batch),
        await onnxruntime({ network: description, state }, input, threads, images, batch),
      ];
      const [train, fast, small, sync, a, b] = await time(
        [
          () => trained[batch].predict(images, batch),
          () => unpacked.predict(images, batch),
          () => packed.predict(images, batch),
          () => unpacked.predictSync(images, batch),
          original,
          exported,
        ].filter(Boolean),
      );
      rows.push({ name, weights, share, threads, batch, train, fast, small, sync, a, b });
      console.error(name, threads, batch, [train, fast, small, sync, a, b].map((s) => `${((s / batch) * 1e6).toFixed(1)} µs`).join(' '));
    }
  }
  binding.setThreads(1);
  const image = new Float32Array(elements);
  const [load] = await time([
    async () => {
      const model = await binding.loadModelFile({ bytes });
      await model.predict(image, 1);
      model.dispose();
    },
  ]);
  loads.push({ name, file: bytes.length, load, packed: packed.memory(), unpacked: unpacked.memory() });
}

const micro = (seconds, batch) => ((seconds / batch) * 1e6).toFixed(1);
const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).stdout.trim();
writeFileSync(
  new URL('../../docs/bench-inference.md', import.meta.url),
  `# Inference: the engine against the training network's predict${ort ? ' and onnxruntime' : ''}

\`node scripts/bench/inference.mjs --seconds ${budget}${ort ? ' --onnxruntime FOLDER' : ''}\` at ${commit}, ${cpus()[0].model}, ${cpus().length} processors that other programs used at the same
time, kernels ${binding.info().isa}. Microseconds an image, the fastest of the rounds in which the subjects took turns, with pauses
of 5 ms, in which threads of the one before come to rest. Random weights of 4 bits; no trained
net has these channels, they were cut by hand. *unpacked* and *packed*: \`loadModelFile\`'s \`weights\`; *sync*: \`predictSync\`, without the way
over the native thread and back that a promise takes.${
    ort
      ? ` *(a)*: onnxruntime-node ${ortVersion} on the network before channels were cut, *(b)*: on the same network as the engine (\`exportModel\`, norms folded, floats), as many threads. Its \`run\`
computes on the thread that calls it, as \`predictSync\` does: like is compared with like in the columns beside it; *(b) / unpacked* has the promise in it.`
      : ''
  }

| network | weights | threads | images a call | training's predict | unpacked | packed | sync | training's / unpacked |${ort ? ' (a) | (b) | (a) / sync | (b) / sync | (b) / unpacked |' : ''}
| --- | --- | --- | --- | --- | --- | --- | --- | --- |${ort ? ' --- | --- | --- | --- | --- |' : ''}
${rows
  .map(
    (r) =>
      `| ${r.name} | ${r.weights} (${Math.round(100 * r.share)} %) | ${r.threads} | ${r.batch} | ${micro(r.train, r.batch)} | ${micro(r.fast, r.batch)} | ${micro(r.small, r.batch)} | ${micro(r.sync, r.batch)} | ${(r.train / r.fast).toFixed(2)} |${ort ? ` ${micro(r.a, r.batch)} | ${micro(r.b, r.batch)} | ${(r.a / r.sync).toFixed(2)} | ${(r.b / r.sync).toFixed(2)} | ${(r.b / r.fast).toFixed(2)} |` : ''}`,
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
