/**
 * The engine's integers against its floats, scalar integers and onnxruntime-node on the same network in floats, in turn in one run, one
 * thread. Prints the table of docs/integer.md: processor time, which other programs hardly change.
 *   node scripts/bench/integers.mjs [--seconds 3] [--only notebook] [--onnxruntime FOLDER]
 * FOLDER: where onnxruntime-node has been installed; left out, it is not compared.
 */
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { binding, exportModel, initialState, inspectNetwork } from '../../dist/index.js';
import { smallNetworks } from './networks.mjs';

const { values: flags } = parseArgs({
  options: { seconds: { type: 'string', default: '3' }, only: { type: 'string', default: '' }, onnxruntime: { type: 'string' } },
});
const ort = flags.onnxruntime && createRequire(resolve(flags.onnxruntime, 'package.json'))('onnxruntime-node');

const networks = Object.entries(smallNetworks).filter(([name]) => name.startsWith(flags.only));

async function loadWith(isa, bytes, options) {
  const before = process.env.SELFCOMPRESS_ISA;
  process.env.SELFCOMPRESS_ISA = isa;
  const model = await binding.loadModelFile({ bytes, ...options });
  delete process.env.SELFCOMPRESS_ISA;
  if (before !== undefined) process.env.SELFCOMPRESS_ISA = before;
  return model;
}

/** Least microseconds of processor time of a call of each subject, in turn. */
async function time(subjects) {
  const least = subjects.map(() => Number.POSITIVE_INFINITY);
  for (const subject of subjects) await subject();
  const end = performance.now() + 1000 * Number(flags.seconds);
  for (let round = 0; round < 5 || (round < 3000 && performance.now() < end); round++)
    for (let s = 0; s < subjects.length; s++) {
      const begin = process.cpuUsage();
      await subjects[s]();
      const { user, system } = process.cpuUsage(begin);
      least[s] = Math.min(least[s], user + system);
    }
  return least;
}

binding.setThreads(1);
const isas = { x64: ['avx2', 'avx512'], arm64: ['neon'] }[process.arch];
const columns = ['scalar integers', ...isas.flatMap((isa) => [`floats, ${isa}`, `integers, ${isa}`, 'floats / integers']), 'scalar / integers'];
if (ort) columns.push('onnxruntime', 'onnxruntime / floats', 'onnxruntime / integers');
console.log(`| network | images a call | ${columns.join(' | ')} |\n| --- | ---: |${' ---: |'.repeat(columns.length)}`);
for (const [name, network] of networks) {
  const parameters = inspectNetwork(network).parameters;
  const state = initialState(parameters, 1, { bitDepth: 4, headroom: 0 });
  const size = network.input.reduce((a, b) => a * b);
  const images = Float32Array.from({ length: 16 * size }, (_, i) => Math.sin(i));
  const info = { name: 'random', classes: 0, mean: [0], std: [1] };
  const bytes = await exportModel({ network, state, info }, { format: 'scnn', calibration: images });
  const integer = { arithmetic: 'integer' };
  const models = [await loadWith('scalar', bytes, integer)];
  for (const isa of isas) models.push(await loadWith(isa, bytes), await loadWith(isa, bytes, integer));
  const onnx = ort && (await exportModel({ network, state }, { format: 'onnx', foldNorms: true }));
  const session = onnx && (await ort.InferenceSession.create(onnx, { intraOpNumThreads: 1, interOpNumThreads: 1 }));
  for (const batch of [1, 16]) {
    const part = images.subarray(0, batch * size);
    const subjects = models.map((model) => () => model.predictSync(part, batch));
    const feeds = ort && { [session.inputNames[0]]: new ort.Tensor('float32', part.slice(), [batch, ...network.input]) };
    // Scalar integers by themselves: they take so long that the others would be measured less often, and with cold caches.
    const all = ort ? [...subjects, () => session.run(feeds)] : subjects;
    const micro = [...(await time(all.slice(0, 1))), ...(await time(all.slice(1)))].map((least) => least / batch);
    const other = ort ? micro.pop() : 0;
    const cells = isas.flatMap((_, i) => {
      const [float, integers] = micro.slice(1 + 2 * i, 3 + 2 * i);
      return [float.toFixed(1), integers.toFixed(1), (float / integers).toFixed(2)];
    });
    cells.push((micro[0] / micro.at(-1)).toFixed(0));
    if (ort) cells.push(other.toFixed(1), (other / micro.at(-2)).toFixed(2), (other / micro.at(-1)).toFixed(2));
    console.log(`| ${name} | ${batch} | ${[micro[0].toFixed(0), ...cells].join(' | ')} |`);
  }
  for (const model of models) model.dispose();
}
