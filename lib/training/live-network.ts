/**
 * A network in training and everything that is asked of it: steps, evaluation, and at the end of an epoch removal, sizes and
 * the model file. Those rest on one export of the state, which is kept until the state changes.
 */
import {
  binding,
  type DataSet,
  type EvaluationResult,
  type Network,
  type NetworkDescription,
  type StepResult,
  type StepSettings,
} from '../binding.js';
import { encodeModel } from '../model-file/encode.js';
import type { ModelInfo } from '../model-file/format.js';
import { inspectNetwork, isWeightNode } from '../network/description.js';
import type { State } from '../network/initial.js';
import { checkFinite } from './finite.js';
import { compileNetwork } from './memory.js';
import { measureSize, type NetworkSize, type Origin } from './metrics.js';
import type { TrainOptions } from './options.js';
import { removeDeadChannels } from './removal.js';

export interface Pruned {
  /** Channels removed from each weight layer that lost some. */
  removed: Record<string, number>;
  /** Channels left in each weight layer. */
  left: Record<string, number>;
}

export class LiveNetwork {
  #network: Network;
  #exported: Promise<State> | undefined;
  #model: Promise<Uint8Array> | undefined;

  constructor(
    private present: { description: NetworkDescription; origin: Origin },
    private readonly options: TrainOptions,
  ) {
    this.#network = compileNetwork(present.description, present.origin, options);
  }

  get description(): NetworkDescription {
    return this.present.description;
  }
  get origin(): Origin {
    return this.present.origin;
  }
  get backend(): string {
    return this.#network.backend;
  }
  get memory() {
    return this.#network.memory;
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
  async prune(): Promise<Pruned | undefined> {
    const { description, origin } = this;
    const state = await this.exportState();
    const depths = Object.entries(state).filter(([name]) => name.endsWith('.bitDepth'));
    if (!depths.some(([, values]) => values.some((b) => !(b > 0)))) return undefined;
    const quantized = await quantizedWeights(description, state);
    const removal = removeDeadChannels(description, inspectNetwork(description), state, (layer) => quantized[layer]);
    if (!removal) return undefined;
    await this.#network.dispose(); // first: a device may not have room for both
    const present = { ...origin.present };
    for (const [layer, indices] of Object.entries(removal.kept)) present[layer] = indices.map((i) => present[layer][i]);
    this.present = { description: removal.description, origin: { ...origin, present } };
    this.#network = compileNetwork(this.description, this.origin, this.options);
    await this.loadState(removal.state);
    this.#exported = Promise.resolve(removal.state); // what was loaded just now
    const left = Object.fromEntries(Object.entries(removal.kept).map(([layer, indices]) => [layer, indices.length]));
    return { removed: removal.removed, left };
  }

  async measure(): Promise<NetworkSize> {
    return measureSize(this.description, await this.exportState(), this.origin);
  }

  /** The bytes of the model file, for reading only; the same until the state changes. */
  encodeModel(info: ModelInfo): Promise<Uint8Array> {
    const { description } = this;
    this.#model ??= this.exportState().then((state) => encodeModel(description, state, info));
    this.#model.catch(() => {});
    return this.#model;
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

/** The model file of a state that is not in training. */
export function modelFileOf(description: NetworkDescription, state: State, info: ModelInfo): Promise<Uint8Array> {
  return encodeModel(description, state, info);
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
