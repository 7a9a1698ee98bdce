// npm run fuzz -- [--seconds N] [--only args|files|kill] [--seed N] [--entry NAME[,NAME]] [--case N]
// Calls, files and interruptions that no user should try. The last line is `N cases, N failed`.
//   args   arguments of every function and method (args.mjs)
//   files  damaged files of data, models and checkpoints (files.mjs)
//   kill   runs that are killed and resumed (kill.mjs)
// A case is a seed and a number: `--only args --seed 3 --case 120` repeats one in this process.
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    only: { type: 'string' },
    seed: { type: 'string', default: '1' },
    entry: { type: 'string' },
    case: { type: 'string' },
  },
});

function whole(name, low) {
  const number = Number(values[name]);
  if (Number.isSafeInteger(number) && number >= low) return number;
  console.error(`Expected an integer >= ${low} for --${name} but received ${values[name]}`);
  process.exit(2);
}

const kinds = ['args', 'files', 'kill'];
if (values.only !== undefined && !kinds.includes(values.only)) {
  console.error(`Expected one of ${kinds.join(', ')} for --only but received ${values.only}`);
  process.exit(2);
}
const chosen = values.only ? [values.only] : kinds;
const options = {
  seconds: whole('seconds', 1) / chosen.length,
  seed: whole('seed', 0),
  entries: values.entry?.split(','),
  single: values.case === undefined ? undefined : whole('case', 0),
};
let cases = 0;
let failed = 0;
for (const kind of chosen) {
  const part = await import(`./${kind}.mjs`);
  const result = await (part.fuzzFor ?? part.fuzz)(options);
  cases += result.cases;
  failed += result.failed;
}
console.log(`${cases} cases, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
