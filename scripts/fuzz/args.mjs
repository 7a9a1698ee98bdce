// Wrong arguments for every way into the library, in child processes: a crash is caught, and its seed and case are printed.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { missing } from './surface.mjs';

const child = fileURLToPath(new URL('./args-child.mjs', import.meta.url));
const batch = 6000; // cases of one process
const patience = 120; // seconds without a word of the process; others may keep the machine busy
const window = 16; // cases that are under way in it at a time

/** Runs cases first, first + 1, ... of a seed until a time; resolves to what the process said and how it ended. */
function run(seed, first, count, entries, until = Number.POSITIVE_INFINITY) {
  return new Promise((resolve) => {
    const process_ = spawn(process.execPath, ['--expose-gc', child, String(seed), String(first), String(count), entries.join(','), String(until)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    let timer;
    let silent = false;
    const wait = (seconds) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        silent = true;
        process_.kill('SIGKILL');
      }, seconds * 1000);
    };
    wait(4 * patience);
    process_.stdout.setEncoding('utf8').on('data', (text) => {
      out += text;
      wait(count === 1 ? 4 * patience : patience);
    });
    process_.stderr.setEncoding('utf8').on('data', (text) => {
      err = (err + text).slice(-2000);
    });
    process_.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ lines: out.trim().split('\n').filter(Boolean), how: silent ? 'no word, and was ended' : String(signal ?? code), err });
    });
  });
}

/** What a process said: the cases that it began, by number, what is wrong with some, and whether it came to its end. */
function read({ lines, how, err }) {
  const begun = new Map();
  const faults = new Map();
  let ended = false;
  for (const line of lines) {
    const [, word, number, text] = /^(case|fault) (\d+) (.*)$/.exec(line) ?? [];
    if (word === 'case') begun.set(Number(number), text);
    else if (word === 'fault') faults.set(Number(number), text);
    else if (line === 'end') ended = true;
  }
  return { begun, faults, end: ended ? undefined : `the process ended with ${how}: ${err.trim().slice(-400)}` };
}

/** What depends on time, and the end of a process that had several cases under way, is repeated with one case alone. */
const uncertain = (fault) => /held the thread|no answer in time|process ended/.test(fault);

async function confirmed(seed, entries, faults) {
  const certain = [];
  for (const [number, fault] of faults) {
    const alone = uncertain(fault) ? read(await run(seed, number, 1, entries)) : { faults: new Map([[number, fault]]) };
    const found = alone.end ?? alone.faults.get(number);
    if (found !== undefined) certain.push([number, found]);
  }
  return certain;
}

export async function fuzz({ seconds, seed, entries = [], single }) {
  const unknown = missing();
  if (unknown.length > 0)
    throw new Error(`Expected a case in scripts/fuzz/surface.mjs for everything that can be called but received none for ${unknown.join(', ')}`);
  const tried = new Map();
  const failures = [];
  const end = Date.now() + seconds * 1000;
  let cases = 0;
  let next = single ?? 0;
  do {
    const { begun, faults, end: died } = read(await run(seed, next, single === undefined ? batch : 1, entries, end));
    const last = Math.max(next, ...begun.keys());
    for (const text of begun.values()) tried.set(text.split(' ')[0], (tried.get(text.split(' ')[0]) ?? 0) + 1);
    if (died) for (let n = Math.max(next, last - window + 1); n <= last; n++) faults.set(n, died);
    const certain = single === undefined ? await confirmed(seed, entries, faults) : [...faults];
    const alone = certain.some(([, fault]) => fault.startsWith('the process'));
    // A process that was too slow for the machine's other work is no fault; one that crashed is, wherever it came from.
    if (died && !alone && /no word/.test(died)) console.log(`seed ${seed} cases to ${last}: slow together, not one of them alone`);
    else if (died && !alone) certain.push([last, `${died} (one of the ${window} cases before, not when it is repeated alone)`]);
    for (const [number, fault] of certain) failures.push(`seed ${seed} case ${number} ${begun.get(number) ?? ''}: ${fault}`);
    cases += begun.size;
    next = last + 1;
  } while (single === undefined && Date.now() < end);
  for (const [entry, count] of [...tried].sort()) console.log(`args ${entry}: ${count}`);
  for (const failure of failures.slice(0, 100)) console.log(`FAILED ${failure}`);
  if (failures.length > 0)
    console.log(`one again: npm run fuzz -- --only args --seed ${seed} --case N${entries.length > 0 ? ` --entry ${entries}` : ''}`);
  if (failures.length > 100) console.log(`and ${failures.length - 100} more`);
  return { cases, failed: failures.length };
}
