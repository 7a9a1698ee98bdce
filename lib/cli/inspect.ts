/** selfcompress inspect */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { NetworkDescription } from '../binding.js';
import { bytesText } from '../bytes-text.js';
import { metadataOf } from '../model-file/model-file.js';
import { inspectNetwork } from '../network/description.js';
import { planText } from '../report/plan.js';
import { alignTable, layerTable } from '../report/text.js';
import { compileNetwork } from '../training/memory.js';
import { measureSize, originOf } from '../training/metrics.js';
import { completeOptions } from '../training/options.js';
import { importWhole, isWholeModel } from './import.js';
import { compileModel, type LoadedModel, loadModel } from './load-model.js';
import { integer } from './values.js';

export function addInspectCommand(program: Command): void {
  program
    .command('inspect')
    .description('what is left of every layer: channels, mean bits, weights, bytes; or the program of a step')
    .argument(
      '<checkpoint|file>',
      "a checkpoint, a run's folder, a model file, or another program's .onnx, model.json or .h5; with --plan also a network as JSON",
    )
    .option('--json', 'print JSON')
    .option('--plan', 'print the operations of a training step with shapes, memory and multiply-adds')
    .option('--evaluation', 'with --plan: of an evaluation')
    .option('--batch-size <images>', "with --plan: of a batch of this size (default: the run's, else 256)", integer(1, 1 << 20))
    .action(inspect);
}

interface InspectFlags {
  json?: boolean;
  plan?: boolean;
  evaluation?: boolean;
  batchSize?: number;
}

async function readNetwork(path: string): Promise<NetworkDescription> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as NetworkDescription;
  } catch (cause) {
    throw new Error(`Expected a network as JSON in "${path}" but received something else (${(cause as Error).message})`, { cause });
  }
}

async function printPlan(path: string, { json, evaluation, batchSize }: InspectFlags): Promise<void> {
  const model: Partial<LoadedModel> & { network: NetworkDescription } = path.endsWith('.json')
    ? { network: await readNetwork(path) }
    : isWholeModel(path)
      ? (await importWhole(path)).model
      : await loadModel(path);
  const options = model.options ?? completeOptions({ batchSize: 256 });
  const origin = model.origin ?? originOf(inspectNetwork(model.network).parameters);
  const { network, memory } = compileNetwork(model.network, origin, { ...options, device: 'cpu', batchSize: batchSize ?? options.batchSize }, 1);
  await memory();
  const plan = await network.plan(evaluation ? 'evaluation' : 'training');
  await network.dispose();
  console.log(json ? JSON.stringify(plan, undefined, 2) : planText(plan));
}

async function inspect(path: string, flags: InspectFlags): Promise<void> {
  const { json, plan, evaluation, batchSize } = flags;
  if (plan) return printPlan(path, flags);
  if (evaluation || batchSize !== undefined)
    throw new Error(`Expected --plan with ${evaluation ? '--evaluation' : '--batch-size'} but received none`);
  const imported = isWholeModel(path) ? await importWhole(path) : undefined;
  const model = imported?.model ?? (await loadModel(path));
  const network = await compileModel(model, 'cpu');
  const size = await measureSize(network, model.origin);
  const modelBytes = (await network.encodeModel(metadataOf(model.info))).length;
  await network.dispose();
  if (json) console.log(JSON.stringify({ ...size, modelBytes }, undefined, 2));
  else console.log(`${imported ? `${imported.text}\n` : ''}${alignTable(layerTable(size))}\nmodel file: ${bytesText(modelBytes)}`);
}
