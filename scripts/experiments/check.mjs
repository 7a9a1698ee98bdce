// Evaluates the files of docs/models/ and compares with docs/results.json: npm run results:check -- [--data-dir mnist=DIR,…] [--only NAME,…]
// Data sets without a folder are found where their packages put them; rows without data are named, and count as failed.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compileModel, loadModel } from '../../dist/cli/load-model.js';
import { loadDataset, loadText } from '../../dist/index.js';
import { nativeSplit } from '../../dist/training/native-data.js';
import { scriptOptions } from './runs.mjs';

export const docs = (name) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
export const readRows = () => JSON.parse(readFileSync(docs('results.json'), 'utf8')).rows;

/** The data set of a row, in the size that its network reads. */
export const dataOf = ({ dataset, options }, dataDir) => {
  if (dataset === 'text') return loadText(dataDir, { length: options.small.length });
  const size = options.small?.['image-size'];
  return loadDataset(dataset, { dataDir, ...(size && { size: Number(size) }) });
};

/** Images that another instruction set's rounding may classify otherwise. */
const BORDERLINE = 5;
/** Nats that it may make, and four standard deviations of the loss of one window in a sample. */
const NEARLY = 0.001;
const WINDOW = 1;

/**
 * What is wrong with the file of a row: one sentence for each fault.
 * @param data the row's data set
 * @param most test images, or windows of text, to evaluate, spread over all of them
 */
export async function faultsOf({ name, seeds }, data, most = Number.POSITIVE_INFINITY) {
  const { modelBytes, testAccuracy, testLoss } = seeds[0].small;
  const path = docs(`models/${name}.scnn`);
  const faults = [];
  const size = readFileSync(path).length;
  if (size !== modelBytes) faults.push(`${name}: Expected ${modelBytes} bytes but the file has ${size}`);
  const model = await loadModel(path);
  const { mean, std } = model.info;
  const isText = testLoss !== undefined;
  const { set, indices } = await nativeSplit(isText ? data : { ...data, mean, std }, 'test');
  const count = Math.min(most, indices.length);
  const network = await compileModel(model, 'cpu', { kind: 'crossEntropy', perPosition: isText });
  const { correct, loss } = await network.evaluate(
    set,
    Int32Array.from({ length: count }, (_, i) => indices[Math.floor((i * indices.length) / count)]),
  );
  await network.dispose();
  const sampled = count < indices.length;
  if (isText) {
    if (Math.abs(loss - testLoss) > NEARLY + (sampled ? WINDOW / Math.sqrt(count) : 0))
      faults.push(`${name}: Expected a loss of ${testLoss.toFixed(4)} but that of ${count} windows is ${loss.toFixed(4)}`);
    return { faults, reached: `${loss.toFixed(4)} nats on ${count} test windows`, size };
  }
  // Of a sample, four standard deviations.
  const spread = sampled ? 4 * Math.sqrt(testAccuracy * (1 - testAccuracy) * count) : 0;
  if (Math.abs(correct - testAccuracy * count) > BORDERLINE + spread)
    faults.push(`${name}: Expected ${(100 * testAccuracy).toFixed(2)} % right but ${correct} of ${count} images are`);
  return { faults, reached: `${((100 * correct) / count).toFixed(2)} % of ${count} test images`, size };
}

async function main() {
  const options = scriptOptions({ 'data-dir': '', only: '' });
  const folders = Object.fromEntries(
    options['data-dir']
      .split(',')
      .filter(Boolean)
      .map((pair) => pair.split('=')),
  );
  const only = options.only.split(',').filter(Boolean);
  let failed = 0;
  for (const row of readRows().filter(({ name }) => only.length === 0 || only.includes(name))) {
    try {
      if (row.dataset === 'mnist' && !folders.mnist) throw new Error('Expected --data-dir mnist=DIR: without it "mnist" is a part of the data');
      const data = await dataOf(row, folders[row.dataset]);
      const { faults, reached, size } = await faultsOf(row, data);
      failed += faults.length;
      for (const fault of faults) console.error(fault);
      if (faults.length === 0) console.log(`${row.name}: ${size} bytes, ${reached}, as written`);
    } catch (error) {
      failed++;
      console.error(`${row.name}: ${error.message}`);
    }
  }
  process.exitCode = failed ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
