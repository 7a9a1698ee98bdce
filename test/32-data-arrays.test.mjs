// Data sets from arrays: every kind of wrong value is named, constant channels stay quiet, splits repeat by seed.
import t from 'tap';
import { datasetFromArrays, loadDataset, randomNumbers } from './support.mjs';

const images = (count) => Uint8Array.from({ length: count * 4 }, (_, i) => i * 7);
const labelled = (labels) => ({ images: images(labels.length), labels });
const good = { shape: [1, 2, 2], classes: 10, train: labelled([0, 1, 2, 3]), test: labelled([4, 5]) };

t.test('values that are no class, in every split', async (t) => {
  const values = [Number.NaN, undefined, null, 'cat', '1', 0.5, 2 ** 32 + 1, -1, 10, 3n, [0, 1], { label: 1 }, true, Number.POSITIVE_INFINITY];
  for (const split of ['train', 'test', 'validation']) {
    for (const value of values) {
      const labels = [0, 1, value, 3];
      const name = typeof value === 'number' ? 'RangeError' : 'TypeError';
      const message = new RegExp(`^Expected an integer from 0 to 9 for ${split}\\.labels\\[2\\] but received `);
      await t.rejects(datasetFromArrays({ ...good, [split]: labelled(labels) }), { name, message }, `${split}: ${String(value)}`);
    }
  }
  for (const [labels, message] of [
    ['0101', /array or typed array of integers for train\.labels but received "0101"/],
    [BigInt64Array.of(0n, 1n, 2n, 3n), /train\.labels\[0\] but received 0n/],
    [Float32Array.of(0, 1, Number.NaN, 3), /train\.labels\[2\] but received NaN/],
    [{ length: 4, 0: 0, 1: 1, 2: 2, 3: 3 }, /train\.labels but received an object/],
    [new Array(4), /train\.labels\[0\] but received undefined/],
    [new DataView(new ArrayBuffer(4)), /train\.labels/],
    [null, /train\.labels but received null/],
  ]) {
    await t.rejects(datasetFromArrays({ ...good, train: { images: images(4), labels } }), { message });
  }
  for (const Type of [Array, Int8Array, Uint8Array, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array]) {
    t.same([...(await datasetFromArrays({ ...good, train: labelled(Type.from([3, 0, 9, 1])) })).train.labels], [3, 0, 9, 1], Type.name);
  }
});

t.test('misspelled and missing fields', async (t) => {
  const wrong = (options, message) => t.rejects(datasetFromArrays(options), { name: 'TypeError', message });
  await wrong({ ...good, clases: 10 }, /only known names .* for datasetFromArrays but received "clases"/);
  await wrong({ ...good, train: { ...good.train, label: [0] } }, /only known names \(images, labels, targets\) for train but received "label"/);
  await wrong({ ...good, test: { image: images(1), labels: [0] } }, /for test but received "image"/);
  await wrong({ ...good, validation: { images: images(1), labels: [0], count: 1 } }, /for validation but received "count"/);
  await wrong({ ...good, train: undefined }, /a plain object for train but received undefined/);
  await wrong({ ...good, test: [] }, /a plain object for test but received an array of length 0/);
  await wrong({ ...good, classes: undefined }, /classes/);
  await wrong({ ...good, classes: '10' }, /an integer .* for classes but received "10"/);
  await wrong({ ...good, classNames: 'ab' }, /classNames/);
  await wrong({ ...good, task: 'classify' }, /for task but received "classify"/);
  await wrong(null, /a plain object for datasetFromArrays but received null/);
  await wrong({ ...good, shape: undefined }, /shape but received undefined/);
  await wrong({ ...good, shape: [1, 2, 2, 1] }, /shape/);
  await wrong({ ...good, name: 5 }, /name but received 5/);
  const range = (options, message) => t.rejects(datasetFromArrays(options), { name: 'RangeError', message });
  await range({ ...good, classNames: ['a', 'b'] }, /10 names for classNames/);
  await range({ ...good, shape: [1, 0, 2] }, /shape\[1\] but received 0/);
  await range({ ...good, shape: [65536, 65536, 1] }, /the product of shape/);
  await range({ ...good, validation: 4 }, /fewer than the 4 training examples for validation but received 4/);
  await range({ ...good, validation: 0.5 }, /an integer >= 1 for validation/);
});

t.test('more examples than native code numbers', async (t) => {
  let many;
  try {
    many = new Uint8Array(2 ** 31); // zero pages: no memory is used
  } catch {
    t.skip('the engine gives no array of 2 GB');
    return;
  }
  const split = { images: many, targets: new Float32Array(1) };
  const message = /at most 2147483647 images for train\.images but received 2147483648/;
  await t.rejects(datasetFromArrays({ shape: [1, 1, 1], train: split, test: split }), { name: 'RangeError', message });
});

t.test('values that are no finite number are named with image and pixel', async (t) => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    const floats = Float32Array.from({ length: 3 * 2 * 2 * 3 }, (_, i) => i);
    floats[2 * 12 + 6 + 4] = bad; // image 2, channel 1, row 1, column 1
    const labels = [0, 1, 0];
    const split = { images: floats, labels };
    const message = new RegExp(`a finite number for train\\.images\\[34\\] \\(image 2, channel 1, row 1, column 1\\) but received ${String(bad)}`);
    await t.rejects(datasetFromArrays({ shape: [2, 2, 3], classes: 2, train: split, test: split }), { name: 'RangeError', message });
    const vectors = { images: Float32Array.of(1, 2, 3, bad), targets: Float32Array.of(0, 1) };
    await t.rejects(datasetFromArrays({ shape: [2], train: vectors, test: vectors }), { message: /train\.images\[3\] \(vector 1, feature 1\)/ });
    const targets = { images: images(2), targets: [0, 1, 2, bad] };
    await t.rejects(datasetFromArrays({ shape: [1, 2, 2], train: targets, test: targets }), {
      message: /train\.targets\[3\] \(example 1, number 1\)/,
    });
  }
});

t.test('constant channels have std 1, whatever their magnitude; others do not', async (t) => {
  const random = randomNumbers(3);
  const statistics = (value) => {
    const floats = Float32Array.from({ length: 1000 }, value);
    const split = { images: floats, targets: new Float32Array(250) };
    return datasetFromArrays({ shape: [1, 2, 2], train: split, test: split });
  };
  for (const value of [0, 1, 0.1, -0.3, 1 / 3, 255, 1e-9, 1e9, 1e30, 1e-38]) {
    const data = await statistics(() => value);
    t.same(data.std, [1], String(value));
    t.ok(Math.abs(data.mean[0] - value) <= 1e-6 * Math.abs(value));
    if (value !== 0 && value !== 1e-38)
      t.same((await statistics(() => Math.fround(value) * (1 + 5e-8 * random()))).std, [1], `${value} with rounding noise`);
  }
  for (const scale of [1e-30, 1e-9, 1, 1e9, 1e30]) {
    const data = await statistics(() => scale * (1 + random()));
    t.ok(Math.abs(data.std[0] / scale - Math.sqrt(1 / 12)) < 0.02, `scale ${scale}`);
    const small = await statistics(() => 100 * scale + scale * random());
    t.ok(Math.abs(small.std[0] / scale - Math.sqrt(1 / 12)) < 0.02, `scale ${scale} around a hundred times as much`);
  }
  const bytes = { images: new Uint8Array(400).fill(77), labels: new Uint8Array(100) };
  t.same((await datasetFromArrays({ shape: [1, 2, 2], classes: 1, train: bytes, test: bytes })).std, [1]);
});

t.test('statistics against sums in plain loops', async (t) => {
  const random = randomNumbers(8);
  for (const [channels, height, width, count] of [
    [1, 1, 1, 1],
    [3, 5, 7, 11],
    [2, 300, 301, 3],
    [5, 1, 1, 70001],
  ]) {
    const floats = Float32Array.from({ length: channels * height * width * count }, () => random() * 3 - 1);
    const split = { images: floats, targets: new Float32Array(count) };
    const shape = [channels, height, width];
    const data = await datasetFromArrays({ shape, train: split, test: split });
    for (let c = 0; c < channels; c++) {
      let sum = 0;
      let squares = 0;
      let n = 0;
      for (let i = 0; i < floats.length; i++) {
        if (Math.floor(i / (height * width)) % channels !== c) continue;
        sum += floats[i];
        squares += floats[i] ** 2;
        n++;
      }
      const std = Math.sqrt(squares / n - (sum / n) ** 2);
      t.ok(Math.abs(data.mean[c] - sum / n) < 1e-9, `mean of ${shape}`);
      t.ok(n === 1 ? data.std[c] === 1 : Math.abs(data.std[c] - std) < 1e-9, `std of ${shape}`);
    }
  }
});

t.test('mean and std as users give them', async (t) => {
  const two = { shape: [2, 1, 2], classes: 10, train: good.train, test: good.test };
  t.same((await datasetFromArrays({ ...two, mean: [1, 2], std: Float32Array.of(3, 4) })).std, [3, 4]);
  t.same((await datasetFromArrays({ ...two, std: [3, 4] })).std, [3, 4], 'one of both alone');
  for (const [field, value, message] of [
    ['mean', [1], /2 finite numbers, one for each channel, for mean but received an array of length 1/],
    ['mean', 0.5, /for mean but received 0\.5/],
    ['mean', [0, Number.NaN], /mean\[1\] but received NaN/],
    ['mean', [0, '1'], /mean\[1\] but received "1"/],
    ['mean', [0, 1e39], /mean\[1\] but received 1e\+39/],
    ['std', [1, 0], /a positive number for std\[1\] but received 0/],
    ['std', [1, -1], /std\[1\] but received -1/],
    ['std', [1e-60, 1], /std\[0\] but received 1e-60/],
    ['std', [1, 1, 1], /for std/],
    ['std', [1, undefined], /std\[1\] but received undefined/],
    ['std', [Number.POSITIVE_INFINITY, 1], /std\[0\]/],
    ['std', null, /for std but received null/],
  ]) {
    await t.rejects(datasetFromArrays({ ...two, [field]: value }), { message }, `${field}: ${String(value)}`);
  }
});

t.test('every task: labels per position, several classes, numbers; vectors, sequences, tokens', async (t) => {
  const mask = { images: images(2), labels: [0, 1, 2, 255, 1, 1, -1, 0] };
  const segmentation = await datasetFromArrays({
    shape: [1, 2, 2],
    classes: 3,
    ignoreLabel: -1,
    train: { ...mask, labels: [0, 1, 2, 2, 1, 1, -1, 0] },
    test: { ...mask, labels: new Int8Array(8) },
  });
  t.equal(segmentation.task, 'perPosition');
  t.same([...segmentation.train.labels], [0, 1, 2, 2, 1, 1, -1, 0]);
  const marked = await datasetFromArrays({
    shape: [1, 2, 2],
    classes: 3,
    ignoreLabel: 255,
    train: { ...mask, labels: [0, 1, 2, 255, 1, 1, -1, 0] },
    test: mask.images && { ...mask, labels: new Int8Array(8) },
  });
  t.same([...marked.train.labels], [0, 1, 2, -1, 1, 1, -1, 0]);
  const threeClasses = { shape: [1, 2, 2], classes: 3, test: { ...mask, labels: new Int8Array(8) } };
  await t.rejects(datasetFromArrays({ ...threeClasses, train: { ...mask, labels: [0, 1, 2, 3, 0, 0, 0, 0] } }), {
    message: /from 0 to 2, or -1, for train\.labels\[3\] but received 3/,
  });
  await t.rejects(datasetFromArrays({ ...threeClasses, train: { ...mask, labels: [0, 1, 2] } }), {
    message: /2 labels or 2×4 labels for train\.labels/,
  });
  await t.rejects(datasetFromArrays({ ...threeClasses, task: 'perPosition', train: { ...mask, labels: [0, 1] } }), {
    message: /Expected 2×4 labels for train\.labels/,
  });
  await t.rejects(datasetFromArrays({ ...threeClasses, train: { ...mask, labels: [0, 1] } }), {
    message: /what fits train \(classification\) for test/,
  });

  const several = (targets) => ({
    shape: [1, 2, 2],
    task: 'multiLabel',
    classes: 3,
    train: { images: images(2), targets },
    test: { images: images(2), targets: new Uint8Array(6) },
  });
  const multi = await datasetFromArrays(several([0, 1, 1, 0, 0, 0]));
  t.same([multi.task, multi.classes, [...multi.train.targets]], ['multiLabel', 3, [0, 1, 1, 0, 0, 0]]);
  await t.rejects(datasetFromArrays(several([0, 1, 0.5, 0, 0, 0])), { message: /0 or 1 for train\.targets\[2\] but received 0\.5/ });
  await t.rejects(datasetFromArrays(several([0, 1])), { message: /2 rows of 3 numbers for train\.targets/ });
  await t.rejects(datasetFromArrays({ ...several([0]), train: good.train }), { message: /targets \(the task is "multiLabel"\) for train/ });

  const numbers = (targets) => ({ images: Float32Array.of(1, 2, 3, 4, 5, 6), targets });
  const regression = await datasetFromArrays({ shape: [3], train: numbers([1, 2]), test: numbers([3, 4]) });
  t.same([regression.task, regression.input, regression.shape, regression.classes], ['regression', 'vector', [3, 1, 1], 0]);
  t.equal(regression.mean.length, 3, 'a mean for every feature');
  await t.rejects(datasetFromArrays({ shape: [3], train: numbers([1, 2]), test: numbers([1, 2, 3, 4]) }), {
    message: /1 targets of an example, as in train, for test\.targets but received 2/,
  });
  await t.rejects(datasetFromArrays({ shape: [3], train: numbers([1, 'a']), test: numbers([1, 2]) }), {
    message: /a number for train\.targets\[1\] but received "a"/,
  });
  await t.rejects(datasetFromArrays({ shape: [3], train: numbers([1, 2, 3]), test: numbers([1, 2]) }), {
    message: /2 rows of equally many numbers for train\.targets/,
  });

  const waves = { images: new Float32Array(2 * 3 * 5), labels: new Int32Array(10) };
  const sequence = await datasetFromArrays({ shape: [3, 5], classes: 2, train: waves, test: waves });
  t.same([sequence.input, sequence.shape, sequence.task], ['sequence', [3, 1, 5], 'perPosition']);

  const rows = (tokens, labels) => ({ tokens, labels });
  const text = { shape: [3], vocabulary: 5, classes: 5, train: rows([0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 0, -1]), test: rows([1, 1, 1], [1, 1, 1]) };
  const tokens = await datasetFromArrays(text);
  t.same([tokens.input, tokens.length, tokens.vocabulary, tokens.task], ['tokens', 3, 5, 'perPosition']);
  t.same([...tokens.train.tokens], [0, 1, 2, 3, 4, 0]);
  t.ok(tokens.train.tokens instanceof Int32Array);
  await t.rejects(datasetFromArrays({ ...text, train: rows([0, 1, 5], [1, 2, 3]) }), {
    message: /from 0 to 4 for train\.tokens\[2\] but received 5/,
  });
  await t.rejects(datasetFromArrays({ ...text, train: rows([0, 1, -1], [1, 2, 3]) }), { message: /train\.tokens\[2\] but received -1/ });
  await t.rejects(datasetFromArrays({ ...text, train: rows([0, 1], [1, 2]) }), { message: /whole rows of 3 values/ });
  await t.rejects(datasetFromArrays({ ...text, vocabulary: undefined }), { message: /vocabulary/ });
  t.equal((await datasetFromArrays({ ...text, train: rows(text.train.tokens, [0, 1]), test: rows([1, 1, 1], [4]) })).task, 'classification');
});

t.test('holding back for validation', async (t) => {
  const labels = Array.from({ length: 100 }, (_, i) => i % 10);
  const train = { images: Uint8Array.from({ length: 400 }, (_, i) => Math.floor(i / 4)), labels };
  const make = (seed) => datasetFromArrays({ ...good, train, validation: 20, seed });
  const a = await make(5);
  t.same([a.train.count, a.validation.count], [80, 20]);
  const all = [...a.train.images, ...a.validation.images].filter((_, i) => i % 4 === 0);
  t.same(
    all.sort((x, y) => x - y),
    labels.map((_, i) => i),
    'every example once',
  );
  for (const { labels, images } of [a.train, a.validation]) t.ok(labels.every((label, i) => label === images[4 * i] % 10));
  t.same(a, await make(5), 'the same seed');
  t.notSame([...a.validation.images], [...(await make(6)).validation.images], 'another seed');
  t.ok(Math.abs(a.mean[0] - a.train.images.reduce((x, y) => x + y, 0) / 320 / 255) < 1e-12, 'statistics of the training examples alone');
  t.same((await datasetFromArrays({ ...good, train, validation: 20, mean: [0.25], std: [2] })).mean, [0.25]);
});

t.test('limit and validation of a data set by name', async (t) => {
  const a = await loadDataset('digits', { limit: 50, validation: 10 });
  t.same([a.train.count, a.validation.count], [40, 10]);
  const limited = await loadDataset('digits', { limit: 50 });
  const counts = new Array(10).fill(0);
  for (const label of limited.train.labels) counts[label]++;
  t.same(counts, new Array(10).fill(5), 'as many of each class');
  const mean = limited.train.images.reduce((x, y) => x + y, 0) / limited.train.images.length / 255;
  t.ok(Math.abs(limited.mean[0] - mean) < 1e-12, 'normalised by what is used');
  const bytes = async (options) => Buffer.from((await loadDataset('digits', options)).train.images).toString('base64');
  t.equal(await bytes({ limit: 50 }), await bytes({ limit: 50 }));
  t.not(await bytes({ limit: 50 }), await bytes({ limit: 50, seed: 2 }));
  for (const [options, message] of [
    [{ limit: 2.5 }, /limit/],
    [{ limits: 5 }, /"limits"/],
    [{ validation: -1 }, /validation/],
    [{ seed: 'a' }, /seed/],
    [{ shape: [1, 32, 32] }, /"digits" has one shape, for shape but received/],
    [{ fit: 'contain' }, /"digits" has one shape, for fit but received "contain"/],
    [{ size: 0 }, /size but received 0/],
    [{ size: [16] }, /size/],
    [{ dataDir: 5 }, /dataDir/],
  ]) {
    await t.rejects(loadDataset('digits', options), { message });
  }
});

/** The mean over the area that pixel (y, x) of the result covers, pixel by pixel. */
function averaged(image, [height, width], [rows, columns], y, x) {
  const scale = Math.min(height / rows, width / columns);
  const [top, left] = [(height - scale * rows) / 2 + y * scale, (width - scale * columns) / 2 + x * scale];
  const overlap = (from, i) => Math.max(0, Math.min(from + scale, i + 1) - Math.max(from, i));
  let sum = 0;
  for (let i = 0; i < height; i++) for (let j = 0; j < width; j++) sum += overlap(top, i) * overlap(left, j) * image[i * width + j];
  return sum / scale ** 2;
}

t.test('data sets by name in another size: every pixel is the mean over the area it covers', async (t) => {
  const whole = await loadDataset('digits');
  for (const size of [16, 7, 28, [9, 16], [16, 9], [5, 28], [40, 31]]) {
    const [rows, columns] = [size].flat().length === 2 ? size : [size, size];
    const data = await loadDataset('digits', { size });
    t.same([data.shape, data.resize], [[1, rows, columns], rows === 28 && columns === 28 ? undefined : 'area']);
    t.same([data.train.count, data.test.count], [whole.train.count, whole.test.count]);
    t.same([...data.test.labels], [...whole.test.labels]);
    let worst = 0;
    for (const [split, i] of [
      ['train', 0],
      ['train', 17],
      ['test', whole.test.count - 1],
    ]) {
      const image = whole[split].images.subarray(i * 784, (i + 1) * 784);
      const small = data[split].images.subarray(i * rows * columns, (i + 1) * rows * columns);
      small.forEach((value, at) => {
        const expected = averaged(image, [28, 28], [rows, columns], Math.floor(at / columns), at % columns);
        worst = Math.max(worst, Math.abs(value - expected));
      });
    }
    t.ok(worst <= 0.5 + 1e-9, `${rows}×${columns}: off by ${worst}, half a step of a byte at most`);
    const mean = data.train.images.reduce((a, b) => a + b, 0) / data.train.images.length / 255;
    t.ok(Math.abs(mean - data.mean[0]) < 1e-9, 'normalised by what is used');
  }
  const held = await loadDataset('digits', { size: 16, limit: 100, validation: 20 });
  t.same([held.train.images.length, held.validation.images.length], [80 * 256, 20 * 256]);
});
