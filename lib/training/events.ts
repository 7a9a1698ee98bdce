/** What a trainer tells its listeners. */
import type { EpochMetrics } from './epoch-metrics.js';

export interface StepEvent {
  epoch: number;
  /** Step within the epoch, counted from 1, and how many there are. */
  stepInEpoch: number;
  stepsPerEpoch: number;
  step: number;
  /** Means over the epoch so far. */
  loss: number;
  accuracy: number;
  bitsPerWeight: number;
  /** Training images per second since the epoch began. */
  imagesPerSecond: number;
}

export interface RemovalEvent {
  epoch: number;
  /** Channels removed from each weight layer. */
  removed: Record<string, number>;
  /** Channels left in each weight layer. */
  left: Record<string, number>;
}

export interface TrainerEvents {
  step: [StepEvent];
  removal: [RemovalEvent];
  epoch: [EpochMetrics];
}
