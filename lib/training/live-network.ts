/**
 * A network in training and everything that is asked of it: steps, evaluation, and at the end of an epoch removal, sizes and
 * the model file. Native code does the work; what rests on the same state is made once.
 */
import type { DataSet, Distillation, EvaluationResult, Network, NetworkDescription, StepResult, StepSettings } from '../binding.js';
import { entry, item } from '../indexing.js';
import { encodeModel, type ModelInfo, metadataOf } from '../model-file/model-file.js';
import { evaluatedState } from '../network/averages.js';
import type { State } from '../network/initial.js';
import { checkFinite } from './finite.js';
import { type Compiled, compileNetwork } from './memory.js';
import { measureSize, type NetworkSize, type Origin } from './metrics.js';
import type { TrainOptions } from './options.js';

export interface PrunedLayers {
  /** Channels removed from each layer with weights that lost some. */
  removed: Record<string, number>;
  /** Channels left in each layer with weights. */
  left: Record<string, number>;
}

export class LiveNetwork {
  readonly #network: Network;
  /** Bytes of parameters and of activations, after buffers are shared. @throws RangeError when there is no memory for them */
  readonly memory: Compiled['memory'];
  #exported: Promise<State> | undefined;
  #model: Promise<Uint8Array> | undefined;
  #origin: Origin;

  constructor(
    { description, origin }: { description: NetworkDescription; origin: Origin },
    options: TrainOptions,
    stepsPerEpoch: number,
    distillation?: Distillation,
  ) {
    ({ network: this.#network, memory: this.memory } = compileNetwork(description, origin, options, stepsPerEpoch, distillation));
    this.#origin = origin;
  }

  get description(): NetworkDescription {
    return this.#network.description;
  }
  get origin(): Origin {
    return this.#origin;
  }
  get backend(): string {
    return this.#network.backend;
  }

  /** Copies of all parameters and moments, of the moment of the call. */
  state(): Promise<State> {
    return this.#network.state();
  }

  loadState(state: State): Promise<void> {
    this.#changed();
    return this.#network.loadState(state);
  }

  trainStep(data: DataSet, indices: Int32Array, settings: StepSettings): Promise<StepResult> {
    this.#changed();
    return this.#network.trainStep(data, indices, settings);
  }

  evaluate(data: DataSet, indices: Int32Array): Promise<EvaluationResult> {
    return this.#network.evaluate(data, indices);
  }

  predict(images: Float32Array, count: number): Promise<Float32Array> {
    return this.#network.predict(images, count);
  }

  /**
   * The state as it is now, for reading only; the same arrays until it changes.
   * @throws NotFiniteError when a value in it is no finite number
   */
  exportState(): Promise<State> {
    this.#exported ??= this.#network.state().then(checkFinite);
    this.#exported.catch(() => {});
    return this.#exported;
  }

  /** Removes dead channels that can go, undefined when there are none. The description and the origin change with it. */
  async prune(): Promise<PrunedLayers | undefined> {
    const pruned = await this.#network.prune();
    if (!pruned) return undefined;
    this.#changed();
    const before = this.#origin.present;
    const kept = Object.entries(pruned.kept);
    const present = Object.fromEntries(kept.map(([layer, indices]) => [layer, Array.from(indices, (i) => item(entry(before, layer), i))]));
    this.#origin = { ...this.#origin, present: { ...before, ...present } };
    return { removed: pruned.removed, left: Object.fromEntries(kept.map(([layer, indices]) => [layer, indices.length])) };
  }

  measure(): Promise<NetworkSize> {
    return measureSize(this.#network, this.#origin);
  }

  /** The bytes of the model file, for reading only; the same until the state changes. */
  encodeModel(info: ModelInfo): Promise<Uint8Array> {
    this.#model ??= this.#network.encodeModel(metadataOf(info));
    this.#model.catch(() => {});
    return this.#model;
  }

  /** Bytes of the model file with some of the state changed, as rounding will change it later. */
  async bytesWith(info: ModelInfo, change: (state: State) => State): Promise<number> {
    const state = evaluatedState(await this.exportState());
    return (await encodeModel(this.description, { ...state, ...change(state) }, info)).length;
  }

  dispose(): Promise<void> {
    this.#changed();
    return this.#network.dispose();
  }

  #changed(): void {
    this.#exported = undefined;
    this.#model = undefined;
  }
}
