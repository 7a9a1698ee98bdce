#!/usr/bin/env node
/** Runs the program; every error ends as one line. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, CommanderError } from 'commander';
import { packageRoot } from '../package-root.js';
import { build } from './build.js';
import { asTyped, exitStatus } from './faults.js';
import { guardOutput, outputIsBroken } from './output.js';
import { isVerbose } from './voice.js';

guardOutput();

let command: (() => Command | undefined) | undefined;

try {
  // What is asked for where the native addon cannot be loaded: importing the other commands fails then.
  if (process.argv[2] === 'build' && process.argv.length === 3) build();
  else if (process.argv.length === 3 && /^(--version|-V)$/.test(process.argv[2] ?? '')) {
    console.log((JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }).version);
  } else {
    const { currentCommand, program } = await import('./program.js');
    command = currentCommand;
    await program.parseAsync();
  }
} catch (error) {
  process.exitCode = exitStatus(error, command?.());
  // Commander has said what is wrong with a command line.
  if (!(error instanceof CommanderError)) {
    console.error(`selfcompress: ${error instanceof Error ? asTyped(error.message, command?.()) : error}`);
    if (isVerbose() && error instanceof Error) console.error(error.stack);
  }
}
if (outputIsBroken() && !process.exitCode) process.exitCode = 1;
