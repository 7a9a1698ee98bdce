// Whether channels that died too early should come back: the paper's penalty to a size as it is, where the dead stay dead, and with the
// largest of the dead revived before the end of every epoch until sizes freeze → docs/revival.{json,md}
//   node scripts/experiments/revival.mjs [--model notebook] [--dataset fashion-mnist] [--data-dir DIR] [--target-size 8.5kB] [--seeds 1,2,3]
//     [--epochs 10] [--plain-epochs 6] [--shares 0.25,1] [--runs runs/revival] [--threads 1]
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { loadDataset, readCheckpoint, Trainer } from '../../dist/index.js';
import { comparedFlags, comparisonDefaults, kept, parametersIn, plainDirectory, plainRuns, runDirectory, seedsOf } from './plain-runs.mjs';
import { givenCommand, train } from './runs.mjs';
import { comparisonTable, mean, percent } from './statistics.mjs';
import { docs, experimentOptions, machineOf } from './to-size.mjs';

const options = experimentOptions({
  ...comparisonDefaults,
  ...{ model: 'notebook', dataset: 'fashion-mnist', 'target-size': '8.5kB', epochs: '10', 'plain-epochs': '6', runs: 'runs/revival' },
  shares: '0.25,1',
});
const data = await loadDataset(options.dataset, { dataDir: options['data-dir'] || undefined });
const plain = await plainRuns(options);

/** As the command line trains it. */
const asItIs = (seed) => {
  const start = plainDirectory(options, seed);
  const flags = { start, seed, epochs: Number(options.epochs), penalty: 'own', 'target-size': options['target-size'] };
  return train(runDirectory(options, 'own', seed), { ...comparedFlags(options), ...flags });
};

/** Of each layer's dead channels the `share` with the largest weights gets one bit, whose range is theirs. */
function revive(state, share) {
  const changed = { ...state };
  let revived = 0;
  for (const name of Object.keys(state).filter((key) => key.endsWith('.bitDepth'))) {
    const [weight, depths, exponents] = ['weight', 'bitDepth', 'exponent'].map((suffix) => name.replace('bitDepth', suffix));
    const perChannel = state[weight].length / state[name].length;
    const largest = (c) => state[weight].subarray(c * perChannel, (c + 1) * perChannel).reduce((most, w) => Math.max(most, Math.abs(w)), 0);
    const dead = [...state[name].keys()].filter((c) => !(state[name][c] > 0) && largest(c) > 0).sort((a, b) => largest(b) - largest(a));
    const back = dead.slice(0, Math.ceil(share * dead.length));
    for (const tensor of [depths, exponents, `${depths}/moment1`, `${depths}/moment2`, `${exponents}/moment1`, `${exponents}/moment2`])
      changed[tensor] = Float32Array.from(state[tensor]);
    for (const c of back) {
      changed[depths][c] = 1;
      changed[exponents][c] = Math.log2(largest(c));
      for (const of of [depths, exponents]) for (const moment of ['moment1', 'moment2']) changed[`${of}/${moment}`][c] = 0;
    }
    revived += back.length;
  }
  return { changed, revived };
}

/** Steps before the end of an epoch, after which what is dead then leaves the network, that trainings stop for revival. */
const BEFORE_END = 5;

/** The same run, stopped shortly before the end of every epoch in which sizes change. */
async function withRevival(seed, share) {
  const directory = runDirectory(options, `revival ${share}`, seed);
  const file = `${directory}/result.json`;
  if (!existsSync(file)) {
    const { network, options: own } = JSON.parse(readFileSync(`${runDirectory(options, 'own', seed)}/config.json`, 'utf8'));
    const state = parametersIn((await readCheckpoint(plainDirectory(options, seed))).state);
    const freezes = Math.round(own.bits.freezeAt * own.epochs);
    let trainer = Trainer.create({ ...own, network, data, state });
    for (let epoch = 1; epoch < freezes; epoch++) {
      trainer.on('step', ({ epoch: now, stepInEpoch, stepsPerEpoch }) => {
        if (now === epoch && stepInEpoch === stepsPerEpoch - BEFORE_END) trainer.stop('step');
      });
      await trainer.run();
      const checkpoint = await trainer.checkpoint();
      const { changed, revived } = revive(checkpoint.state, share);
      console.error(`${directory}: epoch ${epoch}, ${revived} revived; ${checkpoint.history.at(-1)?.channels ?? 'all'} channels before it`);
      await trainer.dispose();
      trainer = await Trainer.resume({ ...checkpoint, state: changed }, data);
    }
    await trainer.run();
    mkdirSync(directory, { recursive: true });
    writeFileSync(`${directory}/model.scnn`, await trainer.encodeModel());
    writeFileSync(file, `${JSON.stringify(kept(trainer.history.at(-1)))}\n`);
    await trainer.dispose();
  }
  return JSON.parse(readFileSync(file, 'utf8'));
}

const rows = [{ name: 'own', what: "the paper's penalty: the dead stay dead", runs: [] }];
for (const seed of seedsOf(options)) rows[0].runs.push({ seed, ...kept((await asItIs(seed)).at(-1)) });
for (const share of options.shares.split(',').map(Number)) {
  const row = {
    name: `revival of ${percent(share, 0)}`,
    what: 'of the dead channels of each layer, the largest, before the end of every epoch until sizes freeze',
    runs: [],
  };
  for (const seed of seedsOf(options)) row.runs.push({ seed, ...(await withRevival(seed, share)) });
  rows.push(row);
}

const machine = machineOf(plainDirectory(options, seedsOf(options)[0]), options);
const command = givenCommand();
writeFileSync(docs('revival.json'), `${JSON.stringify({ command, machine, rows }, null, 2)}\n`);
writeFileSync(
  docs('revival.md'),
  `# Do channels that died deserve another chance?

${options.model} on ${options.dataset}, made to ${options['target-size']} in ${options.epochs} epochs by the penalty \`own\`, from a plain net of ${options['plain-epochs']} epochs (${percent(mean(plain.map(({ testAccuracy }) => testAccuracy)))}); ${seedsOf(options).length} seeds. A channel
that is revived has its weights, one bit whose range is theirs, and no moments. Accuracy is that on all test images after the last epoch, with its
standard deviation over the seeds in points; bytes are those of the whole file.

${comparisonTable(rows)}

Made by \`${command}\` (${machine}).
`,
);
