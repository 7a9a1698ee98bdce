// This machine's roofline with our kernels on it → docs/roofline.svg, and a table on standard output.
//   node scripts/bench/roofline.mjs
// Operations are those of the direct algorithm (2 for a multiply-add); bytes are what has to be read and written at least once.

import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import * as Plot from '@observablehq/plot';
import { svgFile } from '../experiments/plot.mjs';
import { bytesOf, convLine, multiplyAdds, passes } from './convolutions.mjs';
import { nativeServer } from './servers.mjs';

const server = nativeServer();
const threads = cpus().length;
await server.ask(`threads ${threads}`);
const best = async (line) => Math.min(await server.seconds(line), await server.seconds(line), await server.seconds(line));
const peak = (2 * threads) / (await best('peak'));
const bandwidth = (16777216 * 8) / (await best('copy 16777216')) / 1e9;

const points = [];
async function measure(name, line, operations, bytes) {
  const seconds = await best(line);
  points.push({ name, intensity: operations / bytes, rate: operations / seconds / 1e9 });
}
for (const shape of [
  [64, 64, 32, 3, 1],
  [256, 256, 8, 3, 1],
  [32, 32, 24, 5, 0],
  [64, 64, 32, 1, 0],
  [3, 64, 32, 3, 1],
  [1, 32, 28, 5, 0],
]) {
  const [ins, outs, size, kernel] = shape;
  for (const pass of passes) {
    await measure(`${ins}→${outs} ${size}² ${kernel}×${kernel} ${pass}`, convLine(pass, shape), 2 * multiplyAdds(shape), bytesOf(shape));
  }
}
const weights = 256 * 65536;
await measure('quantize forward', 'quantize forward 256 65536', 6 * weights, 8 * weights);
await measure('quantize backward', 'quantize backward 256 65536', 14 * weights, 12 * weights);
server.close();

console.log(`peak ${peak.toFixed(0)} GFLOP/s (register tile in first-level cache), copy ${bandwidth.toFixed(1)} GB/s, ${threads} threads\n`);
console.log('| kernel | operations for each byte | GFLOP/s | of the roof |\n| --- | --- | --- | --- |');
for (const { name, intensity, rate } of points) {
  console.log(`| ${name} | ${intensity.toFixed(1)} | ${rate.toFixed(0)} | ${((100 * rate) / Math.min(peak, intensity * bandwidth)).toFixed(0)} % |`);
}
const roof = [0.5, peak / bandwidth, 1000].map((intensity) => ({ intensity, rate: Math.min(peak, intensity * bandwidth) }));
writeFileSync(
  fileURLToPath(new URL('../../docs/roofline.svg', import.meta.url)),
  svgFile({
    width: 760,
    height: 420,
    marginLeft: 60,
    marginRight: 90,
    x: { type: 'log', label: 'operations of the direct algorithm for each byte', tickFormat: '~g', domain: [0.5, 1000] },
    y: { type: 'log', label: 'GFLOP/s', grid: true, tickFormat: '~g', domain: [20, 1000] },
    marks: [
      Plot.lineY(roof, { x: 'intensity', y: 'rate', stroke: '#d55e00', strokeWidth: 2 }),
      Plot.dot(points, { x: 'intensity', y: 'rate', fill: '#0072b2', r: 4 }),
      ...points
        .filter((p) => !/grad/.test(p.name))
        .map((p, i) =>
          Plot.text([p], {
            x: 'intensity',
            y: 'rate',
            text: () => p.name.replace(' forward', ''),
            dx: 8,
            dy: i % 2 ? 9 : -9,
            textAnchor: 'start',
            fill: '#0072b2',
            stroke: 'white',
            strokeWidth: 3,
          }),
        ),
    ],
  }),
);
