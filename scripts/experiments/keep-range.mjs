// What to keep when a bit depth changes, the channel's range or its steps: the same run both ways, on Fashion-MNIST.
//   node scripts/experiments/keep-range.mjs [--epochs 15] [--gammas 0.05] [--runs runs/fashion-mnist] [--data-dir DIR]
import { scriptOptions, train } from './runs.mjs';

const options = scriptOptions({ epochs: '15', gammas: '0.05', runs: 'runs/fashion-mnist', 'data-dir': '' });
const common = {
  model: 'notebook',
  dataset: 'fashion-mnist',
  epochs: Number(options.epochs),
  seed: 1,
  ...(options['data-dir'] ? { 'data-dir': options['data-dir'] } : {}),
};
const percent = (x, digits = 2) => `${(100 * x).toFixed(digits)} %`;
console.log('| γ | keeps | test accuracy | bits left | weights left |\n| --- | --- | --- | --- | --- |');
for (const gamma of options.gammas.split(',')) {
  for (const keep of ['range', 'step']) {
    const directory = `${options.runs}/${gamma}${keep === 'step' ? '-step' : ''}-seed1`;
    const last = (await train(directory, { ...common, gamma, keep })).at(-1);
    console.log(`| ${gamma} | ${keep} | ${percent(last.testAccuracy)} | ${percent(last.bitsFraction)} | ${percent(last.weightsFraction, 1)} |`);
  }
}
