/** Train self-compressing neural networks. See README.md for a tour. */

export type * from './binding.js';
export { binding } from './binding.js';
export { type CompressedModel, type CompressOptions, type CompressReport, compressModel, compressOnnx } from './compress/compress.js';
export { type CompressedLayersModel, compressLayersModel, type LayersModelLike } from './compress/layers-model.js';
export {
  type ArrayDataset,
  type ArraySplit,
  datasetFromArrays,
  type ExampleShape,
  type PerName,
  type TokenArrayDataset,
  type TokenArraySplit,
} from './data/arrays.js';
export { type DatasetInfo, datasetCatalog } from './data/catalog.js';
export { type Column, encodeRow } from './data/columns.js';
export { type AnyDataset, type DataOutput, type Dataset, type Split, type Task, type TokenDataset, type TokenSplit, taskOf } from './data/dataset.js';
export { type DigitSceneOptions, digitScenes } from './data/digit-scenes.js';
export { type ImageMaskOptions, loadImageMasks } from './data/image-masks.js';
export { type JsonLinesDataset, type JsonLinesOptions, loadJsonLines } from './data/json-lines.js';
export { type DatasetName, datasetNames, type LoadOptions, loadDataset } from './data/load.js';
export { loadSklearnTable } from './data/sklearn.js';
export type { SplitOptions } from './data/splits.js';
export { type BatchSource, datasetFromGenerator, type StreamDataset, type StreamOptions } from './data/stream.js';
export { loadTable, type TableDataset, type TableOptions } from './data/table.js';
export { loadNpy, loadNpz, loadSafetensors, type TensorOptions } from './data/tensors.js';
export { allWindows, datasetFromText, loadText, randomWindows, type TextDataset, type TextOptions } from './data/text.js';
export { CharacterVocabulary, loadTokenizer, type Tokenizer } from './data/tokenizer.js';
export {
  CheckpointError,
  DataError,
  type ErrorCode,
  ExportError,
  type ExportFault,
  FileError,
  type GoodCheckpoint,
  ImportError,
  type ImportFault,
  ModelFileError,
  type NodeFault,
  TrainingDivergedError,
} from './errors.js';
export { type ExportFormat, type ExportOptions, exportFormats, exportModel, type TrainedModel } from './export/export.js';
export type { SqueezeOptions, SqueezeResult } from './export/squeeze.js';
export { type ImportedModel, type ImportOptions, type ImportReport, importModel, type TensorReport } from './import/import.js';
export { type LoadedWeights, loadWeights, type WeightMatch, type WeightOptions } from './import/weights.js';
export { type GenerateOptions, generateText, type NextTokenModel, type TokenSequence } from './inference/generate.js';
export { InferenceModel, type InputValues, type LoadModelOptions, loadModel, type ModelInput, type SyncModelInput } from './inference/model.js';
export { type ClassScore, Prediction, type PredictionJSON } from './inference/prediction.js';
export { type DecodedModel, type DecodeLimits, decodeModel, encodeModel, type ModelInfo, type OutputInfo } from './model-file/model-file.js';
export {
  type Conv2dOptions,
  type LinearOptions,
  NetworkBuilder,
  type NodeOptions,
  type Pair,
  type PoolOptions,
  type RecurrentOptions,
} from './network/builder.js';
export { inspectNetwork, type NetworkSummary } from './network/description.js';
export { initialState, type QuantizerStart, type State } from './network/initial.js';
export {
  createModel,
  imageModelNames,
  type LanguageModelOptions,
  languageModelNames,
  type ModelName,
  type ModelOptions,
  modelNames,
} from './network/models.js';
export { type Checkpoint, type DataInfo, type EpochProgress, readCheckpoint, writeCheckpoint } from './training/checkpoint.js';
export type { EpochMetrics } from './training/epoch-metrics.js';
export type { TrainerEvents } from './training/events.js';
export type { Fingerprint } from './training/fingerprint.js';
export type { LayerOptions } from './training/layers.js';
export { type LayerSize, measureSize, type NetworkSize, type Origin, originOf } from './training/metrics.js';
export { type BitOptions, defaultTrainOptions, type PartialTrainOptions, type TrainOptions } from './training/options.js';
export type { OutputMetrics } from './training/outputs.js';
export { type Schedule, scheduleFactor } from './training/schedule.js';
export type { Steering } from './training/steering.js';
export type { StopAt, Target, TargetOutcome } from './training/target.js';
export type { Teacher } from './training/teacher.js';
export { type RemovalEvent, type ResumeChanges, type StepEvent, type StopReason, Trainer, type TrainerInput } from './training/trainer.js';
