import type { NetworkSize } from './metrics.js';

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
