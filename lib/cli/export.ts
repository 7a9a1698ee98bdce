/** selfcompress export */
import { type Command, Option } from 'commander';
import { type ExportFormat, exportFormats, exportModel } from '../export/export.js';
import { writeFileAtomic } from '../files.js';

interface ExportFlags {
  format: ExportFormat;
  out: string;
  foldNorms?: boolean;
}

export function addExportCommand(program: Command): void {
  program
    .command('export')
    .description('a trained network as a file for another program')
    .argument('<run|file>', "a run's folder, a checkpoint or a model file")
    .addOption(new Option('--format <format>', 'what is written').choices(exportFormats).makeOptionMandatory())
    .requiredOption('--out <path>', 'file that is written')
    .option('--fold-norms', 'norms become a part of the layer with weights before them')
    .action(writeExport);
}

async function writeExport(source: string, { format, out, foldNorms }: ExportFlags): Promise<void> {
  const bytes = await exportModel(source, { format, foldNorms });
  await writeFileAtomic(out, [bytes]);
  console.log(`${out}: ${bytes.length} bytes`);
}
