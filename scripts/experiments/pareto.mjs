// docs/cifar10.svg: test accuracy on CIFAR-10 against the bytes of the whole file, ours (docs/results.json) beside what others have published.
//   node scripts/experiments/pareto.mjs

import { readFileSync, writeFileSync } from 'node:fs';
import * as Plot from '@observablehq/plot';
import { svgFile } from './plot.mjs';
import { docs } from './to-size.mjs';

/** At second hand, as docs/results.md has them. */
const others = [
  { label: 'MIRACLE, VGG-16', kilobytes: 384, accuracy: 93.43 },
  { label: 'MIRACLE, VGG-16', kilobytes: 135, accuracy: 90.0 },
  { label: 'EPR, VGG-16', kilobytes: 101, accuracy: 90.0, below: true },
  { label: 'ternary, ResNet-20', kilobytes: 54, accuracy: 91.13 },
  { label: 'MLPerf Tiny, ResNet-8', kilobytes: 96, accuracy: 85 },
  { label: 'µNAS', kilobytes: 11.4, accuracy: 86.49 },
];
/** Too near to another one. */
const unlabelled = ['resnet20-cifar10', 'resnet9-cifar10-channels', 'resnet9-cifar10-paper'];
const { rows } = JSON.parse(readFileSync(docs('results.json'), 'utf8'));
const ours = rows
  .filter(({ dataset }) => dataset === 'cifar10')
  .map(({ name, model, seeds: [{ small }] }) => ({
    label: unlabelled.includes(name) ? '' : model,
    kilobytes: small.modelBytes / 1000,
    accuracy: 100 * small.testAccuracy,
  }))
  .sort((a, b) => a.kilobytes - b.kilobytes);
const best = ours.filter(({ accuracy }, i) => ours.slice(0, i).every((other) => other.accuracy < accuracy));
const [blue, orange] = ['#0072b2', '#d55e00'];
const text = (fill, more) => ({ x: 'kilobytes', y: 'accuracy', text: 'label', fill, stroke: 'white', strokeWidth: 4, fontSize: 11, ...more });
const svg = svgFile({
  width: 760,
  height: 420,
  marginLeft: 56,
  marginBottom: 46,
  marginRight: 90,
  x: { type: 'log', label: 'whole file (kB)', domain: [9, 600], ticks: [10, 20, 50, 100, 200, 400], tickFormat: '~g' },
  y: { label: 'test accuracy on CIFAR-10 (%)', grid: true, domain: [79, 95] },
  marks: [
    Plot.lineY(best, { x: 'kilobytes', y: 'accuracy', stroke: blue, strokeWidth: 2, strokeOpacity: 0.5 }),
    Plot.dot(others, { x: 'kilobytes', y: 'accuracy', stroke: orange, strokeWidth: 2, r: 4.5 }),
    Plot.text(
      others.filter(({ below }) => !below),
      text(orange, { dx: 8, dy: 12, textAnchor: 'start' }),
    ),
    Plot.text(
      others.filter(({ below }) => below),
      text(orange, { dy: 18, textAnchor: 'end' }),
    ),
    Plot.dot(ours, { x: 'kilobytes', y: 'accuracy', fill: blue, r: 4.5 }),
    Plot.text(ours, text(blue, { dx: -8, dy: -8, textAnchor: 'end' })),
    Plot.text([{ label: 'files of selfcompress', kilobytes: 9.2, accuracy: 94.5 }], text(blue, { textAnchor: 'start', fontSize: 13 })),
    Plot.text([{ label: 'published by others', kilobytes: 9.2, accuracy: 93.8 }], text(orange, { textAnchor: 'start', fontSize: 13 })),
  ],
});
writeFileSync(docs('cifar10.svg'), svg);
