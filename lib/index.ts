/** Train self-compressing neural networks. See README.md for a tour. */

export type * from './binding.js';
export { binding } from './binding.js';
export { type ArrayDataset, datasetFromArrays } from './data/arrays.js';
export type { Dataset, Split } from './data/dataset.js';
export { type DatasetName, datasetNames, type LoadOptions, loadDataset } from './data/load.js';
export { CheckpointError, DataError, type ErrorCode, ModelFileError, TrainingDivergedError } from './errors.js';
export { type DecodedModel, decodeModel } from './model-file/decode.js';
export { encodeModel } from './model-file/encode.js';
export type { ModelInfo } from './model-file/format.js';
export { NetworkBuilder } from './network/builder.js';
export { inspectNetwork, type NetworkSummary } from './network/description.js';
export { initialState, type State } from './network/initial.js';
export { createModel, type ModelName, type ModelOptions, modelNames } from './network/models.js';
export { type Checkpoint, readCheckpoint, writeCheckpoint } from './training/checkpoint.js';
export type { EpochMetrics } from './training/epoch-metrics.js';
export { type LayerSize, measureSize, type NetworkSize, type Origin, originOf } from './training/metrics.js';
export { defaultTrainOptions, type PartialTrainOptions, type TrainOptions } from './training/options.js';
export { type Removal, removeDeadChannels } from './training/removal.js';
export { type Schedule, scheduleFactor } from './training/schedule.js';
export { type RemovalEvent, type StepEvent, type StopReason, Trainer } from './training/trainer.js';
