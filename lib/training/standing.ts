/** Where training stands inside an epoch, and what an epoch's steps come to. */
import type { StepResult } from '../binding.js';
import type { EpochProgress } from './checkpoint.js';
import { type EpochMetrics, meansOf } from './epoch-metrics.js';
import type { NetworkSize } from './metrics.js';
import type { Evaluated } from './native-data.js';
import { addOutputs, outputMetrics } from './outputs.js';
import { type Steering, type SteeringPlan, steerByStep } from './steering.js';
import { stepSettings } from './step-plan.js';

export interface Standing extends EpochProgress {
  /** Undefined: gamma is not steered. */
  steering: Steering | undefined;
}

const NO_STEPS: EpochProgress = { steps: 0, images: 0, lossSum: 0, weight: 0, correct: 0, count: 0, bitsPerWeight: 0, seconds: 0 };

/** Before an epoch's first step, or inside it. */
export function standingAt(progress: EpochProgress | undefined, steering: Steering | undefined): Standing {
  return { ...(progress ?? NO_STEPS), steering };
}

export interface StepDone extends StepResult {
  /** Counted from 1 over the whole training. */
  step: number;
  images: number;
  /** Since the epoch began. */
  seconds: number;
}

export function afterStep(before: Standing, done: StepDone, plan: SteeringPlan): Standing {
  const { loss, weight, correct, count, bitsPerWeight, step, images, seconds } = done;
  const outputs = addOutputs(before.outputs, done.outputs);
  return {
    steps: before.steps + 1,
    images: before.images + images,
    lossSum: before.lossSum + loss * weight,
    weight: (before.weight ?? before.images) + weight,
    correct: before.correct + correct,
    count: (before.count ?? before.images) + count,
    bitsPerWeight,
    ...(outputs && { outputs }),
    seconds,
    steering: before.steering && steerByStep(before.steering, plan, step, bitsPerWeight),
  };
}

interface Measured {
  size: NetworkSize;
  modelBytes: number;
  test: Evaluated;
  validation: Evaluated | undefined;
}

/** The metrics of an epoch whose last step was `step`. */
export function epochMetrics(
  standing: Standing,
  { options, stepsPerEpoch }: SteeringPlan,
  epoch: number,
  step: number,
  measured: Measured,
): EpochMetrics {
  const { images, bitsPerWeight, seconds } = standing;
  const train = meansOf(standing);
  const { size, modelBytes, test, validation } = measured;
  const { loss: testLoss, accuracy: testAccuracy, outputs, ...ofTokens } = test;
  const { gamma, learningRate } = stepSettings(options, stepsPerEpoch, step, standing.steering?.last);
  return {
    epoch,
    step,
    trainLoss: train.loss,
    trainAccuracy: train.accuracy,
    testLoss,
    testAccuracy,
    ...ofTokens,
    ...outputMetrics(standing.outputs, outputs, validation?.outputs),
    ...(validation && { validationLoss: validation.loss, validationAccuracy: validation.accuracy }),
    bitsPerWeight,
    modelBytes,
    gamma,
    learningRate,
    epochSeconds: seconds,
    imagesPerSecond: images / seconds,
    ...size,
  };
}
