/** selfcompress train */
import { resolve as resolvePath } from 'node:path';
import { type Command, Option } from 'commander';
import { binding, type Device, type Precision } from '../binding.js';
import { bytesText } from '../bytes-text.js';
import { inspectNetwork } from '../network/description.js';
import { modelNames } from '../network/models.js';
import { showProgress } from '../report/progress.js';
import { RunDirectory, type SaveInterval } from '../report/run-directory.js';
import { EventFile } from '../report/tensorboard.js';
import { durationText, percentText } from '../report/text.js';
import type { LayerOptions } from '../training/layers.js';
import { defaultTrainOptions as defaults, defaultsWith, type PartialTrainOptions } from '../training/options.js';
import { type Schedule, scheduleKinds } from '../training/schedule.js';
import { targetKind } from '../training/target.js';
import { type StopReason, Trainer } from '../training/trainer.js';
import { dataNames, isTokens, openData, WINDOW } from './data.js';
import { UsageError } from './faults.js';
import { modelName, ownNetwork, startingPoint, startName, startState } from './import.js';
import { loadModel } from './load-model.js';
import { DASHBOARD_PORT } from './serve.js';
import { type EndSignals, watchEndSignals } from './signals.js';
import { addTargetOptions, asModel, RESUMABLE_TARGETS, stopAtFrom, type TargetFlags, targetFrom } from './target.js';
import { checkTeacherOptions, readTeacher } from './teacher.js';
import { augmentation, bytes, device, imageSize, integer, layer, number, numbers, saveInterval } from './values.js';
import { detail, isQuiet, note, result } from './voice.js';
import { watchRun } from './watch.js';

interface TrainFlags extends TargetFlags {
  model: string;
  width: number;
  tied?: boolean;
  from?: string;
  map?: string;
  mean?: number[];
  std?: number[];
  plain?: boolean;
  dataset: string;
  dataDir?: string;
  limit?: number;
  length?: number;
  imageSize?: [number, number];
  tokenizer?: string;
  epochs?: number;
  batchSize: number;
  stepsPerEpoch?: number;
  lr: number;
  schedule: (typeof scheduleKinds)[number];
  warmup?: number;
  final?: number;
  beta2?: number;
  optimizer: 'sgd' | 'adam' | 'adamw';
  weightDecay: number;
  clip: number;
  labelSmoothing: number;
  teacher?: string;
  teacherWeight: number;
  temperature: number;
  ema: number;
  gamma: number;
  gammaWarmup: number;
  penalty: 'own' | 'coupled' | 'rate';
  coupling: number;
  biasBits: number;
  start?: string;
  bits: number;
  bitsLr: number;
  exponentLr: number;
  bitsStart: 'range' | 'rms';
  bitsSchedule: (typeof scheduleKinds)[number];
  exponents: 'channel' | 'layer';
  freezeAt: number;
  keep: 'range' | 'step';
  layer?: LayerOptions[];
  augment?: ReturnType<typeof augmentation>;
  seed: number;
  threads?: number;
  device: Device;
  precision: Precision;
  memoryLimit?: number;
  out?: string;
  force?: boolean;
  resume?: string;
  json?: boolean;
  dashboard?: number;
  tensorboard?: string;
  quiet?: boolean;
  verbose?: boolean;
  config?: string;
  checkpointEvery: SaveInterval;
}

export interface Run {
  trainer: Trainer;
  directory: RunDirectory;
}

const rate = defaultsWith('rate');

export function addTrainCommand(program: Command): void {
  const choice = (flags: string, description: string, choices: readonly string[], value: string) =>
    new Option(flags, description).choices(choices).default(value);
  const command = program
    .command('train')
    .description('train a network and watch it shrink')
    .option('--model <name|file>', `${modelNames.join(', ')}, or a JSON file with a network description`, 'notebook')
    .option('--width <factor>', 'factor of the channels of a model by name', number(2 ** -10, 2 ** 10), 1)
    .option('--tied', 'char-lm: the output layer shares the weights of the embedding')
    .option(
      '--from <file>',
      "start from another program's file: a whole .onnx, model.json, .h5 or .keras, or weights for --model: .safetensors, .pth or .pt",
    )
    .option('--map <file>', 'JSON file: parameter of the network → tensor of the file of weights')
    .option(
      '--start <run|file>',
      'start from the weights of this run or model file, such as a plain one; without --model from its network too, which may have lost channels',
    )
    .option('--plain', 'train the same network with plain float weights')
    .addOption(choice('--dataset <name>', 'data set; "digits" needs no download', dataNames, 'digits'))
    .option('--data-dir <dir|file>', "folder with the data set's standard files, or the file of --dataset text")
    .option('--length <tokens>', `tokens of a window of a text (default: ${WINDOW})`, integer(1, 1 << 15))
    .option('--tokenizer <file>', "a tokenizer.json for texts (default: a token for each of the text's characters)")
    .option('--mean <list>', "per channel, subtracted from images in 0..1 (default: the training images')", numbers)
    .option('--std <list>', "per channel, divided by then (default: the training images')", numbers)
    .option('--image-size <pixels>', 'scale images to PIXELS or HEIGHTxWIDTH (default: as they are)', imageSize)
    .option('--limit <n>', 'use N training images, as many of each class', integer(1))
    .option('--epochs <n>', `passes over the training images (default: ${defaults.epochs})`, integer(1))
    .option('--batch-size <n>', 'images of a step, or windows of a text', integer(1, 1 << 20), defaults.batchSize)
    .option('--steps-per-epoch <n>', 'steps of an epoch (default: as many as all images take)', integer(1))
    .option('--lr <rate>', 'learning rate of weights', number(0), defaults.learningRate)
    .addOption(choice('--schedule <kind>', 'how the learning rate changes', scheduleKinds, defaults.schedule.kind))
    .option('--warmup <share>', 'share of the training over which the learning rate rises from 0 (constant, step, cosine)', number(0, 1))
    .option('--final <share>', 'what the learning rate ends at, as a share of it (cosine, oneCycle)', number(0, 1))
    .addOption(choice('--optimizer <kind>', 'of weights, biases and norms', ['sgd', 'adam', 'adamw'], defaults.optimizer.kind))
    .option('--beta2 <share>', 'of Adam: how slowly the mean of squares changes (default: 0.999)', number(0, 0.999999))
    .option('--weight-decay <rate>', 'of weights', number(0), 0)
    .option('--clip <norm>', 'largest norm of the gradient; 0: no clipping', number(0), 0)
    .option('--label-smoothing <share>', "of a label's target, which all classes get alike", number(0, 1), defaults.labelSmoothing)
    .option('--teacher <run|file>', 'learn the outputs of this run, model file or whole .onnx, model.json, .h5 or .keras too, beside the labels')
    .option('--teacher-weight <share>', "share of the teacher in the loss, of which the labels' is the rest", number(0, 1), defaults.teacherWeight)
    .option(
      '--temperature <factor>',
      'what outputs are divided by before they are compared with the teacher',
      number(0.01, 100),
      defaults.temperature,
    )
    .option(
      '--ema <decay>',
      'evaluate and save averages of the parameters with this decay per step, such as 0.999; 0: none',
      number(0, 0.999999),
      defaults.ema,
    )
    .option('--gamma <factor>', 'factor of the size penalty: larger is smaller', number(0), defaults.gamma)
    .option('--gamma-warmup <share>', 'share of the training over which gamma rises from 0', number(0, 1), defaults.gammaWarmup)
    .addOption(
      choice(
        '--penalty <kind>',
        "the paper's size penalty, or with what a channel's removal frees downstream, or the length of the codes in the file " +
          `(which changes other defaults: gamma ${rate.gamma}, rates, schedules, ...)`,
        ['own', 'coupled', 'rate'],
        defaults.penalty,
      ),
    )
    .option('--coupling <factor>', 'with --penalty rate: how much keeping a channel costs beside its codes', number(0), defaults.coupling)
    .option('--bias-bits <n>', 'round biases to so many bits after the last epoch; 0: never', integer(0, 12), defaults.biasBits)
    .option('--bits <depth>', 'bit depth of every channel at the start', number(0.5, 24), defaults.bits.initial)
    .option('--bits-lr <rate>', 'learning rate of bit depths', number(0), defaults.bits.learningRate)
    .option('--exponent-lr <rate>', 'learning rate of exponents', number(0), defaults.bits.exponentLearningRate)
    .addOption(
      choice('--bits-start <kind>', "steps at the start: from the largest weight, or half the weights' rms", ['range', 'rms'], defaults.bits.start),
    )
    .addOption(choice('--bits-schedule <kind>', 'how the rates of bit depths and exponents change', scheduleKinds, defaults.bits.schedule.kind))
    .addOption(choice('--exponents <what>', 'one exponent for each channel or layer', ['channel', 'layer'], defaults.bits.exponents))
    .option('--freeze-at <share>', 'share of the training after which sizes are frozen', number(0, 1), defaults.bits.freezeAt)
    .addOption(
      choice('--keep <what>', "what stays when a bit depth changes: the channel's range, or the size of its steps", ['range', 'step'], 'range'),
    )
    .option(
      '--layer <name:settings>',
      'for a layer, or all that a pattern names (conv*): frozen, float (not compressed), least=BITS, most=BITS, multiple=CHANNELS; may be repeated',
      layer,
    )
    .option(
      '--augment <list>',
      'change training images at random: shift=PIXELS,flip,rotate=DEGREES,scale=SHARE,cutout=PIXELS,colour=SHARE, or mix two: mixup=A,cutmix=A',
      augmentation,
    );
  addTargetOptions(command)
    .option('--seed <n>', 'the same seed gives the same run', integer(0), defaults.seed)
    .option('--threads <n>', 'threads that share the work (default: all cores); results do not depend on it', integer(1, 1024))
    .option('--device <kind>', 'where to train: auto, cpu, cuda, or cuda:N for device N', device, defaults.device)
    .addOption(choice('--precision <kind>', 'of what convolutions multiply; tf32 is for tensor cores', ['fp32', 'tf32', 'bf16'], defaults.precision))
    .option('--memory-limit <size>', 'most memory of a CUDA device to use, such as 8G', bytes)
    .addOption(
      new Option('--checkpoint-every <steps|seconds>', 'save inside an epoch too, every so many steps (500) or seconds (60s); 0: never')
        .argParser(saveInterval)
        .default({ seconds: 300 }, '300s'),
    )
    .option('--out <dir>', 'folder for metrics, checkpoint, model file and report (default: a new one under runs/)')
    .option('--force', 'replace a run that the folder holds already')
    .option('--resume <dir>', 'go on with the run of this folder')
    .option('--config <file>', 'JSON file with options, such as {"gamma": 0.1, "batch-size": 64}; the command line goes before it')
    .addOption(
      new Option('--dashboard [port]', `show the run in a live page for the browser of this machine, at port ${DASHBOARD_PORT} where none is given`)
        .argParser(integer(0, 65535))
        .preset(`${DASHBOARD_PORT}`),
    )
    .option('--tensorboard <dir>', 'write event files that TensorBoard reads')
    .option('--json', 'a line of JSON on standard output for each epoch')
    .action(train);
}

const scheduleOf = (kind: (typeof scheduleKinds)[number]): Schedule => (kind === 'step' ? { kind, at: [0.5, 0.75] } : { kind });

/** The schedule of the learning rate; undefined: the default. */
function mainSchedule({ schedule: kind, warmup, final }: TrainFlags, isGiven: boolean): Schedule | undefined {
  if (!isGiven && warmup === undefined && final === undefined) return undefined;
  if (warmup !== undefined && kind === 'oneCycle')
    throw new UsageError('Expected --schedule constant, step or cosine with --warmup but received oneCycle');
  if (final !== undefined && kind !== 'cosine' && kind !== 'oneCycle')
    throw new UsageError(`Expected --schedule cosine or oneCycle with --final but received ${kind}`);
  return { ...scheduleOf(kind), ...(warmup !== undefined && { warmup }), ...(final !== undefined && { final }) } as Schedule;
}

function optionsFrom(flags: TrainFlags, command: Command): PartialTrainOptions {
  // Undefined: the default, which depends on the penalty.
  const given = <T>(name: keyof TrainFlags, value: T) => (command.getOptionValueSource(name) === 'cli' ? value : undefined);
  return {
    epochs: flags.epochs,
    batchSize: flags.batchSize,
    stepsPerEpoch: flags.stepsPerEpoch ?? defaults.stepsPerEpoch,
    seed: flags.seed,
    device: flags.device,
    precision: flags.precision,
    memoryLimit: flags.memoryLimit ?? defaults.memoryLimit,
    optimizer: { kind: flags.optimizer, beta2: flags.beta2, weightDecay: flags.weightDecay, maxGradientNorm: flags.clip },
    labelSmoothing: flags.labelSmoothing,
    teacherWeight: flags.teacherWeight,
    temperature: flags.temperature,
    ema: flags.ema,
    learningRate: flags.lr,
    schedule: mainSchedule(flags, given('schedule', true) ?? false),
    gamma: flags.plain ? 0 : given('gamma', flags.gamma),
    gammaWarmup: flags.gammaWarmup,
    penalty: flags.penalty,
    coupling: flags.coupling,
    biasBits: given('biasBits', flags.biasBits),
    bits: {
      initial: flags.bits,
      start: given('bitsStart', flags.bitsStart),
      exponents: given('exponents', flags.exponents),
      learningRate: given('bitsLr', flags.bitsLr),
      exponentLearningRate: given('exponentLr', flags.exponentLr),
      schedule: given('bitsSchedule', scheduleOf(flags.bitsSchedule)),
      freezeAt: given('freezeAt', flags.freezeAt),
      keepRange: given('keep', flags.keep === 'range'),
    },
    layers: flags.layer ?? [],
    augmentation: flags.augment ?? {},
    stopAt: stopAtFrom(flags),
  };
}

/** Where a run goes that is not told: runs/MODEL-DATASET, with a number when that is taken. */
function newRunPath(name: string, flags: TrainFlags): string {
  const model = name !== flags.model || (modelNames as string[]).includes(name) ? name : 'custom';
  return `runs/${model}-${flags.dataset}${flags.plain ? '-plain' : ''}`;
}

async function start(flags: TrainFlags, command: Command): Promise<Run> {
  const { dataset, limit, validation, splitSeed, length, imageSize: size, threads, checkpointEvery } = flags;
  const dataDir = flags.dataDir && resolvePath(flags.dataDir);
  const tokenizer = flags.tokenizer && resolvePath(flags.tokenizer);
  const { mean, std } = flags;
  const source = { dataset, dataDir, limit, validation, splitSeed, length, tokenizer, imageSize: size, mean, std };
  const data = await openData(source);
  const given = (...names: (keyof TrainFlags)[]) => names.some((name) => command.getOptionValueSource(name) === 'cli');
  const isOwn = flags.start !== undefined && !given('model', 'width', 'tied', 'from');
  const started = flags.start === undefined ? undefined : await loadModel(flags.start);
  const begin = started && isOwn ? ownNetwork(started, flags) : await startingPoint(flags, data, given('model'));
  const target = await targetFrom(flags, data, flags.device, started ?? asModel(begin, data));
  if (started) begin.state = startState(started, begin.network, flags);
  const model = isOwn ? await startName(flags.start as string) : modelName(flags);
  const teacher = flags.teacher && resolvePath(flags.teacher);
  const learned = teacher === undefined ? undefined : await readTeacher(teacher, data);
  const trainer = Trainer.create({ ...begin, data, ...optionsFrom(flags, command), target, teacher: learned });
  const ofTeacher = (['teacherWeight', 'temperature'] as const).filter((name) => given(name));
  checkTeacherOptions(
    ofTeacher.map((name) => `--${name.replace('W', '-w')}`),
    teacher,
    trainer.options,
  );
  await trainer.memory(); // nothing is written for a run that does not fit
  const run = { model, ...source, teacher, threads, checkpointEvery };
  const directory = flags.out ? await RunDirectory.create(flags.out, run, flags.force) : await RunDirectory.createNew(newRunPath(model, flags), run);
  await directory.begin(trainer, begin.state !== undefined || teacher !== undefined);
  return { trainer, directory };
}

/** Options that --resume takes; a run keeps the others. */
const RESUMABLE: (keyof TrainFlags)[] = [
  'resume',
  'json',
  'dashboard',
  'tensorboard',
  'quiet',
  'verbose',
  'config',
  'epochs',
  ...RESUMABLE_TARGETS,
  'device',
  'precision',
  'memoryLimit',
  'threads',
  'dataDir',
  'teacher',
  'checkpointEvery',
];

function checkResumable(command: Command): void {
  const given = command.options.filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli');
  const fixed = given.filter((option) => !(RESUMABLE as string[]).includes(option.attributeName()));
  if (fixed.length === 0) return;
  const changeable = command.options.filter(({ long }) => long !== '--resume' && (RESUMABLE as string[]).includes(optionName(long)));
  throw new UsageError(
    `Expected no ${fixed.map((option) => option.long).join(', ')} with --resume: a run keeps what it was started with. ` +
      `What can change: ${changeable.map((option) => option.long).join(', ')}`,
  );
}

/** `--target-bits` → `targetBits` */
const optionName = (long: string | undefined) => (long ?? '').replace(/^--/, '').replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());

async function resume(path: string, flags: TrainFlags, command: Command): Promise<Run> {
  checkResumable(command);
  const given = <T>(name: keyof TrainFlags, value: T) => (command.getOptionValueSource(name) === 'cli' ? value : undefined);
  const directory = await RunDirectory.open(path, {
    dataDir: flags.dataDir && resolvePath(flags.dataDir),
    teacher: flags.teacher && resolvePath(flags.teacher),
    threads: flags.threads,
    checkpointEvery: given('checkpointEvery', flags.checkpointEvery),
  });
  try {
    const { threads, teacher } = directory.run;
    if (threads !== undefined) binding.setThreads(threads);
    const data = await openData(directory.run);
    const trainer = await directory.resume(data, {
      epochs: flags.epochs,
      target: await targetFrom(flags, data, flags.device),
      stopAt: stopAtFrom(flags),
      device: given('device', flags.device),
      precision: given('precision', flags.precision),
      memoryLimit: given('memoryLimit', flags.memoryLimit),
      ...(teacher !== undefined && { teacher: await readTeacher(teacher, data) }),
    });
    return { trainer, directory };
  } catch (error) {
    await directory.close();
    throw error;
  }
}

async function announce({ trainer, directory }: Run): Promise<void> {
  const { data, options } = trainer;
  const held = data.validation ? `, ${data.validation.count} validation` : '';
  const { weights } = inspectNetwork(trainer.description);
  const { parameterBytes, activationBytes } = await trainer.memory();
  const memory = bytesText(parameterBytes + activationBytes);
  note(
    `${directory.run.model} on ${data.name}: ${data.train.count} training${held} and ${data.test.count} test ${isTokens(data) ? 'windows' : 'images'}, ${weights} weights, ` +
      `γ = ${options.gamma}${targetKind(options.target) ? ' at first' : ''}, ${trainer.backend}, ${binding.info().threads} threads, ${memory} of memory for a step. Results in ${directory.path}`,
  );
}

function conclude({ trainer, directory }: Run, reason: StopReason, seconds: number, tell: (text: string) => void): void {
  const last = trainer.history.at(-1);
  const inside = trainer.step - (last?.step ?? 0);
  const where = inside > 0 ? ` in epoch ${trainer.epoch + 1}, after ${inside} of its ${trainer.stepsPerEpoch} steps` : '';
  const why = { epochs: 'Finished', early: 'What --stop-bits, --stop-weights and --stop-accuracy ask for was met', stopped: `Stopped${where}` }[
    reason
  ];
  const goOn = reason === 'stopped' ? ` Go on with: selfcompress train --resume ${directory.path}` : '';
  note(`${why} after ${durationText(seconds)}.${goOn}`);
  if (!last) return;
  if (trainer.outcome) tell(trainer.outcome.text);
  const { perplexity, testLoss } = last;
  const quality =
    perplexity === undefined
      ? `Test accuracy ${percentText(last.testAccuracy)}`
      : `Test loss ${testLoss.toFixed(4)} (perplexity ${perplexity.toFixed(3)})`;
  tell(
    `${quality} with ${percentText(last.bitsFraction)} of the bits and ${percentText(last.weightsFraction)} of the weights: ` +
      `${directory.file('model.scnn')} has ${bytesText(last.modelBytes)}. See ${directory.file('report.html')}`,
  );
}

const removalText = (removed: Record<string, number>) =>
  Object.entries(removed)
    .map(([layer, count]) => `${count} of ${layer}`)
    .join(', ');

async function follow(run: Run, signals: EndSignals, { json = false, tensorboard }: TrainFlags): Promise<void> {
  const { trainer, directory } = run;
  const events = tensorboard === undefined ? undefined : await EventFile.create(tensorboard);
  const hideProgress = isQuiet() ? () => {} : showProgress(trainer, process.stderr);
  if (json) trainer.on('epoch', (metrics) => result(JSON.stringify(metrics)));
  trainer.on('removal', ({ epoch, removed }) => detail(`Epoch ${epoch}: removed ${removalText(removed)}`));
  signals.onFirst(() => {
    note('\nSaving and stopping; a second signal stops at once.');
    trainer.stop('step');
  });
  trainer.onEpochEnd = async (metrics) => {
    await directory.record(trainer, metrics);
    await events?.add(metrics);
  };
  trainer.on('step', (event) => directory.saveWhenDue(trainer, event));
  const started = performance.now();
  try {
    const reason = await trainer.run();
    hideProgress();
    const inside = trainer.step > (trainer.history.at(-1)?.step ?? 0);
    if (reason === 'stopped' && inside) await directory.saveStep(trainer);
    if (reason !== 'stopped') await directory.finish(trainer);
    conclude(run, reason, (performance.now() - started) / 1000, json ? note : result);
    if (reason === 'stopped') process.exitCode = signals.status;
  } finally {
    hideProgress();
  }
}

async function train(flags: TrainFlags, command: Command): Promise<void> {
  const signals = watchEndSignals();
  if (flags.threads !== undefined) binding.setThreads(flags.threads);
  let watching: { close(): Promise<void> } | undefined;
  const run = flags.resume ? await resume(flags.resume, flags, command) : await start(flags, command);
  try {
    await announce(run);
    watching = flags.dashboard === undefined ? undefined : await watchRun(run, flags.dashboard);
    await follow(run, signals, flags);
  } finally {
    await watching?.close();
    await run.trainer.dispose();
    await run.directory.close();
    signals.detach();
  }
}
