// Shared by the experiments of docs/results.md: a plain net, then the same net compressed to a size that was asked for beforehand.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { binding } from '../../dist/index.js';
import { costsOf } from './costs.mjs';
import { resultsPage } from './results-page.mjs';
import { goOn, scriptOptions, train } from './runs.mjs';

export const docs = (name) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/**
 * Options of these scripts. With --device cuda the runs are on a GPU, whose name is kept beside each of them; so that a run can be
 * recorded on another machine than that which made it.
 */
export const experimentOptions = (more = {}) =>
  scriptOptions({ 'data-dir': '', seeds: '1', runs: 'runs/results', threads: '1', only: '', device: 'cpu', ...more });

export const chosen = (rows, { only }) => rows.filter(({ name }) => !only || only.split(',').includes(name));

const deviceName = ({ device }) => (device === 'cpu' ? cpus()[0].model : binding.info().cuda.devices[0].name);

/** What made a run: kept in its folder by the first that asks. */
export function machineOf(directory, options) {
  const file = `${directory}/machine`;
  if (!existsSync(file)) writeFileSync(file, `${deviceName(options)}\n`);
  return readFileSync(file, 'utf8').trim();
}

/** The flags that every run of one net on one data set has. */
export const commonFlags = (model, dataset, options) => ({
  ...{ model, dataset, threads: options.threads },
  ...(options['data-dir'] ? { 'data-dir': options['data-dir'] } : {}),
  ...(options.device === 'cpu' ? {} : { device: options.device }),
});

const plainDirectory = (options, model, dataset, seed) => `${options.runs}/${model}-${dataset}-plain-seed${seed}`;

/**
 * Trains `rows` = [{ name, target, toBeat, small, teacher }] of one net on one data set, with options of the command line for the plain run
 * and for the small ones; `target` and `small` of a row go before those of all. With `teacher` the small one learns from the plain one
 * too. With `after` it goes on with these options when it has met what it stops at.
 * The model file of the first seed becomes docs/models/NAME.scnn, whatever the others reach. A `network` that has no name is described,
 * and `model` is what it is called here.
 * With `options.try` nothing is recorded.
 */
export async function toSizes({ script, model, network, dataset, plain, small, rows, options = experimentOptions() }) {
  const common = commonFlags(network ? descriptionFile(model, network, options) : model, dataset, options);
  for (const { name, target, toBeat, small: own, teacher, after } of chosen(rows, options)) {
    const flags = { penalty: 'rate', ...small, ...own, ...target };
    const seeds = [];
    for (const seed of options.seeds.split(',').map(Number)) {
      const start = plainDirectory(options, model, dataset, seed);
      const plainRun = await train(start, { ...common, plain: true, seed, ...plain });
      machineOf(start, options);
      const directory = `${options.runs}/${name}-seed${seed}`;
      const first = () => train(directory, { ...common, start, seed, ...flags, teacher: teacher ? start : undefined });
      const run = await (after ? goOn(directory, after, first) : first());
      seeds.push({
        seed,
        machine: machineOf(directory, options),
        plain: outcome({ directory: start, history: plainRun }),
        small: outcome({ directory, history: run }),
      });
    }
    if (options.try) continue;
    copyModel(`${options.runs}/${name}-seed${seeds[0].seed}`, name);
    const row = { name, model, dataset, toBeat, options: { plain, small: flags, after }, seeds, command: `node scripts/experiments/${script}` };
    await record(row, network);
  }
}

/** The run's file, with those that come with the sources. */
export function copyModel(directory, name) {
  mkdirSync(docs('models'), { recursive: true });
  copyFileSync(`${directory}/model.scnn`, docs(`models/${name}.scnn`));
}

function descriptionFile(model, network, { runs }) {
  const file = `${runs}/${model}.json`;
  mkdirSync(runs, { recursive: true });
  writeFileSync(file, JSON.stringify(network));
  return file;
}

/** What a run has reached: of texts the loss, in nats. */
export function outcome({ directory, history }) {
  const { testAccuracy, testLoss, perplexity, modelBytes, bitsFraction, weightsFraction, epoch } = history.at(-1);
  if (statSync(`${directory}/model.scnn`).size !== modelBytes) throw new Error(`Expected ${modelBytes} bytes in ${directory}/model.scnn`);
  const seconds = Math.round(history.reduce((sum, { epochSeconds }) => sum + epochSeconds, 0));
  const quality = perplexity === undefined ? { testAccuracy } : { testLoss };
  return { epochs: epoch, ...quality, modelBytes, bitsFraction, weightsFraction, seconds };
}

/**
 * Rows that `selfcompress compress` makes of `source`, the file of a network whose outputs the small one learns.
 * @param plain what is known of the source: { epochs, seconds }
 */
export async function compressTo({ script, model, dataset, source, flags, plain, rows, options }) {
  for (const { name, target, toBeat, small } of chosen(rows, options)) {
    const directory = `${options.runs}/${name}`;
    const all = { ...flags, ...small, ...target };
    if (!existsSync(`${directory}/seconds`)) {
      const { model: _, ...common } = commonFlags(model, dataset, options);
      const given = Object.entries({ ...common, ...all, out: directory }).flatMap(([k, v]) => [`--${k}`, String(v)]);
      const started = performance.now();
      const { status } = spawnSync(process.execPath, [cli, 'compress', source, ...given], { stdio: ['ignore', 'inherit', 'inherit'] });
      if (status !== 0) throw new Error(`compress ended with ${status}`);
      writeFileSync(`${directory}/seconds`, `${Math.round((performance.now() - started) / 1000)}\n`);
    }
    const { accuracyBefore, accuracyAfter, bytesBefore, bytesAfter, bitsFraction, weightsFraction } = JSON.parse(
      readFileSync(`${directory}/report.json`, 'utf8'),
    );
    copyModel(directory, name);
    const seconds = Number(readFileSync(`${directory}/seconds`, 'utf8'));
    const before = { testAccuracy: accuracyBefore, modelBytes: bytesBefore, bitsFraction: 1, weightsFraction: 1, ...plain };
    const after = { epochs: all.epochs, testAccuracy: accuracyAfter, modelBytes: bytesAfter, bitsFraction, weightsFraction, seconds };
    const seeds = [{ seed: 1, machine: machineOf(directory, options), plain: before, small: after }];
    await record({ name, model, dataset, toBeat, options: all, seeds, command: `node scripts/experiments/${script}` });
  }
}

/** Puts a row into docs/results.json, in the place of one of its name, and writes docs/results.md. @param network of a model without a name */
export async function record(given, network) {
  const row = { ...given, cost: await costsOf(given, docs(`models/${given.name}.scnn`), network) };
  const file = docs('results.json');
  const rows = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).rows : [];
  const all = [...rows.filter(({ name }) => name !== row.name), row].sort((a, b) => (a.name < b.name ? -1 : 1));
  writeFileSync(file, `${JSON.stringify({ rows: all }, undefined, 2)}\n`);
  writeFileSync(docs('results.md'), resultsPage(all));
  console.log(`${row.name}: ${JSON.stringify(row.seeds.map(({ small }) => [small.testAccuracy ?? small.testLoss, small.modelBytes]))}`);
}
