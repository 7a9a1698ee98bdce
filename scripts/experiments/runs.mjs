// Shared by the experiments: run the command line program, skip runs that are already complete, read their metrics.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
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
  if (done.length >= options.epochs && existsSync(`${directory}/model.scnn`)) return done;
  const flags = Object.entries(options).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : value === false || value === undefined ? [] : [`--${name}`, String(value)],
  );
  const goesOn = existsSync(`${directory}/config.json`);
  const all = goesOn ? ['--resume', directory] : [...flags, '--out', directory];
  console.error(`train ${all.join(' ')}`);
  await new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, 'train', ...all], { stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', reject);
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`training ended with code ${code}`))));
  });
  return readMetrics(directory);
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
