// Other ways to make a network small, from the same plain nets, by as many steps, and each in our own file → docs/rivals.{json,md}
//   node scripts/experiments/rivals.mjs [--model notebook] [--dataset fashion-mnist] [--data-dir DIR] [--target-size 8.5kB] [--seeds 1,2,3]
//     [--epochs 10] [--plain-epochs 6] [--only NAME,…] [--runs runs/rivals] [--page rivals] [--threads 1]
// Runs that are complete are not repeated; those of the command line go on where they stopped, the others begin anew.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileSize, augmentation as parsed } from '../../dist/cli/values.js';
import { createModel, inspectNetwork, loadDataset, readCheckpoint, writeCheckpoint } from '../../dist/index.js';
import { NativeData } from '../../dist/training/native-data.js';
import {
  comparedFlags,
  comparisonDefaults,
  kept,
  parametersIn,
  plainDirectory,
  plainRuns,
  runDirectory,
  seedsOf,
  uniformFlags,
} from './plain-runs.mjs';
import { entropyPenalised } from './rivals/entropy-penalised.mjs';
import { roundedAfterTraining } from './rivals/post-training.mjs';
import { magnitudes, normScales, smallest, sparseNorms, withoutChannels } from './rivals/pruning.mjs';
import { pseudoNoise } from './rivals/pseudo-noise.mjs';
import { judge, layerState } from './rivals/quantized.mjs';
import { trainReparameterised } from './rivals/reparameterised.mjs';
import { ternary } from './rivals/ternary.mjs';
import { givenCommand, train } from './runs.mjs';
import { comparisonTable, mean, percent } from './statistics.mjs';
import { docs, experimentOptions, machineOf } from './to-size.mjs';

const options = experimentOptions({
  ...comparisonDefaults,
  ...{ model: 'notebook', dataset: 'fashion-mnist', 'target-size': '8.5kB', epochs: '10', 'plain-epochs': '6', page: 'rivals', runs: 'runs/rivals' },
});
const epochs = Number(options.epochs);
const seeds = seedsOf(options);
const bytes = fileSize(options['target-size']);
const augmentation = parsed(options.augment);
const data = await loadDataset(options.dataset, { dataDir: options['data-dir'] || undefined });
const native = new NativeData(data);
await native.fill();
const network = createModel(options.model, { input: data.shape, classes: data.classes, compress: true });
const { parameters, weights: total } = inspectNetwork(network);
const plain = await plainRuns(options);
/** Parameters of the plain net of this seed, without moments. */
const stateOf = async (seed) => parametersIn((await readCheckpoint(plainDirectory(options, seed))).state);
/** Weights of the layers, as the methods take them. */
const weightsOf = (state) =>
  Object.fromEntries(
    parameters.filter(({ role }) => role === 'weight').map(({ node, shape, name }) => [node, { values: state[name], channels: shape[0] }]),
  );

/** By the command line. */
const trained = (flags) => async (directory, seed) => {
  const start = plainDirectory(options, seed);
  return (await train(directory, { ...comparedFlags(options), start, seed, epochs, ...flags })).at(-1);
};

/** What `make` gives a state for, judged; its figures are in the folder `directory`. */
const made = (make) => async (directory, seed) => {
  const file = `${directory}/result.json`;
  if (!existsSync(file)) {
    console.error(directory);
    const { file: model, ...result } = await judge({ network, data, native, augmentation, state: await make(await stateOf(seed), seed) });
    mkdirSync(directory, { recursive: true });
    writeFileSync(`${directory}/model.scnn`, model);
    writeFileSync(file, `${JSON.stringify(result)}\n`);
  }
  return JSON.parse(readFileSync(file, 'utf8'));
};

const reparameterised = (method, target) =>
  made((state, seed) =>
    trainReparameterised({
      ...{ network, state, data, native, epochs, seed, augmentation, bytes: target, log: console.error },
      method: method(weightsOf(state), seed),
    }),
  );

const rounded = (bits) => made((state) => ({ ...state, ...layerState(roundedAfterTraining(weightsOf(state), bits)) }));

/** Quantization-aware training as good as uniform depths have it here: exponents settle, and biases take as little as with `rate`. */
const uniform = (bits) => ({ ...uniformFlags(bits), schedule: 'cosine', 'bits-schedule': 'cosine', 'exponent-lr': 0.01, 'bias-bits': 5 });

/** The plain net after epochs with small scales of norms. */
async function sparseState(state, seed, sparse) {
  const file = runDirectory(options, `sparse ${sparse} epochs`, seed);
  if (!existsSync(file)) {
    console.error(file);
    const method = sparseNorms(weightsOf(state), NORM_PENALTY);
    const after = await trainReparameterised({ network, state, data, native, method, epochs: sparse, seed, augmentation });
    await writeCheckpoint(file, { ...(await readCheckpoint(plainDirectory(options, seed))), state: { ...state, ...after } });
  }
  return (await readCheckpoint(file)).state;
}

/**
 * Channels leave, then training at a uniform depth. How many weights may stay follows from what a weight takes in the file of the
 * whole network at that depth. @param sparse epochs with small scales of norms before, which are among all of them
 */
const pruned =
  (bits, sizesOf, sparse = 0) =>
  async (directory, seed) => {
    const start = `${directory}-start`;
    if (!existsSync(start)) {
      const checkpoint = await readCheckpoint(plainDirectory(options, seed));
      let state = parametersIn(checkpoint.state);
      if (sparse) state = await sparseState(state, seed, sparse);
      const whole = (await uniformRuns(bits)).find((run) => run.seed === seed).modelBytes;
      const dead = await smallest(network, state, sizesOf(state), (total * bytes) / whole);
      await writeCheckpoint(start, { ...checkpoint, state: withoutChannels(network, state, dead) });
    }
    return trained({ ...uniform(bits), start, epochs: epochs - sparse })(directory, seed);
  };

/** As strong as keeps the accuracy of the plain net. */
const NORM_PENALTY = 1e-3;
const SPARSE_EPOCHS = 4;
const ofMagnitude = (state) => magnitudes(weightsOf(state));
const ofNorms = (state) => normScales(network, state);

const methods = [
  {
    name: 'as it is', // as ablations.mjs calls it, whose run it is too
    title: 'rate',
    what: `our penalty \`rate\`, to ${options['target-size']}`,
    run: trained({ penalty: 'rate', 'target-size': options['target-size'] }),
  },
  ...[8, 4, 3, 2].map((bits) => ({
    name: `trained at ${bits} bits`,
    what: 'every weight, without a penalty',
    run: trained(uniform(bits)),
  })),
  { name: 'ternary', what: 'every weight −1, 0 or 1 times a learned step of its channel, 1.58 bits', run: reparameterised(ternary) },
  ...[8, 4, 3, 2].map((bits) => ({
    name: `rounded to ${bits} bits`,
    what: 'after training, steps of least squared error, norms measured anew',
    run: rounded(bits),
  })),
  ...[4, 2].map((bits) => ({
    name: `magnitude and ${bits} bits`,
    what: `channels of the smallest weights pruned, then ${bits} bits trained`,
    run: pruned(bits, ofMagnitude),
  })),
  ...[4, 2].map((bits) => ({
    name: `norm scale and ${bits} bits`,
    what: `${SPARSE_EPOCHS} epochs with an L1 penalty of norms' scales, channels of the smallest pruned, then ${bits} bits trained`,
    run: pruned(bits, ofNorms, SPARSE_EPOCHS),
  })),
  {
    name: 'pseudo-noise',
    what: "learned bits, noise in the place of rounding (DiffQ), to 2 bits' size",
    run: async (directory, seed) => reparameterised(pseudoNoise, (await uniformRuns(2)).find((run) => run.seed === seed).modelBytes)(directory, seed),
  },
  {
    name: 'entropy-penalised',
    what: `a learned density of the codes (Oktay et al.), to ${options['target-size']}`,
    run: reparameterised(entropyPenalised, bytes),
  },
];

const uniformRuns = (bits) => runsOf(methods.find(({ name }) => name === `trained at ${bits} bits`));

async function runsOf({ name, run }) {
  const runs = [];
  for (const seed of seeds) runs.push({ seed, ...kept(await run(runDirectory(options, name, seed), seed)) });
  return runs;
}

const rows = [];
for (const method of methods.filter(({ name }) => !options.only || options.only.split(',').includes(name)))
  rows.push({ name: method.title ?? method.name, what: method.what, runs: await runsOf(method) });

const machine = machineOf(plainDirectory(options, seeds[0]), options);
const command = givenCommand();
const accuracies = plain.map(({ testAccuracy }) => testAccuracy);
writeFileSync(docs(`${options.page}.json`), `${JSON.stringify({ command, machine, plain: accuracies, rows }, null, 2)}\n`);
writeFileSync(
  docs(`${options.page}.md`),
  `# Others' ways to a small file

${options.model} on ${options.dataset}: ${epochs} epochs from the same plain nets of ${options['plain-epochs']} epochs (${percent(mean(accuracies))}); ${seeds.length} seeds. Accuracy is that on all
test images after the last epoch, with its standard deviation over the seeds in points; bytes are those of our file, with our coder, whatever the method.

${comparisonTable(rows)}

Made by \`${command}\` (${machine}). The methods are in scripts/experiments/rivals, each with what it leaves out of its source.
`,
);
