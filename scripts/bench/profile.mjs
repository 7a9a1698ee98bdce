// Where the time of a training step goes: `perf record` over steps of a network by name, as a table. Linux with perf.
//   node scripts/bench/profile.mjs [--seconds 6] [--model notebook] [--batch 512]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { scriptOptions } from '../experiments/runs.mjs';

const { seconds, model, batch } = scriptOptions({ seconds: '6', model: 'notebook', batch: '512' });
const folder = mkdtempSync(join(tmpdir(), 'selfcompress-profile-'));
const file = join(folder, 'perf.data');
const program = `import { networkByName, stepTimer } from ${JSON.stringify(new URL('step.mjs', import.meta.url).href)};
const timer = await stepTimer(networkByName(${JSON.stringify(model)}), { least: ${Number(seconds)}, batch: ${Number(batch)} });
await timer.seconds();
await timer.dispose();`;
const record = spawnSync('perf', ['record', '-q', '-F', '999', '-o', file, process.execPath, '--input-type=module', '-e', program], {
  cwd: fileURLToPath(new URL('../..', import.meta.url)),
  encoding: 'utf8',
});
if (record.error || record.status !== 0)
  throw new Error(`Expected perf to record (Debian: apt install linux-perf): ${record.error?.message ?? record.stderr}`);
const { stdout } = spawnSync('perf', ['report', '-i', file, '--no-children', '--stdio', '-q'], { encoding: 'utf8' });
console.log('| share of the step | function |\n| --- | --- |');
for (const line of stdout.split('\n')) {
  const match = /^\s*([\d.]+)%\s+\S+\s+(\S+)\s+\[[.k]\]\s+(.*)$/.exec(line);
  if (!match || Number(match[1]) < 0.8) continue;
  const name = match[3]
    .replace(/selfcompress::|cpu::|\(anonymous namespace\)::|avx512::|avx2::|std::_Function_handler<void \(long\), /g, '')
    .replace(/\(.*$/, '')
    .trim();
  console.log(`| ${match[1]} % | \`${name}\` (${match[2].replace('.node', '')}) |`);
}
rmSync(folder, { recursive: true });
