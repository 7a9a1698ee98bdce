// Damaged files of every format, of data, models and checkpoints: each must either be read as a sound one or be refused with the error of
// its kind, within bounds of time and memory. A child process reads them; its parent sees to it that the child does not hang or die.
//   node scripts/fuzz/data.mjs --seconds 60 --seed 1 [--only npz] [--case 1234]
import { fork } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { randomNumbers } from '../../test/support.mjs';
import { formats } from './data-formats.mjs';
import { mutate } from './mutate.mjs';
import { savedFormats } from './saved-formats.mjs';

/** Bounds of one file, of processor time and memory: the files are below 100 kB. */
const MOST_SECONDS = 5;
const MOST_GROWTH = 256 * 2 ** 20;
/** Files that are read at a time. What takes too much among others, or ends the process, is read once more alone. */
const WINDOW = 16;
/** Seconds without an answer after which a process hangs, five times as many for one file alone; others may keep the machine busy. */
const PATIENCE = 120;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    case: { type: 'string' },
    keep: { type: 'string' },
  },
});
const seed = Number(values.seed);
const all = [...formats, ...savedFormats];
const chosen = all.filter(({ name }) => !values.only || name === values.only);
if (chosen.length === 0) throw new Error(`Expected one of ${all.map(({ name }) => name).join(', ')} for --only but received ${values.only}`);

/** The damaged files of a case, which its number and the seed give. */
async function build(number) {
  const random = randomNumbers(seed * 1_000_003 + number);
  const format = chosen[number % chosen.length];
  const files = await format.files();
  const names = Object.keys(files);
  const at = names[Math.floor(random() * names.length)];
  return { format, files: { ...files, [at]: format.wrap((format.mutate ?? mutate)(format.unwrap(files[at]), random, format), random) }, changed: at };
}

/** What must be true of whatever a reader returns. */
function checkSound({ train, test, validation, shape, length, vocabulary, classes, mean, std }) {
  for (const split of [train, test, validation].filter(Boolean)) {
    const { images, tokens, labels, targets, count } = split;
    const width = tokens ? length : shape[0] * shape[1] * shape[2];
    if ((tokens ?? images).length !== count * width || count < 1) throw new Error('inputs of another length than count × shape');
    if (tokens?.some((v) => v < 0 || v >= vocabulary)) throw new Error('a token outside of the vocabulary');
    if (images instanceof Float32Array && !images.every(Number.isFinite)) throw new Error('an input that is no finite number');
    if (!labels === !targets) throw new Error('neither or both of labels and targets');
    if (labels?.some((v) => v < -1 || v >= classes) || (labels && labels.length % count)) throw new Error('labels that are no classes');
    if (targets && (!targets.every(Number.isFinite) || targets.length % count || targets.length === 0))
      throw new Error('targets that are no numbers');
  }
  if (mean && ![...mean, ...std].every(Number.isFinite)) throw new Error('statistics that are no numbers');
  if (std && !std.every((v) => v > 0)) throw new Error('a deviation that is not above 0');
}

async function runCase(number, folder) {
  const { format, files } = await build(number);
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
  const started = performance.now();
  let outcome = 'read';
  let problem;
  try {
    const read = await format.load(folder);
    if (!format.refusal) checkSound(read); // model files and checkpoints check themselves
  } catch (error) {
    outcome = 'refused';
    const { refusal = ['DataError'] } = format;
    if (!refusal.includes(error?.name) || !error.code) problem = `${error?.stack ?? error}`;
    else if ((error.name === 'DataError' && !error.path) || !error.message) problem = 'a DataError without a path';
  }
  return { number, format: format.name, outcome, seconds: (performance.now() - started) / 1000, problem };
}

/** Reads the files of some cases at once; `doubtful`: whether they took more time or memory than one of them may. */
async function runCases(from, count, folder) {
  const { maxRSS } = process.resourceUsage();
  const used = process.cpuUsage();
  const results = await Promise.all(Array.from({ length: count }, (_, i) => runCase(from + i, join(folder, String(i)))));
  const { user, system } = process.cpuUsage(used);
  rmSync(folder, { recursive: true, force: true });
  const seconds = (user + system) / 1e6;
  const growth = process.resourceUsage().maxRSS * 1024 - maxRSS * 1024;
  const doubtful =
    seconds > MOST_SECONDS ? `took ${seconds.toFixed(1)} s` : growth > MOST_GROWTH ? `took ${(growth / 2 ** 20).toFixed(0)} MB` : undefined;
  return { results, doubtful };
}

async function child() {
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'selfcompress-fuzz-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  process.on('disconnect', () => process.exit());
  const [end, count] = [Number(process.env.FUZZ_END), Number(process.env.FUZZ_COUNT)];
  let from = Number(process.env.FUZZ_FROM);
  do {
    process.send({ begun: from });
    process.send({ ended: await runCases(from, count, folder) });
    from += count;
  } while (count > 1 && Date.now() < end);
  process.disconnect();
}

/** A child that reads `count` files at a time, from a case on; resolves to the first case without an answer and how the child ended, if it died. */
async function supervise(from, count, end, take) {
  let begun = from;
  let last = Date.now();
  let silent = false;
  const worker = fork(fileURLToPath(import.meta.url), process.argv.slice(2), {
    env: { ...process.env, FUZZ_CHILD: '1', FUZZ_FROM: String(from), FUZZ_COUNT: String(count), FUZZ_END: String(end) },
  });
  worker.on('message', (message) => {
    last = Date.now();
    begun = message.begun ?? begun + count;
    if (message.ended) take(message.ended);
  });
  const watch = setInterval(() => {
    if (Date.now() - last <= PATIENCE * (count === 1 ? 5 : 1) * 1000) return;
    silent = true;
    worker.kill('SIGKILL');
  }, 500);
  const [code, signal] = await new Promise((resolve) => worker.on('exit', (...how) => resolve(how)));
  clearInterval(watch);
  return { begun, died: code === 0 ? undefined : `the process ended with ${silent ? 'no word, and was ended' : (signal ?? code)}` };
}

async function parent() {
  const end = Date.now() + Number(values.seconds) * 1000;
  const counts = new Map(chosen.map(({ name }) => [name, { read: 0, refused: 0, slowest: 0 }]));
  const problems = [];
  const doubts = [];
  const add = (number, problem) => problems.push({ number, format: chosen[number % chosen.length].name, problem });
  const take = ({ results, doubtful }) => {
    for (const { number, format, outcome, seconds, problem } of results) {
      const count = counts.get(format);
      count[outcome]++;
      count.slowest = Math.max(count.slowest, seconds);
      if (problem) add(number, problem);
    }
    if (doubtful) doubts.push({ from: results[0].number, count: results.length, doubtful });
  };
  /** Reads every file of a doubtful number of them alone: which is at fault, or that none is. */
  const settle = async ({ from, count, doubtful, died }) => {
    let found = count === 1;
    for (let number = from; !found && number < from + count; number++) {
      const alone = await supervise(number, 1, end, ({ results, doubtful }) => {
        const problem = doubtful ?? results[0].problem;
        if (problem) found = add(number, problem) > 0;
      });
      if (alone.died) found = add(number, alone.died) > 0;
    }
    if (count === 1) add(from, doubtful ?? died);
    else if (died && !found && /no word/.test(died)) console.log(`cases from ${from}: slow together, not one of them alone`);
    else if (died && !found) add(from, `${died} among ${count} cases, and not when they are read alone`);
  };
  const count = values.case === undefined ? WINDOW : 1;
  let from = Number(values.case ?? 0);
  do {
    const { begun, died } = await supervise(from, count, end, take);
    if (died) doubts.push({ from: begun, count, died });
    for (const doubt of doubts.splice(0)) await settle(doubt);
    from = begun + count;
  } while (Date.now() < end && values.case === undefined);
  report(counts, problems);
  process.exitCode = problems.length ? 1 : 0;
}

function report(counts, problems) {
  let total = 0;
  for (const [name, { read, refused, slowest }] of counts) {
    total += read + refused;
    console.log(
      `${name.padEnd(18)} ${String(read).padStart(6)} read ${String(refused).padStart(6)} refused   slowest ${(slowest * 1000).toFixed(0)} ms`,
    );
  }
  for (const { number, format, problem } of problems.slice(0, 20)) console.log(`\n--seed ${seed} --case ${number} (${format}): ${problem}`);
  console.log(`\n${total} files, ${problems.length} problems, seed ${seed}`);
}

await (process.env.FUZZ_CHILD ? child() : parent());
