/** selfcompress predict */
import type { Command } from 'commander';
import { binding } from '../binding.js';
import { loadModel } from '../inference/model.js';
import type { Prediction } from '../inference/prediction.js';
import { percentText } from '../report/text.js';
import { integer } from './values.js';

interface PredictFlags {
  top: number;
  threads?: number;
  json?: boolean;
}

/** Images that are decoded and predicted together. */
const AT_ONCE = 64;

export function addPredictCommand(program: Command): void {
  program
    .command('predict')
    .description('what a model file makes of images')
    .argument('<file.scnn>', 'a model file')
    .argument('<input...>', 'image files (needs the package sharp)')
    .option('--top <k>', 'classes that are shown, the likeliest first', integer(1), 5)
    .option('--threads <n>', 'threads that share the work', integer(1, 1024))
    .option('--json', 'print JSON, one line for each input')
    .action(predict);
}

async function predict(file: string, inputs: string[], { top, threads, json }: PredictFlags): Promise<void> {
  if (threads !== undefined) binding.setThreads(threads);
  const model = await loadModel(file);
  for (let first = 0; first < inputs.length; first += AT_ONCE) {
    const some = inputs.slice(first, first + AT_ONCE);
    const predictions = await model.predict(some);
    predictions.forEach((prediction, i) => {
      const input = some[i] ?? '';
      console.log(json ? JSON.stringify({ input, ...fields(prediction, top) }) : `${input}: ${line(prediction, top)}`);
    });
  }
  model.dispose();
}

/** Of several outputs each by name. */
function fields(prediction: Prediction, top: number): object {
  const { outputs } = prediction;
  const own = { top: prediction.top(top), scores: Array.from(prediction.scores) };
  return outputs ? { ...own, outputs: Object.fromEntries(Object.entries(outputs).map(([name, output]) => [name, fields(output, top)])) } : own;
}

function line(prediction: Prediction, top: number): string {
  const { outputs } = prediction;
  if (outputs) {
    return Object.entries(outputs)
      .map(([name, output]) => `${name} ${line(output, top)}`)
      .join('; ');
  }
  const classes = prediction.top(top).map(({ label, probability }) => `${label} ${percentText(probability)}`);
  return classes.length ? classes.join(', ') : Array.from(prediction.scores).join(' ');
}
