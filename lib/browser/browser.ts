/** `selfcompress/browser`: model files in a browser, by the same engine as WebAssembly. No Node, no addon. */
import type { AxesSizes, Metadata } from '../binding.js';
import { checkNames, isInstance, isPlainObject, withCode, wrongType, wrongValue } from '../errors.js';
import { copyNumbers, type ModelPart, type Normalisation, normalisationOf, normalisationsOf, partsOf } from '../inference/examples.js';
import { OutputReader, type Prediction } from '../inference/prediction.js';
import { Engine, type WasmSource } from './engine.js';

export type { ClassScore, Prediction } from '../inference/prediction.js';
export type { WasmSource } from './engine.js';

/**
 * One example. Float32Array: [channels × positions], normalised as in training. Uint8Array or Uint8ClampedArray: the same as bytes
 * 0..255, which are divided by 255 and normalised as the file says. ImageData of the input's size, for inputs of 1 or 3 channels: its
 * colours, or their mean. Int32Array: tokens [positions], of a model that reads tokens.
 */
export type BrowserValues = Float32Array | Int32Array | Uint8Array | Uint8ClampedArray | { width: number; height: number; data: Uint8ClampedArray };
/** Of a model with several inputs an object that has one for each, by name. */
export type BrowserInput = BrowserValues | Readonly<Record<string, BrowserValues>>;

export interface BrowserOptions {
  /** 'unpacked' (default) keeps weights as floats once they were used; 'packed' keeps their codes alone. */
  weights?: 'unpacked' | 'packed';
  /** 'integer': values in codes of 8 bits, by the ranges that the file keeps; the same integers on every machine. Default 'float'. */
  arithmetic?: 'float' | 'integer';
  /** Most weights of a file that is read. Default 2^28. */
  maxWeights?: number;
  /** Most bytes of activations. Default 2^30. */
  maxActivationBytes?: number;
  /** Where engine.wasm is, or its bytes; read once. Default: beside this module. */
  wasm?: WasmSource;
}

let shared: Promise<Engine> | undefined;

async function engineAt(source: WasmSource): Promise<Engine> {
  shared ??= Engine.start(source);
  try {
    return await shared;
  } catch (error) {
    shared = undefined; // another address may do
    throw error;
  }
}

export class BrowserModel {
  readonly #engine: Engine;
  #model: number;
  readonly #inputs: (ModelPart & { normalisation: Normalisation })[];
  /** Whether inputs have names. */
  readonly #named: boolean;
  readonly #outputs: OutputReader;
  /** [channels, positions...] of one example. */
  readonly input: AxesSizes;
  readonly output: AxesSizes;
  /** How many tokens it knows; undefined where it reads numbers. */
  readonly vocabulary: number | undefined;
  /** What the file says: name, task, labels, mean, std, ... */
  readonly metadata: Metadata;

  /** @internal */
  constructor(engine: Engine, model: number) {
    this.#engine = engine;
    this.#model = model;
    const { input, output, vocabulary, metadata } = engine.describe(model);
    this.input = input;
    this.output = output;
    this.vocabulary = vocabulary || undefined;
    this.metadata = metadata;
    const parts = partsOf(metadata, 'input', input);
    const normalisations = parts ? normalisationsOf(metadata, parts) : [normalisationOf(metadata, input[0])];
    const whole = { name: '', axes: input, from: 0, to: input.reduce((product, size) => product * size, 1) };
    this.#inputs = (parts ?? [whole]).map((part, i) => ({ ...part, normalisation: normalisations[i] as Normalisation }));
    this.#named = parts !== undefined;
    this.#outputs = new OutputReader(metadata, output);
  }

  /** Bytes of weights as they are kept, of weights unpacked so far, and of activations at one example. */
  get memory(): { weightBytes: number; panelBytes: number; activationBytes: number } {
    return this.#engine.memory(this.#use());
  }

  /**
   * The prediction of one example, or of each of an array. The engine runs on the calling thread: use a worker for large models.
   * @throws TypeError, RangeError for what is no input of this model
   */
  predict(input: BrowserInput): Promise<Prediction>;
  predict(inputs: readonly BrowserInput[]): Promise<Prediction[]>;
  async predict(given: BrowserInput | readonly BrowserInput[]): Promise<Prediction | Prediction[]> {
    return this.predictSync(given as BrowserInput);
  }

  /** The same without a promise. */
  predictSync(input: BrowserInput): Prediction;
  predictSync(inputs: readonly BrowserInput[]): Prediction[];
  predictSync(given: BrowserInput | readonly BrowserInput[]): Prediction | Prediction[] {
    const model = this.#use();
    const examples: readonly BrowserInput[] = Array.isArray(given) ? given : [given as BrowserInput];
    if (examples.length > 1 << 20) throw wrongValue('at most 2^20 examples', 'inputs', examples.length);
    const [elements, outputs] = [this.input, this.output].map((axes) => axes.reduce((product, size) => product * size, 1)) as [number, number];
    const values = new Float32Array(examples.length * elements);
    examples.forEach((example, i) => {
      const argument = Array.isArray(given) ? `inputs[${i}]` : 'input';
      this.#write(example, argument, values.subarray(i * elements, (i + 1) * elements));
    });
    const predictions = this.#outputs.of(this.#engine.predict(model, values, examples.length, outputs), examples.length);
    return Array.isArray(given) ? predictions : (predictions[0] as Prediction);
  }

  /** Frees the model's memory; later calls fail with ERR_SELFCOMPRESS_DISPOSED. */
  dispose(): void {
    if (this.#model) this.#engine.dispose(this.#model);
    this.#model = 0;
  }

  #use(): number {
    if (!this.#model) throw withCode(new Error('Expected a model in use for this but received a disposed one'), 'ERR_SELFCOMPRESS_DISPOSED');
    return this.#model;
  }

  /** An example's inputs as the network reads them. */
  #write(example: unknown, argument: string, target: Float32Array): void {
    if (this.#named && isPlainObject(example) && !('data' in example && 'width' in example)) {
      checkNames(
        example,
        argument,
        this.#inputs.map(({ name }) => name),
      );
      for (const part of this.#inputs) this.#writeOne(example[part.name], `${argument}.${part.name}`, part, target.subarray(part.from, part.to));
    } else if (this.#inputs.length > 1) {
      if (!(example instanceof Float32Array) || !copyNumbers(example, argument, { mean: [0], std: [1] }, target))
        throw wrongType(`an object with ${this.#inputs.map(({ name }) => `"${name}"`).join(', ')}`, argument, example);
    } else this.#writeOne(example, argument, this.#inputs[0] as ModelPart & { normalisation: Normalisation }, target);
  }

  #writeOne(values: unknown, argument: string, { axes, normalisation }: ModelPart & { normalisation: Normalisation }, target: Float32Array): void {
    const numbers = values instanceof Int32Array && this.vocabulary ? Float32Array.from(values) : this.#planes(values, argument, axes);
    if (!copyNumbers(numbers, argument, normalisation, target)) throw wrongType('a Float32Array, a Uint8Array or ImageData', argument, values);
  }

  /** The bytes of ImageData, plane by plane; anything else as it is. */
  #planes(example: unknown, argument: string, axes: AxesSizes): unknown {
    const { data, width, height } = (example ?? {}) as { data?: unknown; width?: unknown; height?: unknown };
    if (!(data instanceof Uint8ClampedArray) || typeof width !== 'number' || typeof height !== 'number') return example;
    const [channels, rows, columns] = axes;
    if (axes.length !== 3 || (channels !== 1 && channels !== 3)) throw wrongType('a typed array', argument, example);
    if (width !== columns || height !== rows || data.length !== 4 * width * height)
      throw wrongValue(`ImageData of ${columns}×${rows} pixels`, argument, `${width}×${height}`);
    const size = width * height;
    const planes = new Uint8Array(channels * size);
    for (let i = 0; i < size; i++) {
      const colours = [data[4 * i] ?? 0, data[4 * i + 1] ?? 0, data[4 * i + 2] ?? 0] as const;
      if (channels === 1) planes[i] = Math.round((colours[0] + colours[1] + colours[2]) / 3);
      else for (let c = 0; c < 3; c++) planes[c * size + i] = colours[c] ?? 0;
    }
    return planes;
  }
}

/**
 * A model file of version 2 (docs/model-file.md): its bytes, or the address that they are fetched from.
 * @throws ModelFileError for anything that is not a whole, unchanged file of a network that the engine runs
 */
export async function loadModel(file: Uint8Array | ArrayBuffer | URL | string, options: BrowserOptions = {}): Promise<BrowserModel> {
  const { weights = 'unpacked', arithmetic = 'float', maxWeights = 0, maxActivationBytes = 0, wasm } = options;
  if (weights !== 'unpacked' && weights !== 'packed') throw wrongType('"unpacked" or "packed"', 'options.weights', weights);
  if (arithmetic !== 'float' && arithmetic !== 'integer') throw wrongType('"float" or "integer"', 'options.arithmetic', arithmetic);
  for (const [name, value] of Object.entries({ maxWeights, maxActivationBytes }))
    if (!Number.isSafeInteger(value) || value < 0) throw wrongType('a positive whole number', `options.${name}`, value);
  const bytes = await bytesOf(file);
  const engine = await engineAt(wasm ?? new URL('./engine.wasm', import.meta.url));
  return new BrowserModel(
    engine,
    engine.load(bytes, { packed: weights === 'packed', integers: arithmetic === 'integer', maxWeights, maxActivationBytes }),
  );
}

async function bytesOf(file: Uint8Array | ArrayBuffer | URL | string): Promise<Uint8Array> {
  if (isInstance(file, Uint8Array)) return file;
  if (isInstance(file, ArrayBuffer)) return new Uint8Array(file);
  if (typeof file !== 'string' && !isInstance(file, URL)) throw wrongType('the bytes or the address of a model file', 'file', file);
  const response = await fetch(file);
  if (!response.ok) throw wrongValue(`a file (the server says ${response.status})`, 'file', String(file));
  return new Uint8Array(await response.arrayBuffer());
}
