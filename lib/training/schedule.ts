/** Learning-rate schedules and the warm-up of gamma. Progress runs from 0 (first step) to 1 (end of training). */
import { readArgument } from '../arguments.js';
import { checkChoice, checkNames, checkNumber, wrongType } from '../errors.js';

export type Schedule =
  | { kind: 'constant'; warmup?: number }
  /** × factor at each of the given shares of the training. */
  | { kind: 'step'; at: number[]; factor?: number; warmup?: number }
  /** Half a cosine from 1 to `final`. */
  | { kind: 'cosine'; final?: number; warmup?: number }
  /** Up from 1/25 to 1 along half a cosine in the first `rise` of the training, then down to `final` (Smith & Topin 2018). */
  | { kind: 'oneCycle'; rise?: number; final?: number };

export const scheduleKinds = ['constant', 'step', 'cosine', 'oneCycle'] as const;

const half = (from: number, to: number, share: number) => to + ((from - to) * (1 + Math.cos(Math.PI * share))) / 2;

/**
 * Factor of the base learning rate at `progress`; `warmup` is the share of the training with a linear rise from 0.
 * @throws TypeError or RangeError for what is no schedule, or no number from 0 to 1
 */
export function scheduleFactor(schedule: Schedule, progress: number): number {
  return factorAt(checkSchedule(readArgument(schedule, 'schedule'), 'schedule'), checkNumber(progress, 'progress', 0, 1));
}

/** The same of a schedule that has been checked. */
export function factorAt(schedule: Schedule, progress: number): number {
  if (schedule.kind === 'oneCycle') {
    const { rise = 0.25, final = 1e-3 } = schedule;
    return progress < rise ? half(1 / 25, 1, progress / rise) : half(1, final, Math.min(1, (progress - rise) / (1 - rise)));
  }
  const { warmup = 0 } = schedule;
  const rising = progress < warmup ? (progress + 1e-9) / warmup : 1;
  const rest = warmup < 1 ? Math.max(0, (progress - warmup) / (1 - warmup)) : 0;
  if (schedule.kind === 'cosine') return rising * half(1, schedule.final ?? 0, rest);
  if (schedule.kind === 'step') return rising * (schedule.factor ?? 0.1) ** schedule.at.filter((at) => progress >= at).length;
  return rising;
}

export function checkSchedule(schedule: unknown, argument: string): Schedule {
  checkNames(schedule, argument, ['kind', 'warmup', 'at', 'factor', 'final', 'rise']);
  checkChoice(schedule.kind, `${argument}.kind`, scheduleKinds);
  for (const name of ['warmup', 'factor', 'final', 'rise']) {
    if (schedule[name] !== undefined) checkNumber(schedule[name], `${argument}.${name}`, 0, 1);
  }
  if (schedule.kind === 'step') {
    if (!Array.isArray(schedule.at)) throw wrongType('an array of shares of the training', `${argument}.at`, schedule.at);
    schedule.at.forEach((at, i) => {
      checkNumber(at, `${argument}.at[${i}]`, 0, 1);
    });
  }
  return schedule as Schedule;
}

/** gamma rises linearly over the first `warmup` of the training and is 0 from `end` on, when sizes are frozen. */
export function gammaAt(gamma: number, warmup: number, end: number, progress: number): number {
  if (progress >= end) return 0;
  return warmup > 0 ? gamma * Math.min(1, progress / warmup) : gamma;
}
