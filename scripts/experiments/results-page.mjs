// docs/results.md from the rows of docs/results.json.   node scripts/experiments/results-page.mjs writes it again
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { mean, percent } from './statistics.mjs';

const each = (values) => (values.length > 1 ? `${values.join(', ')}` : values[0]);

/** A few words for a processor's name. */
const shortly = (machine) => machine.replace(/^NVIDIA /, '').replace(/^AMD EPYC.*/, 'EPYC, one thread');
const machineOf = (row) => row.seeds[0].machine ?? row.machine;
const minutes = (seconds) => (seconds < 600 ? (seconds / 60).toFixed(1) : (seconds / 60).toFixed(0));

/** Of texts the loss. */
const quality = ({ testAccuracy, testLoss }) => (testLoss === undefined ? percent(testAccuracy) : `${testLoss.toFixed(4)} nats`);
const meanOf = (runs) =>
  Object.fromEntries(['testAccuracy', 'testLoss'].filter((name) => name in runs[0]).map((name) => [name, mean(runs.map((run) => run[name]))]));

function line(row) {
  const { name, model, dataset, toBeat, seeds, options } = row;
  const size = options.small?.['image-size'];
  const small = seeds.map((s) => s.small);
  const cells = [
    `[${name}](models/${name}.scnn)`,
    `${model}, ${dataset}${size ? ` at ${size}×${size}` : ''}`,
    each(seeds.map((s) => quality(s.plain))),
    toBeat,
    each(small.map(quality)) + (small.length > 1 ? ` (mean ${quality(meanOf(small))})` : ''),
    each(small.map((s) => `${s.modelBytes} B`)),
    each(small.map((s) => percent(s.bitsFraction))),
    each(small.map((s) => percent(s.weightsFraction))),
    each(small.map((s) => `${s.epochs}`)),
    each(seeds.map(({ plain, small: s }) => `${minutes(plain.seconds + s.seconds)} min`)),
    shortly(machineOf(row)),
    each(seeds.map((s) => s.seed)),
  ];
  return `| ${cells.join(' | ')} |`;
}

const head = [
  'file',
  'net, data',
  'plain',
  'to beat',
  'test accuracy',
  'whole file',
  'bits left',
  'weights left',
  'epochs',
  'time',
  'machine',
  'seeds',
];

const quantity = (n) => {
  const [unit, name] = n >= 1e9 ? [1e9, ' G'] : n >= 1e6 ? [1e6, ' M'] : [1e3, ' k'];
  return `${(n / unit).toPrecision(3)}${name}`;
};
const pair = (before, after) => `${quantity(before)} → ${quantity(after)}`;
const costLine = ({ name, cost: { batchSize, before, after } }) =>
  `| ${[name, ...['multiplyAdds', 'bytesMoved', 'trainingBytes'].map((field) => pair(before[field], after[field])), batchSize].join(' | ')} |`;

/** Rows whose teacher was their plain net. */
const taught = (rows) =>
  rows.filter(({ options: { small, teacher } }) => small?.['teacher-weight'] !== undefined && teacher === undefined).map(({ name }) => name);

/** Rows that `selfcompress compress` has made of a network by others. */
const fromPublic = (rows) => rows.filter(({ seeds }) => seeds[0].plain.epochs === 0).map(({ name }) => name);

export function resultsPage(rows) {
  return `# The smallest files so far

![test accuracy on CIFAR-10 against the bytes of the whole file](cifar10.svg)

Trained files that come with the sources, what they reach on all test images of their data, or all held-out text, and what others have published (figures
at second hand: see the sources named in the table). Accuracy is that after the last epoch, never the best of several; bytes are those
of the whole file: structure, tables, exponents, biases and norms. \`npm run results:check -- --data-dir NAME=DIR\` evaluates each file
and compares it with [results.json](results.json), which has the options of every run; \`selfcompress eval docs/models/NAME.scnn --dataset … --data-dir …\` gives the same.

| ${head.join(' | ')} |
| ${head.map(() => '---').join(' | ')} |
${rows.map(line).join('\n')}

How they were made: a plain net of the same shape first, then the penalty \`rate\` from its weights with \`--target-size\`: γ is steered, so that no γ was
chosen, but for resnet9-cifar10-channels: there channels died at a γ of 0.2 until 17.8 % of the weights were left, and the net then healed with \`--target-bits 0.029\`; 116 of
its 160 epochs ran on the H100, where the time was up, and a CPU ended it, in float32 and with the plain net's model file, whose norms are folded, for a teacher, with four more (\`--epochs 120\`, which lets the rate fall at once). resnet9-cifar10-paper is that file trained once more, by the optimizer of the plain net, at a uniform depth of 6
bits without a penalty, with cifar10-accurate as a teacher, on a CPU; the first 4 of its epochs ran with 36, 30 and 24 for their number, which the learning rate goes by, and on two threads; its time has the other's in it. ${taught(rows).join(', ')} had the plain net as a teacher too. The plain nets of resnet8-cifar10-24k, on an H100, and of
resnet8-cifar10, of 40 epochs, are not the same; that row's options are in results.json. resnet8-cifar10-24k took the plain net's weights from its model
file at a time when training did not know what such a file's norms stand for, and so all but began anew. ${fromPublic(rows).join(', ')} are what \`selfcompress compress\` makes of a public network of
91.73 % without any option but data, normalisation and size, and on the H200 \`--precision tf32\` ([NOTICE](models/NOTICE.md)). All training images are used. No
choice among runs was made on test images, but: the options of resnet9 (below), and those of lenet5-mnist, the best of three sets tried with an earlier controller (99.04 % in 1,298 bytes); tiny-mnist-11k was trained for 100 epochs from a plain net of
20 after 12 from one of 5 had reached 99.52 %, and resnet8 for longer than the 40 and 40 epochs that gave 84.74 %; notebook and the tiny nets had been trained to larger sizes before. All but lenet5-mnist, lenet5-mnist-unaugmented, char-lm-shakespeare and resnet9-cifar10-paper were
steered by earlier controllers, whose path to the size was longer or began later: their commands end elsewhere now.
Images are changed at random where the options say so (\`augment\`). "time" is that of both runs' training steps (of compressed public networks: of the whole
command). Up to ten runs shared a GPU (a resnet9 alone takes 1.3 s for an epoch), and the processor did much else.

What a network takes before and after: multiply-adds of an image, or of a window of 64 characters; bytes moved for it if every node
reads its inputs and weights and writes its output once, in float32; memory of a training step (parameters, gradients, moments and activations of a batch).

| file | multiply-adds | bytes moved | memory of a step | batch |
| --- | --- | --- | --- | --- |
${rows.map(costLine).join('\n')}

What is not reached: ${notReached}

Not there: seeds beyond the first, but for ${several(rows).join(', ')}. What each part of the method does for lenet300, over three seeds: [ablations.md](ablations.md); for the notebook net on Fashion-MNIST
the penalties and uniform quantization: [ablations-notebook.md](ablations-notebook.md), and others' ways to prune and quantize from the same nets: [rivals.md](rivals.md). For other nets not yet.

Commands: ${[...new Set(rows.map(({ command }) => `\`${withData(command.replace(/ --seeds 1$/, ''))}\``))].join('; ')}; with \`--device cuda\` on a GPU.
`;
}

/** Rows of more than one seed. */
const several = (rows) => rows.filter(({ seeds }) => seeds.length > 1).map(({ name }) => name);

const withData = (command) => (command.includes('--data-file') ? command : `${command} --data-dir DIR`);

const notReached = `the fractions of the paper on resnet9: 0.2 points at 18 % of the weights and 3 % of the bits were asked for; 0.43 are lost at 15.8 % and
2.71 % (resnet9-cifar10-paper), 0.56 before it was trained once more, 0.51 at 21.7 % and 1.75 % (cifar10-accurate), and were 1.73 at 15.1 % and 1.35 % without a teacher, in 175 kB; 91.1 % in 34 kB and 86.5 % in 11 kB with resnet20. What
char-lm-shakespeare is asked, 0.02 nats above the plain network at the same number of steps at 3 % of the bits, it keeps (0.007) after 60,000 steps ([char-lm-longer.md](char-lm-longer.md)), where the plain
network is past its best: that has 1.55 after 6,000 ([char-lm.md](char-lm.md)). Other options of
resnet9 in the hour of cifar10-accurate, from the same plain net: the labels alone to 199 kB and \`--coupling 1\` 93.26 % in 174 kB with 33 % of the weights;
\`--coupling 20 --gamma 0.3\` to 199 kB 87.25 % with 11.9 %; \`--coupling 12 --gamma 0.5\` to 150 kB lost everything, as 40 had before: a channel that dies takes others along,
and what is dead does not come back, however small γ becomes then. Earlier ones: a plain net by SGD without smoothing and averages 93.41 %, and from there
92.17 % at 1.2 % of the bits and 24 % of the weights by the penalty \`coupled\`, 92.94 % in 175 kB by \`rate\`; after 30 epochs in place of 70, without a teacher,
93.01 % in 175 kB and, with \`--coupling 12 --target-bits 0.025\`, 93.05 % at 2.1 % of the bits and 22 % of the weights;
\`--coupling 6\` kept 21 % of the weights in place of 28 %, \`--target-bits 0.007\` 90.35 % at 0.81 % of the bits and 16 % of the weights.
The positions of a flattened channel pay together for keeping it since tiny-mnist-11k, which flattens, was trained.`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const docs = (name) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
  writeFileSync(docs('results.md'), resultsPage(JSON.parse(readFileSync(docs('results.json'), 'utf8')).rows));
}
