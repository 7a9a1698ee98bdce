/** Runs epochs: shuffles, steps, removes dead channels, evaluates, reports. Native code does the arithmetic. */
import { EventEmitter } from 'node:events';
import { readArgument, reading } from '../arguments.js';
import type { LossDescription, MemoryReport, NetworkDescription } from '../binding.js';
import { type AnyDataset, taskOf } from '../data/dataset.js';
import { checkChoice, checkNames, type GoodCheckpoint, isPlainObject, TrainingDivergedError, wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import type { ModelInfo } from '../model-file/model-file.js';
import { inspectNetwork } from '../network/description.js';
import { initialStateSteps, type State } from '../network/initial.js';
import { runPaced } from '../pace.js';
import { type Checkpoint, type DataInfo, readLatestCheckpoint, writeCheckpoint } from './checkpoint.js';
import { confusionOf } from './confusion.js';
import { type EpochMetrics, meansOf } from './epoch-metrics.js';
import type { RemovalEvent, StepEvent, TrainerEvents } from './events.js';
import { type Fingerprint, fingerprintOf } from './fingerprint.js';
import { checkFinite, NotFiniteError } from './finite.js';
import { withStatistics } from './folded-norms.js';
import { withLayers, withoutFrozen } from './layers.js';
import { LiveNetwork } from './live-network.js';
import { meanIoU } from './mean-iou.js';
import { originOf } from './metrics.js';
import { modelInfoOf } from './model-info.js';
import { evaluateOn, NativeData, type NativeSplit } from './native-data.js';
import { completeOptions, type PartialTrainOptions, plainCopy, type TrainOptions } from './options.js';
import { checkPartsOf, type EvaluatedOutputs, smoothedLoss, sumFor } from './outputs.js';
import { roundedBiases, roundedDepths } from './rounding.js';
import { checkData, checkSameData } from './same-data.js';
import { afterStep, epochMetrics, type Standing, standingAt } from './standing.js';
import { beginSteering, checkSteerable, gammaState, LAG, resteered, type SteeringPlan, steerByEpoch, steeredGamma } from './steering.js';
import { batchRange, freezeEpoch, stepSettings } from './step-plan.js';
import { mayStop, type TargetOutcome, targetKind, targetOutcome } from './target.js';
import { checkSameTeacher, LiveTeacher, type Teacher } from './teacher.js';

export interface TrainerInput extends PartialTrainOptions {
  network: NetworkDescription;
  data: AnyDataset;
  /**
   * Parameters to start from, by name (`conv1.weight`); the others are initialised. Without bit depths and exponents of their
   * own, layers with given weights get theirs from these weights, and their channels of zeros start at b = 0. Optimizer
   * moments are left out.
   */
  state?: State;
  /**
   * A network whose outputs for the images of every step, augmented as they are there, are learned in place of the targets of the training
   * examples; with cross-entropy beside the labels (`teacherWeight`, `temperature`). Checkpoints know it by its fingerprint: `resume` is
   * given it again.
   */
  teacher?: Teacher | undefined;
}

export type { RemovalEvent, StepEvent };

/** 'early': what `stopAt` asks for was met. */
export type StopReason = 'epochs' | 'early' | 'stopped';

/** What may change when a run goes on. With other epochs the schedules change as well. */
export type ResumeChanges = Pick<PartialTrainOptions, 'epochs' | 'target' | 'stopAt' | 'device' | 'precision' | 'memoryLimit'> & {
  /** The network that the run learns from, where it began with one. */
  teacher?: Teacher | undefined;
};
const CHANGEABLE = ['epochs', 'target', 'stopAt', 'device', 'precision', 'memoryLimit'] as const satisfies (keyof ResumeChanges)[];

/** Where every position has a label, so has the loss, unless it says otherwise; where there are several outputs, each has its own. */
function withLossFor(data: AnyDataset, options: TrainOptions, given: LossDescription | undefined): TrainOptions {
  const { loss } = options;
  if (data.outputs) return { ...options, loss: sumFor(data.outputs, given && loss) };
  if (loss.kind !== 'crossEntropy' || loss.perPosition !== undefined || taskOf(data) !== 'perPosition') return options;
  return { ...options, loss: { ...loss, perPosition: true } };
}

const predictsTokens = ({ input }: AnyDataset, { loss }: TrainOptions) =>
  input === 'tokens' && loss.kind === 'crossEntropy' && loss.perPosition === true;

/** Steps that are queued at once: enough that the native stream never waits for JavaScript. */
const QUEUED_STEPS = LAG;

/**
 * Events: `step`, `removal`, `epoch`. Seeded runs repeat exactly, whatever the number of threads; a run that is resumed
 * from a checkpoint, of any moment, goes on as if it had never stopped.
 *
 * An error that a listener throws (or rejects with) ends `run` with this error once the steps that are queued are done; the
 * trainer can be saved then, and `run` goes on with the step that follows.
 */
export class Trainer extends EventEmitter<TrainerEvents> {
  readonly options: TrainOptions;
  readonly data: AnyDataset;
  readonly history: EpochMetrics[];
  #network: LiveNetwork;
  readonly #teacher: LiveTeacher | undefined;
  #epoch: number;
  /** Steps of completed epochs. */
  #stepsBefore: number;
  /** After all steps of the present epoch that are queued; rejects for good when one of them fails. */
  #progress: Promise<Standing>;
  /** After those that are known to be done. */
  #settled: Standing;
  #sets: NativeData;
  /** Work that no one may look into: loading, rounding, the end of an epoch. */
  #plan: SteeringPlan;
  #busy: Promise<unknown> | undefined;
  #spoilt: TrainingDivergedError | undefined;
  #lastSaved: GoodCheckpoint | undefined;
  #fingerprint: Promise<Fingerprint> | undefined;
  #stopping: 'epoch' | 'step' | undefined;
  #running = false;
  #failed = false;
  #listenerError: { error: unknown } | undefined;

  private constructor(data: AnyDataset, checkpoint: Omit<Checkpoint, 'data' | 'state'>, state: State | Promise<State>, teacher?: LiveTeacher) {
    super();
    const { description, origin, options, progress } = checkpoint;
    this.data = data;
    this.options = options;
    this.history = [...checkpoint.history];
    this.#epoch = checkpoint.epoch;
    this.#stepsBefore = checkpoint.step - (progress?.steps ?? 0);
    this.#sets = new NativeData(data);
    checkSteerable(options, data, description);
    this.#plan = { options, stepsPerEpoch: this.stepsPerEpoch, weights: origin.weights };
    this.#settled = standingAt(progress, checkpoint.steering ?? beginSteering(this.#plan, checkpoint.step + 1));
    this.#progress = Promise.resolve(this.#settled);
    this.#network = new LiveNetwork({ description, origin }, options, this.stepsPerEpoch, teacher?.distillation);
    this.#teacher = teacher;
    const loading = this.#load(state).then(() => {
      this.#busy = undefined;
    });
    loading.catch(() => {}); // whoever waits for it sees the error, now and later: there is nothing to go on from
    this.#busy = loading;
  }

  /** What a network and its data take to be in native memory, whose size is proportional to theirs: none of it at once. */
  async #load(state: State | Promise<State>): Promise<void> {
    const [values] = await Promise.all([state, this.#network.memory(), this.#sets.fill(), this.#teacher?.load()]);
    await this.#network.loadState(values);
  }

  /**
   * A new training run.
   * @throws TypeError or RangeError for wrong options, or a network that does not fit the data
   */
  static create(input: TrainerInput): Trainer {
    if (!isPlainObject(input)) throw wrongType('a plain object with network, data and options', 'Trainer.create', input);
    const { network, data: givenData, state: given, teacher, ...rest } = reading('Trainer.create', () => ({ ...input }));
    const data = readArgument(givenData, 'data');
    checkData(data);
    const suited = withLossFor(data, completeOptions(rest), rest.loss);
    const options = { ...suited, loss: smoothedLoss(suited.loss, suited.labelSmoothing) };
    const description = withLayers(plainCopy(network, 'network') as NetworkDescription, options.layers);
    const { parameters } = inspectNetwork(description); // first: parts of inputs and outputs are sound then
    checkPartsOf(description, data, options, teacher !== undefined);
    const { initial: bitDepth, headroom, start, exponents } = options.bits;
    const steps = initialStateSteps(parameters, options.seed, { bitDepth, headroom, start, exponents }, given);
    const state = runPaced(steps).then((initial) => withStatistics(description, parameters, initial, data));
    state.catch(() => {}); // what waits for it sees the error, if the trainer comes to be
    const live = teacher === undefined ? undefined : new LiveTeacher(teacher, description, options);
    return new Trainer(data, { description, options, origin: originOf(parameters), epoch: 0, step: 0, history: [] }, state, live);
  }

  /**
   * Goes on where a checkpoint (a file, a run's folder, or its contents) was written.
   * @throws RangeError when the data are not those of the checkpoint; CheckpointError when it cannot be read
   */
  static async resume(from: string | Checkpoint, data: AnyDataset, changes: ResumeChanges = {}): Promise<Trainer> {
    checkData(data);
    checkNames(changes, 'changes', [...CHANGEABLE, 'teacher']);
    const { teacher, ...changed } = changes;
    const found = typeof from === 'string' ? await readLatestCheckpoint(from) : { checkpoint: from, path: undefined };
    const { checkpoint, path } = found;
    const fingerprint = await checkSameData(checkpoint.data, data);
    const defined = Object.fromEntries(Object.entries(changed).filter(([, value]) => value !== undefined));
    const options = completeOptions({ ...checkpoint.options, ...defined });
    const live = teacher === undefined ? undefined : new LiveTeacher(teacher, checkpoint.description, options);
    await checkSameTeacher(checkpoint.teacher, live);
    const sameTarget = JSON.stringify(options.target) === JSON.stringify(checkpoint.options.target);
    const steering = sameTarget ? checkpoint.steering : checkpoint.steering && resteered(checkpoint.steering);
    const { steering: _, state, ...rest } = checkpoint;
    const trainer = new Trainer(data, { ...rest, options, ...(steering && targetKind(options.target) && { steering }) }, state, live);
    trainer.#fingerprint = Promise.resolve(fingerprint);
    if (path !== undefined) trainer.#lastSaved = { path, epoch: checkpoint.epoch, step: checkpoint.step };
    return trainer;
  }

  /** The network as it is now, after removals. */
  get description(): NetworkDescription {
    return this.#network.description;
  }
  /** Epochs completed. */
  get epoch(): number {
    return this.#epoch;
  }
  /** Steps completed. */
  get step(): number {
    return this.#stepsBefore + this.#settled.steps;
  }
  get backend(): string {
    return this.#network.backend;
  }
  /**
   * Bytes of parameters and of activations, after buffers are shared.
   * @throws RangeError naming options.batchSize when they do not fit into memory; so does `run`
   */
  async memory(): Promise<MemoryReport> {
    while (this.#busy) await this.#busy;
    return this.#network.memory();
  }
  get stepsPerEpoch(): number {
    return this.#sets.stepsPerEpoch(this.options.batchSize, this.options.stepsPerEpoch);
  }

  /** What the last epoch reached of the target, and why; undefined: there is none, or no epoch yet. */
  get outcome(): TargetOutcome | undefined {
    const last = this.history.at(-1);
    const { steering } = this.#settled;
    return last && steering && targetOutcome(this.options.target, last, gammaState(steering));
  }

  /** Trains until all epochs are done, `stopAt` is met, or `stop` is called. */
  async run(): Promise<StopReason> {
    if (this.#running) throw new Error('Expected a trainer at rest for run() but it is already running');
    this.#running = true;
    this.#failed = false;
    this.#stopping = undefined;
    this.#listenerError = undefined;
    try {
      while (this.#busy) await this.#busy;
      if (this.#spoilt) throw this.#spoilt;
      if (this.#settled.steps === 0 && mayStop(this.options.stopAt, this.history.at(-1))) return 'early';
      while (this.#epoch < this.options.epochs) {
        const metrics = await this.#runEpoch();
        if (metrics) await this.onEpochEnd?.(metrics);
        this.#throwListenerError();
        if (!metrics) return 'stopped';
        if (mayStop(this.options.stopAt, metrics)) return 'early';
        if (this.#stopping && this.#epoch < this.options.epochs) return 'stopped';
      }
      return 'epochs';
    } catch (error) {
      this.#failed = true;
      throw error;
    } finally {
      this.#running = false;
    }
  }

  /** Called after every epoch, before the next one starts; the command line saves its files here. */
  onEpochEnd: ((metrics: EpochMetrics) => Promise<void>) | undefined;

  /** Ends `run` after the current epoch, or as soon as the steps that are queued are done: the next `run` goes on from there. */
  stop(after: 'epoch' | 'step' = 'epoch'): void {
    checkChoice(after, 'after', ['epoch', 'step']);
    if (this.#stopping !== 'step') this.#stopping = after;
  }

  /** Copies of all parameters and optimizer moments, and with `ema` of averages, `<parameter>/average`. */
  async state(): Promise<State> {
    while (this.#busy) await this.#busy;
    return this.#network.state();
  }

  /** The compact model file of the network as it is now. */
  async encodeModel(): Promise<Uint8Array> {
    while (this.#busy) await this.#busy;
    return (await this.#named(this.#network.encodeModel(this.#modelInfo()))).slice();
  }

  /**
   * Everything that the rest of the run depends on, after the steps that are queued at the moment of the call: training goes on
   * meanwhile, and what is resumed from it ends with the same numbers.
   * @throws TrainingDivergedError when a value of the state is no finite number
   */
  async checkpoint(): Promise<Checkpoint> {
    while (this.#busy) await this.#busy;
    if (this.#spoilt) throw this.#spoilt;
    return this.#checkpointOf(this.#network.state().then(checkFinite));
  }

  /** Writes `checkpoint()` to a file, whole or not at all. */
  async saveCheckpoint(path: string): Promise<void> {
    while (this.#busy) await this.#busy;
    if (this.#spoilt) throw this.#spoilt;
    const checkpoint = await this.#checkpointOf(this.#network.exportState());
    await writeCheckpoint(path, checkpoint);
    const { epoch, step } = checkpoint;
    if (step >= (this.#lastSaved?.step ?? 0)) this.#lastSaved = { path, epoch, step };
  }

  /** Called at rest: everything but the state and the queued steps' results is taken before anything else can happen. */
  async #checkpointOf(exported: Promise<State>): Promise<Checkpoint> {
    const { options } = this;
    const [description, origin] = [this.#network.description, this.#network.origin];
    const [epoch, stepsBefore, history] = [this.#epoch, this.#stepsBefore, [...this.history]];
    const results = Promise.all([this.#progress, this.dataFingerprint(), this.#teacher?.fingerprint()]);
    results.catch(() => {});
    const state = await this.#named(exported);
    const [{ steering, ...progress }, fingerprint, teacher] = await results;
    const data: DataInfo = { ...this.#modelInfo(), trainCount: this.data.train.count, testCount: this.data.test.count, fingerprint };
    const checkpoint = {
      description,
      options,
      origin,
      data,
      epoch,
      step: stepsBefore + progress.steps,
      history,
      ...(steering && { steering }),
      ...(teacher && { teacher }),
      state,
    };
    return progress.steps > 0 ? { ...checkpoint, progress } : checkpoint;
  }

  /** SHA-256 of the parts of the data, computed once. */
  dataFingerprint(): Promise<Fingerprint> {
    this.#fingerprint ??= fingerprintOf(this.data);
    return this.#fingerprint;
  }

  /** Loss and accuracy on the test images, or those of the validation split; of several outputs of each by name as well. */
  async evaluate(split: 'test' | 'validation' = 'test'): Promise<{ loss: number; accuracy: number; outputs?: EvaluatedOutputs }> {
    checkChoice(split, 'split', ['test', 'validation']);
    while (this.#busy) await this.#busy;
    const examples = this.#sets[split];
    if (!examples) throw wrongValue('a split that the data have', 'split', split);
    const { loss, accuracy, outputs } = await this.#evaluate(examples);
    return { loss, accuracy, ...(outputs && { outputs }) };
  }

  /** Test images by right and predicted class; undefined where the data are no images with a class each. */
  async confusion(): Promise<number[][] | undefined> {
    const { data } = this;
    if (data.input === 'tokens' || data.outputs || taskOf(data) !== 'classification' || !data.test.labels) return undefined;
    if ((data.input ?? 'image') !== 'image') return undefined;
    while (this.#busy) await this.#busy;
    return confusionOf(this.#network, data);
  }

  /** Frees native memory; the trainer cannot be used afterwards. */
  async dispose(): Promise<void> {
    await Promise.all([this.#network.dispose(), this.#teacher?.dispose()]);
  }

  #evaluate(split: NativeSplit) {
    return evaluateOn(this.#network, split, predictsTokens(this.data, this.options), this.options.loss);
  }

  /** Of classes at every pixel, on the test images. */
  async #pixelMetrics(): Promise<{ meanIoU?: number }> {
    const { data, options } = this;
    if (data.input === 'tokens' || options.loss.kind !== 'crossEntropy' || !options.loss.perPosition) return {};
    return { meanIoU: await meanIoU(this.#network, data, data.test) };
  }

  #modelInfo(): ModelInfo {
    return modelInfoOf(this.data);
  }

  /** Lets everyone else wait for `work`, which nobody may see half done. */
  async #exclusive<T>(work: Promise<T>): Promise<T> {
    this.#busy = work;
    try {
      return await work;
    } finally {
      this.#busy = undefined;
    }
  }

  /** Calls all listeners, whatever they throw: the first error is kept until the run stands at a point that can be saved. */
  #notify<E extends keyof TrainerEvents>(event: E, payload: TrainerEvents[E][0]): void {
    const failed = (error: unknown) => {
      if (this.#failed) return; // what the run ended with is what its caller sees
      if (!this.#running) throw error;
      this.#listenerError ??= { error };
    };
    for (const listener of this.rawListeners(event)) {
      try {
        const result: unknown = Reflect.apply(listener, this, [payload]);
        if (result instanceof Promise) result.catch(failed);
      } catch (error) {
        failed(error);
      }
    }
  }

  #throwListenerError(): void {
    if (!this.#listenerError) return;
    const { error } = this.#listenerError;
    this.#listenerError = undefined;
    throw error;
  }

  /** undefined: stopped inside the epoch; the next call goes on there. */
  async #runEpoch(): Promise<EpochMetrics | undefined> {
    const epoch = this.#epoch + 1;
    const { options } = this;
    const rounds = options.bits.round && epoch === freezeEpoch(options) + 1 && this.#settled.steps === 0;
    if (rounds) await this.#exclusive(this.#roundBitDepths());
    if (!(await this.#runSteps(epoch))) return undefined;
    const { metrics, pruned } = await this.#exclusive(this.#endEpoch(epoch));
    if (pruned) this.#notify('removal', { epoch, ...pruned });
    this.#notify('epoch', metrics);
    return metrics;
  }

  /** The steps of the epoch that are left. @returns whether all are done */
  async #runSteps(epoch: number): Promise<boolean> {
    const stepsPerEpoch = this.stepsPerEpoch;
    const order = this.#sets.order(this.options.seed, epoch, stepsPerEpoch, this.options.batchSize);
    const clockStart = performance.now() - 1000 * this.#settled.seconds;
    const goesOn = () => this.#stopping !== 'step' && !this.#listenerError;
    const window: Promise<Standing>[] = [];
    let next = this.#settled.steps;
    try {
      while (window.length > 0 || (next < stepsPerEpoch && goesOn())) {
        if (window.length < QUEUED_STEPS && next < stepsPerEpoch && goesOn()) {
          window.push(this.#queueStep(epoch, next++, order, clockStart));
          continue;
        }
        this.#settled = await item(window, 0);
        window.shift();
        this.#notifyStep(epoch, stepsPerEpoch);
      }
    } catch (error) {
      await Promise.allSettled(window);
      throw error;
    }
    this.#throwListenerError();
    return this.#settled.steps === stepsPerEpoch;
  }

  /** @param index of the step in the epoch, counted from 0 */
  #queueStep(epoch: number, index: number, order: Int32Array, clockStart: number): Promise<Standing> {
    const [from, to] = batchRange(index, order.length, this.options.batchSize);
    const step = this.#stepsBefore + index + 1;
    const { steering, steps } = this.#settled;
    const numbers = stepSettings(this.options, this.stepsPerEpoch, step, steering && steeredGamma(steering, index - steps));
    const settings = this.#teacher ? { ...numbers, teacher: this.#teacher.network } : numbers;
    const train = async () => this.#network.trainStep(this.#sets.train, order.subarray(from, to), settings);
    const after = Promise.all([this.#progress, train()]).then(([before, result]) => {
      if (!Number.isFinite(result.loss)) throw this.#diverged(epoch, step, result.loss, 'The loss');
      return afterStep(before, { ...result, step, images: to - from, seconds: (performance.now() - clockStart) / 1000 }, this.#plan);
    });
    after.catch(() => {}); // whoever waits for it sees the error
    this.#progress = after;
    return after;
  }

  #notifyStep(epoch: number, stepsPerEpoch: number): void {
    const { steps, images, bitsPerWeight, seconds } = this.#settled;
    this.#notify('step', {
      epoch,
      stepInEpoch: steps,
      stepsPerEpoch,
      step: this.#stepsBefore + steps,
      ...meansOf(this.#settled),
      bitsPerWeight,
      imagesPerSecond: images / seconds,
    });
  }

  /** What is to be saved is looked at first; then removal, if something died, and one measurement, one model file, one evaluation. */
  async #endEpoch(epoch: number) {
    const { options } = this;
    const network = this.#network;
    const standing = this.#settled;
    await this.#named(network.exportState());
    const pruned = options.remove ? await network.prune() : undefined;
    if (epoch === options.epochs && options.biasBits > 0)
      await network.loadState(roundedBiases(withoutFrozen(await network.state(), options.layers), options.biasBits));
    const size = await network.measure();
    const modelBytes = (await network.encodeModel(this.#modelInfo())).length;
    const test = { ...(await this.#evaluate(this.#sets.test)), ...(await this.#pixelMetrics()) };
    const validation = this.#sets.validation && (await this.#evaluate(this.#sets.validation));
    const step = this.#stepsBefore + standing.steps;
    if (!Number.isFinite(test.loss)) throw this.#diverged(epoch, step, test.loss, 'The loss on the test images');
    const metrics = epochMetrics(standing, this.#plan, epoch, step, { size, modelBytes, test, validation });
    const steering = standing.steering && steerByEpoch(standing.steering, this.#plan, metrics, await this.#steeredSize(metrics));
    this.#epoch = epoch;
    this.#stepsBefore = step;
    this.#settled = standingAt(undefined, steering);
    this.#progress = Promise.resolve(this.#settled);
    this.history.push(metrics);
    return { metrics, pruned };
  }

  /** What a target of a size compares: the file with what will be rounded later, or the share of bits. */
  async #steeredSize({ epoch, bitsFraction, modelBytes }: EpochMetrics): Promise<number> {
    const { target, biasBits, bits } = this.options;
    if (target.bytes === undefined) return bitsFraction;
    const depths = bits.round && epoch <= freezeEpoch(this.options) && bits.freezeAt < 1;
    if (!depths && biasBits === 0) return modelBytes;
    return this.#network.bytesWith(this.#modelInfo(), (state) => ({
      ...(depths && roundedDepths(state, bits.keepRange)),
      ...(biasBits > 0 && roundedBiases(state, biasBits)),
    }));
  }

  #diverged(epoch: number, step: number, value: number, what: string): TrainingDivergedError {
    this.#spoilt ??= new TrainingDivergedError(epoch, step, value, what, this.#lastSaved);
    return this.#spoilt;
  }

  /** The same, with the error of a state that is no longer finite. */
  async #named<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!(error instanceof NotFiniteError)) throw error;
      throw this.#diverged(this.#epoch + 1, this.step, error.value, error.tensor);
    }
  }

  /** Before the first epoch with frozen sizes: whole depths, which the rest of the training gets used to. */
  async #roundBitDepths(): Promise<void> {
    const rounded = roundedDepths(withoutFrozen(await this.#network.state(), this.options.layers), this.options.bits.keepRange);
    await this.#network.loadState(rounded);
  }
}
