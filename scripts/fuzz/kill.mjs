// Kills training runs, resumes them, and compares what is left with a run that was never killed: bit for bit.
//   node scripts/fuzz/kill.mjs [--kills 100] [--seed 1]
// Half of the kills happen at a file operation (spread over all of a run's; every second one in the middle, if it is a write), half at a random
// moment. Half of the resumed runs are killed again. The last line is `N kills, N resumes, N of N runs identical`.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { NetworkBuilder } from '../../dist/index.js';
import { scriptOptions } from '../experiments/runs.mjs';

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const hook = new URL('kill-hook.mjs', import.meta.url).href;

/** Seeded uniform numbers in [0, 1): an additive recurrence through a hash. */
function randomNumbers(seed) {
  let i = 0;
  return () => createHash('sha256').update(`${seed} ${i++}`).digest().readUInt32LE() / 2 ** 32;
}

function idx(shape, data) {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header[2] = 8;
  header[3] = shape.length;
  for (const [i, size] of shape.entries()) header.writeUInt32BE(size, 4 + 4 * i);
  return Buffer.concat([header, data]);
}

/** Images of 8×8 whose brightness grows with the class: enough to learn something in a few steps. */
function writeData(folder, random) {
  mkdirSync(folder);
  for (const [prefix, count] of [
    ['train', 48],
    ['t10k', 16],
  ]) {
    const labels = Buffer.from(Array.from({ length: count }, (_, i) => i % 10));
    const images = Buffer.from(Array.from({ length: count * 64 }, (_, i) => labels[Math.floor(i / 64)] * 20 + random() * 60));
    writeFileSync(join(folder, `${prefix}-images-idx3-ubyte`), idx([count, 8, 8], images));
    writeFileSync(join(folder, `${prefix}-labels-idx1-ubyte`), idx([count], labels));
  }
}

function writeNetwork(path) {
  const net = new NetworkBuilder([1, 8, 8]);
  let x = net.relu(net.batchNorm(net.conv2d('input', { outChannels: 6, kernel: 3, padding: 1 })));
  x = net.relu(net.conv2d(net.maxPool(x, { kernel: 2 }), { outChannels: 8, kernel: 3 }));
  writeFileSync(path, JSON.stringify(net.build(net.linear(x, { outFeatures: 10 }))));
}

/** Runs the command; `kill`: {at, half} an operation, {after} milliseconds. Resolves to how it ended. */
function run(args, kill = {}, count) {
  const env = { ...process.env, KILL_AT: String(kill.at ?? 0), KILL_HALF: kill.half ? '1' : '0', KILL_COUNT: count ?? '' };
  const child = spawn(process.execPath, ['--import', hook, cli, 'train', ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const timer = kill.after === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), kill.after);
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, killed: signal === 'SIGKILL', stderr });
    });
  });
}

const withoutTimes = ({ epochSeconds, imagesPerSecond, ...rest }) => rest;

/** Everything in a run's folder that may not depend on how often it was killed. */
function contents(folder) {
  const bytes = readFileSync(join(folder, 'checkpoint'));
  const length = Number(bytes.readBigUInt64LE());
  const { __metadata__: metadata, ...tensors } = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  const { history, ...info } = JSON.parse(metadata.info);
  const lines = readFileSync(join(folder, 'metrics.jsonl'), 'utf8').trim().split('\n');
  const report = readFileSync(join(folder, 'report.html'), 'utf8');
  return {
    files: readdirSync(folder).sort(),
    config: JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')),
    tensors,
    values: bytes.subarray(8 + length),
    info,
    history: history.map(withoutTimes),
    metrics: lines.map((line) => withoutTimes(JSON.parse(line))),
    model: readFileSync(join(folder, 'model.scnn')),
    reportIsWhole: report.trimEnd().endsWith('</html>'),
  };
}

/** Kills the run in `folder` as `kills` say, one after another, and lets it end. */
async function killAndResume(start, folder, kills) {
  const counts = { kills: 0, resumes: 0 };
  for (const kill of [...kills, {}]) {
    const resumes = existsSync(join(folder, 'config.json')); // before that, there is no run to go on with
    const { code, killed, stderr } = await run(resumes ? ['--resume', folder] : [...start, '--out', folder], kill);
    counts.kills += killed;
    counts.resumes += resumes;
    if (!killed && code !== 0) throw new Error(`${JSON.stringify(kill)} ended with ${code}: ${stderr}`);
  }
  return counts;
}

/**
 * @param settings number of kills, seed, a folder to work in, and when to stop (milliseconds since 1970)
 * @returns counts, and what differed in each run that was not identical
 */
export async function fuzz({ kills, seed, folder, until = Number.POSITIVE_INFINITY, log = () => {} }) {
  const random = randomNumbers(seed);
  writeData(join(folder, 'data'), random);
  writeNetwork(join(folder, 'net.json'));
  const start = ['--model', join(folder, 'net.json'), '--dataset', 'mnist', '--data-dir', join(folder, 'data'), '--epochs', '4'];
  start.push('--batch-size', '6', '--checkpoint-every', '2', '--threads', '1', '--lr', '0.02', '--gamma', '2', '--bits', '3', '--bits-lr', '0.3');
  const began = Date.now();
  const reference = await run([...start, '--out', join(folder, 'whole')], {}, join(folder, 'count'));
  if (reference.code !== 0) throw new Error(reference.stderr);
  const duration = Date.now() - began;
  const operations = Number(readFileSync(join(folder, 'count'), 'utf8'));
  const expected = contents(join(folder, 'whole'));
  const result = { kills: 0, resumes: 0, runs: 0, identical: 0, operations, removed: 0, differing: [] };
  result.removed = expected.history[0].layers.reduce((sum, layer) => sum + layer.originalChannels, 0) - expected.history.at(-1).channels;
  while (result.kills < kills && Date.now() < until) {
    const i = result.runs;
    const atOperation = () => ({ at: 1 + Math.floor(random() * operations), half: random() < 0.5 });
    // With a number of kills, over all operations in their order; else at any of them.
    const share = kills < Number.MAX_SAFE_INTEGER ? (result.kills + 0.5) / kills : random();
    const spread = { at: 1 + Math.floor(share * operations), half: i % 4 === 0 };
    const first = i % 2 === 0 ? spread : { after: random() * duration };
    const later = random() < 0.5 ? [random() < 0.5 ? atOperation() : { after: random() * duration }] : [];
    const path = join(folder, `run-${i}`);
    const counts = await killAndResume(start, path, [first, ...later]);
    result.kills += counts.kills;
    result.resumes += counts.resumes;
    result.runs++;
    const found = contents(path);
    const other = Object.keys(expected).filter((name) => !isDeepStrictEqual(found[name], expected[name]));
    if (other.length === 0) result.identical++;
    else result.differing.push({ kills: [first, ...later], other });
    log(`${result.kills} kills, ${result.identical} of ${result.runs} runs identical`);
    rmSync(path, { recursive: true });
  }
  return result;
}

/** The same for a time, as a part of `npm run fuzz`: a case is a killed run. */
export async function fuzzFor({ seconds, seed }) {
  const folder = mkdtempSync(join(tmpdir(), 'selfcompress-kill-'));
  const until = Date.now() + seconds * 1000;
  try {
    const result = await fuzz({ kills: Number.MAX_SAFE_INTEGER, seed, folder, until });
    for (const { kills, other } of result.differing) console.log(`FAILED after ${JSON.stringify(kills)}: other ${other.join(', ')}`);
    console.log(`kill: ${result.kills} kills, ${result.resumes} resumes, ${result.identical} of ${result.runs} runs identical`);
    return { cases: result.runs, failed: result.runs - result.identical };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { kills, seed } = scriptOptions({ kills: '100', seed: '1' });
  const folder = mkdtempSync(join(tmpdir(), 'selfcompress-kill-'));
  const { log } = console;
  try {
    const result = await fuzz({ kills: Number(kills), seed: Number(seed), folder, log: (text) => process.stderr.write(`${text}\r`) });
    for (const { kills, other } of result.differing) log(`after ${JSON.stringify(kills)}: other ${other.join(', ')}`);
    log(`A run has ${result.operations} file operations and loses ${result.removed} channels.`);
    log(`${result.kills} kills, ${result.resumes} resumes, ${result.identical} of ${result.runs} runs identical`);
    process.exitCode = result.identical === result.runs ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
