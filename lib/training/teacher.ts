/** A network whose outputs another learns (distillation, Hinton et al. 2015): for every batch, for the images as they are augmented there. */
import { checkTyped } from '../arguments.js';
import type { Network, NetworkDescription } from '../binding.js';
import { checkObject, wrongType, wrongValue } from '../errors.js';
import { inspectNetwork } from '../network/description.js';
import type { State } from '../network/initial.js';
import { differences, digestJson, digestValues, type Fingerprint } from './fingerprint.js';
import { compileNetwork } from './memory.js';
import { originOf } from './metrics.js';
import { plainCopy, type TrainOptions } from './options.js';

export interface Teacher {
  network: NetworkDescription;
  /** All its parameters by name. */
  state: State;
}

/** @throws TypeError or RangeError naming the field */
export function checkTeacher(given: unknown, { loss }: TrainOptions): Teacher {
  const kinds = loss.kind === 'sum' ? Object.values(loss.outputs).map(({ kind }) => kind) : [loss.kind];
  if (kinds.includes('crossEntropy'))
    throw wrongValue('a loss that compares with targets, such as meanSquaredError, with a teacher,', 'options.loss', loss);
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

/** Compiled for steps of these options; its parameters are loaded by the time that a step is taken. */
export class LiveTeacher {
  readonly network: Network;
  readonly #teacher: Teacher;
  #fingerprint: Promise<Fingerprint> | undefined;

  constructor(teacher: Teacher, options: TrainOptions) {
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
