// LeNet-5 on MNIST, to 1.4 kB → docs/models/lenet5-mnist.scnn, docs/results.{json,md}
//   node scripts/experiments/lenet5-mnist.mjs --data-dir DIR [--seeds 1,2] [--runs runs/results]
// Runs that are complete are not repeated and others go on where they stopped.
import { toSizes } from './to-size.mjs';

// No mean is subtracted: what is not drawn on is 0.
const images = { 'batch-size': 128, augment: 'shift=1', mean: 0, std: 0.3081 };

await toSizes({
  script: 'lenet5-mnist.mjs',
  model: 'lenet5',
  dataset: 'mnist',
  plain: { ...images, lr: 0.001, schedule: 'cosine', epochs: 6 },
  small: { ...images, epochs: 200, lr: 0.003 },
  rows: [
    {
      name: 'lenet5-mnist',
      target: { 'target-size': '1.45kB' },
      toBeat: "99.04 % in 1.52 kB without a decoder's tables (MIRACLE, Havasi et al. 2019)",
    },
  ],
});
