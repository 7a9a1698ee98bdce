/**
 * Steering of gamma: a controller that makes a run end at its target. For a size it follows a path from the size at the run's
 * first step down to the target, which it reaches before the rates run out (`SETTLE`), and holds it there:
 *
 *     x = min(1, (p − p0) / (SETTLE·end − p0))        e = ln size − ln path(x), at most E
 *     ln γ = ln γ(options) + I + (e > 0 ? P : B)·e    dI/dp = K·max(−E, e) / end
 *
 * with p the progress from 0 to 1 and end the share after which sizes are frozen. With 'rate', whose codes shrink fast at first,
 * ln path goes from ln size(p0) to ln target as (1 − x)²; bit depths fall at a steady rate, and there path itself goes as (1 − x)^1.5.
 * B is larger than P: what has died does not come back, and codes that are 0 seldom do, so that what falls below its path, in gamma's
 * warm-up as well, stays there. A loss of small numbers, such as a mean squared error or that of pixels which are mostly background, is
 * no match for a gamma that suits cross-entropies either. A step's size is the penalty's own (Q or Rate), times what the last epoch's
 * end has measured in place of it.
 *
 * For an accuracy, at each epoch's end, e is ln (allowed error / error), P is 0, K half where γ rises, and the error allowed is (1 + SLACK·rate factor)
 * times that of the target: large learning rates cost accuracy that comes back.
 *
 * Steps are queued before the results of those before them are known: the gamma of a step follows from the results up to
 * `LAG` steps before it, so that a run which is resumed anywhere does the same.
 */
import type { NetworkDescription } from '../binding.js';
import type { AnyDataset } from '../data/dataset.js';
import { wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { inspectNetwork } from '../network/description.js';
import type { EpochMetrics } from './epoch-metrics.js';
import type { TrainOptions } from './options.js';
import { factorAt, gammaAt } from './schedule.js';
import { freezeEpoch } from './step-plan.js';
import { type GammaState, targetKind } from './target.js';

/** Steps whose gamma is known already: as many as may be queued at once. */
export const LAG = 3;
/**
 * Codes learn best at the size that they will have: with 'rate' 0.3 in place of 0.7 was 0.3 to 0.4 points better at 3 % fewer bytes (the mlp on
 * digits, 1,500 and 2,500 bytes, 24 and 60 epochs, four seeds each). Bit depths are frozen early, and what they miss by then stays.
 */
const SETTLE = { rate: 0.3, own: 0.6, coupled: 0.6 };
const P = 3;
const K = 15;
const E = 0.5;
const SLACK = 0.3;
const B = 30;
/** ln of how much larger or smaller gamma may become. */
const MOST = Math.log(1000);
/** A size is steered a little below what was asked for. */
const AIM = 0.98;

/** Part of the state of a run. */
export interface Steering {
  /** Gammas of the next `LAG` steps, and that of the last one. */
  gammas: number[];
  last: number;
  /** I. */
  integral: number;
  /** Progress and ln of the size where the path begins; null: before that. */
  begin: { progress: number; size: number } | null;
  /** What was measured over what was estimated, at the last epoch's end. */
  scale: number;
}

export interface SteeringPlan {
  options: TrainOptions;
  stepsPerEpoch: number;
  /** Of the original network. */
  weights: number;
}

const clamp = (x: number, most: number) => Math.min(most, Math.max(-most, x));
const progressAt = ({ options, stepsPerEpoch }: SteeringPlan, step: number) =>
  Math.min(1, (step - 1) / Math.max(1, options.epochs * stepsPerEpoch - 1));

/** Share of the training at which sizes stop changing. */
const endOf = ({ epochs, bits, ...rest }: TrainOptions) => Math.min(1, freezeEpoch({ epochs, bits, ...rest }) / epochs);

/** undefined: the options have no target. @param step the first step that it steers */
export function beginSteering(plan: SteeringPlan, step: number): Steering | undefined {
  if (targetKind(plan.options.target) === undefined) return undefined;
  const gammas = Array.from({ length: LAG }, (_, i) => gammaOf(plan, step + i, 0));
  return { gammas, last: 0, integral: 0, begin: null, scale: 1 };
}

function gammaOf(plan: SteeringPlan, step: number, correction: number): number {
  const { gamma, gammaWarmup } = plan.options;
  return gammaAt(gamma * Math.exp(clamp(correction, MOST)), gammaWarmup, 2, progressAt(plan, step));
}

/** Size by the penalty's own account, in the target's unit. */
function estimate({ options, weights }: SteeringPlan, bitsPerWeight: number): number {
  return Math.max(1e-9, options.target.bytes !== undefined ? (bitsPerWeight * weights) / 8 : bitsPerWeight / 32);
}

/** After the result of `step`: what it says about gamma of the step `LAG` later. */
export function steerByStep(steering: Steering, plan: SteeringPlan, step: number, bitsPerWeight: number): Steering {
  const { target, penalty } = plan.options;
  let { integral, begin } = steering;
  let correction = integral;
  const progress = progressAt(plan, step);
  const end = endOf(plan.options);
  const asked = target.bytes ?? target.bitsFraction;
  const size = Math.log(Math.max(1e-12, steering.scale * estimate(plan, bitsPerWeight))); // a number even where all has died
  if (asked !== undefined && progress < end) {
    begin ??= { progress, size };
    const goal = Math.log(AIM * asked);
    const x = Math.min(1, (progress - begin.progress) / Math.max(1e-9, SETTLE[penalty] * end - begin.progress));
    const path = pathAt(begin.size, goal, 1 - Math.max(0, x), penalty);
    const error = Math.min(E, size - path);
    const next = integral + (K * Math.max(-E, error)) / (end * Math.max(1, plan.options.epochs * plan.stepsPerEpoch - 1));
    integral = clamp(next, MOST);
    correction = integral + (error > 0 ? P : B) * error;
  }
  const [last = 0, ...others] = steering.gammas;
  return { ...steering, last, integral, begin, gammas: [...others, gammaOf(plan, step + LAG, correction)] };
}

/** ln of the size to have when the share `rest` of the way is left. */
function pathAt(from: number, goal: number, rest: number, penalty: TrainOptions['penalty']): number {
  if (from <= goal) return goal;
  if (penalty === 'rate') return goal + (from - goal) * rest ** 2;
  return Math.log(Math.exp(goal) + (Math.exp(from) - Math.exp(goal)) * rest ** 1.5);
}

/** At the end of an epoch, when its sizes and accuracies have been measured. @param size in the target's unit */
export function steerByEpoch(steering: Steering, plan: SteeringPlan, metrics: EpochMetrics, size: number): Steering {
  const { target, schedule, epochs } = plan.options;
  if (target.drop === undefined) return { ...steering, scale: size / estimate(plan, metrics.bitsPerWeight) };
  const progress = progressAt(plan, metrics.step);
  if (progress < plan.options.gammaWarmup || progress >= endOf(plan.options)) return steering;
  const allowed = (1 - (target.reference as number) + target.drop / 100) * (1 + SLACK * factorAt(schedule, progress));
  const error = Math.log(Math.max(1e-6, allowed) / Math.max(1e-6, 1 - (metrics.validationAccuracy as number)));
  const gain = error > 0 ? K / 2 : K; // what dies does not come back
  const integral = clamp(steering.integral + (gain * clamp(error, E)) / (endOf(plan.options) * epochs), MOST);
  return { ...steering, integral };
}

/** Of a run that goes on with another target. */
export const resteered = (steering: Steering): Steering => ({ ...steering, begin: null, scale: 1 });

/** Gamma of the last step, had sizes not been frozen, and whether it stands at an end of its range. */
export function gammaState({ integral, last }: Steering): GammaState {
  return { gamma: last, largest: integral >= MOST - 1e-9, smallest: integral <= 1e-9 - MOST };
}

/** Gamma of the step `ahead` steps (from 0) after the last one with a result. */
export const steeredGamma = (steering: Steering, ahead: number): number => item(steering.gammas, ahead);

/** @throws TypeError or RangeError when these data or this network cannot be steered to the target of the options */
export function checkSteerable({ target }: TrainOptions, data: AnyDataset, description: NetworkDescription): void {
  if (targetKind(target) === undefined) return;
  if (target.drop !== undefined && !data.validation)
    throw wrongType('data with a validation split, which options.target.drop needs,', 'data', `${data.name} without one`);
  if (!inspectNetwork(description).parameters.some(({ role }) => role === 'bitDepth'))
    throw wrongValue('no value for a network of plain weights', 'options.target', targetKind(target));
}
