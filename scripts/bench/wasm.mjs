/**
 * The engine as WebAssembly against onnxruntime-web (wasm, SIMD, one thread) on the same networks, in node, in turn in one run: prints
 * a table of processor time, which other programs hardly change.
 *   npm run build:wasm && node scripts/bench/wasm.mjs --onnxruntime-web FOLDER [--seconds 3] [--only notebook]
 * FOLDER: where onnxruntime-web has been installed (npm install onnxruntime-web in a folder of its own).
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { loadModel } from '../../dist/browser/browser.js';
import { exportModel, initialState, inspectNetwork } from '../../dist/index.js';
import { smallNetworks } from './networks.mjs';

const { values: flags } = parseArgs({
  options: { seconds: { type: 'string', default: '3' }, only: { type: 'string', default: '' }, 'onnxruntime-web': { type: 'string' } },
});
if (!flags['onnxruntime-web']) throw new Error('Expected the folder of onnxruntime-web for --onnxruntime-web but received none');
const require = createRequire(resolve(flags['onnxruntime-web'], 'package.json'));
const { version } = JSON.parse(readFileSync(join(flags['onnxruntime-web'], 'node_modules/onnxruntime-web/package.json'), 'utf8'));
const ort = await import(pathToFileURL(require.resolve('onnxruntime-web')).href).then((module) => module.default ?? module);
ort.env.wasm.numThreads = 1;
const wasm = readFileSync(new URL('../../dist/browser/engine.wasm', import.meta.url));

/** Least microseconds of processor time of a call of each subject, in turn. */
async function time(subjects) {
  const least = subjects.map(() => Number.POSITIVE_INFINITY);
  for (const subject of subjects) await subject();
  const end = performance.now() + 1000 * Number(flags.seconds);
  for (let round = 0; round < 20 || (round < 3000 && performance.now() < end); round++)
    for (const [s, subject] of subjects.entries()) {
      const begin = process.cpuUsage();
      await subject();
      const { user, system } = process.cpuUsage(begin);
      least[s] = Math.min(least[s], user + system);
    }
  return least;
}

console.log(`| network | images a call | selfcompress | onnxruntime-web ${version} | ratio |\n| --- | ---: | ---: | ---: | ---: |`);
for (const [name, network] of Object.entries(smallNetworks).filter(([name]) => name.startsWith(flags.only))) {
  const state = initialState(inspectNetwork(network).parameters, 1, { bitDepth: 4, headroom: 0 });
  const size = network.input.reduce((a, b) => a * b);
  const bytes = await exportModel({ network, state, info: { name: 'random', classes: 0, mean: [0], std: [1] } }, { format: 'scnn' });
  const model = await loadModel(bytes, { wasm });
  const onnx = await exportModel({ network, state }, { format: 'onnx', foldNorms: true });
  const session = await ort.InferenceSession.create(onnx, { executionProviders: ['wasm'] });
  for (const batch of [1, 16]) {
    const images = Float32Array.from({ length: batch * size }, (_, i) => Math.sin(i));
    const inputs = Array.from({ length: batch }, (_, i) => images.subarray(i * size, (i + 1) * size));
    const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', images, [batch, ...network.input]) };
    const ours = (await Promise.resolve(model.predict(inputs))).flatMap((prediction) => [...prediction.scores]);
    const theirs = (await session.run(feeds))[session.outputNames[0]].data;
    const worst = ours.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs[i])), 0);
    if (!(worst < 1e-3)) throw new Error(`${name}: results differ by ${worst}`);
    const [own, other] = (await time([() => model.predict(inputs), () => session.run(feeds)])).map((least) => least / batch);
    console.log(`| ${name} | ${batch} | ${own.toFixed(0)} | ${other.toFixed(0)} | ${(other / own).toFixed(2)} |`);
  }
  model.dispose();
}
process.exit(0);
