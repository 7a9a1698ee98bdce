// Imports ONNX files and compares each with ONNX Runtime: one row for each file.   node scripts/import/files.mjs FOLDER|FILE...
import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import ort from 'onnxruntime-node';
import { inspectNetwork } from '../../dist/index.js';
import { compareWithRuntime } from './judge.mjs';

const paths = process.argv.slice(2).flatMap((path) =>
  statSync(path).isDirectory()
    ? readdirSync(path)
        .filter((name) => name.endsWith('.onnx'))
        .map((name) => join(path, name))
    : [path],
);
let failed = 0;
/** Reasons of one kind once, with how often they occur. */
function reasons(faults) {
  const counts = new Map();
  for (const { operator, needs } of faults) {
    const text = `${operator}: ${needs.replace(/, which this version does not have/, '')}`;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts].map(([text, count]) => (count > 1 ? `${text} (${count}×)` : text)).join('; ');
}
console.log('| file | result | weights | difference | |\n|---|---|---:|---:|---|');
for (const path of paths) {
  let row;
  try {
    const { model, difference } = await compareWithRuntime(path, ort);
    const agrees = difference < 1e-4;
    if (!agrees) failed++;
    const tail = model.report.tail.map(({ operator }) => operator).join(', ');
    row = [agrees ? 'imported' : 'FAILED', inspectNetwork(model.network).weights, difference.toExponential(1), tail && `without its ${tail}`];
  } catch (error) {
    if (error.name !== 'ImportError') failed++;
    row = error.name === 'ImportError' ? ['refused', '', '', reasons(error.faults)] : ['FAILED', '', '', error.message];
    if (process.env.SELFCOMPRESS_DEBUG) console.error(error);
  }
  console.log(`| ${[basename(path), ...row].join(' | ')} |`);
}
process.exitCode = failed ? 1 : 0;
