/** Data that come in batches, one after the other, and need not fit into memory. */
import { readArgument, reading } from '../arguments.js';
import { checkInteger, checkNames, wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { runPaced } from '../pace.js';
import { type ArrayDataset, type ArraySplit, datasetSteps, type ExampleShape } from './arrays.js';
import { type Dataset, type Split, selectExamples, type Task } from './dataset.js';
import { permutation } from './sampling.js';

/** Makes the batches of an epoch, counted from 1; batches may be of any size. */
export type BatchSource = (epoch: number) => AsyncIterable<ArraySplit> | Iterable<ArraySplit>;

/** Of one input and one output. */
export interface StreamOptions extends Pick<ArrayDataset, 'name' | 'ignoreLabel'> {
  shape: ExampleShape;
  classes?: number | undefined;
  classNames?: string[] | undefined;
  task?: Task | undefined;
  mean?: ArrayLike<number> | undefined;
  std?: ArrayLike<number> | undefined;
  train: BatchSource;
  /** Test examples, in memory. */
  test: ArraySplit;
  /** Training examples from the beginning of the first epoch whose mean and deviation are taken, where none are given. Default 10,000. */
  statisticsFrom?: number;
}

/** A data set whose training examples are not held; `batches` gives them. */
export interface StreamDataset extends Omit<Dataset, 'train' | 'validation'> {
  /**
   * The training examples of an epoch in batches of exactly `batchSize`, a rest at the end left out. They are shuffled among the
   * `buffer` examples that are held at a time (default: ten batches); the same seed and source give the same batches.
   */
  batches(options: { batchSize: number; epoch?: number; buffer?: number; seed?: number }): AsyncGenerator<Split, void, void>;
}

/** Examples of several splits behind each other. */
function joined(splits: Split[]): Split {
  const first = item(splits, 0);
  if (splits.length === 1) return first;
  const result: Record<string, unknown> = { count: splits.reduce((sum, { count }) => sum + count, 0) };
  for (const [key, values] of Object.entries(first)) {
    if (!ArrayBuffer.isView(values)) continue;
    const parts = splits.map((split) => split[key as 'images'] as Uint8Array);
    const all = new (values.constructor as Uint8ArrayConstructor)(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    result[key] = all;
  }
  return result as unknown as Split;
}

const OPTIONS = ['name', 'shape', 'classes', 'classNames', 'task', 'ignoreLabel', 'mean', 'std', 'train', 'test', 'statisticsFrom'];

class Stream {
  constructor(
    private readonly options: StreamOptions,
    /** The first training examples, which the others must be like. */
    private like: ArraySplit | undefined,
  ) {}

  /** The batches of an epoch as the source gives them, each checked. */
  async *checked(epoch: number): AsyncGenerator<Split, void, void> {
    const { train, test: _, statisticsFrom: __, ...common } = this.options;
    const source = reading('train', () => train(epoch)) as Partial<AsyncIterable<ArraySplit> & Iterable<ArraySplit>> | undefined;
    if (typeof source?.[Symbol.asyncIterator] !== 'function' && typeof source?.[Symbol.iterator] !== 'function')
      throw wrongType('an iterable of batches', 'the result of train', source);
    let number = 0;
    for await (const batch of source as AsyncIterable<ArraySplit>) {
      this.like ??= batch;
      let data: Dataset;
      try {
        // The batch stands where test examples would: it is compared with the first one, which sets task, type and width.
        data = (await runPaced(
          datasetSteps({ mean: zeros(common.shape[0]), std: ones(common.shape[0]), ...common, train: this.like, test: batch }),
        )) as Dataset;
        if (data.outputs) throw wrongType('labels or targets of one output, as streams have them,', 'test', 'several by name');
        if (data.train.images.constructor !== data.test.images.constructor)
          throw wrongType(`${data.train.images.constructor.name}, as in the first batch,`, 'test.images', data.test.images);
      } catch (error) {
        if (error instanceof Error) error.message = error.message.replace(/ for (?:test|train)\b/, ` for batch ${number} of epoch ${epoch}`);
        throw error;
      }
      number++;
      yield data.test;
    }
  }

  /** Shuffles within a buffer and cuts batches of one size. */
  async *batches(batchSize: number, epoch: number, buffer: number, seed: number): AsyncGenerator<Split, void, void> {
    let held: Split | undefined;
    let round = 0;
    const cut = async function* (all: Split, keep: number): AsyncGenerator<Split, Split | undefined, void> {
      const order = await runPaced(permutation(all.count, (Math.imul(seed, 0x9e3779b1) ^ Math.imul(epoch, 0x85ebca6b) ^ round++) | 0));
      let at = 0;
      for (; all.count - at >= Math.max(batchSize, keep); at += batchSize)
        yield await runPaced(selectExamples(all, order.subarray(at, at + batchSize)));
      return at === all.count ? undefined : runPaced(selectExamples(all, order.subarray(at)));
    };
    for await (const batch of this.checked(epoch)) {
      held = held ? joined([held, batch]) : batch;
      if (held.count >= Math.max(buffer, batchSize)) held = yield* cut(held, buffer);
    }
    if (held) yield* cut(held, 0);
  }
}

const zeros = (channels: number) => new Array<number>(channels).fill(0);
const ones = (channels: number) => new Array<number>(channels).fill(1);

/** The first training examples, `count` of them if there are as many. */
async function firstExamples(stream: Stream, count: number): Promise<Split> {
  const first: Split[] = [];
  let found = 0;
  for await (const batch of stream.checked(1)) {
    first.push(batch);
    found += batch.count;
    if (found >= count) break;
  }
  if (found === 0) throw wrongValue('at least one batch', 'the result of train', found);
  const all = joined(first);
  return found > count
    ? runPaced(
        selectExamples(
          all,
          Int32Array.from({ length: count }, (_, i) => i),
        ),
      )
    : all;
}

/**
 * Training examples from a function that gives them batch by batch, each epoch anew; each batch is checked as `datasetFromArrays`
 * checks its arrays. The first examples are read once to set the task, and the mean and deviation unless these are given.
 * @throws TypeError or RangeError that names the batch and the value at fault
 */
export async function datasetFromGenerator(given: StreamOptions): Promise<StreamDataset> {
  const options = readArgument(given, 'options');
  checkNames(options as object, 'datasetFromGenerator', OPTIONS);
  const { train, statisticsFrom = 10_000, ...common } = options;
  if (typeof train !== 'function') throw wrongType('a function that gives an iterable of batches', 'train', train);
  checkInteger(statisticsFrom, 'statisticsFrom', 1);
  if (!Array.isArray(options.shape)) throw wrongType('[channels, height, width], [channels, length] or [features]', 'shape', options.shape);
  checkInteger(options.shape[0], 'shape[0]', 1, 1 << 24); // statistics are kept for each channel
  const stream = new Stream(options, undefined);
  const first = await firstExamples(stream, statisticsFrom);
  const { images, labels, targets } = first;
  const answers = labels ? { labels } : { targets: targets as Float32Array }; // every split has one of the two
  const whole = (await runPaced(datasetSteps({ ...common, train: { images, ...answers }, test: options.test }))) as Dataset;
  const { train: _, ...data } = whole;
  return {
    ...data,
    batches({ batchSize, epoch = 1, buffer = 10 * batchSize, seed = 1 }) {
      checkInteger(batchSize, 'batchSize', 1);
      checkInteger(epoch, 'epoch', 1);
      checkInteger(buffer, 'buffer', 1);
      checkInteger(seed, 'seed', 0);
      return stream.batches(batchSize, epoch, buffer, seed);
    },
  };
}
