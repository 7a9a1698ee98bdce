/** What every step of a run does: which images it takes, and its rates. Numbers alone: nothing here is kept. */
import type { StepSettings } from '../binding.js';
import type { TrainOptions } from './options.js';
import { factorAt, gammaAt } from './schedule.js';

/** Batches of an epoch. A rest of less than a quarter batch is left out, unless it is all there is. */
export function batchCount(images: number, batchSize: number): number {
  const whole = Math.floor(images / batchSize);
  const rest = images - whole * batchSize;
  return whole + (rest > 0 && (whole === 0 || rest >= batchSize / 4) ? 1 : 0);
}

/** [from, to) in the epoch's order of batch `index`, counted from 0. */
export function batchRange(index: number, images: number, batchSize: number): [number, number] {
  return [index * batchSize, Math.min(images, (index + 1) * batchSize)];
}

/** Last epoch in which bit depths change. */
export const freezeEpoch = ({ bits, epochs }: TrainOptions): number => Math.round(bits.freezeAt * epochs);

/** Settings of the step with this number, counted from 1. @param gamma in place of that of the options, where it is steered */
export function stepSettings(options: TrainOptions, stepsPerEpoch: number, step: number, gamma?: number): StepSettings {
  const total = options.epochs * stepsPerEpoch;
  const progress = (step - 1) / Math.max(1, total - 1);
  const frozen = Math.ceil(step / stepsPerEpoch) > freezeEpoch(options);
  const bitFactor = factorAt(options.bits.schedule, progress);
  const factor = factorAt(options.schedule, progress);
  return {
    step,
    seed: options.seed,
    gamma: frozen ? 0 : (gamma ?? gammaAt(options.gamma, options.gammaWarmup, 2, progress)),
    learningRate: options.learningRate * factor,
    bitDepthLearningRate: frozen ? 0 : options.bits.learningRate * bitFactor,
    exponentLearningRate: options.bits.exponentLearningRate * (frozen ? factor : bitFactor),
    augmentation: options.augmentation,
  };
}
