import type { EvaluationResult } from '../binding.js';
import type { EpochProgress } from './checkpoint.js';
import type { NetworkSize } from './metrics.js';
import type { OutputMetrics } from './outputs.js';

/** What is known at the end of an epoch; one line of metrics.jsonl. */
export interface EpochMetrics extends NetworkSize {
  epoch: number;
  /** Steps since the start of the training. */
  step: number;
  /** Mean over the epoch's batches, in training mode, without the size penalty. */
  trainLoss: number;
  trainAccuracy: number;
  testLoss: number;
  /** 0..1; 0 for losses without classes. */
  testAccuracy: number;
  /** The same of the validation split, where the data have one: early decisions are made on it. */
  validationLoss?: number;
  validationAccuracy?: number;
  /** Of texts: e to the test loss, the test loss in bits, and the share of tokens that are among the five most probable. */
  perplexity?: number;
  bitsPerToken?: number;
  testTopFive?: number;
  /** Of several outputs each by itself, by name; the accuracies above are those of all labels then, losses their weighted sum. */
  outputs?: Record<string, OutputMetrics>;
  /** Of classes at every pixel: mean over the classes of intersection ÷ union, on the test images. */
  meanIoU?: number;
  /** Q of the epoch's last step: mean real-valued bit depth per original weight. */
  bitsPerWeight: number;
  /** Size of the model file in bytes. */
  modelBytes: number;
  gamma: number;
  learningRate: number;
  /** Seconds of the epoch's training steps, without evaluation and saving. */
  epochSeconds: number;
  imagesPerSecond: number;
}

/** 0 where nothing counts. */
export const accuracyOf = ({ correct, count }: { correct: number; count: number }): number => (count > 0 ? correct / count : 0);

/** Of the steps of an epoch so far. */
export function meansOf({ images, lossSum, weight = images, correct, count = images }: EpochProgress): { loss: number; accuracy: number } {
  return { loss: weight > 0 ? lossSum / weight : 0, accuracy: accuracyOf({ correct, count }) };
}

export type LanguageMetrics = Required<Pick<EpochMetrics, 'perplexity' | 'bitsPerToken' | 'testTopFive'>>;

export function languageMetrics({ loss, topFive, count }: EvaluationResult): LanguageMetrics {
  return { perplexity: Math.exp(loss), bitsPerToken: loss / Math.LN2, testTopFive: accuracyOf({ correct: topFive, count }) };
}
