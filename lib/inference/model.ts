/** A model file ready to use: inputs in, labels and scores out. */
import { readFile } from 'node:fs/promises';
import { checkPath, readArgument } from '../arguments.js';
import { type AxesSizes, binding, type Decoder, type Metadata, type Model, type TensorPart } from '../binding.js';
import { forEachAtOnce } from '../data/images.js';
import { checkChoice, checkInteger, checkNames, isPlainObject, ModelFileError, wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { decodeModel, encodeModel, resizeOf } from '../model-file/model-file.js';
import { copyNumbers, type ModelPart, type Normalisation, normalisationOf, normalisationsOf, partsOf } from './examples.js';
import { decodeInput } from './input.js';
import { OutputReader, type Prediction } from './prediction.js';

/**
 * One example. Float32Array: [channels × positions], normalised as in training. Uint8Array or Uint8ClampedArray: the same as bytes
 * 0..255, which are divided by 255 and normalised as the file says. A string is the path of an image, a Buffer its contents; the image is
 * scaled to the input's size (needs the package sharp). Int32Array: tokens [positions], of a model that reads tokens.
 */
export type InputValues = Float32Array | Int32Array | Uint8Array | Uint8ClampedArray | string;
/** Of a model with several inputs an object that has one for each, by name. */
export type ModelInput = InputValues | Readonly<Record<string, InputValues>>;
type Undecoded<Input> = Input extends string ? never : Input;
/** The same without images that have to be decoded. */
export type SyncModelInput = Undecoded<InputValues> | Readonly<Record<string, Undecoded<InputValues>>>;

export interface LoadModelOptions {
  /**
   * 'unpacked' (default) keeps weights as floats once they were used; 'packed' keeps their codes alone and unpacks them in every call,
   * which saves memory and costs time.
   */
  weights?: 'unpacked' | 'packed';
  /**
   * 'integer': values in codes of 8 bits, by the ranges that the file keeps (`exportModel` with `calibration`); the same integers
   * on every machine. Default 'float'.
   */
  arithmetic?: 'float' | 'integer';
  /** Most weights of a file that is read. Default 2^28. */
  maxWeights?: number;
  /** Most bytes of activations that one thread may need. Default 2^32. */
  maxActivationBytes?: number;
}

/** Floats are taken as they are. */
const NOTHING: Normalisation = { mean: [0], std: [1] };

export class InferenceModel {
  readonly #model: Model;
  readonly #inputs: (ModelPart & { normalisation: Normalisation })[];
  readonly #resize: 'area' | undefined;
  readonly #outputs: OutputReader;
  /** Names and axes of several inputs; undefined: there is one, without a name. */
  readonly inputs: readonly TensorPart[] | undefined;
  /** The same of outputs. */
  readonly outputs: readonly TensorPart[] | undefined;

  /** @internal */
  constructor(model: Model) {
    this.#model = model;
    const { metadata, input, output } = model;
    this.#resize = resizeOf(metadata);
    const inputs = partsOf(metadata, 'input', input);
    const outputs = partsOf(metadata, 'output', output);
    const normalisations = inputs ? normalisationsOf(metadata, inputs) : [normalisationOf(metadata, input[0])];
    const whole = { name: '', axes: input, from: 0, to: input.reduce((product, size) => product * size, 1) };
    this.#inputs = (inputs ?? [whole]).map((part, i) => ({ ...part, normalisation: item(normalisations, i) }));
    this.#outputs = new OutputReader(metadata, output, outputs);
    const named = (parts: ModelPart[] | undefined) => parts?.map(({ name, axes }) => ({ name, axes }));
    this.inputs = named(inputs);
    this.outputs = named(outputs);
  }

  /** [channels, positions...] of one example. */
  get input(): AxesSizes {
    return this.#model.input;
  }
  get output(): AxesSizes {
    return this.#model.output;
  }
  /** How many tokens it knows; undefined where it reads numbers. */
  get vocabulary(): number | undefined {
    return this.#model.vocabulary;
  }
  /** What the file says: name, task, labels, mean, std, ... */
  get metadata(): Metadata {
    return this.#model.metadata;
  }
  /** Bytes of weights as they are kept, of weights unpacked so far, and of activations at one example. */
  get memory(): { weightBytes: number; panelBytes: number; activationBytes: number } {
    return this.#model.memory();
  }

  /**
   * The prediction of one example, or of each of an array.
   * @throws TypeError, RangeError for what is no input of this model, DataError for an image that cannot be read
   */
  predict(input: ModelInput): Promise<Prediction>;
  predict(inputs: readonly ModelInput[]): Promise<Prediction[]>;
  async predict(given: ModelInput | readonly ModelInput[]): Promise<Prediction | Prediction[]> {
    const input = readArgument(given, 'inputs');
    const examples: readonly ModelInput[] = Array.isArray(input) ? input : [input as ModelInput];
    const values = this.#memoryFor(examples.length);
    // All are checked before the first image is read.
    const images = examples.flatMap((example, i) => this.#decode(example, this.#argument(input, i), this.#part(values, i)));
    await forEachAtOnce(images.length, async (i) => images[i]?.());
    const predictions = this.#outputs.of(await this.#model.predict(values, examples.length), examples.length);
    return Array.isArray(input) ? predictions : (predictions[0] as Prediction);
  }

  /** The same on the calling thread, which is blocked meanwhile. Images by path or Buffer are for `predict`. */
  predictSync(input: SyncModelInput): Prediction;
  predictSync(inputs: readonly SyncModelInput[]): Prediction[];
  predictSync(given: ModelInput | readonly ModelInput[]): Prediction | Prediction[] {
    const input = readArgument(given, 'inputs');
    const examples: readonly ModelInput[] = Array.isArray(input) ? input : [input as ModelInput];
    const values = this.#memoryFor(examples.length);
    examples.forEach((example, i) => {
      const argument = this.#argument(input, i);
      if (this.#decode(example, argument, this.#part(values, i)).length > 0)
        throw wrongType('a typed array, which predictSync can take without waiting,', argument, example);
    });
    const predictions = this.#outputs.of(this.#model.predictSync(values, examples.length), examples.length);
    return Array.isArray(input) ? predictions : (predictions[0] as Prediction);
  }

  /**
   * The network one position after another, with weights of its own; undefined where it has to see the whole window.
   * @internal
   */
  async decoder(): Promise<Decoder | undefined> {
    try {
      return await this.#model.decoder();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_SELFCOMPRESS_MODEL_FILE') return undefined;
      throw error;
    }
  }

  /** Frees native memory; later calls fail with ERR_SELFCOMPRESS_DISPOSED. */
  dispose(): void {
    this.#model.dispose();
  }

  /** Writes an example's inputs to `target`; what is to be done yet for images. */
  #decode(example: ModelInput, argument: string, target: Float32Array): (() => Promise<void>)[] {
    const { inputs } = this;
    if (!inputs || (inputs.length === 1 && !isPlainObject(example))) {
      const { axes, normalisation } = item(this.#inputs, 0);
      return [decodeInput(this.#numbers(example as InputValues), argument, axes, normalisation, target, this.#resize) ?? []].flat();
    }
    if (!isPlainObject(example)) {
      const what = `an object with ${inputs.map(({ name }) => `"${name}"`).join(', ')}`;
      // All inputs behind one another, as numbers alone.
      if (!(example instanceof Float32Array) || !copyNumbers(example, argument, NOTHING, target)) throw wrongType(what, argument, example);
      return [];
    }
    checkNames(
      example,
      argument,
      inputs.map(({ name }) => name),
    );
    return this.#inputs.flatMap(
      ({ name, axes, from, to, normalisation }) =>
        decodeInput(example[name], `${argument}.${name}`, axes, normalisation, target.subarray(from, to), this.#resize) ?? [],
    );
  }
  /** Tokens as the numbers that the network takes them for, where it does. */
  #numbers(example: InputValues): InputValues {
    return example instanceof Int32Array && this.vocabulary !== undefined ? Float32Array.from(example) : example;
  }
  #elements(): number {
    return this.input.reduce((product, size) => product * size, 1);
  }
  #memoryFor(count: number): Float32Array {
    if (count > 1 << 20) throw wrongValue('at most 2^20 examples', 'inputs', count);
    return new Float32Array(count * this.#elements());
  }
  #part(values: Float32Array, i: number): Float32Array {
    return values.subarray(i * this.#elements(), (i + 1) * this.#elements());
  }
  #argument(input: unknown, i: number): string {
    return Array.isArray(input) ? `inputs[${i}]` : 'input';
  }
}

async function bytesOf(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new ModelFileError(`${path}: The model file cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/**
 * A model file (docs/model-file.md, version 1 or 2), by path or as its bytes.
 * @throws ModelFileError for anything that is not a whole, unchanged file of a network that the engine runs
 */
export async function loadModel(file: string | Uint8Array, given: LoadModelOptions = {}): Promise<InferenceModel> {
  if (typeof file === 'string') checkPath(file, 'file');
  else if (!(ArrayBuffer.isView(file) && file instanceof Uint8Array)) throw wrongType('the path of a model file or its bytes', 'file', file);
  const options = readArgument(given, 'options');
  checkNames(options, 'options', ['weights', 'arithmetic', 'maxWeights', 'maxActivationBytes']);
  const { weights, arithmetic, maxWeights, maxActivationBytes }: LoadModelOptions = options;
  if (maxWeights !== undefined) checkInteger(maxWeights, 'options.maxWeights', 1);
  if (maxActivationBytes !== undefined) checkInteger(maxActivationBytes, 'options.maxActivationBytes', 1);
  if (weights !== undefined && weights !== 'unpacked' && weights !== 'packed') throw wrongType('"unpacked" or "packed"', 'options.weights', weights);
  if (arithmetic !== undefined) checkChoice(arithmetic, 'options.arithmetic', ['float', 'integer']);
  const bytes = await secondVersion(typeof file === 'string' ? await bytesOf(file) : file);
  const name = typeof file === 'string' ? `${file}: ` : '';
  try {
    return new InferenceModel(await binding.loadModelFile({ bytes, weights, arithmetic, maxWeights, maxActivationBytes }));
  } catch (cause) {
    throw new ModelFileError(`${name}The model file cannot be used: ${(cause as Error).message}`, { cause });
  }
}

/** Files of version 1 are brought to version 2. */
async function secondVersion(bytes: Uint8Array): Promise<Uint8Array> {
  if (bytes.length < 6 || bytes[4] !== 1 || bytes[5] !== 0) return bytes;
  const { network, state, info } = await decodeModel(bytes);
  return encodeModel(network, state, info);
}
