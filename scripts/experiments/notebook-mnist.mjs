// The notebook net on MNIST, to 2 kB → docs/models/notebook-mnist.scnn, docs/results.{json,md}
//   node scripts/experiments/notebook-mnist.mjs --data-dir DIR [--seeds 1,2] [--runs runs/results]
// Runs that are complete are not repeated and others go on where they stopped.
import { toSizes } from './to-size.mjs';

await toSizes({
  script: 'notebook-mnist.mjs',
  model: 'notebook',
  dataset: 'mnist',
  plain: { 'batch-size': 128, lr: 0.001, schedule: 'cosine', epochs: 4, augment: 'shift=1' },
  small: { 'batch-size': 128, epochs: 60, augment: 'shift=1', 'teacher-weight': 0.5, temperature: 2 },
  rows: [
    {
      name: 'notebook-mnist',
      target: { 'target-size': '2kB' },
      teacher: true,
      toBeat: '98.5 % in 18.8 kB of fractional bits (a reproduction in PyTorch)',
    },
  ],
});
