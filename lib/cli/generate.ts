/** selfcompress generate */
import type { Command } from 'commander';
import { binding, type Device } from '../binding.js';
import { CharacterVocabulary, loadTokenizer, type Tokenizer } from '../data/tokenizer.js';
import { generateText, type NextTokenModel } from '../inference/generate.js';
import { loadModel as loadFile } from '../inference/model.js';
import { UsageError } from './faults.js';
import { compileModel, type LoadedModel, loadModel } from './load-model.js';
import { device, integer, number } from './values.js';

interface GenerateFlags {
  prompt: string;
  tokens: number;
  temperature: number;
  topK?: number;
  seed: number;
  tokenizer?: string;
  threads?: number;
  device: Device;
  json?: boolean;
}

export function addGenerateCommand(program: Command): void {
  program
    .command('generate')
    .description('text from a language model')
    .argument('<run|file>', "a run's folder, a checkpoint or a model file of a language model")
    .option('--prompt <text>', 'what the text begins with', '\n')
    .option('--tokens <n>', 'tokens that are generated', integer(0), 200)
    .option('--temperature <t>', 'below 1 the probable becomes more so; 0: always the most probable token', number(0, 1e6), 1)
    .option('--top-k <k>', 'draw from so many of the most probable tokens (default: from all)', integer(1))
    .option('--seed <n>', 'the same seed gives the same text', integer(0), 1)
    .option('--tokenizer <file>', 'the tokenizer.json that the model was trained with')
    .option('--threads <n>', 'threads that share the work', integer(1, 1024))
    .option('--device <kind>', 'where to run: auto, cpu, cuda, or cuda:N for device N', device, 'cpu')
    .option('--json', 'print JSON')
    .action(generate);
}

/** The tokens' texts: those of the file, or of the tokenizer.json that it names. */
async function tokenizerOf({ info }: LoadedModel, path: string, file: string | undefined): Promise<Tokenizer> {
  if (file !== undefined) return loadTokenizer(file);
  if (info.characters !== undefined) return new CharacterVocabulary([...info.characters]);
  const needed = info.tokenizer === undefined ? 'the tokenizer.json' : `${info.tokenizer}, the tokenizer.json`;
  throw new UsageError(`Expected ${needed} that "${path}" was trained with for --tokenizer but received none`);
}

/** A model file on the processor runs on the engine, which keeps what it has seen; a run or a checkpoint as it is in training. */
async function withModel(
  path: string,
  loaded: LoadedModel,
  on: Device,
  use: (model: Parameters<typeof generateText>[0]) => Promise<void>,
): Promise<void> {
  if (loaded.options === undefined && on === 'cpu') {
    const model = await loadFile(path);
    await use(model);
    return model.dispose();
  }
  const network = await compileModel(loaded, on, { kind: 'crossEntropy' }, 1);
  const [, length = 1] = loaded.network.input;
  const vocabulary = network.shapes[loaded.network.output]?.[0] ?? 0;
  const model: NextTokenModel = { length, vocabulary, predict: (window) => network.predict(window, 1) };
  await use(model);
  await network.dispose();
}

async function generate(path: string, flags: GenerateFlags): Promise<void> {
  if (flags.threads !== undefined) binding.setThreads(flags.threads);
  const loaded = await loadModel(path);
  if (loaded.network.inputType !== 'token') throw new UsageError(`Expected a language model but "${path}" is a network for images`);
  const tokenizer = await tokenizerOf(loaded, path, flags.tokenizer);
  const { prompt, tokens, temperature, topK, seed, json } = flags;
  await withModel(path, loaded, flags.device, async (model) => {
    let text = '';
    if (!json) process.stdout.write(prompt);
    for await (const piece of generateText(model, tokenizer, prompt, { tokens, temperature, topK, seed })) {
      text += piece;
      if (!json) process.stdout.write(piece);
    }
    process.stdout.write(json ? `${JSON.stringify({ prompt, text })}\n` : '\n');
  });
}
