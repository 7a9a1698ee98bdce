// The notebook net on Fashion-MNIST, plain and with five gammas, two seeds each → docs/fashion-mnist.{md,svg,json}
//   node scripts/experiments/fashion-mnist.mjs [--epochs 15] [--seeds 1,2] [--gammas 0.02,…] [--runs runs/fashion-mnist] [--data-dir DIR]
// Runs that are complete are not repeated, so it may be stopped and started again.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { binding } from '../../dist/index.js';
import { sweepPlot } from './plot.mjs';
import { scriptOptions, train } from './runs.mjs';
import { mean, percent } from './statistics.mjs';

const options = scriptOptions({ epochs: '15', seeds: '1,2', gammas: '0.02,0.035,0.05,0.1,0.3', runs: 'runs/fashion-mnist', 'data-dir': '' });
const epochs = Number(options.epochs);
const seeds = options.seeds.split(',').map(Number);
const gammas = options.gammas.split(',').map(Number);
const docs = (name) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));

const common = { model: 'notebook', dataset: 'fashion-mnist', epochs, ...(options['data-dir'] ? { 'data-dir': options['data-dir'] } : {}) };
const results = [];
for (const seed of seeds) {
  for (const gamma of ['plain', ...gammas]) {
    const history = await train(`${options.runs}/${gamma}-seed${seed}`, { ...common, seed, ...(gamma === 'plain' ? { plain: true } : { gamma }) });
    const last = history.at(-1);
    results.push({
      gamma,
      seed,
      testAccuracy: last.testAccuracy,
      bitsFraction: last.bitsFraction,
      weightsFraction: last.weightsFraction,
      modelBytes: last.modelBytes,
    });
  }
}
writeFileSync(
  docs('fashion-mnist.json'),
  `${JSON.stringify({ command: `node scripts/experiments/fashion-mnist.mjs --epochs ${epochs}`, results }, undefined, 2)}\n`,
);

const of = (gamma, pick) => results.filter((r) => r.gamma === gamma).map(pick);
const plainAccuracy = mean(of('plain', (r) => r.testAccuracy));
const row = (gamma) => {
  const accuracy = of(gamma, (r) => r.testAccuracy);
  return [
    gamma === 'plain' ? 'plain' : gamma,
    accuracy.map((x) => percent(x)).join(', '),
    gamma === 'plain' ? '' : `${((mean(accuracy) - plainAccuracy) * 100).toFixed(2)}`,
    percent(mean(of(gamma, (r) => r.bitsFraction))),
    percent(mean(of(gamma, (r) => r.weightsFraction)), 1),
    `${(mean(of(gamma, (r) => r.modelBytes)) / 1000).toFixed(1)} kB`,
  ];
};
const head = ['γ', `test accuracy (seeds ${seeds.join(', ')})`, 'mean − plain (points)', 'bits left', 'weights left', 'model file'];
const table = [head, head.map(() => '---'), ...['plain', ...gammas].map(row)].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
const good = gammas
  .filter((g) => mean(of(g, (r) => r.testAccuracy)) >= plainAccuracy - 0.003)
  .sort((a, b) => mean(of(a, (r) => r.bitsFraction)) - mean(of(b, (r) => r.bitsFraction)));
const reached = good.length
  ? `The smallest network within 0.3 points of plain training (means of the seeds) is that of γ = ${good[0]}: ${percent(mean(of(good[0], (r) => r.bitsFraction)))} of the bits.`
  : 'No network of this sweep is within 0.3 points of plain training.';
const { isa, threads, version } = binding.info();

writeFileSync(docs('fashion-mnist.svg'), sweepPlot(results));
writeFileSync(
  docs('fashion-mnist.md'),
  `# The notebook net on Fashion-MNIST

Written by \`node scripts/experiments/fashion-mnist.mjs --epochs ${epochs}\` (selfcompress ${version}, ${isa}, ${threads} threads); the figures
of every run are in fashion-mnist.json.

The net: four convolutions (5×5, 5×5, 3×3, 3×3; 32, 32, 64, 64 channels), two batch norms, one linear layer; 87,456 weights on
60,000 training images of 28×28. ${epochs} epochs of 512 images a step, Adam, one-cycle learning rate; no augmentation. The plain
runs use the same trainer, optimizer, schedule and seeds with float weights. Accuracy is that after the last epoch on the 10,000
test images, never the best of several. "Bits left" counts the codes of all weights, at whole bits per channel, of 32 bits for each
original weight.

![test accuracy against bits left](fashion-mnist.svg)

${table}

${reached}
`,
);
console.log(`${table}\n\n${reached}`);
