// resnet9 on CIFAR-10: a plain net of 6.57 M weights, then what is left of it by the share of the bits and by the size of the file, trained
// on the labels, and on the plain net's outputs → docs/models/, docs/results.{json,md}
//   node scripts/experiments/resnet9-cifar10.mjs --data-dir DIR --device cuda [--only NAME] [--runs runs/results]
// Runs that are complete are not repeated and others go on where they stopped.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readMetrics, train } from './runs.mjs';
import { chosen, commonFlags, compressTo, experimentOptions, plainDirectory, toSizes } from './to-size.mjs';

const script = 'resnet9-cifar10.mjs';
const [model, dataset] = ['resnet9', 'cifar10'];
const options = experimentOptions({ precision: 'bf16' });
const augment = 'shift=4,flip,cutout=8';
const { precision } = options;
const smooth = { 'label-smoothing': 0.1, ema: 0.99 };
const plain = { 'batch-size': 512, epochs: 30, optimizer: 'adamw', lr: 0.004, 'weight-decay': 0.1, ...smooth, augment, precision };
const paper = 'the plain accuracy at 3 % of the bits and 18 % of the weights (Cséfalvay & Imber 2023)';
const bytes = '93.43 % in 384 kB (MIRACLE VGG-16, Havasi et al. 2019)';
const small = { 'batch-size': 256, epochs: 30, lr: 0.001, ...smooth, augment, precision };
const byLabels = [
  { name: 'resnet9-cifar10-paper', target: { 'target-bits': 0.025 }, small: { coupling: 12 }, toBeat: paper },
  { name: 'cifar10-accurate', target: { 'target-size': '195kB' }, toBeat: bytes },
];
const byTeacher = [
  { name: 'resnet9-cifar10-paper-teacher', target: { 'target-bits': 0.01 }, toBeat: paper },
  { name: 'cifar10-accurate-teacher', target: { 'target-size': '195kB' }, toBeat: bytes },
];

await toSizes({ script, model, dataset, plain, small, rows: byLabels, options });
if (chosen(byTeacher, options).length > 0) {
  const directory = plainDirectory(options, model, dataset, 1);
  await train(directory, { ...commonFlags(model, dataset, options), plain: true, seed: 1, ...plain });
  const source = `${directory}/model.onnx`;
  if (!existsSync(source)) {
    const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
    spawnSync(process.execPath, [cli, 'export', directory, '--format', 'onnx', '--out', source], { stdio: 'inherit' });
  }
  const seconds = Math.round(readMetrics(directory).reduce((sum, { epochSeconds }) => sum + epochSeconds, 0));
  const flags = { 'batch-size': 256, epochs: 40, precision };
  await compressTo({ script, model, dataset, source, flags, plain: { epochs: plain.epochs, seconds }, rows: byTeacher, options });
}
