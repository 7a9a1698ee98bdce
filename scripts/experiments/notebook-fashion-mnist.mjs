// The notebook net on Fashion-MNIST, to 10 and to 6 kB → docs/models/notebook-fashion-mnist.scnn, docs/results.{json,md}
//   node scripts/experiments/notebook-fashion-mnist.mjs [--data-dir DIR] [--seeds 1,2] [--runs runs/results]
// Without --data-dir where Debian's package puts them. Runs that are complete are not repeated and others go on where they stopped.
import { toSizes } from './to-size.mjs';

const toBeat = '91.2 %, the plain net without augmentation; 91.0 % in 19.0 kB with γ·Q ([sweep](fashion-mnist.md))';
await toSizes({
  script: 'notebook-fashion-mnist.mjs',
  model: 'notebook',
  dataset: 'fashion-mnist',
  plain: { 'batch-size': 128, lr: 0.001, schedule: 'cosine', epochs: 6, augment: 'shift=1,flip' },
  small: { 'batch-size': 128, epochs: 60, augment: 'shift=1,flip', 'teacher-weight': 0.5, temperature: 2 },
  rows: [
    { name: 'notebook-fashion-mnist', target: { 'target-size': '10kB' }, teacher: true, toBeat },
    { name: 'notebook-fashion-mnist-6k', target: { 'target-size': '6kB' }, teacher: true, toBeat },
  ],
});
