// resnet8 (MLPerf Tiny's) on CIFAR-10, to 24 and to 15 kB → docs/models/resnet8-cifar10*.scnn, docs/results.{json,md}
//   node scripts/experiments/resnet8-cifar10.mjs --data-dir DIR [--device cuda] [--seeds 1,2] [--only NAME] [--runs runs/results]
// Runs that are complete are not repeated and others go on where they stopped.
import { toSizes } from './to-size.mjs';

const toBeat = '85 % in 96 kB (MLPerf Tiny, Banbury et al. 2021)';
await toSizes({
  script: 'resnet8-cifar10.mjs',
  model: 'resnet8',
  dataset: 'cifar10',
  plain: { 'batch-size': 128, epochs: 90, augment: 'shift=4,flip' },
  small: { 'batch-size': 128, epochs: 50, lr: 0.001, augment: 'shift=4,flip' },
  rows: [
    { name: 'resnet8-cifar10-24k', target: { 'target-size': '24kB' }, toBeat },
    { name: 'resnet8-cifar10', target: { 'target-size': '15kB' }, toBeat },
  ],
});
