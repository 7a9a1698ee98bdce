/** A network whose outputs another learns (distillation, Hinton et al. 2015): for every batch, for the images as they are augmented there. */
import { checkTyped } from '../arguments.js';
import type { Distillation, Network, NetworkDescription, NodeDescription } from '../binding.js';
import { checkObject, wrongType, wrongValue } from '../errors.js';
import { entry, item } from '../indexing.js';
import { elements, inspectNetwork } from '../network/description.js';
import type { State } from '../network/initial.js';
import { differences, digestJson, digestValues, type Fingerprint } from './fingerprint.js';
import { compileNetwork } from './memory.js';
import { originOf } from './metrics.js';
import { plainCopy, type TrainOptions } from './options.js';

/** Small beside the square of the quotient of two standard deviations. */
const EPSILON = 1e-9;

type Normalisation = { mean: number[]; std: number[] };

export interface Teacher {
  network: NetworkDescription;
  /** All its parameters by name. */
  state: State;
}

/** Undefined: the loss compares with targets, which are the teacher's outputs themselves then. */
function distillationOf({ loss, teacherWeight, temperature }: TrainOptions): Distillation | undefined {
  const kinds = loss.kind === 'sum' ? Object.values(loss.outputs).map(({ kind }) => kind) : [loss.kind];
  if (!kinds.includes('crossEntropy')) return undefined;
  if (kinds.some((kind) => kind !== 'crossEntropy'))
    throw wrongValue('losses that are all crossEntropy, or none of them, with a teacher,', 'options.loss', loss);
  return { weight: teacherWeight, temperature };
}

/**
 * The teacher for images that are normalised by another mean and standard deviation than those it was trained on: a batch norm before all of
 * it, in evaluation a scale and a shift per channel, makes its own of them.
 */
export function renormalised({ network, state }: Teacher, own: Normalisation, given: Normalisation): Teacher {
  const same = (a: number[], b: number[]) => a.length === b.length && a.every((value, c) => value === b[c]);
  if (own.mean.length === 0 || (same(own.mean, given.mean) && same(own.std, given.std))) return { network, state };
  if (network.inputs || own.mean.length !== given.mean.length)
    throw wrongValue('a network of images that are normalised as the data are', 'teacher', `one of mean ${own.mean.join(', ')}`);
  const taken = new Set(network.nodes.map(({ name }) => name));
  let name = 'normalisation';
  while (taken.has(name)) name += '_';
  const norm: NodeDescription = { kind: 'batchNorm', name, inputs: ['input'], affine: false, epsilon: EPSILON };
  const renamed = network.nodes.map((node) => ({ ...node, inputs: node.inputs.map((input) => (input === 'input' ? name : input)) }));
  const channels = (of: (channel: number) => number) => Float32Array.from(own.mean, (_, c) => of(c));
  const scale = (c: number) => item(own.std, c) / item(given.std, c);
  return {
    network: { ...network, nodes: [norm, ...renamed] },
    state: {
      ...state,
      [`${name}.runningMean`]: channels((c) => (item(own.mean, c) - item(given.mean, c)) / item(given.std, c)),
      [`${name}.runningVar`]: channels((c) => Math.max(0, scale(c) ** 2 - EPSILON)),
    },
  };
}

/** @throws TypeError or RangeError naming the field */
function checkTeacher(given: unknown): Teacher {
  const { network, state } = checkObject(given, 'teacher');
  const description = plainCopy(network, 'teacher.network') as NetworkDescription;
  const { parameters } = inspectNetwork(description);
  checkObject(state, 'teacher.state');
  const values = Object.fromEntries(
    parameters.map(({ name }) => {
      const array = Object.hasOwn(state as object, name) ? (state as State)[name] : undefined;
      checkTyped(array, `teacher.state["${name}"]`, Float32Array);
      return [name, array as Float32Array];
    }),
  );
  return { network: description, state: values };
}

/** What a teacher has in common with its student. */
function formOf(network: NetworkDescription): string {
  const { shapes } = inspectNetwork(network);
  return `input ${network.input.join('×')} and ${elements(entry(shapes, network.output))} outputs`;
}

/** Compiled for steps of these options; its parameters are loaded by the time that a step is taken. */
export class LiveTeacher {
  readonly network: Network;
  /** What is learned of it beside the labels. */
  readonly distillation: Distillation | undefined;
  readonly #teacher: Teacher;
  #fingerprint: Promise<Fingerprint> | undefined;

  /**
   * @param student the network that learns
   * @throws TypeError or RangeError naming the field
   */
  constructor(given: unknown, student: NetworkDescription, options: TrainOptions) {
    this.distillation = distillationOf(options);
    const teacher = checkTeacher(given);
    if (formOf(teacher.network) !== formOf(student))
      throw wrongValue(`a network of ${formOf(student)}, as the one that learns,`, 'teacher', `one of ${formOf(teacher.network)}`);
    this.#teacher = teacher;
    const origin = originOf(inspectNetwork(teacher.network).parameters);
    ({ network: this.network } = compileNetwork(teacher.network, origin, { ...options, layers: [], ema: 0 }, 1));
  }

  load(): Promise<void> {
    return this.network.loadState(this.#teacher.state);
  }

  /** Of its description and parameters. */
  fingerprint(): Promise<Fingerprint> {
    this.#fingerprint ??= (async () => {
      const result: Fingerprint = { network: await digestJson(this.#teacher.network) };
      for (const [name, values] of Object.entries(this.#teacher.state)) result[name] = await digestValues(values);
      return result;
    })();
    return this.#fingerprint;
  }

  dispose(): Promise<void> {
    return this.network.dispose();
  }
}

/** @throws RangeError unless it is the teacher that the run began with, if there was one */
export async function checkSameTeacher(saved: Fingerprint | undefined, given: LiveTeacher | undefined): Promise<void> {
  if (!saved && !given) return;
  if (!saved) throw wrongValue('no teacher, as the run has none,', 'changes.teacher', 'a network');
  if (!given) throw wrongType('the network that the run learns from', 'changes.teacher', undefined);
  const [first] = differences(saved, await given.fingerprint());
  if (first !== undefined) throw wrongValue('the network that the run began with', 'changes.teacher', `one with another ${first}`);
}
