// Formatting and lint: biome for TypeScript and JavaScript, clang-format for C++, and the directions of includes and imports.   --write: repair what can be repaired
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);
const write = process.argv.includes('--write');
const native = readdirSync(join(root, 'native'), { recursive: true })
  .filter((file) => /\.(h|cpp|cu|cuh)$/.test(file))
  .map((file) => join('native', file));

const checks = [
  [process.execPath, [require.resolve('@biomejs/biome/bin/biome'), 'check', ...(write ? ['--write'] : [])]],
  [process.execPath, ['scripts/build/structure.mjs', ...(write ? ['--write'] : [])]],
  ['clang-format', [...(write ? ['-i'] : ['--dry-run', '-Werror']), ...native]],
];
for (const [command, args] of checks) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) console.error(`Expected ${command} on the PATH (${error.message})`);
  if (status !== 0) process.exitCode = 1;
}
