// resnet9 on CIFAR-10: a plain net of 6.57 M weights, then what is left of it by the size of the file, and by the shares of bits and of
// weights, trained on the labels and the plain net's outputs; what is left by shares is trained once more → docs/models/, docs/results.{json,md}
//   node scripts/experiments/resnet9-cifar10.mjs --data-dir DIR --device cuda [--only NAME] [--runs runs/results]
// Runs that are complete are not repeated and others go on where they stopped.
import { experimentOptions, toSizes } from './to-size.mjs';
import { trainFurther } from './train-further.mjs';

const options = experimentOptions({ precision: 'bf16' });
const augment = 'shift=4,flip,cutout=8';
const { precision } = options;
const smooth = { 'label-smoothing': 0.1, ema: 0.99 };
const paper = 'the plain accuracy at 3 % of the bits and 18 % of the weights (Cséfalvay & Imber 2023)';
const teacher = (weight, temperature) => ({ 'teacher-weight': weight, temperature });

await toSizes({
  script: 'resnet9-cifar10.mjs',
  model: 'resnet9',
  dataset: 'cifar10',
  plain: { 'batch-size': 512, epochs: 30, optimizer: 'adamw', lr: 0.004, 'weight-decay': 0.1, ...smooth, augment, precision },
  small: { 'batch-size': 256, epochs: 70, lr: 0.001, ...smooth, augment, precision },
  rows: [
    {
      // Channels die at a γ that stays until 17.8 % of the weights are left; then the net heals at 2.9 % of the bits, with a γ next to nothing.
      name: 'resnet9-cifar10-channels',
      small: { coupling: 12, gamma: 0.2, 'gamma-warmup': 0.04, 'stop-weights': 0.178, ...teacher(0.9, 4), augment: `${augment},mixup=0.2` },
      after: { epochs: 160, 'target-bits': 0.029, 'stop-weights': 0 },
      teacher: true,
      toBeat: paper,
    },
    {
      name: 'cifar10-accurate',
      small: { coupling: 4, ...teacher(0.5, 2) },
      target: { 'target-size': '199kB' },
      teacher: true,
      toBeat: '93.43 % in 384 kB (MIRACLE VGG-16, Havasi et al. 2019)',
    },
  ],
  options,
});

// The channels that are left, at 6 bits each, with the optimizer of the plain net.
await trainFurther({
  script: 'resnet9-cifar10.mjs',
  name: 'resnet9-cifar10-paper',
  from: 'resnet9-cifar10-channels',
  teacher: 'cifar10-accurate',
  flags: {
    ...{ 'batch-size': 512, epochs: 20, optimizer: 'adamw', lr: 0.004, 'weight-decay': 0.1, ...smooth, augment, precision, ...teacher(0.5, 2) },
    ...{ gamma: 0, bits: 6, 'bits-lr': 0, 'freeze-at': 1, 'exponent-lr': 0.005, 'bits-schedule': 'cosine' },
  },
  toBeat: paper,
  options,
});
