// Data in batches from a generator: exact batches, shuffled by seed, each checked; statistics of the first examples.
import t from 'tap';
import { datasetFromGenerator } from './support.mjs';

/** 100 vectors [i, 2 i] with label i % 5, in batches of the given sizes. */
const source = (sizes, change = (batch) => batch) =>
  async function* (epoch) {
    let at = 0;
    for (const [number, size] of sizes.entries()) {
      const images = new Float32Array(2 * size);
      const labels = new Uint8Array(size);
      for (let i = 0; i < size; i++, at++) {
        images.set([at, 2 * at], 2 * i);
        labels[i] = at % 5;
      }
      await null;
      yield change({ images, labels }, number, epoch);
    }
  };

const test = { images: Float32Array.of(1, 2, 3, 4), labels: [0, 4] };
const make = (train, more = {}) => datasetFromGenerator({ shape: [2], classes: 5, train, test, ...more });

async function collect(data, options) {
  const batches = [];
  for await (const batch of data.batches(options)) batches.push(batch);
  return batches;
}
const examples = (batches) => batches.flatMap(({ images, labels }) => [...labels].map((label, i) => [images[2 * i], images[2 * i + 1], label]));

t.test('batches of one size, every example once, with its label', async (t) => {
  for (const sizes of [[100], [1, 99], [30, 30, 30, 10], new Array(100).fill(1), [7, 93]]) {
    const data = await make(source(sizes));
    t.same([data.input, data.shape, data.task, data.classes, data.test.count], ['vector', [2, 1, 1], 'classification', 5, 2]);
    for (const [batchSize, buffer] of [
      [1, 1],
      [10, 10],
      [10, 35],
      [20, 1000],
      [100, 5],
      [8, undefined],
    ]) {
      const batches = await collect(data, { batchSize, buffer });
      t.ok(batches.every(({ count, images, labels }) => count === batchSize && images.length === 2 * count && labels.length === count));
      t.equal(batches.length, Math.floor(100 / batchSize));
      const found = examples(batches);
      t.ok(found.every(([a, b, label]) => b === 2 * a && label === a % 5));
      t.equal(new Set(found.map(([a]) => a)).size, batches.length * batchSize, `sizes ${sizes.length}, batch ${batchSize}, buffer ${buffer}`);
    }
  }
});

t.test('the order follows from seed and epoch', async (t) => {
  const data = await make(source([40, 60]));
  const order = async (options) => examples(await collect(data, { batchSize: 10, ...options })).join(' ');
  t.equal(await order({ seed: 3 }), await order({ seed: 3 }));
  t.not(await order({ seed: 3 }), await order({ seed: 4 }));
  t.not(await order({ epoch: 1 }), await order({ epoch: 2 }));
  const epochs = [];
  const counted = await make((epoch) => {
    epochs.push(epoch);
    return source([100])(epoch);
  });
  await collect(counted, { batchSize: 10, epoch: 7 });
  t.same(epochs, [1, 7], 'once for the statistics, once for the epoch');
  const synchronous = await make(() => [{ images: Float32Array.of(1, 2), labels: [3] }]);
  t.equal((await collect(synchronous, { batchSize: 1 })).length, 1, 'a plain array of batches');
});

t.test('statistics of the first examples, or as given', async (t) => {
  const data = await make(source([10, 90]), { statisticsFrom: 20 });
  t.same(data.mean, [9.5, 19]);
  t.ok(Math.abs(data.std[0] - Math.sqrt(399 / 12)) < 1e-6);
  t.same((await make(source([100]), { mean: [1, 2], std: [3, 4] })).mean, [1, 2]);
  const masks = await datasetFromGenerator({
    shape: [1, 1, 2],
    classes: 3,
    ignoreLabel: 255,
    train: () => [{ images: new Uint8Array(4), labels: [0, 255, 2, -1] }],
    test: { images: new Uint8Array(2), labels: [255, 1] },
  });
  const [batch] = await collect(masks, { batchSize: 2, buffer: 1 });
  t.same([masks.task, [...batch.labels].sort()], ['perPosition', [-1, -1, 0, 2]]);
});

t.test('what is wrong is named with batch and epoch', async (t) => {
  const wrong = (number, value) => source([20, 20, 60], (batch, n, epoch) => (n === number && epoch === 2 ? value(batch) : batch));
  for (const [value, message] of [
    [
      (b) => ({ ...b, labels: b.labels.with?.(3, 9) ?? b.labels.map((v, i) => (i === 3 ? 9 : v)) }),
      /from 0 to 4 for batch 1 of epoch 2\.labels\[3\] but received 9/,
    ],
    [(b) => ({ ...b, images: b.images.map((v, i) => (i === 5 ? Number.NaN : v)) }), /a finite number for batch 1 of epoch 2\.images\[5\]/],
    [(b) => ({ ...b, label: 1 }), /only known names .* for batch 1 of epoch 2 but received "label"/],
    [(b) => ({ images: new Uint8Array(b.images.length), labels: b.labels }), /Float32Array, as in the first batch, for batch 1 of epoch 2\.images/],
    [
      (b) => ({ images: b.images, targets: new Float32Array(20) }),
      /what fits train \(classification\) for batch 1 of epoch 2 but received "regression"/,
    ],
    [() => null, /a plain object for batch 1 of epoch 2 but received null/],
  ]) {
    const data = await make(wrong(1, value));
    await t.rejects(collect(data, { batchSize: 10, epoch: 2 }), { message }, String(message));
  }
  await t.rejects(make(source([100], (b) => ({ ...b, labels: [] }))), { message: /for batch 0 of epoch 1\.labels/ });
  await t.rejects(make(source([])), { message: /at least one batch/ });
  await t.rejects(
    make(() => 5),
    { message: /an iterable of batches/ },
  );
  await t.rejects(make([]), { message: /a function/ });
  await t.rejects(make(source([100]), { tests: 1 }), { message: /"tests"/ });
  await t.rejects(make(source([100]), { test: { images: test.images, labels: [0, 5] } }), { message: /test\.labels\[1\] but received 5/ });
  await t.rejects(
    make(async function* () {
      yield* source([10])(1);
      throw new Error('the disk is gone');
    }),
    { message: 'the disk is gone' },
  );
  const data = await make(source([100]));
  t.throws(() => data.batches({ batchSize: 0 }), { message: /batchSize/ });
  let closed = false;
  const endless = await make(async function* () {
    try {
      for (;;) yield* source([100])(1);
    } finally {
      closed = true;
    }
  });
  closed = false;
  for await (const _ of endless.batches({ batchSize: 10 })) break;
  t.ok(closed, 'a loop that is left closes the source');
});
