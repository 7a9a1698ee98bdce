/** selfcompress compress */
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { type AxesSizes, binding, type Device, type Precision } from '../binding.js';
import { bytesText } from '../bytes-text.js';
import { type CompressReport, compressModel } from '../compress/compress.js';
import { datasetNames } from '../data/load.js';
import { examplesOf } from '../export/examples.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import { importModel } from '../import/import.js';
import { inspectNetwork, withoutBits } from '../network/description.js';
import { percentText } from '../report/text.js';
import { modelInfoOf } from '../training/model-info.js';
import type { Target } from '../training/target.js';
import { isTokens, openData } from './data.js';
import { UsageError } from './faults.js';
import { addWeightOptions, checkImportable, isNamed, isWholeModel, readDescription, readOriginal, type WeightFlags } from './import.js';
import { type Latency, measureLatency } from './latency.js';
import { device, fileSize, imageSize, integer, number, numbers } from './values.js';
import { note, result } from './voice.js';

interface CompressFlags extends WeightFlags {
  dataset: string;
  dataDir?: string;
  limit?: number;
  imageSize?: [number, number];
  mean?: number[];
  std?: number[];
  targetSize?: number;
  targetBits?: number;
  targetDrop?: number;
  validation?: number;
  epochs: number;
  batchSize: number;
  lr: number;
  seed: number;
  threads?: number;
  device: Device;
  precision: Precision;
  out: string;
  json?: boolean;
}

/** Held back of the training images to decide on, where an accuracy is the target. */
const VALIDATION = 0.1;

export function addCompressCommand(program: Command): void {
  const command = program
    .command('compress')
    .description('make a trained model of another program small; it learns from the original itself')
    .argument('<model>', "another program's .onnx, model.json, .h5 or .keras, or its .safetensors, .pth, .pt or .bin (with --model)");
  addWeightOptions(command)
    .addOption(new Option('--dataset <name>', 'data set').choices(datasetNames).default('images'))
    .option('--data-dir <dir>', "folder with the data set's files")
    .option('--limit <n>', 'use N training images, as many of each class', integer(1))
    .option('--image-size <pixels>', "scale images to PIXELS or HEIGHTxWIDTH (default: of --dataset images the model's, else as they are)", imageSize)
    .option('--mean <list>', "per channel, of images in 0..1: subtracted first (default: the training images')", numbers)
    .option('--std <list>', "per channel: divided by then (default: the training images')", numbers)
    .option('--target-size <size>', 'end at this size of the model file, such as 100kB', fileSize)
    .option('--target-bits <share>', 'end at this share of the bits (default: 0.06)', number(1e-6, 1))
    .option('--target-drop <points>', "end so many points below the original's accuracy, on images held back; learns the labels", number(-100, 100))
    .option('--validation <n>', 'with --target-drop: images held back (default: a tenth)', integer(1))
    .option('--epochs <n>', 'passes over the training images', integer(1), 30)
    .option('--batch-size <n>', 'images of a step', integer(1, 1 << 20), 128)
    .option('--lr <rate>', 'learning rate of weights', number(0), 0.001)
    .option('--seed <n>', 'the same seed gives the same result', integer(0), 1)
    .option('--threads <n>', 'threads that share the work (default: all cores)', integer(1, 1024))
    .option('--device <kind>', 'where to train: auto, cpu, cuda, or cuda:N for device N', device, 'cpu')
    .addOption(
      new Option('--precision <kind>', 'of what convolutions multiply; tf32 is for tensor cores').choices(['fp32', 'tf32', 'bf16']).default('fp32'),
    )
    .requiredOption('--out <dir>', 'folder for model.scnn, model.onnx and report.json')
    .option('--json', 'print the report as JSON')
    .action(compress);
}

function targetOf({ targetSize, targetBits, targetDrop }: CompressFlags): Target | undefined {
  const given = { '--target-size': targetSize, '--target-bits': targetBits, '--target-drop': targetDrop };
  const names = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (names.length > 1) throw new UsageError(`Expected one of ${Object.keys(given).join(', ')} but received ${names.join(' and ')}`);
  return names.length === 0 ? undefined : { bytes: targetSize, bitsFraction: targetBits, drop: targetDrop };
}

/** [channels, height, width] that the file's network reads, where the file or --model's says so. */
async function inputOf(path: string, { model }: WeightFlags): Promise<[number, number, number] | undefined> {
  let input: AxesSizes | undefined;
  if (isWholeModel(path)) input = (await importModel(path)).network.input;
  else if (model !== undefined && !isNamed(model)) {
    const description = await readDescription(model);
    inspectNetwork(description);
    input = description.input;
  }
  if (input !== undefined && input.length !== 3)
    throw new UsageError(`Expected a model of images [channels, height, width] for --dataset images but received one of [${input.join(', ')}]`);
  return input as [number, number, number] | undefined;
}

async function compress(path: string, flags: CompressFlags): Promise<void> {
  const { dataset, dataDir, limit, epochs, batchSize, seed, out } = flags;
  if (flags.threads !== undefined) binding.setThreads(flags.threads);
  checkImportable(path, '<model>');
  const target = targetOf(flags);
  // Images of a folder have any size: the model says which they are scaled to, where nobody else does.
  const shape = dataset === 'images' && flags.imageSize === undefined ? await inputOf(path, flags) : undefined;
  const load = async (validation?: number) => {
    const data = await openData({ dataset, dataDir, limit, validation, imageSize: flags.imageSize, mean: flags.mean, std: flags.std }, shape);
    if (isTokens(data)) throw new UsageError(`Expected a data set of images for --dataset but received ${dataset}`);
    return data;
  };
  let data = await load(target?.drop === undefined ? undefined : flags.validation);
  if (target?.drop !== undefined && flags.validation === undefined) data = await load(Math.max(1, Math.round(data.train.count * VALIDATION)));
  const { network, state, text } = await readOriginal(path, data, flags);
  note(`${path}: ${text}`);
  await makeFolder(out);
  const { model, onnx, report } = await compressModel({ network, state }, data, {
    ...{ target, epochs, batchSize, seed, learningRate: flags.lr, device: flags.device, precision: flags.precision },
    onEpoch: ({ epoch, bitsFraction, weightsFraction, modelBytes, epochSeconds }) =>
      note(
        `${epoch}/${epochs}  bits ${percentText(bitsFraction)}  weights ${percentText(weightsFraction)}  file ${bytesText(modelBytes)}  ${epochSeconds.toFixed(1)} s`,
      ),
  });
  const original = { network: withoutBits(network), state, info: modelInfoOf(data) };
  const latency = await measureLatency(original, { model, onnx }, examplesOf(data.test, network.input, data, 1));
  const full = { ...report, latency };
  await writeFileAtomic(join(out, 'model.scnn'), [model]);
  await writeFileAtomic(join(out, 'model.onnx'), [onnx]);
  await writeFileAtomic(join(out, 'report.json'), [Buffer.from(`${JSON.stringify(full, null, 2)}\n`)]);
  if (flags.json) result(JSON.stringify(full));
  else for (const line of describe(full, out)) result(line);
}

function describe(report: CompressReport & { latency: Latency }, out: string): string[] {
  const { examples, agreement, accuracyBefore, accuracyAfter, bytesBefore, bytesAfter, bitsFraction, weightsFraction, channels, outcome } = report;
  return [
    `${bytesText(bytesBefore)} of parameters became a file of ${bytesText(bytesAfter)}: ${percentText(bitsFraction)} of the bits, ${percentText(weightsFraction)} of the weights.`,
    `Of ${examples} test examples ${percentText(agreement)} get the class that the original names.`,
    ...(accuracyBefore === undefined || accuracyAfter === undefined
      ? []
      : [`Accuracy: ${percentText(accuracyBefore)} before, ${percentText(accuracyAfter)} after.`]),
    latencyText(report.latency),
    ...Object.entries(channels).map(([layer, [before, after]]) => `  ${layer}: ${before} channels, ${after} left`),
    ...(outcome ? [outcome] : []),
    `${join(out, 'model.scnn')} runs here, in browsers and in C (docs/inference.md); ${join(out, 'model.onnx')} in ONNX Runtime.`,
  ];
}

function latencyText({ threads, engine, onnxruntime }: Latency): string {
  const pair = ({ before, after }: Latency['engine']) => `${before.toFixed(3)} ms before and ${after.toFixed(3)} ms after`;
  const other = onnxruntime ? `${pair(onnxruntime)} in ONNX Runtime` : 'ONNX Runtime is not measured, for onnxruntime-node is not installed';
  return `One example (threads: ${threads}): ${pair(engine)} here, ${other}.`;
}
