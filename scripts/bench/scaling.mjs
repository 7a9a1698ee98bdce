// Time of a training step against batch size, width and threads → docs/scaling.svg, and the table on standard output.
//   node scripts/bench/scaling.mjs
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import * as Plot from '@observablehq/plot';
import { binding, inspectNetwork } from '../../dist/index.js';
import { svgFile } from '../experiments/plot.mjs';
import { notebookOfWidth, stepTimer } from './step.mjs';

/** Multiply-adds of the direct convolutions of one image, forward and both gradients. */
function workOf(description) {
  const { shapes, parameters } = inspectNetwork(description);
  const forward = parameters
    .filter(({ role }) => role === 'weight')
    .reduce((sum, { node, shape }) => sum + [...shape, ...shapes[node].slice(1)].reduce((a, b) => a * b, 1), 0);
  return 3 * forward;
}

const points = [];
async function measure(varied, value, { width = 1, batch = 512, threads = cpus().length }) {
  binding.setThreads(threads);
  const description = notebookOfWidth(width);
  const timer = await stepTimer(description, { batch });
  const times = [await timer.seconds(), await timer.seconds(), await timer.seconds()].sort((a, b) => a - b);
  await timer.dispose();
  points.push({ varied, value, work: (workOf(description) * batch) / 1e9, milliseconds: times[1] * 1000 });
  console.log(`| ${varied} | ${value} | ${points.at(-1).work.toFixed(2)} | ${points.at(-1).milliseconds.toFixed(1)} |`);
}
console.log('| varied | value | multiply-adds of the direct algorithm, 10⁹ | milliseconds a step |\n| --- | --- | --- | --- |');
for (const batch of [32, 64, 128, 256, 512, 1024]) await measure('batch', batch, { batch });
for (const width of [0.25, 0.5, 1, 1.5, 2]) await measure('width', width, { width });
for (let threads = 1; threads <= cpus().length; threads *= 2) await measure('threads', threads, { threads });

writeFileSync(
  fileURLToPath(new URL('../../docs/scaling.svg', import.meta.url)),
  svgFile({
    width: 720,
    height: 360,
    marginLeft: 60,
    x: { type: 'log', label: 'multiply-adds of the direct algorithm in a step (10⁹)', tickFormat: '~g' },
    y: { type: 'log', label: 'milliseconds a step', grid: true, tickFormat: '~g' },
    color: { domain: ['batch', 'width'], range: ['#0072b2', '#d55e00'], legend: false },
    marks: [
      Plot.lineY(
        points.filter((p) => p.varied !== 'threads'),
        { x: 'work', y: 'milliseconds', stroke: 'varied' },
      ),
      Plot.dot(
        points.filter((p) => p.varied !== 'threads'),
        { x: 'work', y: 'milliseconds', fill: 'varied', r: 4 },
      ),
      Plot.text(
        points.filter((p) => p.varied !== 'threads'),
        { x: 'work', y: 'milliseconds', text: (p) => `${p.varied} ${p.value}`, fill: 'varied', dx: 8, textAnchor: 'start' },
      ),
    ],
  }),
);
