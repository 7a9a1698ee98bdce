// Accuracy of training with bf16 products against float32, the same runs both ways, on Fashion-MNIST.
//   node scripts/experiments/precision.mjs [--epochs 10] [--gammas 0.05] [--seeds 1,2,3] [--precisions fp32,bf16]
//     [--threads N] [--runs runs/precision] [--data-dir DIR]
import { scriptOptions, train } from './runs.mjs';
import { mean, percent } from './statistics.mjs';

const options = scriptOptions({
  epochs: '10',
  gammas: '0.05',
  seeds: '1,2,3',
  precisions: 'fp32,bf16',
  threads: '',
  runs: 'runs/precision',
  'data-dir': '',
});
const common = {
  model: 'notebook',
  dataset: 'fashion-mnist',
  epochs: Number(options.epochs),
  ...(options.threads ? { threads: Number(options.threads) } : {}),
  ...(options['data-dir'] ? { 'data-dir': options['data-dir'] } : {}),
};
const rows = [];
for (const gamma of options.gammas.split(',')) {
  for (const precision of options.precisions.split(',')) {
    const ends = [];
    for (const seed of options.seeds.split(',')) {
      const history = await train(`${options.runs}/${precision}-gamma${gamma}-seed${seed}`, { ...common, gamma, precision, seed: Number(seed) });
      ends.push(history.at(-1));
    }
    const accuracy = ends.map((e) => e.testAccuracy);
    rows.push([
      gamma,
      precision,
      accuracy.map((x) => percent(x)).join(', '),
      percent(mean(accuracy)),
      percent(mean(ends.map((e) => e.bitsFraction))),
      percent(mean(ends.map((e) => e.weightsFraction))),
    ]);
  }
}
const head = ['γ', 'precision', `test accuracy (seeds ${options.seeds.replaceAll(',', ', ')})`, 'mean', 'bits left', 'weights left'];
console.log([head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n'));
