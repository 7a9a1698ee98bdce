/** The command line program: one file per command. */
import { Command } from 'commander';
import { addBuildCommand } from './build.js';
import { addDatasetsCommand } from './datasets.js';
import { addEvalCommand } from './eval.js';
import { addExportCommand } from './export.js';
import { addInfoCommand } from './info.js';
import { addInspectCommand } from './inspect.js';
import { addPredictCommand } from './predict.js';
import { addTrainCommand } from './train.js';

export const program = new Command('selfcompress')
  .description('Train self-compressing neural networks: every channel learns its own bit depth, dead channels are removed.')
  .showHelpAfterError('(selfcompress --help shows the options)');
addTrainCommand(program);
addEvalCommand(program);
addInspectCommand(program);
addPredictCommand(program);
addExportCommand(program);
addInfoCommand(program);
addDatasetsCommand(program);
addBuildCommand(program);
