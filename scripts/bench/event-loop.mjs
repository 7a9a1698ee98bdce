// Share of its time that the JavaScript thread spends on training: the notebook net, batch 512. Aim: under 5 %.
//   node scripts/bench/event-loop.mjs [--steps 40]
import { performance } from 'node:perf_hooks';
import { createModel, datasetFromArrays, Trainer } from '../../dist/index.js';
import { scriptOptions } from '../experiments/runs.mjs';

const steps = Number(scriptOptions({ steps: '40' }).steps);
const images = Uint8Array.from({ length: 512 * steps * 784 }, (_, i) => (i * 2654435761) >>> 24);
const labels = Int32Array.from({ length: 512 * steps }, (_, i) => i % 10);
const small = { images: images.subarray(0, 784 * 512), labels: labels.subarray(0, 512) };
const data = await datasetFromArrays({ shape: [1, 28, 28], classes: 10, train: { images, labels }, test: small });
const trainer = Trainer.create({ network: createModel('notebook', { input: data.shape, classes: 10 }), data, epochs: 1, gamma: 0.05 });

let before;
let after;
trainer.on('step', ({ stepInEpoch }) => {
  if (stepInEpoch === 3) before = performance.eventLoopUtilization();
  if (stepInEpoch === steps) after = performance.eventLoopUtilization(before);
});
await trainer.run();
await trainer.dispose();
console.log(`JavaScript thread busy ${(100 * after.utilization).toFixed(2)} % of the time over ${steps - 3} steps of 512 images (aim: under 5 %)`);
