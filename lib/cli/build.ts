/** selfcompress build */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { packageRoot } from '../package-root.js';

export function addBuildCommand(program: Command): void {
  program
    .command('build')
    .description('build the native addon from source, where there is no binary for this platform (needs a C++20 compiler and cmake)')
    .action(build);
}

/** The one command that works without the addon. */
export function build(): void {
  const isClone = existsSync(join(packageRoot, 'test')); // there the objects of the build stay for the next one
  const script = join(packageRoot, 'scripts/build/native.mjs');
  const { status } = spawnSync(process.execPath, [script, '--force', ...(isClone ? [] : ['--clean'])], { stdio: 'inherit' });
  if (status === 0) console.log('The native addon of selfcompress is built. `npx selfcompress info` tells what it can do.');
  else process.exitCode = 1;
}
