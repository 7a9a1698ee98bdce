/** Where a run is to end: what can be asked for, its checks, and what is said at the end. */
import { bytesText } from '../bytes-text.js';
import { checkNames, checkNumber, wrongType, wrongValue } from '../errors.js';
import type { EpochMetrics } from './epoch-metrics.js';

/** At most one of the first three. */
export interface Target {
  /** Bytes of the model file at the end. */
  bytes?: number | undefined;
  /** Share of 32 bits for every original weight that is left at the end. */
  bitsFraction?: number | undefined;
  /** Points (hundredths) of accuracy below `reference` at the end, on the validation split, which the data must have. */
  drop?: number | undefined;
  /** With `drop`: an accuracy (0..1) on the validation split, such as that of the plain network. */
  reference?: number | undefined;
}

/** After which epoch a run ends before its last one: when all that is given here is met. */
export interface StopAt {
  /** Share of bits left, at most. */
  bitsFraction?: number | undefined;
  /** Share of the original weights left, at most. */
  weightsFraction?: number | undefined;
  /** Accuracy (0..1), at least: on the validation split where the data have one, else on the test examples. */
  accuracy?: number | undefined;
}

const KINDS = ['bytes', 'bitsFraction', 'drop'] as const;
export type TargetKind = (typeof KINDS)[number];

/** undefined: nothing is asked for. */
export const targetKind = (target: Target): TargetKind | undefined => KINDS.find((kind) => target[kind] !== undefined);

/** @throws TypeError or RangeError naming the field */
export function checkTarget(target: Target, gamma: number): void {
  checkNames(target, 'options.target', [...KINDS, 'reference']);
  const given = KINDS.filter((kind) => target[kind] !== undefined);
  if (given.length > 1) throw wrongType(`one of ${KINDS.join(', ')}`, 'options.target', given.join(' and '));
  if (target.bytes !== undefined) checkNumber(target.bytes, 'options.target.bytes', 1, Number.MAX_SAFE_INTEGER);
  if (target.bitsFraction !== undefined) checkNumber(target.bitsFraction, 'options.target.bitsFraction', 1e-6, 1);
  if (target.drop !== undefined) checkNumber(target.drop, 'options.target.drop', -100, 100);
  if ((target.drop === undefined) !== (target.reference === undefined))
    throw wrongValue(
      target.drop === undefined ? 'no value without options.target.drop' : 'the accuracy that options.target.drop is below',
      'options.target.reference',
      target.reference,
    );
  if (target.reference !== undefined) checkNumber(target.reference, 'options.target.reference', 0, 1);
  if (given.length > 0 && gamma === 0) throw wrongValue('a factor above 0 to start steering from', 'options.gamma', gamma);
}

export function checkStopAt(stopAt: StopAt): void {
  const names = ['bitsFraction', 'weightsFraction', 'accuracy'] as const;
  checkNames(stopAt, 'options.stopAt', names);
  for (const name of names) if (stopAt[name] !== undefined) checkNumber(stopAt[name], `options.stopAt.${name}`, 0, 1);
}

/** Whether a run may end after this epoch. */
export function mayStop({ bitsFraction, weightsFraction, accuracy }: StopAt, metrics: EpochMetrics | undefined): boolean {
  if (!metrics || (bitsFraction ?? weightsFraction ?? accuracy) === undefined) return false;
  const small = metrics.bitsFraction <= (bitsFraction ?? 1) && metrics.weightsFraction <= (weightsFraction ?? 1);
  return small && (metrics.validationAccuracy ?? metrics.testAccuracy) >= (accuracy ?? 0);
}

export interface TargetOutcome {
  /** The end is on the right side of the target: at most the size, at least the accuracy. */
  met: boolean;
  /** One sentence: target, what was reached, and where it was missed why. */
  text: string;
}

/** Beyond this share of a size the end counts as missed on the small side too. */
const NEAR = 0.9;

export interface GammaState {
  gamma: number;
  /** Whether it is the largest or smallest one that steering gives. */
  largest: boolean;
  smallest: boolean;
}

export function targetOutcome(target: Target, metrics: EpochMetrics, limits: GammaState): TargetOutcome | undefined {
  const kind = targetKind(target);
  if (kind === undefined) return undefined;
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  const gamma = `γ ended at ${limits.gamma.toPrecision(3)}`;
  if (kind === 'drop') {
    const least = (target.reference as number) - (target.drop as number) / 100;
    const reached = metrics.validationAccuracy ?? 0;
    const met = reached >= least - 1e-9;
    const smaller = limits.smallest ? 'the smallest that steering gives: other options are at fault' : 'more epochs leave more time to recover';
    const text = `Target: at least ${percent(least)} on the validation split (${target.drop} points below ${percent(target.reference as number)}); reached ${percent(reached)}, ${gamma}`;
    return { met, text: met ? `${text}.` : `${text}. Missed: ${smaller}.` };
  }
  const [asked, reached] = kind === 'bytes' ? [target.bytes as number, metrics.modelBytes] : [target.bitsFraction as number, metrics.bitsFraction];
  const show = kind === 'bytes' ? bytesText : (share: number) => `${percent(share)} of the bits`;
  const met = reached <= asked;
  const text = `Target: ${show(asked)}; reached ${show(reached)}, ${gamma}`;
  if (met && (reached >= NEAR * asked || !limits.smallest)) return { met, text: `${text}.` };
  if (met) return { met, text: `${text}, the smallest that steering gives: the network needs no more.` };
  const why = limits.largest ? 'the largest that steering gives' : 'the size was still falling when the rates had run out: more epochs get nearer';
  return { met, text: `${text}. Missed: ${why}.` };
}
