/** selfcompress eval */
import { type Command, Option } from 'commander';
import { type AxesSizes, binding, type Device } from '../binding.js';
import { datasetNames, loadDataset } from '../data/load.js';
import { percentText } from '../report/text.js';
import { importFor, isImportable } from './import.js';
import { compileModel, loadModel } from './load-model.js';
import { device, integer, number, numbers } from './values.js';

interface EvalFlags {
  dataset: string;
  dataDir?: string;
  threads?: number;
  device: Device;
  model?: string;
  width: number;
  map?: string;
  mean?: number[];
  std?: number[];
  json?: boolean;
}

export function addEvalCommand(program: Command): void {
  program
    .command('eval')
    .description('loss and accuracy of a checkpoint or model file on the test images of a data set')
    .argument(
      '<checkpoint|file>',
      "a checkpoint, a run's folder, a model file, another program's .onnx, model.json or .h5, or its .safetensors (with --model)",
    )
    .addOption(new Option('--dataset <name>', 'data set').choices(datasetNames).makeOptionMandatory())
    .option('--data-dir <dir>', "folder with the data set's standard files")
    .option('--threads <n>', 'threads that share the work', integer(1, 1024))
    .option('--device <kind>', 'where to run: auto, cpu, cuda, or cuda:N for device N', device, 'auto')
    .option('--model <name|file>', 'the network that the weights of a .safetensors file are for')
    .option('--width <factor>', 'factor of the channels of a model by name', number(2 ** -10, 2 ** 10), 1)
    .option('--map <file>', 'JSON file: parameter of the network → tensor of the .safetensors file')
    .option('--mean <list>', 'per channel, of images in 0..1: subtracted first (default: what the model was trained with)', numbers)
    .option('--std <list>', 'per channel: divided by then', numbers)
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
  const loaded = await loadDataset(flags.dataset, {
    dataDir: flags.dataDir,
    ...(flags.dataset === 'images' && trained && { shape: imageShape(trained.network.input) }), // scaled to what the model reads
  });
  const { shape, classes, test } = loaded;
  const model = trained ?? (await importFor(path, loaded, flags));
  const { mean = model.info.mean, std = model.info.std } = flags;
  const network = await compileModel(model, flags.device);
  // Images are normalised as in training, whatever the data set's own statistics are.
  const data = new binding.DataSet({ shape, classes, images: test.images, labels: test.labels, mean, std });
  const { loss, correct, count } = await network.evaluate(
    data,
    Int32Array.from({ length: test.count }, (_, i) => i),
  );
  await network.dispose();
  const result = { testLoss: loss, testAccuracy: correct / count, images: count };
  if (flags.json) console.log(JSON.stringify(result));
  else console.log(`testLoss ${result.testLoss.toFixed(4)}   testAccuracy ${percentText(result.testAccuracy)}   (${count} images)`);
}
