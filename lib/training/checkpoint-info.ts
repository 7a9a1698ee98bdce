/** Whether what stands in a checkpoint's header is what training wrote there: nothing that is read later may be of another type. */
import { checkChoice, checkInteger, checkNumber, checkObject, wrongType, wrongValue } from '../errors.js';
import { checkOutputInfo } from '../model-file/model-file.js';
import { inspectNetwork } from '../network/description.js';
import { TASKS } from '../network/task.js';
import type { Checkpoint } from './checkpoint.js';
import { completeOptions, type PartialTrainOptions } from './options.js';
import { LAG } from './steering.js';
import { targetKind } from './target.js';

const ANY = Number.MAX_VALUE;

function checkArray(value: unknown, argument: string): unknown[] {
  if (!Array.isArray(value)) throw wrongType('an array', argument, value);
  return value;
}

function checkNumbers(value: unknown, argument: string): void {
  checkArray(value, argument).forEach((item, i) => {
    checkNumber(item, `${argument}[${i}]`, -ANY, ANY);
  });
}

function checkData(value: unknown): void {
  const { name, classes, classNames, task, outputs, resize, mean, std, characters, tokenizer, trainCount, testCount, fingerprint } = checkObject(
    value,
    'data',
  );
  if (typeof name !== 'string') throw wrongType('a string', 'data.name', name);
  for (const [field, count] of Object.entries({ classes, trainCount, testCount })) checkInteger(count, `data.${field}`, 0);
  if (classNames !== undefined && !checkArray(classNames, 'data.classNames').every((c) => typeof c === 'string'))
    throw wrongType('an array of strings', 'data.classNames', classNames);
  for (const [field, text] of Object.entries({ characters, tokenizer })) {
    if (text !== undefined && typeof text !== 'string') throw wrongType('a string', `data.${field}`, text);
  }
  if (task !== undefined) checkChoice(task, 'data.task', TASKS);
  if (outputs !== undefined) checkOutputInfo(outputs, 'data.outputs');
  if (resize !== undefined) checkChoice(resize, 'data.resize', ['area']);
  checkNumbers(mean, 'data.mean');
  checkNumbers(std, 'data.std');
  checkSums(fingerprint, 'data.fingerprint');
}

function checkSums(value: unknown, argument: string): void {
  if (value !== undefined && !Object.values(checkObject(value, argument)).every((sum) => typeof sum === 'string'))
    throw wrongType('sums in hexadecimal', argument, value);
}

/** The original layers, for every layer with weights that the network still has. */
function checkOrigin(value: unknown, weights: Map<string, number>): void {
  const { weights: all, layers, present } = checkObject(value, 'origin');
  checkInteger(all, 'origin.weights', 1);
  checkObject(layers, 'origin.layers');
  checkObject(present, 'origin.present');
  for (const [name, left] of weights) {
    const own = (object: unknown) => (Object.hasOwn(object as object, name) ? (object as Record<string, unknown>)[name] : undefined);
    const at = `origin.layers[${JSON.stringify(name)}]`;
    const { channels, weights: count } = checkObject(own(layers), at);
    checkInteger(channels, `${at}.channels`, left, 1 << 24);
    checkInteger(count, `${at}.weights`, 1);
    const indices = checkArray(own(present), `origin.present[${JSON.stringify(name)}]`);
    if (indices.length !== left) throw wrongValue(`${left} channels`, `origin.present[${JSON.stringify(name)}]`, indices);
    for (const index of indices) checkInteger(index, `origin.present[${JSON.stringify(name)}]`, 0, (channels as number) - 1);
  }
}

function checkHistory(value: unknown, epochs: number): void {
  const history = checkArray(value, 'history');
  if (history.length !== epochs) throw wrongValue(`${epochs} epochs`, 'history', history);
  history.forEach((metrics, i) => {
    const at = `history[${i}]`;
    const fields = checkObject(metrics, at);
    for (const name of ['epoch', 'step', 'testLoss', 'testAccuracy', 'bitsFraction', 'weightsFraction', 'modelBytes']) {
      checkNumber(fields[name], `${at}.${name}`, -ANY, ANY);
    }
    for (const name of ['validationLoss', 'validationAccuracy']) {
      if (fields[name] !== undefined) checkNumber(fields[name], `${at}.${name}`, -ANY, ANY);
    }
    checkArray(fields.layers, `${at}.layers`).forEach((layer, k) => {
      const { name, channelBits, originalChannels } = checkObject(layer, `${at}.layers[${k}]`);
      if (typeof name !== 'string') throw wrongType('a string', `${at}.layers[${k}].name`, name);
      checkInteger(originalChannels, `${at}.layers[${k}].originalChannels`, 0);
      checkNumbers(channelBits, `${at}.layers[${k}].channelBits`);
    });
  });
}

function checkSteering(value: unknown): void {
  const { gammas, last, integral, begin, scale } = checkObject(value, 'steering');
  checkNumbers(gammas, 'steering.gammas');
  if ((gammas as number[]).length !== LAG) throw wrongValue(`${LAG} numbers`, 'steering.gammas', gammas);
  checkNumber(last, 'steering.last', 0, ANY);
  checkNumber(integral, 'steering.integral', -ANY, ANY);
  checkNumber(scale, 'steering.scale', 0, ANY);
  if (begin === null) return;
  const { progress, size } = checkObject(begin, 'steering.begin');
  checkNumber(progress, 'steering.begin.progress', 0, 1);
  checkNumber(size, 'steering.begin.size', -ANY, ANY);
}

function checkOutputSums(value: unknown): void {
  for (const [name, given] of Object.entries(checkObject(value, 'progress.outputs'))) {
    const sums = checkObject(given, `progress.outputs.${name}`);
    for (const field of ['lossSum', 'weight', 'correct', 'count']) checkNumber(sums[field], `progress.outputs.${name}.${field}`, -ANY, ANY);
  }
}

/** @throws TypeError or RangeError that names the part at fault */
export function checkCheckpointInfo(value: unknown): Omit<Checkpoint, 'state'> {
  const { description, options, origin, data, epoch, step, progress, history, steering, teacher } = checkObject(value, 'info');
  checkInteger(epoch, 'epoch', 0, 1_000_000);
  checkInteger(step, 'step', 0);
  const { parameters } = inspectNetwork(description as Checkpoint['description']);
  const { target } = completeOptions(checkObject(options, 'options') as PartialTrainOptions);
  if (targetKind(target) !== undefined) checkSteering(steering);
  checkOrigin(origin, new Map(parameters.filter(({ role }) => role === 'weight').map(({ node, shape }) => [node, shape[0] ?? 1])));
  checkData(data);
  checkSums(teacher, 'teacher');
  checkHistory(history, epoch as number);
  if (progress !== undefined) {
    const sums = checkObject(progress, 'progress');
    for (const name of ['steps', 'images', 'correct']) checkInteger(sums[name], `progress.${name}`, 0);
    for (const name of ['weight', 'count']) {
      if (sums[name] !== undefined) checkNumber(sums[name], `progress.${name}`, 0, ANY);
    }
    for (const name of ['lossSum', 'bitsPerWeight', 'seconds']) checkNumber(sums[name], `progress.${name}`, -ANY, ANY);
    if (sums.outputs !== undefined) checkOutputSums(sums.outputs);
    if ((sums.steps as number) > (step as number)) throw wrongValue(`at most ${step}`, 'progress.steps', sums.steps);
  }
  return value as Omit<Checkpoint, 'state'>;
}
