/** Runs that a dashboard shows: a run's folder, or the runs in a folder. Only what a run has recorded is read. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';

const METRICS = 'metrics.jsonl';

const isFile = (path: string) =>
  stat(path).then(
    (s) => s.isFile(),
    () => false,
  );

/** Names of the runs and their folders; empty where there is none (yet). */
export async function findRuns(folder: string): Promise<Map<string, string>> {
  const whole = resolve(folder);
  if (await isFile(join(whole, METRICS))) return new Map([[basename(whole), whole]]);
  const names = await readdir(whole, { withFileTypes: true }).catch(() => []);
  const runs = new Map<string, string>();
  for (const entry of names.sort((a, b) => a.name.localeCompare(b.name)))
    if (entry.isDirectory() && (await isFile(join(whole, entry.name, METRICS)))) runs.set(entry.name, join(whole, entry.name));
  return runs;
}

/** Whole lines of metrics.jsonl, as JSON texts, from line `from` on. One that is being written is left out. */
export async function metricLines(run: string, from: number): Promise<string[]> {
  const text = await readFile(join(run, METRICS), 'utf8').catch(() => '');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1)
    .slice(from);
}
