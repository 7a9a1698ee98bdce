#!/usr/bin/env node
/** Runs the program; every error ends as one line. */
import { CommanderError } from 'commander';
import { build } from './build.js';
import { guardOutput, outputIsBroken } from './output.js';

guardOutput();

try {
  // What is asked for where the native addon cannot be loaded: importing the other commands fails then.
  if (process.argv[2] === 'build' && process.argv.length === 3) build();
  else {
    const { program } = await import('./program.js');
    await program.parseAsync();
  }
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode;
  else {
    console.error(`selfcompress: ${error instanceof Error ? error.message : error}`);
    if (process.env.SELFCOMPRESS_DEBUG && error instanceof Error) console.error(error.stack);
    process.exitCode = 1;
  }
}
if (outputIsBroken() && !process.exitCode) process.exitCode = 1;
