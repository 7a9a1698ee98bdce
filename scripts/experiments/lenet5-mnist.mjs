// LeNet-5 on MNIST, to 1.4 kB, with images shifted at random and without → docs/models/lenet5-mnist*.scnn, docs/results.{json,md}
//   node scripts/experiments/lenet5-mnist.mjs --data-dir DIR [--seeds 1,2] [--only NAME] [--runs runs/results]
// Runs that are complete are not repeated and others go on where they stopped.
import { chosen, experimentOptions, toSizes } from './to-size.mjs';

const options = experimentOptions();
// No mean is subtracted: what is not drawn on is 0.
const images = { 'batch-size': 128, mean: 0, std: 0.3081 };
const lenet5 = (name, augment, runs) => ({ name, runs, flags: { ...images, ...(augment && { augment }) } });

for (const { name, flags, runs } of chosen(
  [lenet5('lenet5-mnist', 'shift=1', options.runs), lenet5('lenet5-mnist-unaugmented', '', `${options.runs}/unaugmented`)],
  options,
))
  await toSizes({
    script: 'lenet5-mnist.mjs',
    model: 'lenet5',
    dataset: 'mnist',
    plain: { ...flags, lr: 0.001, schedule: 'cosine', epochs: 6 },
    small: { ...flags, epochs: 200, lr: 0.003 },
    rows: [{ name, target: { 'target-size': '1.4kB' }, toBeat: "99.04 % in 1.52 kB without a decoder's tables (MIRACLE, Havasi et al. 2019)" }],
    options: { ...options, runs },
  });
