/** selfcompress sweep: many runs of `train`, several at a time, each a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { bytesText } from '../bytes-text.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import { groupsOf, type SweepResult, sweepPage, sweepTable } from '../report/sweep.js';
import { durationText } from '../report/text.js';
import type { EpochMetrics } from '../training/epoch-metrics.js';
import { type EndSignals, watchEndSignals } from './signals.js';
import { checkSpec, runsOf, type SweepRun } from './sweep-spec.js';
import { integer } from './values.js';
import { note, result } from './voice.js';

interface SweepFlags {
  out: string;
  parallel: number;
}

const main = fileURLToPath(new URL('main.js', import.meta.url));

export function addSweepCommand(program: Command): void {
  program
    .command('sweep')
    .description('train many networks: every combination of options, several runs at a time; goes on where it was killed')
    .argument('<spec.json>', 'options of train for all runs, lists of values for a grid, variants (see docs/command-line.md)')
    .requiredOption('--out <dir>', 'folder for the runs, results.json and report.html')
    .option('--parallel <n>', 'runs at a time; give the runs few --threads then', integer(1, 1024), 1)
    .action((path: string, flags: SweepFlags, command: Command) => sweep(path, flags, command.parent as Command));
}

async function readSpec(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new Error(`Expected a readable JSON file for the sweep but received "${path}" (${(cause as Error).message})`, { cause });
  }
}

/** Keeps the spec in the folder; one with another spec is refused. */
async function takeFolder(folder: string, spec: unknown): Promise<void> {
  await makeFolder(folder);
  const file = join(folder, 'sweep.json');
  const text = `${JSON.stringify(spec, undefined, 2)}\n`;
  if (!existsSync(file)) return writeFileAtomic(file, [text]);
  if ((await readFile(file, 'utf8')) !== text)
    throw new Error(`Expected an empty folder, or that of this very sweep, for --out but received "${folder}"`);
}

/** Undefined: the run has not ended, or was never begun. */
async function resultOf(folder: string, { name, group }: SweepRun): Promise<SweepResult | undefined> {
  const read = (file: string) => readFile(join(folder, name, file), 'utf8').catch(() => '');
  const history = (await read('metrics.jsonl'))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as EpochMetrics);
  const last = history.at(-1);
  if (!last || !existsSync(join(folder, `${name}.done`))) return undefined;
  return { name, group, last, seconds: history.reduce((sum, { epochSeconds }) => sum + epochSeconds, 0) };
}

function argumentsOf(folder: string, { name, options }: SweepRun): string[] {
  if (existsSync(join(folder, name, 'config.json'))) return ['train', '--resume', join(folder, name)];
  const flags = Object.entries(options).flatMap(([option, value]) => {
    if (typeof value === 'boolean') return value ? [`--${option}`] : [];
    return [`--${option}`, String(value)];
  });
  return ['train', ...flags, '--out', join(folder, name)];
}

/** Trains one run to its end; what it prints goes to NAME.log. @returns the last line of its errors, if it failed */
async function trainRun(folder: string, run: SweepRun, children: Set<ChildProcess>): Promise<string | undefined> {
  const log = createWriteStream(join(folder, `${run.name}.log`), { flags: 'a' });
  const child = spawn(process.execPath, [main, ...argumentsOf(folder, run)], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  let errors = '';
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4000);
  });
  const code = await new Promise<number | null>((resolve) => {
    child.on('error', () => resolve(1));
    child.on('close', resolve);
  });
  children.delete(child);
  log.end();
  if (code === 0) {
    await writeFileAtomic(join(folder, `${run.name}.done`), ['']);
    return undefined;
  }
  return errors.trim().split('\n').at(-1) || `it ended with status ${code}`;
}

interface Progress {
  folder: string;
  signals: EndSignals;
  results: SweepResult[];
  failures: string[];
  total: number;
}

/** One run, if it is not done yet and those that it starts from are. */
async function settle(run: SweepRun, progress: Progress, children: Set<ChildProcess>): Promise<void> {
  const { folder, signals, results, failures, total } = progress;
  const missing = run.after.find((name) => !results.some((other) => other.name === name));
  let found = await resultOf(folder, run);
  const kept = found !== undefined;
  if (!kept && missing !== undefined) {
    failures.push(`${run.name}: ${missing}, which it starts from, has no result`);
    return;
  }
  const failure = kept ? undefined : await trainRun(folder, run, children);
  if (signals.status !== undefined && failure !== undefined) return; // told to stop: it goes on the next time
  found ??= await resultOf(folder, run);
  if (!found || failure !== undefined) {
    failures.push(`${run.name}: ${failure}`);
    note(`${run.name} failed: ${failure}`);
    return;
  }
  results.push(found);
  const { testAccuracy, modelBytes } = found.last;
  const time = kept ? 'done before' : durationText(found.seconds);
  note(`[${results.length}/${total}] ${run.name}: ${(100 * testAccuracy).toFixed(2)} %, ${bytesText(modelBytes)} (${time})`);
}

/** All runs, `parallel` at a time; a run waits for those that it starts from. */
async function settleAll(runs: SweepRun[], parallel: number, progress: Progress, children: Set<ChildProcess>): Promise<void> {
  const started = new Map<string, Promise<void>>();
  const queue = [...runs];
  const worker = async () => {
    for (let run = queue.shift(); run && progress.signals.status === undefined; run = queue.shift()) {
      const { name, after } = run;
      const before = Promise.all(after.map((other) => started.get(other)));
      const mine = before.then(() => (progress.signals.status === undefined ? settle(run as SweepRun, progress, children) : undefined));
      started.set(name, mine);
      await mine;
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

async function sweep(path: string, { out: folder, parallel }: SweepFlags, program: Command): Promise<void> {
  const train = program.commands.find((command) => command.name() === 'train') as Command;
  const spec = checkSpec(await readSpec(path), train);
  await takeFolder(folder, spec);
  const runs = runsOf(spec, (name) => join(folder, name));
  const children = new Set<ChildProcess>();
  const signals = watchEndSignals();
  signals.onFirst(() => {
    process.stderr.write('\nThe runs under way save and stop; start the sweep again to go on. A second signal stops at once.\n');
    for (const child of children) child.kill('SIGTERM');
  });
  const progress: Progress = { folder, signals, results: [], failures: [], total: runs.length };
  try {
    await settleAll(runs, parallel, progress, children);
  } finally {
    signals.detach();
  }
  if (signals.status !== undefined) {
    process.exitCode = signals.status;
    return;
  }
  await conclude(path, progress, runs);
}

async function conclude(path: string, { folder, results, failures }: Progress, runs: SweepRun[]): Promise<void> {
  const ordered = runs.flatMap(({ name }) => results.find((other) => other.name === name) ?? []);
  if (ordered.length > 0) {
    const groups = groupsOf(ordered);
    const validated = ordered.every(({ last }) => last.validationAccuracy !== undefined);
    const rows = ordered.map(({ last: { layers: _, ...last }, ...rest }) => ({ ...rest, last }));
    await writeFileAtomic(join(folder, 'results.json'), [`${JSON.stringify({ groups, runs: rows }, undefined, 2)}\n`]);
    await writeFileAtomic(join(folder, 'report.html'), [sweepPage(`Sweep ${path}`, groups, validated)]);
    result(sweepTable(groups));
    note(`See ${join(folder, 'report.html')}`);
  }
  if (failures.length > 0) throw new Error(`${failures.length} of ${runs.length} runs failed: ${failures.join('; ')}`);
}
