/** selfcompress train */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { binding, type Device, type NetworkDescription, type Precision } from '../binding.js';
import type { Dataset } from '../data/dataset.js';
import { datasetNames, loadDataset } from '../data/load.js';
import { inspectNetwork } from '../network/description.js';
import { createModel, modelNames } from '../network/models.js';
import { showProgress } from '../report/progress.js';
import { bytesText, durationText, percentText } from '../report/text.js';
import { readCheckpoint } from '../training/checkpoint.js';
import { defaultTrainOptions as defaults, type PartialTrainOptions } from '../training/options.js';
import { RunDirectory } from '../training/run-directory.js';
import { scheduleKinds } from '../training/schedule.js';
import { Trainer } from '../training/trainer.js';
import { augmentation, bytes, device, integer, number } from './values.js';

interface TrainFlags {
  model: string;
  plain?: boolean;
  dataset: string;
  dataDir?: string;
  limit?: number;
  epochs?: number;
  batchSize: number;
  lr: number;
  schedule: (typeof scheduleKinds)[number];
  optimizer: 'sgd' | 'adam' | 'adamw';
  weightDecay: number;
  clip: number;
  gamma: number;
  gammaWarmup: number;
  penalty: 'own' | 'coupled';
  bits: number;
  bitsLr: number;
  exponentLr: number;
  freezeAt: number;
  keep: 'range' | 'step';
  augment?: ReturnType<typeof augmentation>;
  targetBits?: number;
  targetAccuracy?: number;
  seed: number;
  threads?: number;
  device: Device;
  precision: Precision;
  memoryLimit?: number;
  out?: string;
  force?: boolean;
  resume?: string;
}

export function addTrainCommand(program: Command): void {
  const choice = (flags: string, description: string, choices: readonly string[], value: string) =>
    new Option(flags, description).choices(choices).default(value);
  program
    .command('train')
    .description('train a network and watch it shrink')
    .option('--model <name|file>', `${modelNames.join(', ')}, or a JSON file with a network description`, 'notebook')
    .option('--plain', 'train the same network with plain float weights')
    .addOption(choice('--dataset <name>', 'data set; "digits" needs no download', datasetNames, 'digits'))
    .option('--data-dir <dir>', "folder with the data set's standard files")
    .option('--limit <n>', 'use N training images, as many of each class', integer(1))
    .option('--epochs <n>', `passes over the training images (default: ${defaults.epochs})`, integer(1))
    .option('--batch-size <n>', 'images of a step', integer(1, 1 << 20), defaults.batchSize)
    .option('--lr <rate>', 'learning rate of weights', number(0), defaults.learningRate)
    .addOption(choice('--schedule <kind>', 'how the learning rate changes', scheduleKinds, defaults.schedule.kind))
    .addOption(choice('--optimizer <kind>', 'of weights, biases and norms', ['sgd', 'adam', 'adamw'], defaults.optimizer.kind))
    .option('--weight-decay <rate>', 'of weights', number(0), 0)
    .option('--clip <norm>', 'largest norm of the gradient; 0: no clipping', number(0), 0)
    .option('--gamma <factor>', 'factor of the size penalty: larger is smaller', number(0), defaults.gamma)
    .option('--gamma-warmup <share>', 'share of the training over which gamma rises from 0', number(0, 1), defaults.gammaWarmup)
    .addOption(
      choice('--penalty <kind>', "the paper's size penalty, or with what a channel's removal frees downstream", ['own', 'coupled'], defaults.penalty),
    )
    .option('--bits <depth>', 'bit depth of every channel at the start', number(0.5, 24), defaults.bits.initial)
    .option('--bits-lr <rate>', 'learning rate of bit depths', number(0), defaults.bits.learningRate)
    .option('--exponent-lr <rate>', 'learning rate of exponents', number(0), defaults.bits.exponentLearningRate)
    .option('--freeze-at <share>', 'share of the training after which sizes are frozen', number(0, 1), defaults.bits.freezeAt)
    .addOption(
      choice('--keep <what>', "what stays when a bit depth changes: the channel's range, or the size of its steps", ['range', 'step'], 'range'),
    )
    .option('--augment <list>', 'change training images at random: shift=PIXELS,flip,cutout=PIXELS', augmentation)
    .option('--target-bits <share>', 'stop once the share of bits left is at most this', number(0, 1))
    .option('--target-accuracy <share>', 'stop once the test accuracy (0..1) is at least this', number(0, 1))
    .option('--seed <n>', 'the same seed gives the same run', integer(0), defaults.seed)
    .option('--threads <n>', 'threads that share the work (default: all cores); results do not depend on it', integer(1, 1024))
    .option('--device <kind>', 'where to train: auto, cpu, cuda, or cuda:N for device N', device, defaults.device)
    .addOption(choice('--precision <kind>', 'of what convolutions multiply; tf32 is for tensor cores', ['fp32', 'tf32', 'bf16'], defaults.precision))
    .option('--memory-limit <size>', 'most memory of a CUDA device to use, such as 8G', bytes)
    .option('--out <dir>', 'folder for metrics, checkpoint, model file and report (default: a new one under runs/)')
    .option('--force', 'replace a run that the folder holds already')
    .option('--resume <dir>', 'go on with the run of this folder')
    .action(train);
}

function optionsFrom(flags: TrainFlags): PartialTrainOptions {
  return {
    epochs: flags.epochs,
    batchSize: flags.batchSize,
    seed: flags.seed,
    device: flags.device,
    precision: flags.precision,
    memoryLimit: flags.memoryLimit ?? defaults.memoryLimit,
    optimizer: { kind: flags.optimizer, weightDecay: flags.weightDecay, maxGradientNorm: flags.clip },
    learningRate: flags.lr,
    schedule: flags.schedule === 'step' ? { kind: 'step', at: [0.5, 0.75] } : { kind: flags.schedule },
    gamma: flags.plain ? 0 : flags.gamma,
    gammaWarmup: flags.gammaWarmup,
    penalty: flags.penalty,
    bits: {
      initial: flags.bits,
      learningRate: flags.bitsLr,
      exponentLearningRate: flags.exponentLr,
      freezeAt: flags.freezeAt,
      keepRange: flags.keep === 'range',
    },
    augmentation: flags.augment ?? {},
    target: { bitsFraction: flags.targetBits, accuracy: flags.targetAccuracy },
  };
}

async function readNetwork({ model, plain }: TrainFlags, data: Dataset): Promise<NetworkDescription> {
  if ((modelNames as string[]).includes(model)) return createModel(model, { input: data.shape, classes: data.classes, compress: !plain });
  let text: string;
  try {
    text = await readFile(model, 'utf8');
  } catch (cause) {
    throw new Error(
      `Expected one of ${modelNames.join(', ')} or a readable JSON file for --model but received "${model}" (${(cause as Error).message})`,
      { cause },
    );
  }
  try {
    return JSON.parse(text) as NetworkDescription;
  } catch (cause) {
    throw new Error(`Expected JSON in the file of --model "${model}" but received something else (${(cause as Error).message})`, { cause });
  }
}

/** runs/MODEL-DATASET, with a number when that is taken. */
function newRunPath(flags: TrainFlags): string {
  const model = (modelNames as string[]).includes(flags.model) ? flags.model : 'custom';
  const base = `runs/${model}-${flags.dataset}${flags.plain ? '-plain' : ''}`;
  for (let i = 1; ; i++) {
    const path = i === 1 ? base : `${base}-${i}`;
    if (!existsSync(path)) return path;
  }
}

async function start(flags: TrainFlags): Promise<{ trainer: Trainer; directory: RunDirectory }> {
  const { model, dataset, dataDir, limit, threads } = flags;
  const data = await loadDataset(dataset, { dataDir, limit });
  const trainer = Trainer.create({ network: await readNetwork(flags, data), data, ...optionsFrom(flags) });
  return { trainer, directory: await RunDirectory.create(flags.out ?? newRunPath(flags), { model, dataset, dataDir, limit, threads }, flags.force) };
}

async function resume(path: string, flags: TrainFlags, command: Command): Promise<{ trainer: Trainer; directory: RunDirectory }> {
  const directory = await RunDirectory.open(path);
  const { dataset, dataDir, limit } = directory.run;
  const data = await loadDataset(dataset, { dataDir: flags.dataDir ?? dataDir, limit });
  const target =
    flags.targetBits === undefined && flags.targetAccuracy === undefined
      ? undefined
      : { bitsFraction: flags.targetBits, accuracy: flags.targetAccuracy };
  const given = <T>(name: keyof TrainFlags, value: T) => (command.getOptionValueSource(name) === 'cli' ? value : undefined);
  const trainer = await Trainer.resume(await readCheckpoint(path), data, {
    epochs: flags.epochs,
    target,
    device: given('device', flags.device),
    precision: given('precision', flags.precision),
    memoryLimit: given('memoryLimit', flags.memoryLimit),
  });
  return { trainer, directory };
}

/** Ctrl-C ends the run after the epoch; a second one ends it at once. */
function stopOnInterrupt(trainer: Trainer): () => void {
  let asked = false;
  const onInterrupt = () => {
    if (asked) process.exit(130);
    asked = true;
    process.stderr.write('\nStopping after this epoch; press Ctrl-C again to stop at once.\n');
    trainer.stop();
  };
  process.on('SIGINT', onInterrupt);
  return () => process.off('SIGINT', onInterrupt);
}

async function train(flags: TrainFlags, command: Command): Promise<void> {
  if (flags.threads !== undefined) binding.setThreads(flags.threads);
  const { trainer, directory } = flags.resume ? await resume(flags.resume, flags, command) : await start(flags);
  const { data, options } = trainer;
  const { weights } = inspectNetwork(trainer.description);
  const memory = bytesText(trainer.memory.parameterBytes + trainer.memory.activationBytes);
  console.log(
    `${directory.run.model} on ${data.name}: ${data.train.count} training and ${data.test.count} test images, ${weights} weights, ` +
      `γ = ${options.gamma}, ${trainer.backend}, ${binding.info().threads} threads, ${memory} of memory for a step. Results in ${directory.path}`,
  );
  await directory.begin(trainer);
  trainer.onEpochEnd = (metrics) => directory.record(trainer, metrics);
  const hideProgress = showProgress(trainer, process.stdout);
  const detach = stopOnInterrupt(trainer);
  const started = performance.now();
  try {
    const reason = await trainer.run();
    hideProgress();
    const last = trainer.history.at(-1);
    const why = { epochs: 'Finished', target: 'Target reached', stopped: 'Stopped' }[reason];
    console.log(`${why} after ${durationText((performance.now() - started) / 1000)}.`);
    if (!last) return;
    console.log(
      `Test accuracy ${percentText(last.testAccuracy)} with ${percentText(last.bitsFraction)} of the bits and ${percentText(last.weightsFraction)} of the weights: ` +
        `${directory.file('model.scnn')} has ${bytesText(last.modelBytes)}. See ${directory.file('report.html')}`,
    );
  } finally {
    hideProgress();
    detach();
    await trainer.dispose();
  }
}
