// Shared by the experiments of docs/results.md: a plain net, then the same net compressed to a size that was asked for beforehand.
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { resultsPage } from './results-page.mjs';
import { scriptOptions, train } from './runs.mjs';

export const docs = (name) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));

export const machine = () => cpus()[0].model;

/**
 * Trains `rows` = [{ name, targetSize, toBeat, epochs }] of one net on one data set, with options of the command line for the plain run and
 * for the small ones. The model file of the first seed becomes docs/models/NAME.scnn, whatever the others reach.
 */
export async function toSizes({ script, model, dataset, plain, small, rows }) {
  const options = scriptOptions({ 'data-dir': '', seeds: '1', runs: 'runs/results', threads: '1', only: '' });
  const common = { model, dataset, threads: options.threads, ...(options['data-dir'] ? { 'data-dir': options['data-dir'] } : {}) };
  for (const { name, targetSize, toBeat, epochs = small.epochs } of rows.filter(
    ({ name }) => !options.only || options.only.split(',').includes(name),
  )) {
    const seeds = [];
    for (const seed of options.seeds.split(',').map(Number)) {
      const start = `${options.runs}/${model}-${dataset}-plain-seed${seed}`;
      const plainRun = await train(start, { ...common, plain: true, seed, ...plain });
      const directory = `${options.runs}/${name}-seed${seed}`;
      const run = await train(directory, { ...common, start, penalty: 'rate', 'target-size': targetSize, seed, ...small, epochs });
      seeds.push({ seed, directory, plain: outcome(start, plainRun), small: outcome(directory, run) });
    }
    mkdirSync(docs('models'), { recursive: true });
    copyFileSync(`${seeds[0].directory}/model.scnn`, docs(`models/${name}.scnn`));
    const bare = seeds.map(({ directory: _, ...rest }) => rest);
    record({
      name,
      model,
      dataset,
      targetSize,
      toBeat,
      options: { plain, small: { ...small, epochs } },
      seeds: bare,
      command: `node scripts/experiments/${script} --seeds ${options.seeds}`,
      machine: machine(),
    });
  }
}

function outcome(directory, history) {
  const last = history.at(-1);
  const { testAccuracy, modelBytes, bitsFraction, weightsFraction, epoch } = last;
  if (statSync(`${directory}/model.scnn`).size !== modelBytes) throw new Error(`Expected ${modelBytes} bytes in ${directory}/model.scnn`);
  const seconds = Math.round(history.reduce((sum, { epochSeconds }) => sum + epochSeconds, 0));
  return { epochs: epoch, testAccuracy, modelBytes, bitsFraction, weightsFraction, seconds };
}

/** Puts a row into docs/results.json, in the place of one of its name, and writes docs/results.md. */
export function record(row) {
  const file = docs('results.json');
  const rows = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).rows : [];
  const all = [...rows.filter(({ name }) => name !== row.name), row].sort((a, b) => (a.name < b.name ? -1 : 1));
  writeFileSync(file, `${JSON.stringify({ rows: all }, undefined, 2)}\n`);
  writeFileSync(docs('results.md'), resultsPage(all));
  console.log(`${row.name}: ${JSON.stringify(row.seeds.map(({ small }) => [small.testAccuracy, small.modelBytes]))}`);
}
