// What each part of the method does: the same net made as small by the same number of steps, with one option changed at a time, several
// seeds each; and uniform quantization beside it → docs/PAGE.json, docs/PAGE.md, ablations unless told
//   node scripts/experiments/ablations.mjs [--model lenet300] [--dataset mnist] --data-dir DIR [--target-size 3.3kB] [--seeds 1,2,3]
//     [--epochs 14] [--plain-epochs 8] [--only NAME,…] [--page ablations] [--runs runs/ablations] [--threads 1] [--device cuda]
// Runs that are complete are not repeated and others go on where they stopped.
import { writeFileSync } from 'node:fs';
import { comparedFlags, comparisonDefaults, kept, plainDirectory, plainRuns, runDirectory, seedsOf, uniformFlags } from './plain-runs.mjs';
import { givenCommand, train } from './runs.mjs';
import { comparisonTable, mean, percent } from './statistics.mjs';
import { docs, experimentOptions, machineOf } from './to-size.mjs';

const options = experimentOptions({ ...comparisonDefaults, 'target-size': '3.3kB', page: 'ablations', runs: 'runs/ablations' });
const size = { 'target-size': options['target-size'] };
/** Flags in place of those of the base; undefined takes one away. */
const variants = [
  { name: 'as it is', what: 'penalty `rate` from a trained plain net', flags: {} },
  { name: 'own', what: "the paper's penalty", flags: { penalty: 'own' } },
  { name: 'coupled', what: 'with what a removal frees downstream', flags: { penalty: 'coupled' } },
  { name: 'no coupling', what: 'a channel costs nothing beside its codes', flags: { coupling: 0 } },
  { name: 'from nothing', what: 'no trained net to start from', flags: { start: undefined } },
  { name: 'exponents of channels', what: 'one for each, in place of one for each layer', flags: { exponents: 'channel' } },
  { name: 'fine steps', what: 'from the largest weight, in place of half the rms', flags: { 'bits-start': 'range' } },
  { name: 'slow steps', what: 'a fifth of the learning rate of exponents', flags: { 'exponent-lr': 0.002 } },
  { name: 'constant rates', what: 'of exponents, in place of a cosine to 0', flags: { 'bits-schedule': 'constant' } },
  { name: 'no changes of images', what: 'training images as they are', flags: { augment: undefined } },
  { name: 'label smoothing', what: 'a tenth of every target for all classes alike', flags: { 'label-smoothing': 0.1 } },
  { name: 'averages', what: 'of the parameters, with a decay of 0.999 a step', flags: { ema: 0.999 } },
  { name: 'biases in float', what: 'not rounded to 5 bits', flags: { 'bias-bits': 0 } },
  ...[8, 4, 3, 2].map((bits) => ({
    name: `uniform ${bits} bits`,
    what: `every weight in ${bits} bits, no penalty`,
    flags: { ...uniformFlags(bits), 'target-size': undefined },
  })),
];

const seeds = seedsOf(options);
const plain = await plainRuns(options);
const rows = [];
for (const { name, what, flags } of variants.filter((v) => !options.only || options.only.split(',').includes(v.name))) {
  const runs = [];
  for (const seed of seeds) {
    const start = plainDirectory(options, seed);
    const all = { ...comparedFlags(options), start, seed, epochs: Number(options.epochs), penalty: 'rate', ...size, ...flags };
    runs.push({ seed, ...kept((await train(runDirectory(options, name, seed), all)).at(-1)) });
  }
  rows.push({ name, what, flags, runs });
}

const machine = machineOf(plainDirectory(options, seeds[0]), options);
const command = givenCommand();
writeFileSync(
  docs(`${options.page}.json`),
  `${JSON.stringify({ command, machine, plain: plain.map(({ testAccuracy }) => testAccuracy), rows }, null, 2)}\n`,
);
writeFileSync(
  docs(`${options.page}.md`),
  `# What each part does

${options.model} on ${options.dataset}, made to ${options['target-size']} in ${options.epochs} epochs from a plain net of ${options['plain-epochs']} epochs (${percent(mean(plain.map((run) => run.testAccuracy)))}), one option
changed at a time; ${seeds.length} seeds. Accuracy is that on all test images after the last epoch, with its standard deviation over the seeds in points; bytes are those of the
whole file. No γ was chosen: it is steered to the size. The last rows are uniform quantization-aware training, whose size is what it is.

${comparisonTable(rows)}

Made by \`${command}\` (${machine}).
`,
);
