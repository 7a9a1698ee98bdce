// Rows of docs/results.md that go on from a file of docs/models/, whose channels are gone already.
import { readFileSync } from 'node:fs';
import { createModel, decodeModel, inspectNetwork } from '../../dist/index.js';
import { train } from './runs.mjs';
import { chosen, commonFlags, copyModel, docs, machineOf, outcome, record } from './to-size.mjs';

/**
 * Trains the network of the row `from` on with `flags`, learning from the file of the row `teacher` too.
 * Shares are of the network that `from` was made of, and its time is a part of the time.
 */
export async function trainFurther({ script, name, from, teacher, flags, toBeat, options }) {
  if (chosen([{ name }], options).length === 0) return;
  const { model, dataset, seeds: earlier } = JSON.parse(readFileSync(docs('results.json'), 'utf8')).rows.find((row) => row.name === from);
  const file = (row) => docs(`models/${row}.scnn`);
  const { network } = await decodeModel(readFileSync(file(from)));
  const whole = createModel(model, { input: network.input, classes: 10 });
  const share = inspectNetwork(network).weights / inspectNetwork(whole).weights;
  const [{ seed, plain, small: before }] = earlier;
  const directory = `${options.runs}/${name}-seed${seed}`;
  const { model: _, ...common } = commonFlags(model, dataset, options);
  const history = await train(directory, { ...common, start: file(from), teacher: file(teacher), seed, ...flags });
  const last = outcome({ directory, history });
  const small = {
    ...last,
    bitsFraction: share * last.bitsFraction,
    weightsFraction: share * last.weightsFraction,
    seconds: last.seconds + before.seconds,
  };
  copyModel(directory, name);
  const row = { name, model, dataset, toBeat, options: { from, teacher, small: flags } };
  await record({ ...row, seeds: [{ seed, machine: machineOf(directory, options), plain, small }], command: `node scripts/experiments/${script}` });
}
