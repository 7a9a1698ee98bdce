// The penalty `rate`, the length of the file, against γ·Q on LeNet-300-100 and MNIST: each run starts from a plain net of the same
// seed. Writes docs/rate.json and docs/rate.md.
//   node scripts/experiments/rate.mjs --data-dir DIR [--seeds 1,2,3] [--epochs 14] [--gammas 1] [--runs runs/rate] [--batch-size 128]
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { givenCommand, scriptOptions, train } from './runs.mjs';
import { mean, percent } from './statistics.mjs';

const options = scriptOptions({
  'data-dir': '',
  seeds: '1,2,3',
  epochs: '14',
  'plain-epochs': '6',
  gammas: '0.5,1',
  'own-gammas': '0.05',
  shift: '0',
  model: 'lenet300',
  dataset: 'mnist',
  'batch-size': '128',
  runs: 'runs/rate',
});
const list = (text) => text.split(',').filter(Boolean).map(Number);
const common = {
  model: options.model,
  dataset: options.dataset,
  'batch-size': options['batch-size'],
  ...(options['data-dir'] ? { 'data-dir': options['data-dir'] } : {}),
};
const epochs = Number(options.epochs);
const rows = [];
for (const seed of list(options.seeds)) {
  const plain = `${options.runs}/plain-seed${seed}`;
  const plainLast = (await train(plain, { ...common, plain: true, lr: 0.001, schedule: 'cosine', epochs: Number(options['plain-epochs']), seed })).at(
    -1,
  );
  rows.push(row('plain', 0, seed, plain, plainLast, Number(options['plain-epochs'])));
  const run = async (penalty, gamma, more) => {
    const shifted = Number(options.shift) > 0 ? { augment: `shift=${options.shift}` } : {};
    const directory = `${options.runs}/${penalty}-${gamma}-${epochs}epochs${shifted.augment ? '-shift' : ''}-seed${seed}`;
    const last = (await train(directory, { ...common, start: plain, penalty, gamma, epochs, seed, ...shifted, ...more })).at(-1);
    rows.push(row(penalty, gamma, seed, directory, last, epochs));
  };
  for (const gamma of list(options.gammas)) await run('rate', gamma);
  for (const gamma of list(options['own-gammas'])) await run('own', gamma);
}

function row(penalty, gamma, seed, directory, last, of) {
  const { epochSeconds, testAccuracy, modelBytes, bitsPerWeight, bitsFraction, weightsFraction } = last;
  if (statSync(`${directory}/model.scnn`).size !== modelBytes) throw new Error(`Expected ${modelBytes} bytes in ${directory}/model.scnn`);
  return { penalty, gamma, seed, epochs: of, testError: 1 - testAccuracy, modelBytes, bitsPerWeight, bitsFraction, weightsFraction, epochSeconds };
}

const groups = [...new Set(rows.map(({ penalty, gamma }) => `${penalty} ${gamma}`))].map((name) => {
  const own = rows.filter(({ penalty, gamma }) => `${penalty} ${gamma}` === name);
  return { penalty: own[0].penalty, gamma: own[0].gamma, runs: own };
});
const lines = groups.map(({ penalty, gamma, runs }) => {
  const of = (name) => runs.map((r) => r[name]);
  return `| ${penalty} | ${penalty === 'plain' ? '' : gamma} | ${runs[0].epochs} | ${of('testError')
    .map((x) => percent(x))
    .join(
      ', ',
    )} | ${percent(mean(of('testError')))} | ${of('modelBytes').join(', ')} | ${Math.round(mean(of('modelBytes')))} | ${percent(mean(of('weightsFraction')))} |`;
});
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
const command = givenCommand();
writeFileSync(
  'docs/rate.json',
  `${JSON.stringify({ command, version, machine: cpus()[0].model, model: options.model, dataset: options.dataset, rows }, null, 2)}\n`,
);
writeFileSync(
  'docs/rate.md',
  `# The penalty \`rate\`

${options.model} on ${options.dataset}, batches of ${options['batch-size']}, seeds ${options.seeds}; every compressed run starts from the plain one of its seed${Number(options.shift) > 0 ? ` and shifts its images by up to ${options.shift} pixels` : ''}. Errors are
those on all test images after the last epoch; bytes are those of the whole model file. γ was not chosen on a validation split. Made by

    ${command}

(${cpus()[0].model}; ${Math.round(mean(groups.find(({ penalty }) => penalty === 'rate').runs.map((r) => r.epochSeconds)))} s for an epoch, on a machine that did other work as well)

| penalty | γ | epochs | test error by seed | mean | bytes by seed | mean | weights left |
| --- | --- | --- | --- | --- | --- | --- | --- |
${lines.join('\n')}
`,
);
console.log(lines.join('\n'));
