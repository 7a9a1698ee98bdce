/** selfcompress serve */
import type { Command } from 'commander';
import { startDashboard } from '../dashboard/server.js';
import { integer } from './values.js';
import { note, result } from './voice.js';

/** Where the dashboard is, where no port is given. */
export const DASHBOARD_PORT = 7117;

export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .description('a live page about runs, for the browser of this machine')
    .argument('[runs]', "a folder of runs, or a run's folder", 'runs')
    .option('--port <n>', 'port of the page; 0: any that is free', integer(0, 65535), DASHBOARD_PORT)
    .option('--host <address>', 'address to serve at; another than the default shows the runs to other machines', '127.0.0.1')
    .action(serve);
}

async function serve(folder: string, { port, host }: { port: number; host: string }): Promise<void> {
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
