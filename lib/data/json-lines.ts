/** JSON lines: an example a line, with its input and its target under two names. */

import { basename } from 'node:path';
import { checkPath, readArgument } from '../arguments.js';
import { checkChoice, checkInteger, checkNames, DataError, wrongType } from '../errors.js';
import { item } from '../indexing.js';
import { TASKS } from '../network/task.js';
import { pauses, runPaced } from '../pace.js';
import type { AnyDataset, Task } from './dataset.js';
import { textPieces, withDataFile } from './files.js';
import { checkSplitOptions, datasetFromFile, type SplitOptions, splitIndices, splitOptionNames } from './splits.js';
import { type CharacterVocabulary, characterVocabulary } from './tokenizer.js';

export interface JsonLinesOptions extends SplitOptions {
  /** Names of the fields. Default 'input' and 'target'. */
  input?: string;
  target?: string;
  /** Default: names and booleans are classes, numbers are to be predicted; 'classification' takes integers as classes. */
  task?: Task;
  /** Number of classes for integers; default: as many as they name. */
  classes?: number;
  /** For texts: tokens of an example; longer texts are cut, shorter ones padded with token 0. Default: the longest of the training texts. */
  length?: number;
  /** For inputs that are token numbers: how many tokens there are. */
  vocabulary?: number;
  /** File with the test examples. Default: a share of the lines, see `holdOut`. */
  testPath?: string;
}

/** Token 0 pads, token 1 stands for characters that no training text has. */
const RESERVED = 2;

/** Bounds of what is parsed and held in memory at once: running out of it ends the process. */
const MOST_LINE = 1 << 22;
const MOST_TEXT = 2 ** 27;
const MOST_LINES = 4_000_000;

/** Most tokens of a split, padding included: one long line would otherwise ask for as much memory for each of the others. */
const MOST_TOKENS = 2 ** 28;

interface Example {
  line: number;
  path: string;
  input: unknown;
  target: unknown;
}

type Fail = (example: Example, message: string) => never;
const fail: Fail = ({ line, path }, message) => {
  throw new DataError(`line ${line}: ${message}`, path);
};

function parseLine(text: string, line: number, path: string, { input = 'input', target = 'target' }: JsonLinesOptions): Example {
  const example: Example = { line, path, input: undefined, target: undefined };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    fail(example, `no JSON (${(cause as Error).message})`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(example, 'expected an object');
  for (const [use, name] of [
    ['input', input],
    ['target', target],
  ] as const) {
    if (!Object.hasOwn(value as object, name)) fail(example, `there is no field "${name}"`);
    example[use] = (value as Record<string, unknown>)[name];
  }
  return example;
}

async function readLines(path: string, options: JsonLinesOptions): Promise<Example[]> {
  return withDataFile(path, async (source) => {
    const examples: Example[] = [];
    const rest = pauses();
    let left = '';
    let line = 0;
    const take = (text: string) => {
      line++;
      if (!text.trim()) return;
      if (examples.length >= MOST_LINES) throw new DataError(`line ${line}: more than ${MOST_LINES} examples`, path);
      examples.push(parseLine(text, line, path, options));
    };
    for await (const piece of textPieces(source, MOST_TEXT)) {
      const lines = piece.split('\n');
      lines[0] = left + lines[0];
      left = lines.pop() as string;
      if (left.length > MOST_LINE) throw new DataError(`line ${line + lines.length + 1}: longer than ${MOST_LINE} characters`, path);
      for (const text of lines) {
        take(text);
        await rest();
      }
    }
    take(left);
    if (examples.length === 0) throw new DataError('it holds no examples', path);
    return examples;
  });
}

/** The shape of nested arrays of numbers. */
function shapeOf(value: unknown): number[] {
  const shape: number[] = [];
  for (let inner = value; Array.isArray(inner); inner = inner[0]) {
    shape.push(inner.length);
    if (shape.length > 3) break;
  }
  return shape;
}

/** Adds the numbers of nested arrays to `to`; they must have exactly this shape. */
function flatten(value: unknown, shape: number[], to: number[], example: Example, what: string, depth = 0): void {
  if (depth === shape.length) {
    if (typeof value !== 'number' || !Number.isFinite(Math.fround(value)))
      fail(example, `expected numbers in ${what} but found ${JSON.stringify(value)?.slice(0, 60)}`);
    to.push(value as number);
    return;
  }
  if (!Array.isArray(value) || value.length !== shape[depth]) fail(example, `expected ${what} of ${shape.join('×')}, as in the first example`);
  for (const inner of value as unknown[]) flatten(inner, shape, to, example, what, depth + 1);
}

async function flattenAll(examples: Example[], use: 'input' | 'target', shape: number[]): Promise<Float32Array> {
  const size = shape.reduce((a, b) => a * b, 1);
  const result = new Float32Array(examples.length * size);
  const rest = pauses();
  for (const [i, example] of examples.entries()) {
    const values: number[] = [];
    flatten(example[use], shape, values, example, `the ${use}`);
    result.set(values, i * size);
    await rest();
  }
  return result;
}

/** Texts as rows of character tokens. */
async function textTokens(examples: Example[], vocabulary: CharacterVocabulary, length: number): Promise<Int32Array> {
  if (examples.length * length > MOST_TOKENS)
    fail(item(examples, 0), `${examples.length} texts of ${length} tokens are too many; give a smaller length`);
  const tokens = new Int32Array(examples.length * length);
  const rest = pauses();
  for (const [i, example] of examples.entries()) {
    if (typeof example.input !== 'string') fail(example, 'expected a text as input, as in the first example');
    let at = 0;
    for (const character of example.input as string) {
      if (at === length) break;
      tokens[i * length + at++] = vocabulary.tokenOf(character.codePointAt(0) as number) ?? 1;
    }
    await rest();
  }
  return tokens;
}

type Answer = { labels: Int32Array | number[] } | { targets: Float32Array };
interface Answers {
  encode(examples: Example[]): Promise<Answer>;
  classNames?: string[] | undefined;
  classes?: number | undefined;
}

/** How the targets become labels or numbers, by the first training example and the task. */
async function planAnswers(training: Example[], everyone: Example[], { task, classes }: JsonLinesOptions): Promise<Answers> {
  const first = item(training, 0);
  const { target } = first;
  if (typeof target === 'string' || typeof target === 'boolean') {
    const names = training.map((example) =>
      typeof example.target === typeof target ? String(example.target) : fail(example, `expected a ${typeof target} as target`),
    );
    const classNames = [...new Set(names)].sort();
    const classOf = new Map(classNames.map((name, i) => [name, i]));
    const encode = async (examples: Example[]) => ({
      labels: examples.map(
        (example) => classOf.get(String(example.target)) ?? fail(example, `the class ${JSON.stringify(example.target)} is in no training example`),
      ),
    });
    return { encode, classNames };
  }
  const shape = shapeOf(target);
  if (typeof target !== 'number' && !(Array.isArray(target) && shape.length <= 3))
    fail(first, 'the target is neither a name, a number nor an array of numbers');
  if (task !== 'classification' && task !== 'perPosition') {
    return {
      encode: async (examples) => ({ targets: await flattenAll(examples, 'target', shape) }),
      classes: task === 'multiLabel' ? shape[0] : undefined,
    };
  }
  let most = 0;
  const rest = pauses();
  const collect = async (examples: Example[]) => Array.from(await flattenAll(examples, 'target', shape));
  for (const example of everyone) {
    const values: number[] = [];
    flatten(example.target, shape, values, example, 'the target');
    for (const value of values) {
      if (!Number.isInteger(value) || value < -1 || value >= (classes ?? 1_000_000)) fail(example, `${value} is no class`);
      most = Math.max(most, value + 1);
    }
    await rest();
  }
  return { encode: async (examples) => ({ labels: await collect(examples) }), classes: classes ?? Math.max(1, most) };
}

function checkOptions(options: JsonLinesOptions): void {
  checkNames(options as object, 'options', ['input', 'target', 'task', 'classes', 'length', 'vocabulary', 'testPath', ...splitOptionNames]);
  checkSplitOptions(options);
  for (const name of ['input', 'target', 'testPath'] as const) {
    if (options[name] !== undefined && typeof options[name] !== 'string') throw wrongType('a string', name, options[name]);
  }
  if (options.testPath !== undefined) checkPath(options.testPath, 'testPath');
  if (options.task !== undefined) checkChoice(options.task, 'task', TASKS);
  for (const name of ['classes', 'length', 'vocabulary'] as const) {
    if (options[name] !== undefined) checkInteger(options[name], name, 1, 2 ** 31 - 1);
  }
}

/** A data set with the tokenizer of its texts, where the inputs are texts. */
export type JsonLinesDataset = AnyDataset & { tokenizer?: CharacterVocabulary };

/**
 * Examples from a file with one JSON object a line. Inputs are arrays of numbers (a vector, [channels][length] or
 * [channels][height][width]), texts, or with `vocabulary` arrays of token numbers.
 * @throws DataError with the line, TypeError for wrong options
 */
export async function loadJsonLines(path: string, given: JsonLinesOptions = {}): Promise<JsonLinesDataset> {
  checkPath(path, 'path');
  const options = readArgument(given, 'options');
  checkOptions(options);
  const { vocabulary, validation, seed = 1 } = options;
  const all = await readLines(path, options);
  let train = all;
  let test: Example[];
  if (options.testPath !== undefined) test = await readLines(options.testPath, options);
  else {
    const indices = await splitIndices(all.length, checkSplitOptions(options), path);
    train = Array.from(indices.train, (i) => item(all, i));
    test = Array.from(indices.test, (i) => item(all, i));
  }
  const answers = await planAnswers(train, [...train, ...test], options);
  const common = { name: basename(path), classNames: answers.classNames, classes: answers.classes, task: options.task, validation, seed };
  const build = async <T extends object>(inputs: (examples: Example[]) => Promise<T>, more: object) => {
    const split = async (examples: Example[]) => ({ ...(await inputs(examples)), ...(await answers.encode(examples)) });
    return datasetFromFile<AnyDataset>(path, { ...common, ...more, train: await split(train), test: await split(test) } as never);
  };
  const first = item(train, 0);
  if (typeof first.input === 'string') {
    const texts = train.map((example) => (typeof example.input === 'string' ? example.input : fail(example, 'expected a text as input')));
    const tokenizer = await runPaced(characterVocabulary(texts, path, RESERVED));
    const length = options.length ?? texts.reduce((most, text) => Math.max(most, [...text].length), 1);
    const data = await build(async (examples) => ({ tokens: await textTokens(examples, tokenizer, length) }), {
      shape: [length],
      vocabulary: tokenizer.size,
    });
    return { ...data, tokenizer };
  }
  const shape = shapeOf(first.input);
  if (shape.length < 1 || shape.length > 3 || shape.includes(0)) fail(first, 'the input is neither a text nor an array of numbers');
  if (vocabulary === undefined) return build(async (examples) => ({ images: await flattenAll(examples, 'input', shape) }), { shape });
  if (shape.length !== 1) fail(first, 'token numbers come in a plain array');
  return build(async (examples) => ({ tokens: Array.from(await flattenAll(examples, 'input', shape)) }), { shape, vocabulary });
}
