/** What a run was made with and when, for its report. */
import { cpus } from 'node:os';
import { binding } from '../binding.js';

/** A word as a shell would take it. */
const shellWord = (word: string) => (/^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

export function about(): Record<string, string> {
  const { version, compiler, isa, threads } = binding.info();
  return {
    date: new Date().toISOString(),
    'command line': ['selfcompress', ...process.argv.slice(2).map(shellWord)].join(' '),
    selfcompress: `${version} (${compiler})`,
    machine: `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${isa}, ${threads} threads, ${process.platform}-${process.arch}, node ${process.version}`,
  };
}
