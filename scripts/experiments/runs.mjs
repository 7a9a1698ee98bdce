// Shared by the experiments: run the command line program, skip runs that are already complete, read their metrics.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Epoch records of the run in `directory`, in order; [] if there is none. */
export function readMetrics(directory) {
  const file = `${directory}/metrics.jsonl`;
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.trim())
    .map((line) => JSON.parse(line));
}

/** Trains with the options (`{gamma: 0.1}` → `--gamma 0.1`, `true` → a bare flag) unless the directory holds all epochs; goes on with a run that it holds. */
export async function train(directory, options) {
  const done = readMetrics(directory);
  if (isComplete(directory, done, options.epochs)) return done;
  const goesOn = existsSync(`${directory}/config.json`);
  await runTrain(goesOn ? ['--resume', directory] : [...flagsOf(options), '--out', directory]);
  return readMetrics(directory);
}

/** A run that has ended goes on with these options, until it holds all epochs; it needs no `first` then. */
export async function goOn(directory, options, first) {
  const done = readMetrics(directory);
  if (isComplete(directory, done, options.epochs)) return done;
  const changed = `${directory}/changed`;
  if (!existsSync(changed)) {
    await first();
    writeFileSync(changed, '');
  }
  await runTrain(['--resume', directory, ...flagsOf(options)]);
  return readMetrics(directory);
}

const isComplete = (directory, done, epochs) => done.length >= epochs && existsSync(`${directory}/model.scnn`);

const flagsOf = (options) =>
  Object.entries(options).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : value === false || value === undefined ? [] : [`--${name}`, String(value)],
  );

async function runTrain(all) {
  console.error(`train ${all.join(' ')}`);
  await new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, 'train', ...all], { stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', reject);
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`training ended with code ${code}`))));
  });
}

/** Command line options of a script: `--name value` pairs over the given defaults. */
export function scriptOptions(defaults) {
  const options = { ...defaults };
  for (let i = 2; i < process.argv.length; i += 2) {
    const name = process.argv[i].replace(/^--/, '');
    if (!(name in defaults) || process.argv[i + 1] === undefined) {
      console.error(
        `usage: ${process.argv[1]} ${Object.entries(defaults)
          .map(([k, v]) => `[--${k} ${v}]`)
          .join(' ')}`,
      );
      process.exit(2);
    }
    options[name] = process.argv[i + 1];
  }
  return options;
}

/** The command that runs this script, as a page shows it: with the options that were given, but not where its data and runs lie here. */
export function givenCommand() {
  const words = [`node scripts/experiments/${basename(process.argv[1])}`];
  for (let i = 2; i < process.argv.length; i += 2) {
    const [name, value] = process.argv.slice(i, i + 2);
    if (name === '--runs') continue;
    words.push(name, placeholders[name] ?? (/^$| /.test(value) ? `"${value}"` : value));
  }
  return words.join(' ');
}

const placeholders = { '--data-dir': 'DIR', '--data-file': 'FILE' };
