// A public ResNet-20 (CIFAR-10, BSD-2-Clause, 91.73 %), made small by `selfcompress compress` → docs/models/, docs/results.{json,md}
//   node scripts/experiments/resnet20-cifar10.mjs --weights cifar10_resnet20-12fca82f.safetensors --data-dir DIR [--only NAME] [--runs runs/results]
// Nothing is chosen but the size. Runs that are complete are not repeated.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { scriptOptions } from './runs.mjs';
import { docs, machine, record } from './to-size.mjs';

const EPOCHS = 30;
const rows = [
  { name: 'resnet20-cifar10', target: { 'target-bits': '0.06' }, toBeat: '91.23 % (0.5 points lost) at 6 % of the bits (our own aim)' },
  { name: 'resnet20-cifar10-52k', target: { 'target-size': '52kB' }, toBeat: '91.13 % in some 54 kB (ternary weights)' },
  { name: 'resnet20-cifar10-34k', target: { 'target-size': '34kB' }, toBeat: '91.13 % in some 54 kB (ternary weights)' },
];
const options = scriptOptions({ weights: '', 'data-dir': '', runs: 'runs/results', threads: '2', only: '' });
const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const normalisation = { mean: '.485,.456,.406', std: '.229,.224,.225' };
const common = { model: 'resnet20', dataset: 'cifar10', ...normalisation, epochs: String(EPOCHS) };

for (const { name, target, toBeat } of rows.filter(({ name }) => !options.only || options.only.split(',').includes(name))) {
  const directory = `${options.runs}/${name}`;
  if (!existsSync(`${directory}/seconds`)) {
    const flags = { ...common, ...target, 'data-dir': options['data-dir'], threads: options.threads, out: directory };
    const started = performance.now();
    const { status } = spawnSync(process.execPath, [cli, 'compress', options.weights, ...Object.entries(flags).flatMap(([k, v]) => [`--${k}`, v])], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    if (status !== 0) throw new Error(`compress ended with ${status}`);
    writeFileSync(`${directory}/seconds`, `${Math.round((performance.now() - started) / 1000)}\n`);
  }
  const { accuracyBefore, accuracyAfter, bytesBefore, bytesAfter, bitsFraction, weightsFraction } = JSON.parse(
    readFileSync(`${directory}/report.json`, 'utf8'),
  );
  copyFileSync(`${directory}/model.scnn`, docs(`models/${name}.scnn`));
  record({
    name,
    model: 'resnet20',
    dataset: 'cifar10',
    toBeat,
    options: { ...common, ...target },
    seeds: [
      {
        seed: 1,
        plain: { epochs: 0, testAccuracy: accuracyBefore, modelBytes: bytesBefore, bitsFraction: 1, weightsFraction: 1, seconds: 0 },
        small: {
          epochs: EPOCHS,
          testAccuracy: accuracyAfter,
          modelBytes: bytesAfter,
          bitsFraction,
          weightsFraction,
          seconds: Number(readFileSync(`${directory}/seconds`, 'utf8')),
        },
      },
    ],
    command: 'node scripts/experiments/resnet20-cifar10.mjs --weights FILE',
    machine: machine(),
  });
}
