/**
 * The folder of a training run: config.json, metrics.jsonl, checkpoint, checkpoint.step, model.scnn, report.html, and a lock
 * while a process is at work in it. Whatever moment a process is killed at, `resume` makes all of them whole again.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { NetworkDescription } from '../binding.js';
import type { AnyDataset } from '../data/dataset.js';
import { CheckpointError } from '../errors.js';
import { appendSynced, isAside, makeFolder, obstacle, writeFileAtomic } from '../files.js';
import { encodeModel } from '../model-file/model-file.js';
import { type Checkpoint, EPOCH_FILE, readRunCheckpoints, STEP_FILE } from '../training/checkpoint.js';
import type { EpochMetrics } from '../training/epoch-metrics.js';
import type { Fingerprint } from '../training/fingerprint.js';
import { type Lock, takeLock } from '../training/lock.js';
import type { TrainOptions } from '../training/options.js';
import { checkFingerprint } from '../training/same-data.js';
import { freezeEpoch } from '../training/step-plan.js';
import { targetKind } from '../training/target.js';
import { type ResumeChanges, Trainer } from '../training/trainer.js';
import { about } from './about.js';
import { renderReport } from './report.js';

/** Where the data came from, so that a run can be resumed by its folder alone. */
export interface DataSource {
  dataset: string;
  /** Absolute: a run may be resumed from another working directory. */
  dataDir?: string | undefined;
  limit?: number | undefined;
  /** Training images held back, and the seed that chose them and those of `limit`. */
  validation?: number | undefined;
  splitSeed?: number | undefined;
  /** Height and width that images are scaled to. */
  imageSize?: [number, number] | undefined;
  /** Of texts: tokens of a window, and the absolute path of a tokenizer.json. */
  length?: number | undefined;
  tokenizer?: string | undefined;
  /** Normalisation in place of the data set's own. */
  mean?: number[] | undefined;
  std?: number[] | undefined;
}

/** How often the state inside an epoch is saved: after so many steps or seconds. Neither: never. */
export interface SaveInterval {
  steps?: number;
  seconds?: number;
}

export interface RunDescription extends DataSource {
  model: string;
  /** What it learns from: the absolute path of a run, a model file or another program's model. */
  teacher?: string | undefined;
  threads?: number | undefined;
  checkpointEvery?: SaveInterval | undefined;
}

/** config.json: what a run was started with; `run` and the options that may change are those of its last start. */
interface RunConfig {
  run: RunDescription;
  options: TrainOptions;
  /** Before any removal. */
  network: NetworkDescription;
  data?: { name: string; fingerprint: Fingerprint };
}

const FILES = ['config.json', 'metrics.jsonl', EPOCH_FILE, STEP_FILE, 'model.scnn', 'report.html'];
const LOCK = 'lock';

export class RunDirectory {
  /** The step checkpoint that is being written. */
  #saving: Promise<void> | undefined;
  /** There is a config.json of this run. */
  #begun = false;
  #lastSave = { step: 0, time: 0 };

  private constructor(
    readonly path: string,
    readonly run: RunDescription,
    private readonly lock: Lock,
    /** Of an earlier start of this run. */
    private readonly config?: RunConfig,
  ) {}

  /**
   * A folder for a new run, taken for this process.
   * @throws CheckpointError when it holds a run already and `overwrite` is not set, or another process is at work in it
   */
  static async create(path: string, run: RunDescription, overwrite = false): Promise<RunDirectory> {
    await attempt(path, makeFolder(path));
    const lock = await takeLock(join(path, LOCK));
    try {
      const existing = await attempt(path, readdir(path));
      const files = FILES.filter((name) => existing.includes(name)); // config.json first: without it, the rest is no run
      if (files.length && !overwrite) {
        const goOn = files.includes('config.json') ? `go on with it (--resume ${path}), ` : '';
        throw new CheckpointError(`${path} already holds a run. Give another --out, ${goOn}or replace it (--force).`);
      }
      await cleanUp(path, existing);
      for (const name of files) await attempt(join(path, name), rm(join(path, name), { recursive: true }));
      return new RunDirectory(path, run, lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** The same in a folder that no other run has: `base`, or the first of `base-2`, `base-3`, … that is not there. */
  static async createNew(base: string, run: RunDescription): Promise<RunDirectory> {
    await attempt(base, makeFolder(dirname(base)));
    for (let i = 1; ; i++) {
      const path = i === 1 ? base : `${base}-${i}`;
      const taken = await mkdir(path).then(
        () => false,
        (error) => {
          if (error.code === 'EEXIST') return true;
          throw writeError(path, error);
        },
      );
      if (!taken) return RunDirectory.create(path, run);
    }
  }

  /**
   * The folder of an earlier run, taken for this process. `changes` to its description are kept for the next time.
   * @throws CheckpointError when it is none, or another process is at work in it
   */
  static async open(path: string, changes: Partial<RunDescription> = {}): Promise<RunDirectory> {
    await readConfig(path); // before a lock is left in a folder that is none of ours
    const lock = await takeLock(join(path, LOCK));
    try {
      const config = await readConfig(path);
      await cleanUp(path, await attempt(path, readdir(path)));
      const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
      return new RunDirectory(path, { ...config.run, ...given }, lock, config);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /**
   * A new run: writes config.json, which is enough to start the run again, and an empty metrics.jsonl. One that starts from given
   * weights has them in a checkpoint, which is there before it is a run.
   */
  async begin(trainer: Trainer, givenWeights = false): Promise<void> {
    const { options, description: network, data } = trainer;
    if (givenWeights) await trainer.saveCheckpoint(this.file(EPOCH_FILE)).catch((error) => this.#fail(EPOCH_FILE, error));
    await this.#writeConfig({ run: this.run, options, network, data: { name: data.name, fingerprint: await trainer.dataFingerprint() } });
    this.#begun = true;
    await this.#write('metrics.jsonl', ['']);
    this.#lastSave = { step: 0, time: performance.now() };
  }

  /**
   * The trainer of this folder's newest checkpoint, or of config.json when there is none yet. Everything else that the last
   * epoch should have left is compared with its checkpoint and written again where it is missing, cut off or older.
   */
  async resume(data: AnyDataset, changes: ResumeChanges = {}): Promise<Trainer> {
    const { epoch, step } = await readRunCheckpoints(this.path);
    const newest = step ?? epoch;
    const trainer = newest ? await Trainer.resume(newest.path, data, changes) : await this.#restart(data, changes);
    await this.#repair(trainer, epoch?.checkpoint, step !== undefined);
    this.#lastSave = { step: trainer.step, time: performance.now() };
    return trainer;
  }

  /** Killed before its first checkpoint: the same numbers come out of the same beginning. */
  async #restart(data: AnyDataset, changes: ResumeChanges): Promise<Trainer> {
    const { network, options, data: made } = this.config as RunConfig;
    const defined = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
    const trainer = Trainer.create({ network, data, ...options, ...defined });
    checkFingerprint(made?.fingerprint, await trainer.dataFingerprint(), made?.name ?? '', data.name);
    return trainer;
  }

  async #repair(trainer: Trainer, last: Checkpoint | undefined, keepStep: boolean): Promise<void> {
    await this.#writeConfig({ ...(this.config as RunConfig), run: this.run, options: trainer.options });
    await this.#write('metrics.jsonl', trainer.history.map(metricsLine));
    if (last && last.epoch > 0) {
      const model = await encodeModel(last.description, last.state, last.data);
      const present = await readFile(this.file('model.scnn')).catch(() => undefined);
      if (!present?.equals(model)) await this.#write('model.scnn', [model]);
      await this.#writeReport(trainer);
    }
    if (!keepStep) await this.#removeStep();
  }

  /** After an epoch: checkpoint first, so that whatever is lost can be made again from it. */
  async record(trainer: Trainer, metrics: EpochMetrics): Promise<void> {
    await this.#saving;
    await trainer.saveCheckpoint(this.file(EPOCH_FILE)).catch((error) => this.#fail(EPOCH_FILE, error));
    await appendSynced(this.file('metrics.jsonl'), metricsLine(metrics)).catch((error) => this.#fail('metrics.jsonl', error));
    await this.#write('model.scnn', [await trainer.encodeModel()]);
    await this.#writeReport(trainer);
    await this.#removeStep();
    this.#lastSave = { step: trainer.step, time: performance.now() };
  }

  /** Called after every step: saves the state inside the epoch when it is time, while training goes on. */
  async saveWhenDue(trainer: Trainer, { step, stepInEpoch, stepsPerEpoch }: { step: number; stepInEpoch: number; stepsPerEpoch: number }) {
    const { steps, seconds } = this.run.checkpointEvery ?? {};
    const due = (steps && step >= this.#lastSave.step + steps) || (seconds && performance.now() >= this.#lastSave.time + 1000 * seconds);
    if (!due || this.#saving || stepInEpoch === stepsPerEpoch) return;
    await this.saveStep(trainer);
  }

  /** Saves the state as it is now, inside an epoch. */
  async saveStep(trainer: Trainer): Promise<void> {
    await this.#saving;
    this.#lastSave = { step: trainer.step, time: performance.now() };
    const saving = trainer.saveCheckpoint(this.file(STEP_FILE)).catch((error) => this.#fail(STEP_FILE, error));
    this.#saving = saving;
    try {
      await saving;
    } finally {
      this.#saving = undefined;
    }
  }

  /** Gives the folder back. */
  async close(): Promise<void> {
    await this.#saving?.catch(() => {});
    this.lock.release();
  }

  async #writeConfig(config: RunConfig): Promise<void> {
    await this.#write('config.json', [`${JSON.stringify(config, undefined, 2)}\n`]);
  }

  /** At the end of a training: the report once more, with what takes a pass over the test images. */
  async finish(trainer: Trainer): Promise<void> {
    if (trainer.history.length > 0) await this.#writeReport(trainer, await trainer.confusion());
  }

  async #writeReport(trainer: Trainer, confusion?: number[][]): Promise<void> {
    const { history, options, data, outcome, description: network } = trainer;
    const title = `${this.run.model} on ${data.name}, ${targetKind(options.target) ? 'γ steered' : `γ = ${options.gamma}`}`;
    await this.#write('report.html', [
      renderReport({
        ...{ title, config: { run: this.run, options }, history, outcome: outcome?.text, about: about(), network, confusion },
        freezeEpoch: options.bits.freezeAt < 1 ? freezeEpoch(options) : undefined,
        classNames: data.classNames,
      }),
    ]);
  }

  async #write(name: string, chunks: (Uint8Array | string)[]): Promise<void> {
    await writeFileAtomic(this.file(name), chunks).catch((error) => this.#fail(name, error));
  }

  async #removeStep(): Promise<void> {
    await rm(this.file(STEP_FILE), { force: true }).catch((error) => this.#fail(STEP_FILE, error));
  }

  #fail(name: string, error: Error): never {
    const cause = error instanceof CheckpointError ? (error.cause as Error | undefined) : error;
    if (!(cause as NodeJS.ErrnoException | undefined)?.code) throw error;
    throw writeError(this.file(name), cause, this.config || this.#begun ? this.path : undefined);
  }
}

const metricsLine = (metrics: EpochMetrics) => `${JSON.stringify(metrics)}\n`;

function writeError(path: string, error: unknown, run?: string): CheckpointError {
  const goOn = run ? ` What was saved before is whole: go on with --resume ${run}.` : '';
  return new CheckpointError(`${path} could not be written: ${obstacle(error)}.${goOn}`, { cause: error });
}

async function attempt<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw writeError(path, error);
  }
}

/** What killed processes left half written. The lock is ours, so that nobody writes there now. */
async function cleanUp(path: string, existing: string[]): Promise<void> {
  const left = existing.filter((file) => [...FILES, LOCK].some((name) => isAside(file, name)));
  for (const file of left) await attempt(join(path, file), rm(join(path, file), { force: true, recursive: true }));
}

/** What the run in this folder was started with. @throws CheckpointError when it is no folder of a run */
export async function readConfig(path: string): Promise<RunConfig> {
  try {
    const config = JSON.parse(await readFile(join(path, 'config.json'), 'utf8')) as RunConfig;
    if (typeof config.run?.dataset !== 'string' || typeof config.options !== 'object') throw new Error('it lacks run or options');
    return config;
  } catch (cause) {
    throw new CheckpointError(`${path} is not the folder of a run: config.json cannot be read (${(cause as Error).message})`, { cause });
  }
}
