/** selfcompress inspect */
import type { Command } from 'commander';
import { metadataOf } from '../model-file/model-file.js';
import { alignTable, bytesText, layerTable } from '../report/text.js';
import { measureSize } from '../training/metrics.js';
import { importWhole, isWholeModel } from './import.js';
import { compileModel, loadModel } from './load-model.js';

export function addInspectCommand(program: Command): void {
  program
    .command('inspect')
    .description('what is left of every layer: channels, mean bits, weights, bytes')
    .argument('<checkpoint|file>', "a checkpoint, a run's folder, a model file, or another program's .onnx")
    .option('--json', 'print JSON')
    .action(inspect);
}

async function inspect(path: string, { json }: { json?: boolean }): Promise<void> {
  const imported = isWholeModel(path) ? await importWhole(path) : undefined;
  const model = imported?.model ?? (await loadModel(path));
  const network = await compileModel(model, 'cpu');
  const size = await measureSize(network, model.origin);
  const modelBytes = (await network.encodeModel(metadataOf(model.info))).length;
  await network.dispose();
  if (json) console.log(JSON.stringify({ ...size, modelBytes }, undefined, 2));
  else console.log(`${imported ? `${imported.text}\n` : ''}${alignTable(layerTable(size))}\nmodel file: ${bytesText(modelBytes)}`);
}
