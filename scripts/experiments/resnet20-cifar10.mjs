// A public ResNet-20 (CIFAR-10, BSD-2-Clause, 91.73 %), made small by `selfcompress compress` → docs/models/, docs/results.{json,md}
//   node scripts/experiments/resnet20-cifar10.mjs --weights cifar10_resnet20-12fca82f.safetensors --data-dir DIR [--only NAME] [--runs runs/results]
//     [--device cuda]
// Nothing is chosen but the size, and on a GPU its products. Runs that are complete are not repeated.
import { compressTo, experimentOptions } from './to-size.mjs';

const options = experimentOptions({ weights: '', threads: '2' });
await compressTo({
  script: 'resnet20-cifar10.mjs --weights FILE',
  model: 'resnet20',
  dataset: 'cifar10',
  source: options.weights,
  flags: { model: 'resnet20', mean: '.485,.456,.406', std: '.229,.224,.225', epochs: 30, ...(options.device === 'cpu' ? {} : { precision: 'tf32' }) },
  plain: { epochs: 0, seconds: 0 },
  rows: [
    { name: 'resnet20-cifar10', target: { 'target-bits': 0.06 }, toBeat: '91.23 % (0.5 points lost) at 6 % of the bits (our own aim)' },
    {
      name: 'cifar10-small',
      target: { 'target-size': '52kB' },
      toBeat: '91.13 % in some 54 kB (ternary weights); 90.0 % in 101 kB (EPR, Oktay et al. 2020)',
    },
    { name: 'resnet20-cifar10-34k', target: { 'target-size': '34kB' }, toBeat: '91.13 % in some 54 kB (ternary weights)' },
    { name: 'cifar10-tiny', target: { 'target-size': '20kB' }, toBeat: '86.49 % in 11.4 kB (µNAS, Liberis et al. 2021)' },
    { name: 'resnet20-cifar10-11k', target: { 'target-size': '11kB' }, toBeat: '86.49 % in 11.4 kB (µNAS, Liberis et al. 2021)' },
  ],
  options,
});
