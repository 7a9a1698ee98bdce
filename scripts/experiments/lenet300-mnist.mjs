// LeNet-300-100 on MNIST, to 3.3 and to 5.6 kB → docs/models/lenet300-mnist*.scnn, docs/results.{json,md}
//   node scripts/experiments/lenet300-mnist.mjs --data-dir DIR [--seeds 1,2] [--runs runs/results] [--only NAME]
// Runs that are complete are not repeated and others go on where they stopped.
import { toSizes } from './to-size.mjs';

await toSizes({
  script: 'lenet300-mnist.mjs',
  model: 'lenet300',
  dataset: 'mnist',
  plain: { 'batch-size': 128, lr: 0.001, schedule: 'cosine', epochs: 8, augment: 'shift=1' },
  small: { 'batch-size': 128, epochs: 40, augment: 'shift=1' },
  rows: [
    { name: 'lenet300-mnist', target: { 'target-size': '3.3kB' }, toBeat: '98.10 % in 8.56 kB (Oktay et al. 2020)' },
    { name: 'lenet300-mnist-5k', target: { 'target-size': '5.6kB' }, toBeat: '98.75 % in 5.6 kB (our own aim)', small: { epochs: 24 } },
  ],
});
