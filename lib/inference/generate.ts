/** Text from a language model: token after token, each drawn from what the model predicts behind those before it. */
import { setImmediate } from 'node:timers/promises';
import { checkTyped, readArgument, reading } from '../arguments.js';
import type { Tokenizer } from '../data/tokenizer.js';
import { checkInteger, checkNames, checkNumber, isInstance, wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { uniform } from '../network/initial.js';
import { SLICE } from '../pace.js';
import { InferenceModel } from './model.js';

/** What is asked of a model: logits [vocabulary × length] behind each token of one window [length], in which no position sees later ones. */
export interface NextTokenModel {
  length: number;
  vocabulary: number;
  predict(window: Int32Array): Promise<Float32Array>;
  /** The same without seeing a window again for every token; undefined: it cannot. */
  begin?(): Promise<TokenSequence | undefined>;
}

/** A window that grows. */
export interface TokenSequence {
  /** Tokens behind those that were given before, at most `length` in all → logits [vocabulary] behind the last of them. */
  next(tokens: Int32Array): Promise<Float32Array>;
}

export interface GenerateOptions {
  /** How many tokens are generated. Default 200. */
  tokens?: number;
  /** Logits are divided by it: below 1 the probable becomes more so; 0: always the most probable token. Default 1. */
  temperature?: number;
  /** Draw from so many of the most probable tokens. Default: from all. */
  topK?: number | undefined;
  /** The same seed gives the same text. Default 1. */
  seed?: number;
}

/** A model file of tokens, positions after each other. */
function nextTokenModelOf(model: InferenceModel): NextTokenModel {
  const { vocabulary, input, output } = model;
  const [outputs = 0, length] = output;
  if (vocabulary === undefined || input.length !== 2 || length !== input[1])
    throw wrongType('a language model', 'model', `one of ${input.join('×')} to ${output.join('×')}`);
  return {
    length: input[1] as number,
    vocabulary: outputs,
    predict: async (window) => (await model.predict(window)).scores,
    begin: () => model.decoder(),
  };
}

/** The logits behind position `position` of a window. */
function logitsAt(all: Float32Array, { length, vocabulary }: NextTokenModel, position: number): Float64Array {
  return Float64Array.from({ length: vocabulary }, (_, token) => item(all, token * length + position));
}

const largest = (values: ArrayLike<number>) => {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (item(values, i) > item(values, best)) best = i;
  return best;
};

/** The logit that `count` tokens reach. */
function leastOf(logits: Float64Array, count: number): number {
  return count >= logits.length ? Number.NEGATIVE_INFINITY : item(logits.slice().sort(), logits.length - count);
}

/** A token drawn with the probabilities softmax(logits / temperature), of those that are among the `topK` most probable. */
export function drawToken(logits: Float64Array, { temperature, topK }: { temperature: number; topK: number }, random: () => number): number {
  const best = largest(logits);
  const most = item(logits, best);
  if (!Number.isFinite(most)) throw wrongValue('finite logits', 'the prediction', most);
  if (temperature === 0) return best;
  const least = leastOf(logits, topK);
  const weights = logits.map((z) => (z >= least ? Math.exp((z - most) / temperature) : 0));
  let left = random() * weights.reduce((sum, weight) => sum + weight, 0);
  for (let token = 0; token < weights.length; token++) {
    left -= item(weights, token);
    if (left < 0) return token;
  }
  return best;
}

/** What a tokenizer does, with errors that name it; those of this library say more and stay. */
function asked<T>(argument: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof Error && String((error as NodeJS.ErrnoException).code).startsWith('ERR_SELFCOMPRESS_')) throw error;
    return reading(argument, () => {
      throw error;
    });
  }
}

function checkModel(model: NextTokenModel | InferenceModel): NextTokenModel {
  const given = isInstance(model, InferenceModel) ? nextTokenModelOf(model) : model;

  const { length, vocabulary, predict, begin } = reading('model', () => {
    const { length, vocabulary, predict, begin } = Object(given) as NextTokenModel;
    return { length, vocabulary, predict, begin };
  });
  checkInteger(length, 'model.length', 1, MOST_WINDOW);
  checkInteger(vocabulary, 'model.vocabulary', 1, MOST_WINDOW);
  if (typeof predict !== 'function') throw wrongType('a function', 'model.predict', predict);
  if (begin !== undefined && typeof begin !== 'function') throw wrongType('a function', 'model.begin', begin);
  return {
    length,
    vocabulary,
    async predict(window) {
      const logits: unknown = await predict.call(given, window);
      const all = checkTyped(logits, "the model's prediction", Float32Array);
      if (all.length !== length * vocabulary) throw wrongValue(`${vocabulary} × ${length} logits`, "the model's prediction", all);
      return all;
    },
    async begin() {
      const sequence: unknown = await begin?.call(given);
      if (sequence === undefined) return undefined;
      const next = reading('model.begin', () => (Object(sequence) as TokenSequence).next);
      if (typeof next !== 'function') throw wrongType('a function', "next of the model's sequence", next);
      return {
        async next(tokens) {
          const logits = checkTyped((await next.call(sequence, tokens)) as unknown, "the model's prediction", Float32Array);
          if (logits.length !== vocabulary) throw wrongValue(`${vocabulary} logits`, "the model's prediction", logits);
          return logits;
        },
      };
    },
  };
}

/** Logits behind a context that grows by one token a time: by the model's sequence while the window holds all of it. */
function logitsOf(model: NextTokenModel): (context: readonly number[]) => Promise<Float64Array> {
  let sequence: Promise<TokenSequence | undefined> | undefined;
  let seen = 0;
  return async (context) => {
    if (context.length <= model.length) {
      sequence ??= model.begin?.();
      const begun = await sequence;
      if (begun) {
        const logits = await begun.next(Int32Array.from(context.slice(seen)));
        seen = context.length;
        return Float64Array.from(logits);
      }
    }
    const last = context.slice(-model.length);
    const window = new Int32Array(model.length);
    window.set(last);
    return logitsAt(await model.predict(window), model, last.length - 1);
  };
}

function checkTokenizer(given: Tokenizer): Tokenizer {
  const { size, encode, decode } = reading('tokenizer', () => {
    const { size, encode, decode } = Object(given) as Tokenizer;
    return { size, encode, decode };
  });
  checkInteger(size, 'tokenizer.size', 1, MOST_WINDOW);
  for (const [name, method] of Object.entries({ encode, decode }))
    if (typeof method !== 'function') throw wrongType('a function', `tokenizer.${name}`, method);
  return {
    size,
    encode: (text) => asked('tokenizer', () => checkTyped(encode.call(given, text), "the tokenizer's tokens", Int32Array)),
    decode: (tokens) =>
      asked('tokenizer', () => {
        const text: unknown = decode.call(given, tokens);
        if (typeof text !== 'string') throw wrongType('a text', "the tokenizer's text", text);
        return text;
      }),
  };
}

/** Milliseconds between two turns of the event loop. */
const LONGEST_TURN = 5;

/** Tokens of a window, or of a vocabulary. */
const MOST_WINDOW = 1 << 24;

/**
 * The text that follows the prompt, in pieces as they come. The model, or that of a file (`loadModel`), sees the last `model.length` tokens
 * of prompt and text; while these are all, one position a step where the model can.
 * @throws TypeError or RangeError for wrong options, and for a prompt with characters that the tokenizer does not have
 */
export async function* generateText(
  givenModel: NextTokenModel | InferenceModel,
  givenTokenizer: Tokenizer,
  prompt: string,
  given: GenerateOptions = {},
): AsyncGenerator<string, void, void> {
  const [model, tokenizer] = [checkModel(givenModel), checkTokenizer(givenTokenizer)];
  const options = readArgument(given, 'options');
  checkNames(options, 'options', ['tokens', 'temperature', 'topK', 'seed']);
  const { tokens: count = 200, temperature = 1, topK = model.vocabulary, seed = 1 } = options as GenerateOptions;
  checkInteger(count, 'options.tokens', 0);
  checkNumber(temperature, 'options.temperature', 0, 1e6);
  checkInteger(topK, 'options.topK', 1);
  checkInteger(seed, 'options.seed', 0);
  if (typeof prompt !== 'string') throw wrongType('a text', 'prompt', prompt);
  if (tokenizer.size > model.vocabulary) throw wrongValue(`a tokenizer of at most ${model.vocabulary} tokens`, 'tokenizer', tokenizer.size);
  const context = Array.from(tokenizer.encode(prompt.length > SLICE ? prompt.slice(-SLICE) : prompt));
  if (context.length === 0) throw wrongValue('a text of at least one token', 'prompt', prompt);
  const random = uniform(seed, Math.floor(seed / 2 ** 32));
  // Decoding begins with the prompt: what a token stands for may depend on the one before it.
  let text = tokenizer.decode(context.slice(-model.length));
  let turn = performance.now();
  const logits = logitsOf(model);
  for (let i = 0; i < count; i++) {
    const seen = context.slice(-model.length);
    const token = drawToken(await logits(context), { temperature, topK }, random);
    if (token >= tokenizer.size) throw wrongValue(`a token of the ${tokenizer.size} that the tokenizer has`, 'the prediction', token);
    context.push(token);
    const longer = tokenizer.decode([...seen, token]);
    yield longer.slice(text.length);
    if (performance.now() - turn > LONGEST_TURN) {
      await setImmediate(); // a model that answers at once would leave the event loop no time
      turn = performance.now();
    }
    text = tokenizer.decode(context.slice(-model.length));
  }
}
