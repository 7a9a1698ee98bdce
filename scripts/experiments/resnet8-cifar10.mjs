// resnet8 (MLPerf Tiny's) on CIFAR-10, to 24 and to 15 kB → docs/models/resnet8-cifar10*.scnn, docs/results.{json,md}
//   node scripts/experiments/resnet8-cifar10.mjs --data-dir DIR [--device cuda] [--seeds 1,2] [--only NAME] [--runs runs/results]
// Both learn from a plain resnet9 too, which resnet9-cifar10.mjs trains first, with the same --runs. Runs that are complete are not
// repeated and others go on where they stopped.
import { experimentOptions, toSizes } from './to-size.mjs';

const options = experimentOptions();
const precision = options.device === 'cpu' ? 'fp32' : 'tf32';
const toBeat = '85 % in 96 kB (MLPerf Tiny, Banbury et al. 2021)';
await toSizes({
  script: 'resnet8-cifar10.mjs',
  model: 'resnet8',
  dataset: 'cifar10',
  plain: { 'batch-size': 128, epochs: 90, augment: 'shift=4,flip' },
  small: { 'batch-size': 128, epochs: 100, lr: 0.001, augment: 'shift=4,flip', precision, 'teacher-weight': 0.5, temperature: 2 },
  rows: [
    { name: 'resnet8-cifar10-24k', target: { 'target-size': '24kB' }, teacher: 'resnet9', toBeat },
    { name: 'resnet8-cifar10', target: { 'target-size': '15kB' }, teacher: 'resnet9', scratch: true, toBeat },
  ],
  options,
});
