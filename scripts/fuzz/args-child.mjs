// args-child.mjs SEED FIRST COUNT [ENTRY,...]: says `case N ENTRY CHANGES` before each case, and what is wrong after it.
import { writeSync } from 'node:fs';
import { armed, change, hostile, randomNumbers } from './hostile.mjs';
import { entries, typescript } from './surface.mjs';

const [seed, first, count] = process.argv.slice(2, 5).map(Number);
const chosen = process.argv[5]?.split(',').filter(Boolean) ?? [];
const all = { ...entries, ...typescript };
const names = chosen.length > 0 ? chosen : Object.keys(all);
for (const name of names) if (!(name in all)) throw new Error(`Expected one of ${Object.keys(all).join(', ')} for --entry but received ${name}`);

const slow = 3000; // milliseconds that a call may hold the thread, on a machine that others use too
const slowPromise = 30000;
const say = (text) => writeSync(1, `${text.replaceAll('\n', ' ').slice(0, 600)}\n`);
process.on('unhandledRejection', (error) => say(`unhandled rejection: ${error?.message}`));
process.on('uncaughtException', (error) => say(`uncaught exception: ${error?.stack}`));

const form = /^Expected ([\s\S]+) for ([\s\S]+?) but received ([\s\S]+)$/;
const codes = /^ERR_SELFCOMPRESS_(ARGUMENT|MEMORY|DEVICE|DISPOSED|MODEL_FILE|DATA|CHECKPOINT)$/;
const engine =
  /Cannot (read|destructure|convert|mix|set|assign|perform)|is not (iterable|a function|defined|a constructor|an object)|Invalid (array|typed|string)|undefined \(|null \(|Illegal/;

/** Names that a message may speak of: every key of right arguments, and the parameters. */
const vocabularies = new Map(Object.values(all).map((entry) => [entry, vocabulary(entry)]));
function vocabulary(entry) {
  const words = new Set([...entry.names, 'the arguments', 'this', 'the output', 'count']);
  const visit = (value, depth) => {
    if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value) || depth > 6) return;
    for (const key of Object.keys(value)) {
      words.add(key);
      visit(value[key], depth + 1);
    }
  };
  for (const argument of entry.make()) visit(argument, 0);
  return words;
}

/** What is wrong with an error; undefined: nothing. */
function wrong(error, entry) {
  if (!(error instanceof Error)) return `threw what is no Error: ${String(error)}`;
  const said = `${error.constructor.name} ${error.code}: ${error.message}`;
  if (error instanceof RangeError && error.code === undefined && /Array buffer allocation failed|Invalid typed array length/.test(error.message))
    return undefined;
  if (!codes.test(error.code)) return `error without a code: ${said}`;
  if (error.code !== 'ERR_SELFCOMPRESS_ARGUMENT') return undefined;
  if (!(error instanceof TypeError || error instanceof RangeError)) return `neither a TypeError nor a RangeError: ${said}`;
  const [, what, argument, received] = form.exec(error.message) ?? [];
  if (argument === undefined) return `not of the form: ${said}`;
  if (engine.test(what + argument) || (!received.startsWith('an exception') && engine.test(received))) return `text of the engine: ${said}`;
  if (![...vocabularies.get(entry)].some((word) => argument.includes(word))) return `names no argument: ${said}`;
  return undefined;
}

async function settled(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('late')), slowPromise);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function runCase(number) {
  const random = randomNumbers(seed * 1000003 + number);
  for (let i = 0; i < 3; i++) random();
  let name = names[Math.floor(random() * names.length)];
  if (all[name].slow && random() < 0.95) name = names[Math.floor(random() * names.length)]; // reads real files
  const entry = all[name];
  const subject = entry.subject?.();
  const args = entry.make();
  const done = change(random, args, subject);
  if (args.length === 0 && random() < 0.5) args.push(hostile(random));
  if (args.length > 0 && random() < 0.03) args.length = Math.floor(random() * args.length);
  const other = random() < 0.03 ? hostile(random) : subject; // a method of another object
  say(`case ${number} ${name} ${done.join('+') || 'nothing'}`);
  const list = Array.from({ length: args.length }, (_, i) => args[i]); // its own getters run here, unarmed
  const start = performance.now();
  let result;
  let error;
  armed.on = true;
  try {
    result = other === subject ? entry.call(list, subject) : subject ? Reflect.get(subject, name.split('.')[1]).apply(other, list) : undefined;
  } catch (thrown) {
    error = thrown ?? new Error('threw nothing');
  }
  armed.on = false;
  const took = performance.now() - start;
  if (took > slow) say(`held the thread for ${took.toFixed(0)} ms`);
  if (error === undefined) {
    try {
      await settled(result);
    } catch (thrown) {
      error = thrown ?? new Error('rejected with nothing');
    }
  }
  if (error?.message === 'late') say(`no answer after ${slowPromise} ms`);
  else if (error !== undefined) {
    const fault = wrong(error, entry);
    if (fault) say(fault);
  }
  try {
    await subject?.dispose();
  } catch {} // a getter may have put something else there
}

for (let number = first; number < first + count; number++) {
  await runCase(number);
  if (number % 50 === 0) gc();
}
say('end');
process.exit(0);
