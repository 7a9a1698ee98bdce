// Nets for microcontrollers on MNIST at 16×16 with rotation, shift and scale → docs/models/tiny-mnist-*.scnn, docs/results.{json,md}
//   node scripts/experiments/tiny-mnist.mjs --data-dir DIR [--threads 16] [--only tiny-mnist-5k] [--seeds 1,2] [--runs runs/results]
// Runs that are complete are not repeated and others go on where they stopped. --epochs 0.02 is a try of a fiftieth of the epochs,
// which records nothing. The result in C, against the engine: node scripts/experiments/cortex.mjs --data-dir DIR docs/models/tiny-mnist-5k.scnn
import { tinyNetwork } from './tiny-network.mjs';
import { chosen, experimentOptions, toSizes } from './to-size.mjs';

const options = experimentOptions({ epochs: '1' });
const share = Number(options.epochs);
const epochs = (n) => Math.max(1, Math.round(n * share));
const common = { 'image-size': '16', 'batch-size': 128 };

const nets = [
  {
    name: 'tiny-mnist-5k',
    width: 16,
    size: '2.7kB',
    augment: 'shift=1,rotate=8,scale=0.08',
    plainEpochs: 6,
    smallEpochs: 60,
    more: { 'teacher-weight': 0.5, temperature: 2 },
    toBeat: '99.06 % in 5.4 kB',
  },
  {
    name: 'tiny-mnist-11k',
    width: 32,
    size: '8.8kB',
    augment: 'shift=1,rotate=10,scale=0.1',
    plainEpochs: 20,
    smallEpochs: 100,
    toBeat: '99.55 % in 11.0 kB',
  },
  {
    name: 'tiny-mnist-32-5k',
    width: 32,
    size: '5.5kB',
    augment: 'shift=1,rotate=10,scale=0.1',
    plainEpochs: 20,
    smallEpochs: 100,
    more: { 'teacher-weight': 0.5, temperature: 2 },
    toBeat: '99.06 % in 5.4 kB',
  },
];

for (const { name, width, size, augment, plainEpochs, smallEpochs, more, toBeat } of chosen(nets, options)) {
  await toSizes({
    script: 'tiny-mnist.mjs',
    model: `tiny-${width}`,
    network: tinyNetwork(width),
    dataset: 'mnist',
    plain: { ...common, augment, lr: 0.002, schedule: 'cosine', epochs: epochs(plainEpochs) },
    small: { ...common, augment, epochs: epochs(smallEpochs), ...more },
    rows: [{ name, target: { 'target-size': size }, teacher: more !== undefined, toBeat: `${toBeat} (BitNetMCU), run in C` }],
    options: { ...options, only: '', try: share !== 1 },
  });
}
