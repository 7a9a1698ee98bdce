/** The folder of a training run: config.json, metrics.jsonl, checkpoint, model.scnn, report.html. */
import { appendFile, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import { renderReport } from '../report/report.js';
import type { EpochMetrics } from './epoch-metrics.js';
import type { Trainer } from './trainer.js';

/** Where the data came from, so that a run can be resumed by its folder alone. */
export interface DataSource {
  dataset: string;
  dataDir?: string;
  limit?: number;
}

export interface RunDescription extends DataSource {
  model: string;
  threads?: number;
}

const FILES = ['config.json', 'metrics.jsonl', 'checkpoint', 'model.scnn', 'report.html'];

export class RunDirectory {
  private constructor(
    readonly path: string,
    readonly run: RunDescription,
  ) {}

  /**
   * A folder for a new run.
   * @throws CheckpointError when it holds a run already and `overwrite` is not set
   */
  static async create(path: string, run: RunDescription, overwrite = false): Promise<RunDirectory> {
    const existing = await readdir(path).catch(() => [] as string[]);
    const files = existing.filter((name) => FILES.includes(name));
    if (files.length && !overwrite)
      throw new CheckpointError(`${path} already holds a run. Give another --out, go on with it (--resume ${path}), or replace it (--force).`);
    await mkdir(path, { recursive: true });
    for (const name of files) await rm(join(path, name));
    return new RunDirectory(path, run);
  }

  /** The folder of an earlier run. @throws CheckpointError when it is none */
  static async open(path: string): Promise<RunDirectory> {
    try {
      return new RunDirectory(path, JSON.parse(await readFile(join(path, 'config.json'), 'utf8')).run as RunDescription);
    } catch (cause) {
      throw new CheckpointError(`${path} is not the folder of a run: config.json cannot be read (${(cause as Error).message})`, { cause });
    }
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Writes config.json, and metrics.jsonl as far as the trainer's history goes. */
  async begin(trainer: Trainer): Promise<void> {
    const { options, description: network } = trainer;
    await writeFileAtomic(this.file('config.json'), [`${JSON.stringify({ run: this.run, options, network }, undefined, 2)}\n`]);
    await writeFileAtomic(
      this.file('metrics.jsonl'),
      trainer.history.map((m) => `${JSON.stringify(m)}\n`),
    );
  }

  /** After an epoch: checkpoint first, so that whatever is lost can be made again from it. */
  async record(trainer: Trainer, metrics: EpochMetrics): Promise<void> {
    await trainer.saveCheckpoint(this.file('checkpoint'));
    await appendFile(this.file('metrics.jsonl'), `${JSON.stringify(metrics)}\n`);
    await writeFileAtomic(this.file('model.scnn'), [await trainer.encodeModel()]);
    await writeFileAtomic(this.file('report.html'), [
      renderReport({
        title: `${this.run.model} on ${trainer.data.name}, γ = ${trainer.options.gamma}`,
        config: { run: this.run, options: trainer.options },
        history: trainer.history,
      }),
    ]);
  }
}
