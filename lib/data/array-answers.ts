/** Labels and targets in arrays: which task they are for, and whether they are what it needs. */
import { checkInteger, wrongType, wrongValue } from '../errors.js';
import { SLICE, type Steps } from '../pace.js';
import { checkArray, checkFloats, checkLabels } from './checks.js';
import { type Answers, IGNORED, type Task } from './dataset.js';

export interface GivenAnswers {
  labels?: unknown;
  targets?: unknown;
}

/** What is known before the arrays are read. */
export interface AnswerPlan {
  task: Task | undefined;
  classes: number | undefined;
  ignoreLabel: number | undefined;
  /** At how many places of an example a label may stand; undefined: at any number. */
  positions: number | undefined;
  /** Of one of several outputs: what stands behind the names of arguments, as in `.digit`. Its labels may say that they do not count. */
  of: string;
}

/** Which task the labels or targets of a split are for; throws where they do not fit what was said. */
function taskOfSplit({ labels, targets }: GivenAnswers, argument: string, count: number, plan: AnswerPlan): Task {
  const { task, of } = plan;
  if ((labels === undefined) === (targets === undefined))
    throw wrongType('either labels or targets', `${argument}${of}`, labels ? 'both' : 'neither');
  if (targets !== undefined) {
    if (task === 'classification' || task === 'perPosition') throw wrongType(`labels (the task is "${task}")`, `${argument}${of}`, 'targets');
    return task ?? 'regression';
  }
  if (task === 'multiLabel' || task === 'regression') throw wrongType(`targets (the task is "${task}")`, `${argument}${of}`, 'labels');
  const { length } = checkArray(labels, `${argument}.labels${of}`, 'integers');
  const positions = plan.positions ?? Math.max(1, Math.ceil(length / count));
  const single = length === count && task !== 'perPosition';
  if (!single && !(length === count * positions && task !== 'classification')) {
    const choices = [task !== 'perPosition' && `${count} labels`, positions > 1 && task !== 'classification' && `${count}×${positions} labels`];
    throw wrongValue(choices.filter(Boolean).join(' or ') || `${count} labels`, `${argument}.labels${of}`, labels);
  }
  return single ? 'classification' : 'perPosition';
}

export function* checkAnswers(split: GivenAnswers, argument: string, count: number, plan: AnswerPlan): Steps<Answers & { task: Task }> {
  const task = taskOfSplit(split, argument, count, plan);
  const { of, ignoreLabel } = plan;
  const classes = task === 'regression' ? 0 : checkInteger(plan.classes, `classes${of}`, 1);
  if (task === 'classification' || task === 'perPosition') {
    const ignored = task === 'perPosition' || of !== '' ? (ignoreLabel ?? IGNORED) : undefined;
    return { task, count, labels: yield* checkLabels(split.labels, `${argument}.labels${of}`, classes, ignored) };
  }
  const given = checkArray(split.targets, `${argument}.targets${of}`, 'numbers');
  const width = task === 'multiLabel' ? classes : given.length / count;
  if (width < 1 || given.length !== count * width || !Number.isInteger(width))
    throw wrongValue(`${count} rows of ${task === 'multiLabel' ? classes : 'equally many'} numbers`, `${argument}.targets${of}`, given);
  const targets = yield* checkFloats(given, `${argument}.targets${of}`, (i) => `example ${Math.floor(i / width)}, number ${i % width}`);
  if (task === 'multiLabel') {
    for (let i = 0; i < targets.length; i++) {
      if (targets[i] !== 0 && targets[i] !== 1) throw wrongValue('0 or 1', `${argument}.targets${of}[${i}]`, targets[i]);
      if (i % SLICE === SLICE - 1) yield;
    }
  }
  return { task, count, targets };
}
