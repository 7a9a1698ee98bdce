// args-child.mjs SEED FIRST COUNT [ENTRY,...] [UNTIL]: says `case N ENTRY CHANGES` before each case, and `fault N WHAT` when something is wrong.
// Calls are made one after another, but what they promise is waited for together: WINDOW cases are under way at a time.
import { writeSync } from 'node:fs';
import { armed, change, hostile, randomNumbers } from './hostile.mjs';
import { entries, typescript } from './surface.mjs';

const [seed, first, count] = process.argv.slice(2, 5).map(Number);
const chosen = process.argv[5]?.split(',').filter(Boolean) ?? [];
const all = { ...entries, ...typescript };
const names = chosen.length > 0 ? chosen : Object.keys(all);
for (const name of names) if (!(name in all)) throw new Error(`Expected one of ${Object.keys(all).join(', ')} for --entry but received ${name}`);

const WINDOW = 16;
const HELD = 1000; // milliseconds of processor time that a call may hold the thread; others' work on the machine does not count
const LATE = 30000; // milliseconds after which a promise is late; a case alone, which repeats one that was, has four times as long
const say = (text) => writeSync(1, `${text.replaceAll('\n', ' ').slice(0, 1200)}\n`);
const alone = count === 1;
let current = first;
process.on('unhandledRejection', (error) => say(`fault ${current} unhandled rejection: ${error?.message}`));
process.on('uncaughtException', (error) => say(`fault ${current} uncaught exception: ${error?.stack}`));

const form = /^Expected ([\s\S]+) for ([\s\S]+?) but received ([\s\S]+)$/;
const codes = /^ERR_SELFCOMPRESS_(ARGUMENT|MEMORY|DEVICE|DISPOSED|MODEL_FILE|DATA|CHECKPOINT)$/;
const engine =
  /Cannot (read|destructure|convert|mix|set|assign|perform)|is not (iterable|a function|defined|a constructor|an object)|Invalid (array|typed|string)|undefined \(|null \(|Illegal/;

/** Names that a message may speak of: every key of right arguments, and the parameters. */
const vocabularies = new Map(Object.values(all).map((entry) => [entry, vocabulary(entry)]));
function vocabulary(entry) {
  const words = new Set([...entry.names, 'the arguments', 'this', 'the output', 'count', 'constructor', 'toString']); // the last two: misspelled ones
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
  if (/^Class constructors cannot be invoked/.test(error.message)) return undefined; // the caller's own function is a class
  if (!codes.test(error.code)) return `error without a code: ${said}${alone ? ` ${error.stack}` : ''}`;
  if (error.code !== 'ERR_SELFCOMPRESS_ARGUMENT') return undefined;
  if (!(error instanceof TypeError || error instanceof RangeError)) return `neither a TypeError nor a RangeError: ${said}`;
  const [, what, argument, received] = form.exec(error.message) ?? [];
  if (argument === undefined) return `not of the form: ${said}`;
  if (engine.test(what + argument) || (!received.startsWith('an exception') && engine.test(received))) return `text of the engine: ${said}`;
  const name = argument.toLowerCase(); // one that was misspelled is named as it was written: in part, or in capitals
  if (
    ![...vocabularies.get(entry)].some((word) => name.includes(word.toLowerCase()) || word.toLowerCase().includes(name.trim())) &&
    !/^(.*\.)?(x{200,}.*|valueof|\d+)$/.test(name)
  )
    return `names no argument: ${said}`;
  return undefined;
}

async function settled(promise) {
  let timer;
  const patience = alone ? 4 * LATE : LATE;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('late')), patience);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The arguments of a case, changed. */
function prepare(number) {
  const random = randomNumbers(seed * 1000003 + number);
  for (let i = 0; i < 3; i++) random();
  let name = names[Math.floor(random() * names.length)];
  if (all[name].slow && random() < 0.999) name = names[Math.floor(random() * names.length)]; // reads real files
  const entry = all[name];
  const subject = entry.subject?.();
  const args = entry.make();
  const done = change(random, args, subject);
  if (args.length === 0 && random() < 0.5) args.push(hostile(random));
  if (args.length > 0 && random() < 0.03) args.length = Math.floor(random() * args.length);
  const other = random() < 0.03 ? hostile(random) : subject; // a method of another object
  say(`case ${number} ${name} ${done.join('+') || 'nothing'}`);
  const list = Array.from({ length: args.length }, (_, i) => args[i]); // its own getters run here, unarmed
  return { name, entry, subject, other, list };
}

/** Makes the call; what it returns or throws. */
function call(number, { name, entry, subject, other, list }) {
  const start = performance.now();
  const used = alone ? process.cpuUsage() : undefined; // a system call, and not a quick one
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
  if (took > HELD && !entry.proportional) {
    const { user, system } = used ? process.cpuUsage(used) : { user: took * 1000, system: 0 };
    const busy = Math.min(took, (user + system) / 1000);
    if (busy > HELD) say(`fault ${number} held the thread for ${busy.toFixed(0)} ms`);
  }
  return { result, error };
}

/** @returns the rest of the case, which waits for what the call promised */
function begin(number) {
  current = number;
  const prepared = prepare(number);
  let { result, error } = call(number, prepared);
  return async () => {
    if (error === undefined) {
      try {
        await settled(result);
      } catch (thrown) {
        error = thrown ?? new Error('rejected with nothing');
      }
    }
    if (error?.message === 'late') say(`fault ${number} no answer in time`);
    else if (error !== undefined) {
      const fault = wrong(error, prepared.entry);
      if (fault) say(`fault ${number} ${fault}`);
    }
    try {
      await prepared.subject?.dispose();
    } catch {} // a getter may have put something else there
  };
}

const until = Number(process.argv[6] ?? Number.POSITIVE_INFINITY);
for (let number = first; number < first + count && Date.now() < until; ) {
  const window = [];
  for (const end = Math.min(number + WINDOW, first + count); number < end; number++) window.push(begin(number)());
  await Promise.all(window);
  if (number % 480 === 0) gc();
}
say('end');
process.exit(0);
