/** Options of `selfcompress train` about where a run is to end, and on which images that is decided. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Device } from '../binding.js';
import { type AnyDataset, taskOf } from '../data/dataset.js';
import { withoutBits } from '../network/description.js';
import { modelInfoOf } from '../training/model-info.js';
import { evaluateOn, nativeSplit } from '../training/native-data.js';
import type { StopAt, Target } from '../training/target.js';
import { UsageError } from './faults.js';

import { compileModel, type LoadedModel, loadModel } from './load-model.js';
import { fileSize, integer, number } from './values.js';
import { note } from './voice.js';

export interface TargetFlags {
  validation?: number;
  splitSeed?: number;
  targetSize?: number;
  targetBits?: number;
  targetDrop?: number;
  reference?: number | string;
  stopBits?: number;
  stopWeights?: number;
  stopAccuracy?: number;
}

/** Those that --resume takes. */
export const RESUMABLE_TARGETS = ['targetSize', 'targetBits', 'targetDrop', 'reference', 'stopBits', 'stopWeights', 'stopAccuracy'] as const;

/** An accuracy, or a file to evaluate. */
function reference(text: string): number | string {
  if (!/^[\d.]+$/.test(text)) return text;
  const accuracy = Number(text);
  if (!(accuracy >= 0 && accuracy <= 1))
    throw new InvalidArgumentError(`Expected an accuracy from 0 to 1, a run or a model file but received ${JSON.stringify(text)}.`);
  return accuracy;
}

export function addTargetOptions(command: Command): Command {
  return command
    .option('--validation <n>', 'hold back N of the training images: early decisions are made on them', integer(1))
    .option('--split-seed <n>', 'chooses the images of --limit and --validation; the default is that of all runs: 1', integer(0))
    .option('--target-size <size>', 'steer gamma so that the model file ends at this size, such as 20kB', fileSize)
    .option('--target-bits <share>', 'steer gamma so that this share of the bits is left at the end', number(1e-6, 1))
    .option(
      '--target-drop <points>',
      'steer gamma so that accuracy ends so many points below --reference, on the validation split',
      number(-100, 100),
    )
    .option('--reference <accuracy|run|file>', 'what --target-drop is below (default: the network of --start or --from as it comes)', reference)
    .option('--stop-bits <share>', 'end after an epoch with at most this share of the bits left', number(0, 1))
    .option('--stop-weights <share>', 'end after an epoch with at most this share of the weights left', number(0, 1))
    .option(
      '--stop-accuracy <share>',
      'end after an epoch with at least this accuracy (0..1), on the validation split if there is one',
      number(0, 1),
    );
}

/** Undefined: none is given. */
export function stopAtFrom({ stopBits, stopWeights, stopAccuracy }: TargetFlags): StopAt | undefined {
  if ((stopBits ?? stopWeights ?? stopAccuracy) === undefined) return undefined;
  return { bitsFraction: stopBits, weightsFraction: stopWeights, accuracy: stopAccuracy };
}

/**
 * Undefined: none is given.
 * @param original what the run starts from, if that is a trained network
 */
export async function targetFrom(flags: TargetFlags, data: AnyDataset, device: Device, original?: LoadedModel): Promise<Target | undefined> {
  const { targetSize, targetBits, targetDrop, reference } = flags;
  if (targetDrop === undefined && reference !== undefined)
    throw new UsageError(`Expected --target-drop POINTS with --reference but received ${reference}`);
  if (targetDrop === undefined)
    return targetSize === undefined && targetBits === undefined ? undefined : { bytes: targetSize, bitsFraction: targetBits };
  if (!data.validation) throw new UsageError(`Expected --validation N with --target-drop but received ${targetDrop} without a validation split`);
  if (typeof reference === 'number') return { drop: targetDrop, reference };
  const model = reference === undefined ? original : await loadModel(reference);
  if (!model)
    throw new UsageError(`Expected --reference ACCURACY, RUN or FILE (or --start, --from) with --target-drop but received ${targetDrop} alone`);
  const accuracy = await validationAccuracy(model, data, device);
  note(`${reference ?? 'The network as it comes'}: ${(100 * accuracy).toFixed(2)} % on the ${data.validation.count} validation images`);
  return { bytes: targetSize, bitsFraction: targetBits, drop: targetDrop, reference: accuracy };
}

async function validationAccuracy(model: LoadedModel, data: AnyDataset, device: Device): Promise<number> {
  const { mean, std } = model.info;
  const normalised = data.input === 'tokens' ? data : { ...data, mean: mean.length ? mean : data.mean, std: std.length ? std : data.std };
  const network = await compileModel(model, device, { kind: 'crossEntropy', perPosition: taskOf(data) === 'perPosition' });
  const { accuracy } = await evaluateOn(network, await nativeSplit(normalised, 'validation'));
  await network.dispose();
  return accuracy;
}

/** A network of floats that a run starts from, as a model of its own. */
export function asModel(begin: { network: LoadedModel['network']; state?: LoadedModel['state'] }, data: AnyDataset): LoadedModel | undefined {
  if (!begin.state) return undefined;
  const network = withoutBits(begin.network);
  return { network, state: begin.state, info: modelInfoOf(data), origin: { weights: 0, layers: {}, present: {} } };
}
