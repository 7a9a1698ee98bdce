/** Runs epochs: shuffles, steps, removes dead channels, evaluates, reports. Native code does the arithmetic. */
import { EventEmitter } from 'node:events';
import { binding, type DataSet, type Network, type NetworkDescription, type StepResult } from '../binding.js';
import type { Dataset } from '../data/dataset.js';
import { TrainingDivergedError, wrongValue } from '../errors.js';
import { encodeModel } from '../model-file/encode.js';
import { inspectNetwork, isWeightNode } from '../network/description.js';
import { initialState, type State } from '../network/initial.js';
import { type Checkpoint, type DataInfo, readCheckpoint, writeCheckpoint } from './checkpoint.js';
import type { EpochMetrics } from './epoch-metrics.js';
import { measureSize, type Origin, originOf } from './metrics.js';
import { completeOptions, type PartialTrainOptions, type TrainOptions } from './options.js';
import { removeDeadChannels } from './removal.js';
import { gammaAt, scheduleFactor } from './schedule.js';
import { shuffledIndices } from './shuffle.js';

export interface StepEvent {
  epoch: number;
  /** Step within the epoch, counted from 1, and how many there are. */
  stepInEpoch: number;
  stepsPerEpoch: number;
  step: number;
  /** Means over the epoch so far. */
  loss: number;
  accuracy: number;
  bitsPerWeight: number;
  /** Training images per second since the epoch began. */
  imagesPerSecond: number;
}

export interface RemovalEvent {
  epoch: number;
  /** Channels removed from each weight layer. */
  removed: Record<string, number>;
  /** Channels left in each weight layer. */
  left: Record<string, number>;
}

interface TrainerEvents {
  step: [StepEvent];
  removal: [RemovalEvent];
  epoch: [EpochMetrics];
}

export interface TrainerInput extends PartialTrainOptions {
  network: NetworkDescription;
  data: Dataset;
}

export type StopReason = 'epochs' | 'target' | 'stopped';

/** Steps that are queued at once: enough that the native stream never waits for JavaScript. */
const QUEUED_STEPS = 3;

/**
 * Events: `step`, `removal`, `epoch`. Seeded runs repeat exactly, whatever the number of threads; a run that is resumed
 * from a checkpoint goes on as if it had never stopped.
 */
export class Trainer extends EventEmitter<TrainerEvents> {
  readonly options: TrainOptions;
  readonly data: Dataset;
  readonly history: EpochMetrics[];
  #description: NetworkDescription;
  #origin: Origin;
  #epoch: number;
  #step: number;
  #network: Network;
  #train: DataSet;
  #test: DataSet;
  #loaded: Promise<void>;
  #stopping = false;
  #running = false;

  private constructor(data: Dataset, checkpoint: Omit<Checkpoint, 'data'>) {
    super();
    this.data = data;
    this.options = checkpoint.options;
    this.history = checkpoint.history;
    this.#description = checkpoint.description;
    this.#origin = checkpoint.origin;
    this.#epoch = checkpoint.epoch;
    this.#step = checkpoint.step;
    const { shape, classes, mean, std } = data;
    const common = classes > 0 ? { shape, mean, std, classes } : { shape, mean, std };
    this.#train = new binding.DataSet({ ...common, images: data.train.images, labels: data.train.labels, targets: data.train.targets });
    this.#test = new binding.DataSet({ ...common, images: data.test.images, labels: data.test.labels, targets: data.test.targets });
    this.#network = this.#compile();
    this.#loaded = this.#network.loadState(checkpoint.state);
    this.#loaded.catch(() => {}); // whoever awaits it next sees the error
  }

  /**
   * A new training run.
   * @throws TypeError or RangeError for wrong options, or a network that does not fit the data
   */
  static create({ network, data, ...rest }: TrainerInput): Trainer {
    const options = completeOptions(rest);
    const { parameters } = inspectNetwork(network);
    const { initial: bitDepth, headroom } = options.bits;
    const state = initialState(parameters, options.seed, { bitDepth, headroom });
    const origin = originOf(network, state);
    return new Trainer(data, { description: network, options, origin, epoch: 0, step: 0, history: [], state });
  }

  /**
   * Goes on where a checkpoint (a file, a run's folder, or its contents) was written. `epochs`, `target` and where it runs
   * may be changed; with other epochs the schedules change as well.
   */
  static async resume(
    from: string | Checkpoint,
    data: Dataset,
    changes: Pick<PartialTrainOptions, 'epochs' | 'target' | 'device' | 'precision' | 'memoryLimit'> = {},
  ): Promise<Trainer> {
    const checkpoint = typeof from === 'string' ? await readCheckpoint(from) : from;
    const { trainCount, name } = checkpoint.data;
    if (data.train.count !== trainCount) {
      throw wrongValue(
        `the ${trainCount} training images of "${name}" that the checkpoint was made with`,
        'data',
        `${data.train.count} of ${data.name}`,
      );
    }
    const defined = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
    return new Trainer(data, { ...checkpoint, options: completeOptions({ ...checkpoint.options, ...defined }) });
  }

  /** The network as it is now, after removals. */
  get description(): NetworkDescription {
    return this.#description;
  }
  /** Epochs completed. */
  get epoch(): number {
    return this.#epoch;
  }
  /** Steps completed. */
  get step(): number {
    return this.#step;
  }
  get backend(): string {
    return this.#network.backend;
  }
  /** Bytes of parameters and of activations, after buffers are shared. */
  get memory() {
    return this.#network.memory;
  }
  get stepsPerEpoch(): number {
    return batchesOf(this.data.train.count, this.options.batchSize).length;
  }

  /** Trains until all epochs are done, the target is met, or `stop` is called. */
  async run(): Promise<StopReason> {
    if (this.#running) throw new Error('Expected a trainer at rest for run() but it is already running');
    this.#running = true;
    this.#stopping = false;
    try {
      await this.#loaded;
      while (this.#epoch < this.options.epochs) {
        const metrics = await this.#runEpoch();
        if (!metrics) return 'stopped';
        this.emit('epoch', metrics);
        await this.#afterEpoch(metrics);
        if (this.#reached(metrics)) return 'target';
        if (this.#stopping && this.#epoch < this.options.epochs) return 'stopped';
      }
      return 'epochs';
    } finally {
      this.#running = false;
    }
  }

  /** Called after every epoch, before the next one starts; the command line saves its files here. */
  onEpochEnd: ((metrics: EpochMetrics) => Promise<void>) | undefined;
  async #afterEpoch(metrics: EpochMetrics): Promise<void> {
    await this.onEpochEnd?.(metrics);
  }

  /** Ends `run` after the current epoch. */
  stop(): void {
    this.#stopping = true;
  }

  /** Copies of all parameters and optimizer moments. */
  async state(): Promise<State> {
    await this.#loaded;
    return this.#network.state();
  }

  /** The compact model file of the network as it is now. */
  async encodeModel(): Promise<Uint8Array> {
    const state = await this.state();
    return encodeModel(this.#description, state, this.#dataInfo());
  }

  async checkpoint(): Promise<Checkpoint> {
    const state = await this.state(); // first: the description is that of this state
    return {
      description: this.#description,
      options: this.options,
      origin: this.#origin,
      data: this.#dataInfo(),
      epoch: this.#epoch,
      step: this.#step,
      history: this.history,
      state,
    };
  }

  async saveCheckpoint(path: string): Promise<void> {
    await writeCheckpoint(path, await this.checkpoint());
  }

  /** Loss and accuracy on the test images. */
  async evaluate(): Promise<{ loss: number; accuracy: number }> {
    await this.#loaded;
    const { loss, correct, count } = await this.#network.evaluate(this.#test, allIndices(this.data.test.count));
    return { loss, accuracy: correct / count };
  }

  /** Frees native memory; the trainer cannot be used afterwards. */
  async dispose(): Promise<void> {
    await this.#network.dispose();
  }

  #compile(): Network {
    const { device, precision, memoryLimit, loss, penalty, batchSize } = this.options;
    const optimizer = { ...this.options.optimizer, keepRange: this.options.bits.keepRange };
    return new binding.Network(this.#description, {
      device,
      precision,
      memoryLimit,
      loss,
      optimizer,
      penalty,
      batchSize,
      originalWeights: this.#origin.weights,
    });
  }

  #dataInfo(): DataInfo {
    const { name, classes, classNames, mean, std, train, test } = this.data;
    return { name, classes, classNames, mean, std, trainCount: train.count, testCount: test.count };
  }

  #reached({ bitsFraction, testAccuracy }: EpochMetrics): boolean {
    const { target } = this.options;
    if (target.bitsFraction === undefined && target.accuracy === undefined) return false;
    return bitsFraction <= (target.bitsFraction ?? 1) && testAccuracy >= (target.accuracy ?? 0);
  }

  /** Settings of the step with this number, counted from 1. */
  #settings(step: number) {
    const { options } = this;
    const total = options.epochs * this.stepsPerEpoch;
    const progress = (step - 1) / Math.max(1, total - 1);
    const freezeEpoch = this.#freezeEpoch();
    const frozen = Math.ceil(step / this.stepsPerEpoch) > freezeEpoch;
    const bitFactor = scheduleFactor(options.bits.schedule, progress);
    return {
      step,
      seed: options.seed,
      gamma: frozen ? 0 : gammaAt(options.gamma, options.gammaWarmup, 2, progress),
      learningRate: options.learningRate * scheduleFactor(options.schedule, progress),
      bitDepthLearningRate: frozen ? 0 : options.bits.learningRate * bitFactor,
      exponentLearningRate: options.bits.exponentLearningRate * (frozen ? scheduleFactor(options.schedule, progress) : bitFactor),
      augmentation: options.augmentation,
    };
  }

  /** Last epoch in which bit depths change. */
  #freezeEpoch(): number {
    return Math.round(this.options.bits.freezeAt * this.options.epochs);
  }

  /** undefined: stopped before the epoch was complete (its steps are lost, as after a crash). */
  async #runEpoch(): Promise<EpochMetrics | undefined> {
    const epoch = this.#epoch + 1;
    const { batchSize, seed } = this.options;
    if (this.options.bits.round && epoch === this.#freezeEpoch() + 1) await this.#roundBitDepths();
    const order = shuffledIndices(this.data.train.count, seed, epoch);
    const batches = batchesOf(order.length, batchSize);
    let lossSum = 0;
    let correct = 0;
    let images = 0;
    let last: StepResult | undefined;
    const started = performance.now();
    const queue: { promise: Promise<StepResult>; size: number; number: number }[] = [];
    const settle = async () => {
      const { promise, size, number } = queue.shift() as (typeof queue)[number];
      last = await promise;
      if (!Number.isFinite(last.loss)) {
        await Promise.allSettled(queue.map((q) => q.promise));
        throw new TrainingDivergedError(epoch, this.#step + number, last.loss);
      }
      lossSum += last.loss * size;
      correct += last.correct;
      images += size;
      this.emit('step', {
        epoch,
        stepInEpoch: number,
        stepsPerEpoch: batches.length,
        step: this.#step + number,
        loss: lossSum / images,
        accuracy: correct / images,
        bitsPerWeight: last.bitsPerWeight,
        imagesPerSecond: (images * 1000) / (performance.now() - started),
      });
    };
    for (const [i, [from, to]] of batches.entries()) {
      const promise = this.#network.trainStep(this.#train, order.subarray(from, to), this.#settings(this.#step + i + 1));
      promise.catch(() => {});
      queue.push({ promise, size: to - from, number: i + 1 });
      if (queue.length >= QUEUED_STEPS) await settle();
    }
    while (queue.length) await settle();
    const epochSeconds = (performance.now() - started) / 1000;
    const { gamma, learningRate } = this.#settings(this.#step + batches.length);
    this.#step += batches.length;
    this.#epoch = epoch;

    if (this.options.remove) await this.#removeDeadChannels(epoch);
    const { loss: testLoss, accuracy: testAccuracy } = await this.evaluate();
    const state = await this.state();
    const size = await measureSize(this.#description, state, this.#origin);
    const modelBytes = (await encodeModel(this.#description, state, this.#dataInfo())).length;
    const metrics: EpochMetrics = {
      epoch,
      step: this.#step,
      trainLoss: lossSum / images,
      trainAccuracy: correct / images,
      testLoss,
      testAccuracy,
      bitsPerWeight: (last as StepResult).bitsPerWeight,
      modelBytes,
      gamma,
      learningRate,
      epochSeconds,
      imagesPerSecond: images / epochSeconds,
      ...size,
    };
    this.history.push(metrics);
    return metrics;
  }

  /** Before the first epoch with frozen sizes: whole depths, which the rest of the training gets used to. */
  async #roundBitDepths(): Promise<void> {
    const state = await this.#network.state();
    const rounded: State = {};
    for (const [name, depths] of Object.entries(state)) {
      if (!name.endsWith('.bitDepth')) continue;
      const whole = depths.map((b) => (b > 0 ? Math.max(1, Math.round(b)) : 0));
      rounded[name] = whole;
      if (!this.options.bits.keepRange) continue;
      const exponentName = name.replace(/bitDepth$/, 'exponent');
      rounded[exponentName] = state[exponentName].map((e, c) => e + depths[c] - whole[c]);
    }
    await this.#network.loadState(rounded);
  }

  async #removeDeadChannels(epoch: number): Promise<void> {
    const state = await this.#network.state();
    const quantized = await quantizedWeights(this.#description, state);
    const removal = removeDeadChannels(this.#description, inspectNetwork(this.#description), state, (layer) => quantized[layer]);
    if (!removal) return;
    const { description, state: cut, removed, kept } = removal;
    const replace = async () => {
      await this.#network.dispose(); // first: a device may not have room for both
      this.#description = description;
      this.#network = this.#compile();
      for (const [layer, indices] of Object.entries(kept)) this.#origin.present[layer] = indices.map((i) => this.#origin.present[layer][i]);
      await this.#network.loadState(cut);
    };
    this.#loaded = replace(); // whoever asks for the state meanwhile waits for it
    await this.#loaded;
    const left = Object.fromEntries(Object.entries(kept).map(([layer, indices]) => [layer, indices.length]));
    this.emit('removal', { epoch, removed, left });
  }
}

/** Weights as the network uses them. */
async function quantizedWeights(description: NetworkDescription, state: State): Promise<State> {
  const result: State = {};
  for (const node of description.nodes.filter(isWeightNode)) {
    const weight = state[`${node.name}.weight`];
    const bitDepth = state[`${node.name}.bitDepth`];
    result[node.name] = weight;
    if (!bitDepth) continue;
    const output = new Float32Array(weight.length);
    await binding.quantizeForward({ weight, bitDepth, exponent: state[`${node.name}.exponent`], output });
    result[node.name] = output;
  }
  return result;
}

/** [from, to) of every batch of an epoch. A rest of less than a quarter batch is left out, unless it is all there is. */
function batchesOf(count: number, batchSize: number): [number, number][] {
  const batches: [number, number][] = [];
  for (let from = 0; from < count; from += batchSize) batches.push([from, Math.min(count, from + batchSize)]);
  const [from, to] = batches[batches.length - 1];
  if (batches.length > 1 && to - from < batchSize / 4) batches.pop();
  return batches;
}

const allIndices = (count: number) => Int32Array.from({ length: count }, (_, i) => i);
