/** Texts for language models: at every position of a window of tokens, the next token is to be predicted. */

import { basename } from 'node:path';
import { checkPath, checkTyped, readArgument, reading } from '../arguments.js';
import { checkInteger, checkNames, checkNumber, DataError, wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { runNow, runPaced, SLICE, type Steps } from '../pace.js';
import type { TokenDataset, TokenSplit } from './dataset.js';
import { readText } from './files.js';
import { integersBelow } from './sampling.js';
import { characterVocabulary, encodePaced, loadTokenizer, type Tokenizer } from './tokenizer.js';

export interface TextOptions {
  /** Tokens of a window. Default 128. */
  length?: number;
  /** Path of a tokenizer.json, or a tokenizer. Default: a token for each character of the text. */
  tokenizer?: string | Tokenizer;
  /** Share of the tokens, at the end of the text, that is held out for testing. Default 0.1. */
  holdOut?: number;
  /** Share of the tokens, before those held out, for validation. Default 0: none. */
  validation?: number;
}

export interface TextDataset extends TokenDataset {
  tokenizer: Tokenizer;
  /** All tokens in their order; the windows of the splits are cut from these. */
  tokens: { train: Int32Array; validation?: Int32Array; test: Int32Array };
}

/** Tokens and next tokens of the windows that begin at `starts`. */
function* cut(tokens: Int32Array, length: number, starts: ArrayLike<number>): Steps<TokenSplit> {
  const count = starts.length;
  const windows = { count, tokens: new Int32Array(count * length), labels: new Int32Array(count * length) };
  const { tokens: inputs, labels } = windows;
  for (let i = 0, since = 0; i < count; i++) {
    const start = item(starts, i);
    inputs.set(tokens.subarray(start, start + length), i * length);
    labels.set(tokens.subarray(start + 1, start + length + 1), i * length);
    since += length + 32;
    if (since < SLICE) continue;
    since = 0;
    yield;
  }
  return windows;
}

/** Windows that do not overlap, from the first token on; a rest too short for one is left out. */
const starts = (tokens: Int32Array, length: number) => Int32Array.from({ length: Math.floor((tokens.length - 1) / length) }, (_, i) => i * length);

/** Tokens of a batch. */
const MOST_TOKENS = 2 ** 24;

function checkWindows(given: unknown, length: unknown, batchSize: unknown): void {
  const tokens = checkTyped(given, 'tokens', Int32Array);
  checkInteger(length, 'length', 1, 2 ** 31 - 1);
  checkInteger(batchSize, 'batchSize', 1, 2 ** 31 - 1);
  if (tokens.length <= (length as number)) throw wrongValue(`more than ${length} tokens`, 'tokens', tokens);
  const most = Math.max(1, Math.floor(MOST_TOKENS / (length as number)));
  if ((batchSize as number) > most) throw wrongValue(`at most ${most} windows of ${length} tokens`, 'batchSize', batchSize);
}

/** Batches of windows at random places, without an end; the same seed gives the same windows. */
export function* randomWindows(tokens: Int32Array, length: number, batchSize: number, seed: number): Generator<TokenSplit, never, void> {
  checkWindows(tokens, length, batchSize);
  const below = integersBelow(Math.imul(checkInteger(seed, 'seed', 0), 0x9e3779b1) ^ 0x1b873593);
  for (;;) {
    const places = Int32Array.from({ length: batchSize }, () => below(tokens.length - length));
    yield runNow(cut(tokens, length, places));
  }
}

/** Batches of all windows that do not overlap, in order; the last batch may be smaller. */
export function* allWindows(tokens: Int32Array, length: number, batchSize: number): Generator<TokenSplit, void, void> {
  checkWindows(tokens, length, batchSize);
  const all = starts(tokens, length);
  for (let at = 0; at < all.length; at += batchSize) yield runNow(cut(tokens, length, all.subarray(at, at + batchSize)));
}

/** Tokens in windows: `train` and `test` hold those that do not overlap, `randomWindows` draws others from `tokens.train`. */
export async function datasetFromText(text: string, given: TextOptions = {}, path = 'text'): Promise<TextDataset> {
  checkPath(path, 'path');
  const options = readArgument(given, 'options');
  checkNames(options as object, 'options', ['length', 'tokenizer', 'holdOut', 'validation']);
  if (typeof text !== 'string') throw wrongType('a text', 'text', text);
  const { length = 128, holdOut = 0.1, validation = 0 } = options;
  checkInteger(length, 'length', 1, 2 ** 31 - 1);
  checkNumber(holdOut, 'holdOut', 0, 1);
  checkNumber(validation, 'validation', 0, 1);
  if (!(holdOut > 0 && holdOut + validation < 1)) throw wrongValue('shares above 0 that leave some for training', 'holdOut', holdOut);
  const tokenizer = await tokenizerFor(options.tokenizer, text, path);
  const tokens = await encodePaced(tokenizer, text);
  const testStart = Math.floor(tokens.length * (1 - holdOut));
  const trainEnd = validation > 0 ? Math.floor(tokens.length * (1 - holdOut - validation)) : testStart;
  const parts = {
    train: tokens.subarray(0, trainEnd),
    ...(validation > 0 && { validation: tokens.subarray(trainEnd, testStart) }),
    test: tokens.subarray(testStart),
  };
  const windows = async (which: 'train' | 'validation' | 'test') => {
    const part = parts[which] as Int32Array;
    if (part.length <= length)
      throw new DataError(`its ${tokens.length} tokens are too few: ${part.length} for ${which}, and a window needs ${length + 1}`, path);
    return runPaced(cut(part, length, starts(part, length)));
  };
  return {
    name: path === 'text' ? 'text' : basename(path),
    input: 'tokens',
    task: 'perPosition',
    length,
    vocabulary: tokenizer.size,
    classes: tokenizer.size,
    train: await windows('train'),
    ...(validation > 0 && { validation: await windows('validation') }),
    test: await windows('test'),
    tokenizer,
    tokens: parts,
  };
}

async function tokenizerFor(given: TextOptions['tokenizer'], text: string, path: string): Promise<Tokenizer> {
  if (given === undefined) return runPaced(characterVocabulary([text], path));
  if (typeof given === 'string') return loadTokenizer(checkPath(given, 'tokenizer'));
  const { encode, decode, size } = reading('tokenizer', () => ({ encode: given?.encode, decode: given?.decode, size: given?.size }));
  if (typeof encode !== 'function' || typeof decode !== 'function') throw wrongType('a path or a tokenizer', 'tokenizer', given);
  checkInteger(size, 'tokenizer.size', 1, 2 ** 31 - 1);
  return given;
}

/** A text file in UTF-8, plain or gzipped, in windows of tokens; the last tenth is held out. @throws DataError */
export async function loadText(path: string, options: TextOptions = {}): Promise<TextDataset> {
  checkPath(path, 'path');
  return datasetFromText(await readText(path), options, path);
}
