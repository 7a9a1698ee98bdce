/** Samples of examples by seed: fewer training examples, and examples held back for validation. */
import { wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { uniform } from '../network/initial.js';
import { SLICE, type Steps } from '../pace.js';
import { type AnyDataset, type Split, selectExamples, type TokenSplit, taskOf } from './dataset.js';
import { statisticsOf } from './statistics.js';

/** Numbers below `bound` from a seed, all alike. */
export function integersBelow(seed: number): (bound: number) => number {
  const random = uniform(seed | 0);
  return (bound) => Math.floor(((random() * 0x1000000 + random()) / 0x1000000) * bound);
}

/** 0..count−1 in an order that the seed gives. */
export function* permutation(count: number, seed: number): Steps<Int32Array> {
  const below = integersBelow(Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995);
  const order = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const j = below(i + 1);
    order[i] = order[j] as number; // j ≤ i
    order[j] = i;
    if (i % SLICE === SLICE - 1) yield;
  }
  return order;
}

/**
 * `size` of the examples: as many of every class as there are, until the sample is full; which ones, the seed says. The
 * result is in ascending order. Of a sample of another size with the same seed, the smaller one is a part of the larger.
 */
export function* balancedSample(labels: ArrayLike<number>, size: number, seed: number): Steps<Int32Array> {
  const order = yield* permutation(labels.length, seed);
  const byClass = new Map<number, number[]>();
  for (const i of order) {
    const label = item(labels, i);
    const members = byClass.get(label);
    if (members) members.push(i);
    else byClass.set(label, [i]);
  }
  const classes = [...byClass].sort(([a], [b]) => a - b).map(([, members]) => members);
  const chosen: number[] = [];
  for (let round = 0; chosen.length < size; round++) {
    const before = chosen.length;
    for (const members of classes) {
      const member = members[round];
      if (member !== undefined && chosen.length < size) chosen.push(member);
    }
    if (chosen.length === before) break;
    if (round % 1024 === 1023) yield;
  }
  return Int32Array.from(chosen).sort();
}

/** The sample of a split that a limit leaves: balanced where every example has one class. */
function* sampleOf(data: AnyDataset, size: number, seed: number): Steps<Int32Array> {
  const { labels, count } = data.train;
  if (labels && !data.outputs && taskOf(data) === 'classification') return yield* balancedSample(labels, size, seed);
  return (yield* permutation(count, seed)).slice(0, size).sort();
}

/** `limit` of the training examples, as many of each class, with the statistics of these alone. */
export function* limitTraining<D extends AnyDataset>(data: D, limit: number | undefined, seed: number): Steps<D> {
  if (limit === undefined || limit >= data.train.count) return data;
  const indices = yield* sampleOf(data, limit, seed);
  return yield* withTraining(data, yield* selectExamples(data.train as Split | TokenSplit, indices));
}

/** The data set with `count` of its training examples, chosen by the seed, as its validation split. */
export function* holdBack<D extends AnyDataset>(data: D, count: number | undefined, seed: number): Steps<D> {
  if (count === undefined || count === 0) return data;
  if (count >= data.train.count) throw wrongValue(`fewer than the ${data.train.count} training examples`, 'validation', count);
  const order = yield* permutation(data.train.count, seed ^ 0x2545f491);
  const all = data.train as Split | TokenSplit;
  const validation = yield* selectExamples(all, order.slice(0, count).sort());
  const train = yield* selectExamples(all, order.slice(count).sort());
  return { ...(yield* withTraining(data, train)), validation };
}

function* withTraining<D extends AnyDataset>(data: D, train: Split | TokenSplit): Steps<D> {
  if (!('images' in train) || !('shape' in data)) return { ...data, train };
  return { ...data, train, ...(yield* statisticsOf({ ...data, train })) };
}
