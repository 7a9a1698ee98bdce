// Imports model files, compares each output with ONNX Runtime and trains a step: one row for each output.
//   node scripts/import/files.mjs [--input 3,48,192] FOLDER|FILE...      (--input: sizes that a file leaves open)
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import ort from 'onnxruntime-node';
import { decodeModelProto } from '../../dist/import/onnx/proto.js';
import { inspectNetwork } from '../../dist/index.js';
import { compareWithRuntime, trainStep } from './judge.mjs';

const { values, positionals } = parseArgs({ options: { input: { type: 'string' } }, allowPositionals: true });
const sizes = values.input?.split(',').map(Number);
const paths = positionals.flatMap((path) =>
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

async function rowOf(path, options) {
  const { model, difference } = await compareWithRuntime(path, ort, options);
  const [before, after] = await trainStep(model);
  const good = difference < 1e-4 && Number.isFinite(before) && Number.isFinite(after);
  if (!good) failed++;
  const tail = model.report.tail.map(({ operator }) => operator).join(', ');
  const { weights } = inspectNetwork(model.network);
  return [
    good ? 'imported' : 'FAILED',
    weights,
    difference.toExponential(1),
    `${before.toPrecision(3)} → ${after.toPrecision(3)}`,
    tail && `without its ${tail}`,
  ];
}

console.log('| file | result | weights | difference | loss of a step | |\n|---|---|---:|---:|---|---|');
for (const path of paths) {
  const outputs = decodeModelProto(readFileSync(path)).graph.output.map(({ name }) => name);
  for (const output of outputs) {
    let row;
    const options = { ...(outputs.length > 1 && { output }) };
    try {
      row = await rowOf(path, options).catch((error) =>
        error.name === 'ImportError' && sizes ? rowOf(path, { ...options, input: sizes }) : Promise.reject(error),
      );
    } catch (error) {
      if (error.name !== 'ImportError') failed++;
      row = error.name === 'ImportError' ? ['refused', '', '', '', reasons(error.faults)] : ['FAILED', '', '', '', error.message];
      if (process.env.SELFCOMPRESS_DEBUG) console.error(error);
    }
    console.log(`| ${[outputs.length > 1 ? `${basename(path)} ${output}` : basename(path), ...row].join(' | ')} |`);
  }
}
process.exitCode = failed ? 1 : 0;
