/** The command line program: one file per command. */
import { Command } from 'commander';
import { addDatasetsCommand } from './datasets.js';
import { addEvalCommand } from './eval.js';
import { addInfoCommand } from './info.js';
import { addInspectCommand } from './inspect.js';
import { addTrainCommand } from './train.js';

export const program = new Command('selfcompress')
  .description('Train self-compressing neural networks: every channel learns its own bit depth, dead channels are removed.')
  .showHelpAfterError('(selfcompress --help shows the options)');
addTrainCommand(program);
addEvalCommand(program);
addInspectCommand(program);
addInfoCommand(program);
addDatasetsCommand(program);
