#!/usr/bin/env node
/** The command line program: one file per command. */
import { Command, CommanderError } from 'commander';
import { addDatasetsCommand } from './datasets.js';
import { addEvalCommand } from './eval.js';
import { addInfoCommand } from './info.js';
import { addInspectCommand } from './inspect.js';
import { guardOutput, outputIsBroken } from './output.js';
import { addPredictCommand } from './predict.js';
import { addTrainCommand } from './train.js';

guardOutput();

const program = new Command('selfcompress')
  .description('Train self-compressing neural networks: every channel learns its own bit depth, dead channels are removed.')
  .showHelpAfterError('(selfcompress --help shows the options)');
addTrainCommand(program);
addEvalCommand(program);
addInspectCommand(program);
addPredictCommand(program);
addInfoCommand(program);
addDatasetsCommand(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode;
  else {
    console.error(`selfcompress: ${error instanceof Error ? error.message : error}`);
    if (process.env.SELFCOMPRESS_DEBUG && error instanceof Error) console.error(error.stack);
    process.exitCode = 1;
  }
}
if (outputIsBroken() && !process.exitCode) process.exitCode = 1;
