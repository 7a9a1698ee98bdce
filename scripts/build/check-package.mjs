// npm run check:package: the packed package as publint and "are the types wrong?" see it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pack } from './pack.mjs';

const folder = mkdtempSync(join(tmpdir(), 'selfcompress-pack-'));
try {
  const { main } = pack(folder, join(folder, 'none'));
  for (const [name, ...args] of [
    ['publint@0.3.25', '--strict', main],
    ['@arethetypeswrong/cli@0.18.5', '--no-color', '--profile', 'node16', '--exclude-entrypoints', './browser', '--', main],
    // The browser's engine is an ES module only.
    ['@arethetypeswrong/cli@0.18.5', '--no-color', '--profile', 'esm-only', '--entrypoints', './browser', '--', main],
  ]) {
    const { status } = spawnSync('npx', ['--yes', name, ...args], { cwd: folder, stdio: 'inherit', shell: process.platform === 'win32' });
    if (status !== 0) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
