// What comparisons of methods start from: one plain net for each seed, trained alike.
import { train } from './runs.mjs';
import { commonFlags } from './to-size.mjs';

/** Options of such a comparison; a script's own go before them. */
export const comparisonDefaults = { seeds: '1,2,3', epochs: '14', 'plain-epochs': '8', augment: 'shift=1', model: 'lenet300', dataset: 'mnist' };

/** Flags of the plain net and of all that start from it. */
export const comparedFlags = (options) => ({
  ...commonFlags(options.model, options.dataset, options),
  'batch-size': 128,
  augment: options.augment,
});

export const seedsOf = ({ seeds }) => seeds.split(',').map(Number);
export const plainDirectory = ({ runs }, seed) => `${runs}/plain-seed${seed}`;

/** The last epoch of the plain net of each seed; those that are there already are not trained again. */
export async function plainRuns(options) {
  const last = [];
  for (const seed of seedsOf(options)) {
    const flags = { plain: true, seed, lr: 0.001, schedule: 'cosine', epochs: Number(options['plain-epochs']) };
    last.push((await train(plainDirectory(options, seed), { ...comparedFlags(options), ...flags })).at(-1));
  }
  return last;
}

/** The folder of a run of the method `name`. */
export const runDirectory = ({ runs }, name, seed) => `${runs}/${name.replaceAll(/[ ,]+/g, '-')}-seed${seed}`;

/** Flags of a uniform depth for every weight, without a penalty. */
export const uniformFlags = (bits) => ({ penalty: 'own', gamma: 0, bits, 'bits-lr': 0, 'freeze-at': 1 });

/** What a page keeps of a run. */
export const kept = ({ testAccuracy, modelBytes, bitsFraction, weightsFraction }) => ({ testAccuracy, modelBytes, bitsFraction, weightsFraction });

/** A checkpoint's parameters, without moments and averages. */
export const parametersIn = (state) => Object.fromEntries(Object.entries(state).filter(([name]) => !name.includes('/')));
