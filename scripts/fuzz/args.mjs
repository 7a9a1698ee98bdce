// Wrong arguments for every way into the library, in child processes: a crash is caught, and its seed and case are printed.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { missing } from './surface.mjs';

const child = fileURLToPath(new URL('./args-child.mjs', import.meta.url));
const batch = 400; // cases of one process
const patience = 120; // seconds of one process

/** Runs cases first, first + 1, ... of a seed; resolves to what the process said and how it ended. */
function run(seed, first, count, entries) {
  return new Promise((resolve) => {
    const process_ = spawn(process.execPath, ['--expose-gc', child, String(seed), String(first), String(count), entries.join(',')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    process_.stdout.setEncoding('utf8').on('data', (text) => {
      out += text;
    });
    process_.stderr.setEncoding('utf8').on('data', (text) => {
      err = (err + text).slice(-2000);
    });
    const timer = setTimeout(() => process_.kill('SIGKILL'), patience * 1000);
    process_.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ lines: out.trim().split('\n').filter(Boolean), code, signal, err });
    });
  });
}

/** Adds what a process said to the tables; returns how many cases it began. */
function read({ lines, code, signal, err }, seed, first, tables) {
  const { tried, failures } = tables;
  let begun = 0;
  let last = '';
  let ended = false;
  for (const line of lines) {
    if (line.startsWith('case ')) {
      begun++;
      last = line;
      const entry = line.split(' ')[2];
      tried.set(entry, (tried.get(entry) ?? 0) + 1);
    } else if (line === 'end') ended = true;
    else failures.push(`seed ${seed} ${last}: ${line}`);
  }
  if (!ended) failures.push(`seed ${seed} ${last || `case ${first}`}: the process ended with ${signal ?? code}: ${err.trim().slice(-400)}`);
  return Math.max(begun, 1);
}

export async function fuzz({ seconds, seed, entries = [], single }) {
  const unknown = missing();
  if (unknown.length > 0)
    throw new Error(`Expected a case in scripts/fuzz/surface.mjs for everything that can be called but received none for ${unknown.join(', ')}`);
  const tables = { tried: new Map(), failures: [] };
  const start = Date.now();
  let cases = 0;
  let next = single ?? 0;
  do {
    const begun = read(await run(seed, next, single === undefined ? batch : 1, entries), seed, next, tables);
    cases += begun;
    next += begun;
  } while (single === undefined && Date.now() - start < seconds * 1000);
  for (const [entry, count] of [...tables.tried].sort()) console.log(`args ${entry}: ${count}`);
  for (const failure of tables.failures.slice(0, 100)) console.log(`FAILED ${failure}`);
  if (tables.failures.length > 100) console.log(`and ${tables.failures.length - 100} more`);
  return { cases, failed: tables.failures.length };
}
