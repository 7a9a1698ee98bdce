/** The command line program: one file per command. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { packageRoot } from '../package-root.js';
import { addBuildCommand } from './build.js';
import { addCompressCommand } from './compress.js';
import { applyConfig } from './config-file.js';
import { addDatasetsCommand } from './datasets.js';
import { addEvalCommand } from './eval.js';
import { addExportCommand } from './export.js';
import { addGenerateCommand } from './generate.js';
import { formatHelp } from './help.js';
import { addInfoCommand } from './info.js';
import { addInspectCommand } from './inspect.js';
import { addPredictCommand } from './predict.js';
import { addServeCommand } from './serve.js';
import { addSweepCommand } from './sweep.js';
import { addTrainCommand } from './train.js';
import { setVoice } from './voice.js';

export const version = (JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }).version;
let current: Command | undefined;
/** The command that is running, once the command line is read. */
export const currentCommand = (): Command | undefined => current;

export const program = new Command('selfcompress')
  .description('Train self-compressing neural networks: every channel learns its own bit depth, dead channels are removed.')
  .version(version)
  .showHelpAfterError('(selfcompress --help shows the options)')
  .configureHelp({ formatHelp })
  .exitOverride()
  .hook('preAction', (_, command) => {
    current = command;
    if (command.getOptionValue('config') !== undefined) applyConfig(command, command.getOptionValue('config'));
    setVoice(command.opts());
  });
addTrainCommand(program);
addSweepCommand(program);
addEvalCommand(program);
addInspectCommand(program);
addServeCommand(program);
addPredictCommand(program);
addExportCommand(program);
addGenerateCommand(program);
addCompressCommand(program);
addInfoCommand(program);
addDatasetsCommand(program);
addBuildCommand(program);
for (const command of program.commands) {
  command.option('-q, --quiet', 'say nothing but results and errors').option('-v, --verbose', 'say more, and show where errors come from');
}
