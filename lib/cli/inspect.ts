/** selfcompress inspect */
import type { Command } from 'commander';
import { encodeModel } from '../model-file/encode.js';
import { alignTable, bytesText, layerTable } from '../report/text.js';
import { measureSize } from '../training/metrics.js';
import { loadModel } from './load-model.js';

export function addInspectCommand(program: Command): void {
  program
    .command('inspect')
    .description('what is left of every layer: channels, mean bits, weights, bytes')
    .argument('<checkpoint|file.scnn>', "a checkpoint, a run's folder, or a model file")
    .option('--json', 'print JSON')
    .action(inspect);
}

async function inspect(path: string, { json }: { json?: boolean }): Promise<void> {
  const { network, state, info, origin } = await loadModel(path);
  const size = await measureSize(network, state, origin);
  const modelBytes = (await encodeModel(network, state, info)).length;
  if (json) console.log(JSON.stringify({ ...size, modelBytes }, undefined, 2));
  else console.log(`${alignTable(layerTable(size))}\nmodel file: ${bytesText(modelBytes)}`);
}
