// Exported C on a Cortex-M4 under QEMU: node scripts/experiments/cortex.mjs [--data-dir DIR --dataset NAME --images N --weights packed,plain] RUN|FILE...
// Prints Markdown: flash, memory, instructions of one prediction; codes are compared with the engine's, bit for bit.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { sizeFor } from '../../dist/data/area-resize.js';
import { examplesOf } from '../../dist/export/examples.js';
import { readTrained } from '../../dist/export/source.js';
import { exportModel, loadDataset, loadModel } from '../../dist/index.js';
import { missing, runOnCortex, scalesOf, toCodes } from './cortex/run.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dataset: { type: 'string', default: 'mnist' },
    'data-dir': { type: 'string' },
    images: { type: 'string', default: '100' },
    weights: { type: 'string', default: 'packed,plain' },
  },
});
if (missing()) throw new Error(missing());
const count = Number(values.images);
/** Bytes of images that the simulated board's flash holds beside the network: more are run in parts. */
const MOST_BYTES = 3_921_000;
const work = mkdtempSync(join(tmpdir(), 'selfcompress-cortex-'));
console.log(`| network | weights | flash | memory | instructions | ${count} images |\n| --- | --- | ---: | ---: | ---: | --- |`);
try {
  for (const path of positionals) {
    const { network, info } = await readTrained(path);
    const data = await loadDataset(values.dataset, { dataDir: values['data-dir'], ...sizeFor(info, network.input) });
    const calibration = examplesOf(data.train, network.input, info, 512);
    const images = examplesOf(data.test, network.input, info, count);
    const size = images.length / count;
    const model = await loadModel(await exportModel(path, { format: 'scnn', calibration }), { arithmetic: 'integer' });
    const all = await model.predict(Array.from({ length: count }, (_, i) => images.subarray(i * size, (i + 1) * size)));
    const scores = Float32Array.from(all.flatMap((prediction) => [...prediction.scores]));
    for (const weights of values.weights.split(',')) {
      const source = Buffer.from(await exportModel(path, { format: 'c', calibration, weights })).toString();
      const { input, output } = scalesOf(source);
      const outputs = scores.length / count;
      const part = Math.floor(MOST_BYTES / size);
      let result;
      let different = 0;
      for (let first = 0; first < count; first += part) {
        const some = Math.min(part, count - first);
        const codes = toCodes(images.subarray(first * size, (first + some) * size), input);
        result = runOnCortex({ source, name: 'network', codes, count: some, outputs, work });
        const expected = scores.subarray(first * outputs, (first + some) * outputs);
        different += expected.filter((score, i) => score !== Math.fround(output.scale * (result.codes[i] - output.zero))).length;
      }
      const cells = [result.flash, result.ram, result.instructions].map((n) => n.toLocaleString('en'));
      console.log(`| ${basename(path)} | ${weights} | ${cells.join(' | ')} | ${different === 0 ? 'the same codes' : `${different} codes differ`} |`);
    }
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
