/** selfcompress export */
import { type Command, Option } from 'commander';
import { datasetNames, loadDataset } from '../data/load.js';
import { examplesOf } from '../export/examples.js';
import { type ExportFormat, exportFormats, exportModel } from '../export/export.js';
import { readTrained } from '../export/source.js';
import { writeFileAtomic } from '../files.js';
import { integer } from './values.js';

interface ExportFlags {
  format: ExportFormat;
  out: string;
  foldNorms?: boolean;
  integer?: boolean;
  int4?: boolean;
  dataset?: string;
  dataDir?: string;
  calibrate: number;
  name?: string;
  weights?: 'packed' | 'plain';
}

export function addExportCommand(program: Command): void {
  program
    .command('export')
    .description('a trained network as a file for another program')
    .argument('<run|file>', "a run's folder, a checkpoint or a model file")
    .addOption(new Option('--format <format>', 'what is written').choices(exportFormats).makeOptionMandatory())
    .requiredOption('--out <path>', 'file that is written')
    .option('--fold-norms', 'norms become a part of the layer with weights before them')
    .option('--integer', 'onnx: weights as codes, values in 8 bits')
    .option('--int4', 'the same, with weights of at most 4 bits in 4 bits (opset 21)')
    .option('--name <identifier>', 'c: what its functions begin with (default: network)')
    .addOption(new Option('--weights <form>', 'c: in the bits of their codes, or a byte each').choices(['packed', 'plain']))
    .addOption(new Option('--dataset <name>', "data set whose training images the values' ranges are measured on").choices(datasetNames))
    .option('--data-dir <dir>', "folder with the data set's standard files")
    .option('--calibrate <n>', 'how many of its images', integer(1), 512)
    .action(writeExport);
}

/** Examples whose ranges are measured; of the training images, for the test images are to judge. */
async function calibrationOf(source: string, { dataset, dataDir, calibrate }: ExportFlags): Promise<Float32Array | undefined> {
  if (dataset === undefined) return undefined;
  const [{ network, info }, data] = [await readTrained(source), await loadDataset(dataset, { dataDir })];
  return examplesOf(data.train, network.input, info, calibrate);
}

async function writeExport(source: string, flags: ExportFlags): Promise<void> {
  const { format, out, foldNorms, integer: integers, int4, name, weights } = flags;
  const arithmetic = integers || int4 ? 'integer' : 'float';
  const bytes = await exportModel(source, { format, foldNorms, arithmetic, int4, name, weights, calibration: await calibrationOf(source, flags) });
  await writeFileAtomic(out, [bytes]);
  console.log(`${out}: ${bytes.length} bytes`);
}
