// resnet9 on CIFAR-10: a plain net of 6.57 M weights, then what is left of it by the size of the file, and by the shares of bits and of
// weights, trained on the labels, or on them and the plain net's outputs → docs/models/, docs/results.{json,md}
//   node scripts/experiments/resnet9-cifar10.mjs --data-dir DIR --device cuda [--only NAME] [--runs runs/results]
// Runs that are complete are not repeated and others go on where they stopped.
import { experimentOptions, toSizes } from './to-size.mjs';

const options = experimentOptions({ precision: 'bf16' });
const augment = 'shift=4,flip,cutout=8';
const { precision } = options;
const smooth = { 'label-smoothing': 0.1, ema: 0.99 };
const teacher = { 'teacher-weight': 0.5, temperature: 2 };

await toSizes({
  script: 'resnet9-cifar10.mjs',
  model: 'resnet9',
  dataset: 'cifar10',
  plain: { 'batch-size': 512, epochs: 30, optimizer: 'adamw', lr: 0.004, 'weight-decay': 0.1, ...smooth, augment, precision },
  small: { 'batch-size': 256, epochs: 70, lr: 0.001, ...smooth, augment, precision, 'target-size': '199kB' },
  rows: [
    {
      name: 'resnet9-cifar10-paper',
      small: { coupling: 12, gamma: 0.5 },
      toBeat: 'the plain accuracy at 3 % of the bits and 18 % of the weights (Cséfalvay & Imber 2023)',
    },
    {
      name: 'cifar10-accurate',
      small: { coupling: 4, ...teacher },
      teacher: true,
      toBeat: '93.43 % in 384 kB (MIRACLE VGG-16, Havasi et al. 2019)',
    },
  ],
  options,
});
