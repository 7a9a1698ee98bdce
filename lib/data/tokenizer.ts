/** Texts as token numbers: by characters, or as a tokenizer.json of Hugging Face says. */

import { checkPath, readArgument } from '../arguments.js';
import { checkInteger, DataError, isInstance, wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { runNow, runPaced, SLICE, type Steps } from '../pace.js';
import { checkArray } from './checks.js';
import { readText } from './files.js';

export interface Tokenizer {
  /** How many tokens there are. */
  readonly size: number;
  /** @throws RangeError for what has no token */
  encode(text: string): Int32Array;
  decode(tokens: ArrayLike<number>): string;
}

/** More different characters are no text for a vocabulary of characters; Unicode has some 150,000. */
const MOST_CHARACTERS = 200_000;

/** A token for every character (Unicode code point), in the order of their code points. */
export class CharacterVocabulary implements Tokenizer {
  readonly #tokenOf = new Map<number, number>();

  /** @param characters each one code point; `reserved` tokens without a character come first, such as one for padding */
  readonly characters: readonly string[];
  readonly reserved: number;

  constructor(characters: readonly string[], reserved = 0) {
    const given = readArgument(characters, 'characters');
    if (!Array.isArray(given)) throw wrongType('an array of characters', 'characters', given);
    this.characters = given;
    this.reserved = checkInteger(reserved, 'reserved', 0, 2 ** 31 - 1);
    for (const [i, character] of this.characters.entries()) {
      if (typeof character !== 'string' || [...character].length !== 1) throw wrongType('one character', `characters[${i}]`, character);
    }
    for (const [i, character] of this.characters.entries()) this.#tokenOf.set(character.codePointAt(0) as number, reserved + i);
    if (this.#tokenOf.size !== given.length) throw wrongType('characters that are all different', 'characters', characters);
  }

  get size(): number {
    return this.reserved + this.characters.length;
  }

  /** The token of a code point, undefined where it has none. */
  tokenOf(codePoint: number): number | undefined {
    return this.#tokenOf.get(codePoint);
  }

  encode(text: string): Int32Array {
    if (typeof text !== 'string') throw wrongType('a text', 'text', text);
    return runNow(this.encodeSteps(text));
  }

  /** `encode` in slices. @internal */
  *encodeSteps(text: string): Steps<Int32Array> {
    const tokens = new Int32Array(text.length);
    let count = 0;
    for (let i = 0, since = 0; i < text.length; ) {
      const code = text.codePointAt(i) as number;
      const token = this.#tokenOf.get(code);
      if (token === undefined) throw wrongValue('characters of the vocabulary', `text[${i}]`, String.fromCodePoint(code));
      tokens[count++] = token;
      i += code > 0xffff ? 2 : 1;
      if (++since < SLICE / 4) continue;
      since = 0;
      yield;
    }
    return tokens.slice(0, count);
  }

  decode(given: ArrayLike<number>): string {
    const tokens = checkArray(readArgument(given, 'tokens'), 'tokens', 'integers');
    let text = '';
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i] as number; // whatever it is, checked here
      if (!(Number.isInteger(token) && token >= 0 && token < this.size))
        throw wrongValue(`a token from 0 to ${this.size - 1}`, `tokens[${i}]`, token);
      text += this.characters[token - this.reserved] ?? '';
    }
    return text;
  }
}

/** The vocabulary of all characters in some texts. */
export function* characterVocabulary(texts: Iterable<string>, path: string, reserved = 0): Steps<CharacterVocabulary> {
  const found = new Set<number>();
  for (const text of texts) {
    for (let i = 0, since = 0; i < text.length; ) {
      const code = text.codePointAt(i) as number;
      found.add(code);
      i += code > 0xffff ? 2 : 1;
      if (++since < SLICE / 4) continue;
      since = 0;
      yield;
    }
    if (found.size > MOST_CHARACTERS) throw new DataError(`more than ${MOST_CHARACTERS} different characters`, path);
  }
  const characters = [...found].sort((a, b) => a - b).map((code) => String.fromCodePoint(code));
  return new CharacterVocabulary(characters, reserved);
}

/** What this library uses of `@huggingface/tokenizers`. */
interface PeerTokenizer {
  encode(text: string, options?: { add_special_tokens?: boolean }): { ids: ArrayLike<number> };
  decode(ids: number[]): string;
}
type PeerModule = { Tokenizer: new (json: unknown, config: unknown) => PeerTokenizer };

/** Characters that are tokenized at once: tokenizers written in JavaScript take about a microsecond for each. */
const AT_ONCE = 2048;

/** Where a text may be cut so that tokens do not reach across: before a line that begins with a letter or digit, else anywhere. */
function nextCut(text: string, from: number): number {
  if (text.length - from <= AT_ONCE) return text.length;
  for (let end = text.indexOf('\n', from + AT_ONCE); end >= 0 && end < from + 16 * AT_ONCE; end = text.indexOf('\n', end + 1)) {
    if (/[\p{L}\p{N}]/u.test(text[end + 1] ?? '')) return end + 1;
  }
  const cut = from + 16 * AT_ONCE;
  return Math.min(cut, text.length);
}

/** A tokenizer of the package `@huggingface/tokenizers`. */
export class PeerVocabulary implements Tokenizer {
  constructor(
    private readonly peer: PeerTokenizer,
    readonly size: number,
    /** The file that describes it. */
    readonly path: string,
  ) {}

  #ids(text: string): ArrayLike<number> {
    let ids: ArrayLike<number>;
    try {
      ({ ids } = this.peer.encode(text, { add_special_tokens: false }));
    } catch (cause) {
      throw new DataError(`the tokenizer fails on ${JSON.stringify(text.slice(0, 40))}: ${(cause as Error).message}`, this.path, { cause });
    }
    for (let i = 0; i < ids.length; i++) {
      const id = item(ids, i);
      if (!(Number.isInteger(id) && id >= 0 && id < this.size))
        throw new DataError(`the tokenizer gives ${JSON.stringify(text.slice(0, 40))} the token ${id}, which it does not have`, this.path);
    }
    return ids;
  }

  encode(text: string): Int32Array {
    if (typeof text !== 'string') throw wrongType('a text', 'text', text);
    return runNow(this.encodeSteps(text));
  }

  *encodeSteps(text: string): Steps<Int32Array> {
    const pieces: ArrayLike<number>[] = [];
    let count = 0;
    for (let at = 0; at < text.length; yield) {
      const end = nextCut(text, at);
      const ids = this.#ids(text.slice(at, end));
      pieces.push(ids);
      count += ids.length;
      at = end;
    }
    const tokens = new Int32Array(count);
    let at = 0;
    for (const piece of pieces) {
      tokens.set(piece, at);
      at += piece.length;
    }
    return tokens;
  }

  decode(tokens: ArrayLike<number>): string {
    return this.peer.decode(Array.from(tokens));
  }
}

/** Tokens of a tokenizer.json: one more than its largest token number. */
function sizeOf(json: unknown, path: string): number {
  const { model, added_tokens: added = [] } = json as { model?: { vocab?: unknown }; added_tokens?: { id: unknown }[] };
  const vocabulary = model?.vocab;
  if (typeof vocabulary !== 'object' || vocabulary === null || !Array.isArray(added))
    throw new DataError('it holds no vocabulary (model.vocab)', path);
  let size = Array.isArray(vocabulary) ? vocabulary.length : 0;
  const ids = [...(Array.isArray(vocabulary) ? [] : Object.values(vocabulary)), ...added.map((token) => token?.id)];
  for (const id of ids) {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= 2 ** 24)
      throw new DataError(`a token has the number ${JSON.stringify(id)}`, path);
    size = Math.max(size, (id as number) + 1);
  }
  return size;
}

/**
 * The tokenizer that a tokenizer.json describes, by the optional package `@huggingface/tokenizers`. Long texts are encoded in
 * parts that begin with a line, without special tokens.
 * @throws DataError where the file is none, or where the package is not installed
 */
export async function loadTokenizer(path: string): Promise<Tokenizer> {
  checkPath(path, 'path');
  let json: unknown;
  const text = await readText(path);
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new DataError(`no JSON: ${(cause as Error).message}`, path, { cause });
  }
  if (typeof json !== 'object' || json === null) throw new DataError('no JSON object', path);
  const size = sizeOf(json, path);
  const name = '@huggingface/tokenizers';
  let peer: PeerModule;
  try {
    peer = (await import(name)) as PeerModule;
  } catch (cause) {
    throw new DataError(`reading a tokenizer.json needs the optional package ${name}. Run: npm install ${name}`, path, { cause });
  }
  try {
    return new PeerVocabulary(new peer.Tokenizer(json, {}), size, path);
  } catch (cause) {
    throw new DataError(`not a tokenizer that ${name} knows: ${(cause as Error).message}`, path, { cause });
  }
}

/** The tokens of a text in slices. */
export async function encodePaced(tokenizer: Tokenizer, text: string): Promise<Int32Array> {
  if (isInstance(tokenizer, CharacterVocabulary) || isInstance(tokenizer, PeerVocabulary)) return runPaced(tokenizer.encodeSteps(text));
  return tokenizer.encode(text);
}
