// LeNet-5 on MNIST, to 1.4 kB by a γ that stays → docs/models/lenet5-mnist.scnn, docs/results.{json,md}
//   node scripts/experiments/lenet5-mnist.mjs --data-dir DIR [--seeds 1,2] [--runs runs/results]
// Runs that are complete are not repeated and others go on where they stopped.
import { toSizes } from './to-size.mjs';

await toSizes({
  script: 'lenet5-mnist.mjs',
  model: 'lenet5',
  dataset: 'mnist',
  plain: { 'batch-size': 128, lr: 0.001, schedule: 'cosine', epochs: 6, augment: 'shift=1' },
  small: { 'batch-size': 128, epochs: 192, augment: 'shift=1', lr: 0.003, gamma: 2.5 },
  rows: [
    {
      name: 'lenet5-mnist',
      toBeat: "99.04 % in 1.52 kB without a decoder's tables (MIRACLE, Havasi et al. 2019)",
    },
  ],
});
