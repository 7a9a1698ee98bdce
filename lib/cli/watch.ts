/** The dashboard of a run that this process trains. */
import { basename, dirname, resolve } from 'node:path';
import { type Dashboard, startDashboard } from '../dashboard/server.js';
import type { RunDirectory } from '../report/run-directory.js';
import type { StepEvent, Trainer } from '../training/trainer.js';
import { note } from './voice.js';

/** Serves the folder that the run's lies in, so that it can be compared with its neighbours. */
export async function watchRun({ trainer, directory }: { trainer: Trainer; directory: RunDirectory }, port: number): Promise<Dashboard> {
  let step: StepEvent | undefined;
  trainer.on('step', (event) => {
    step = event;
  });
  const path = resolve(directory.path);
  const dashboard = await startDashboard({ folder: dirname(path), port, live: () => ({ run: basename(path), step }) });
  note(`Watch it at ${dashboard.url}`);
  return dashboard;
}
