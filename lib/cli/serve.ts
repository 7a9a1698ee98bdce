/** selfcompress serve */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { startDashboard } from '../dashboard/server.js';
import { UsageError } from './faults.js';
import { integer } from './values.js';
import { note, result } from './voice.js';

/** Where runs are unless another folder is named; that they may come yet is the page's to say. */
const RUNS = 'runs';

/** Where the dashboard is, where no port is given. */
export const DASHBOARD_PORT = 7117;

export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .description('a live page about runs, for the browser of this machine')
    .argument('[runs]', "a folder of runs, or a run's folder", RUNS)
    .option('--port <n>', 'port of the page; 0: any that is free', integer(0, 65535), DASHBOARD_PORT)
    .option('--host <address>', 'address to serve at; another than the default shows the runs to other machines', '127.0.0.1')
    .action(serve);
}

async function serve(folder: string, { port, host }: { port: number; host: string }): Promise<void> {
  if (folder !== RUNS && !existsSync(folder)) throw new UsageError(`Expected a folder of runs but "${folder}" is not there`);
  const dashboard = await startDashboard({ folder, port, host });
  result(dashboard.url);
  note('Stop with Ctrl-C.');
  const ended = await new Promise<number>((resolve) => {
    process.once('SIGINT', () => resolve(130));
    process.once('SIGTERM', () => resolve(143));
  });
  await dashboard.close();
  process.exitCode = ended;
}
