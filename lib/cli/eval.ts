/** selfcompress eval */
import { type Command, Option } from 'commander';
import { type AxesSizes, binding, type Device } from '../binding.js';
import { sizeFor } from '../data/area-resize.js';
import { taskOf } from '../data/dataset.js';
import { percentText } from '../report/text.js';
import { accuracyOf, type EpochMetrics, languageMetrics } from '../training/epoch-metrics.js';
import { meanIoU } from '../training/mean-iou.js';
import { nativeSplit } from '../training/native-data.js';
import { dataNames, isTokens, openData } from './data.js';
import { addWeightOptions, importFor, isImportable, type WeightFlags } from './import.js';
import { compileModel, loadModel } from './load-model.js';
import { device, imageSize, integer, numbers } from './values.js';

interface EvalFlags extends WeightFlags {
  dataset: string;
  dataDir?: string;
  tokenizer?: string;
  threads?: number;
  device: Device;
  mean?: number[];
  std?: number[];
  imageSize?: [number, number];
  json?: boolean;
}

export function addEvalCommand(program: Command): void {
  const command = program.command('eval').description('loss and accuracy of a checkpoint or model file on the test images of a data set');
  addWeightOptions(command)
    .argument(
      '<checkpoint|file>',
      "a checkpoint, a run's folder, a model file, another program's .onnx, model.json, .h5 or .keras, or its .safetensors, .pth or .pt (with --model)",
    )
    .addOption(new Option('--dataset <name>', 'data set').choices(dataNames).makeOptionMandatory())
    .option('--data-dir <dir|file>', "folder with the data set's standard files, or the file of --dataset text")
    .option('--tokenizer <file>', 'a tokenizer.json for texts', String)
    .option('--threads <n>', 'threads that share the work', integer(1, 1024))
    .option('--device <kind>', 'where to run: auto, cpu, cuda, or cuda:N for device N', device, 'auto')
    .option('--mean <list>', 'per channel, of images in 0..1: subtracted first (default: what the model was trained with)', numbers)
    .option('--std <list>', 'per channel: divided by then', numbers)
    .option('--image-size <pixels>', 'scale images to PIXELS or HEIGHTxWIDTH (default: as in training)', imageSize)
    .option('--json', 'print JSON')
    .action(evaluate);
}

/** Axes of a network's input as those of images: a vector is an image of one pixel, a sequence one of one row. */
function imageShape([channels, ...positions]: AxesSizes): [number, number, number] {
  const [height, width] = positions.length > 1 ? positions : [1, positions[0]];
  return [channels, height ?? 1, width ?? 1];
}

async function evaluate(path: string, flags: EvalFlags): Promise<void> {
  if (flags.threads !== undefined) binding.setThreads(flags.threads);
  const trained = isImportable(path) ? undefined : await loadModel(path);
  const { dataset, dataDir, tokenizer } = flags;
  const size = flags.imageSize ?? (trained && sizeFor(trained.info, trained.network.input).size);
  const length = dataset === 'text' ? trained?.network.input[1] : undefined; // windows as the model reads them
  // Images are scaled to what the model reads.
  const loaded = await openData({ dataset, dataDir, tokenizer, length, imageSize: size }, trained && imageShape(trained.network.input));
  const model = trained ?? (await importFor(path, loaded, flags));
  const { mean = model.info.mean, std = model.info.std } = flags;
  const perPosition = taskOf(loaded) === 'perPosition';
  const network = await compileModel(model, flags.device, { kind: 'crossEntropy', perPosition });
  // Images are normalised as in training, whatever the data set's own statistics are.
  const { set, indices } = await nativeSplit(isTokens(loaded) ? loaded : { ...loaded, mean, std }, 'test');
  const evaluated = await network.evaluate(set, indices);
  const overlap = isTokens(loaded) || !perPosition ? undefined : await meanIoU(network, { ...loaded, mean, std }, loaded.test);
  await network.dispose();
  const result = {
    testLoss: evaluated.loss,
    testAccuracy: accuracyOf(evaluated),
    images: indices.length,
    ...(isTokens(loaded) && perPosition && languageMetrics(evaluated)),
    ...(overlap !== undefined && { meanIoU: overlap }),
  };
  const { perplexity, bitsPerToken } = result as Partial<EpochMetrics>;
  const count = indices.length;
  if (flags.json) console.log(JSON.stringify(result));
  else if (perplexity !== undefined && bitsPerToken !== undefined)
    console.log(
      `testLoss ${result.testLoss.toFixed(4)}   perplexity ${perplexity.toFixed(3)}   bits/token ${bitsPerToken.toFixed(4)}   ` +
        `testAccuracy ${percentText(result.testAccuracy)}   (${count} windows)`,
    );
  else console.log(`testLoss ${result.testLoss.toFixed(4)}   testAccuracy ${percentText(result.testAccuracy)}   (${count} images)`);
}
