/** selfcompress export */
import { type Command, Option } from 'commander';
import { sizeFor } from '../data/area-resize.js';
import { datasetNames, loadDataset } from '../data/load.js';
import { examplesOf, labelsOf } from '../export/examples.js';
import { type ExportFormat, type ExportOptions, exportFormats, exportModel } from '../export/export.js';
import { readTrained } from '../export/source.js';
import type { SqueezeResult } from '../export/squeeze.js';
import { writeFileAtomic } from '../files.js';
import { UsageError } from './faults.js';
import { integer, number } from './values.js';

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
  squeeze?: number;
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
    .option('--squeeze <points>', 'scnn: fewer bytes for so many points of accuracy on training images (needs --dataset)', number(0, 100))
    .action(writeExport);
}

/** Training images that squeezing is judged by. */
const SQUEEZE_EXAMPLES = 10000;

/** What is measured on examples: of the training images, for the test images are to judge. */
async function measuredOn(source: string, flags: ExportFlags, command: Command): Promise<Pick<ExportOptions, 'calibration' | 'squeeze'>> {
  const { dataset, dataDir, calibrate, squeeze: points, out } = flags;
  if (points !== undefined && dataset === undefined)
    throw new UsageError('Expected a data set for --dataset, whose training images --squeeze is judged by, but received none');
  if (dataset === undefined) return {};
  const { network, info } = await readTrained(source);
  const data = await loadDataset(dataset, { dataDir, ...sizeFor(info, network.input) });
  const calibration = () => examplesOf(data.train, network.input, info, calibrate);
  if (points === undefined) return { calibration: calibration() };
  const examples = examplesOf(data.train, network.input, info, SQUEEZE_EXAMPLES);
  const labels = labelsOf(data.train, SQUEEZE_EXAMPLES);
  const report = (result: SqueezeResult) => console.log(`${out}: ${squeezeText(result)}`);
  // Ranges take bytes: they are measured where they are asked for.
  const ranges = command.getOptionValueSource('calibrate') === 'cli' ? { calibration: calibration() } : {};
  return { squeeze: { points, examples, labels, report }, ...ranges };
}

const squeezeText = ({ bytesBefore, bytes, accuracyBefore, accuracy, changed, examples }: SqueezeResult): string =>
  `${bytesBefore} bytes squeezed to ${bytes} (${((100 * (bytes - bytesBefore)) / bytesBefore).toFixed(1)} %), ${changed} codes changed; ` +
  `${(100 * accuracyBefore).toFixed(2)} % and ${(100 * accuracy).toFixed(2)} % of ${examples} training images right`;

async function writeExport(source: string, flags: ExportFlags, command: Command): Promise<void> {
  const { format, out, foldNorms, integer: integers, int4, name, weights } = flags;
  const arithmetic = integers || int4 ? 'integer' : 'float';
  const measured = await measuredOn(source, flags, command);
  const bytes = await exportModel(source, { format, foldNorms, arithmetic, int4, name, weights, ...measured });
  await writeFileAtomic(out, [bytes]);
  console.log(`${out}: ${bytes.length} bytes`);
}
