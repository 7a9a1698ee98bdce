// The part of `npm run fuzz` that reads damaged files: data.mjs in a process of its own.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('data.mjs', import.meta.url));

export async function fuzz({ seconds, seed, entries, single }) {
  const args = ['--seconds', String(seconds), '--seed', String(seed)];
  if (entries) args.push('--only', entries[0]);
  if (single !== undefined) args.push('--case', String(single));
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part) => {
    text += part;
    process.stdout.write(part);
  });
  await new Promise((resolve) => child.on('close', resolve));
  const [, files, problems] = /(\d+) files, (\d+) problems/.exec(text) ?? ['', '0', '1'];
  return { cases: Number(files), failed: Number(problems) };
}
