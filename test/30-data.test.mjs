// Readers of the standard data files: what they return, and what they say of files that are missing, damaged or wrong.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { datasetFromArrays, loadDataset, randomNumbers, temporaryFolder } from './support.mjs';

const random = randomNumbers(11);
const bytes = (count) => Buffer.from({ length: count }, () => 0).map(() => Math.floor(random() * 256));

function idx(shape, data) {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header[2] = 8;
  header[3] = shape.length;
  for (const [i, size] of shape.entries()) header.writeUInt32BE(size, 4 + 4 * i);
  return Buffer.concat([header, data]);
}

const mnistNames = ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte', 't10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'];

/** A small MNIST look-alike; `change` may replace files. Returns its folder and what is in it. */
function mnistFolder(t, change = {}, zip = false) {
  const folder = mkdtempSync(join(temporaryFolder(t), 'mnist-'));
  const images = bytes(20 * 64);
  const labels = Buffer.from({ length: 20 }, (_, i) => i % 10).map((_, i) => i % 10);
  const files = {
    [mnistNames[0]]: idx([20, 8, 8], images),
    [mnistNames[1]]: idx([20], labels),
    [mnistNames[2]]: idx([5, 8, 8], bytes(5 * 64)),
    [mnistNames[3]]: idx([5], Buffer.from([3, 1, 4, 1, 5])),
    ...change,
  };
  for (const [name, contents] of Object.entries(files)) {
    if (contents) writeFileSync(join(folder, zip ? `${name}.gz` : name), zip ? gzipSync(contents) : contents);
  }
  return { folder, images, labels };
}

t.test('IDX files, plain and gzipped', async (t) => {
  for (const zip of [false, true]) {
    const { folder, images, labels } = mnistFolder(t, {}, zip);
    const data = await loadDataset('mnist', { dataDir: folder });
    t.same(data.shape, [1, 8, 8]);
    t.equal(data.train.count, 20);
    t.same(Buffer.from(data.train.images), images);
    t.same([...data.train.labels], [...labels]);
    t.same([...data.test.labels], [3, 1, 4, 1, 5]);
    const mean = images.reduce((a, b) => a + b, 0) / images.length / 255;
    t.ok(Math.abs(data.mean[0] - mean) < 1e-9);
    const limited = await loadDataset('mnist', { dataDir: folder, limit: 7 });
    t.equal(limited.train.count, 7);
    t.equal(limited.train.images.length, 7 * 64);
    t.equal(new Set(limited.train.labels).size, 7, 'as many of each class');
    t.equal(limited.test.count, 5);
  }
});

t.test('damaged, truncated, empty, mislabelled and missing IDX files', async (t) => {
  const [images, labels] = mnistNames;
  const good = idx([20, 8, 8], bytes(20 * 64));
  const cases = [
    [{ [images]: Buffer.alloc(0) }, /train-images.*: the file is empty/],
    [{ [images]: good.subarray(0, 10) }, /cut off: expected 12 bytes of an IDX header but found 6/],
    [{ [images]: good.subarray(0, 500) }, /cut off: expected 1280 bytes of data \(20×8×8\) but found 484/],
    [{ [images]: Buffer.concat([good, Buffer.from([0])]) }, /too long/],
    [{ [images]: Buffer.from('<html>not found, sorry, no such file</html>') }, /not an IDX file/],
    [{ [images]: idx([20], bytes(20)) }, /expected images \(3 dimensions\) but found 1 dimensions|too few/],
    [{ [labels]: idx([20], Buffer.alloc(20, 10)) }, /image 0 has label 10, outside of 0\.\.9/],
    [{ [labels]: idx([19], Buffer.alloc(19)) }, /20 images but 19 labels/],
    [{ [labels]: undefined }, /not found: looked for train-labels-idx1-ubyte/],
    [{ [images]: idx([0, 8, 8], Buffer.alloc(0)), [labels]: idx([0], Buffer.alloc(0)) }, /holds no images/],
    [{ [mnistNames[2]]: idx([5, 9, 8], bytes(5 * 72)) }, /training images are 1×8×8 but test images 1×9×8/],
    [{ [images]: gzipSync(good).subarray(0, 300) }, /gzip data are damaged or cut off/],
    [{ [images]: Buffer.concat([Buffer.from([0, 0, 13, 3]), good.subarray(4)]) }, /IDX type 13/],
  ];
  for (const [change, message] of cases) {
    const { folder } = mnistFolder(t, change);
    await t.rejects(loadDataset('mnist', { dataDir: folder }), { name: 'DataError', message }, String(message));
  }
  await t.rejects(loadDataset('mnist', { dataDir: '/no/such/folder' }), { name: 'DataError', message: /not found/ });
});

const cifarRecord = (label, fill, labelBytes = 1) => Buffer.concat([Buffer.from(labelBytes === 2 ? [0, label] : [label]), Buffer.alloc(3072, fill)]);

t.test('CIFAR-10 and CIFAR-100 in their official files', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'cifar-10-batches-bin'));
  for (let i = 1; i <= 5; i++)
    writeFileSync(join(folder, 'cifar-10-batches-bin', `data_batch_${i}.bin`), Buffer.concat([cifarRecord(i, i), cifarRecord(9, 100 + i)]));
  writeFileSync(join(folder, 'cifar-10-batches-bin', 'test_batch.bin'), cifarRecord(2, 7));
  const data = await loadDataset('cifar10', { dataDir: folder });
  t.same(data.shape, [3, 32, 32]);
  t.same([...data.train.labels], [1, 9, 2, 9, 3, 9, 4, 9, 5, 9]);
  t.equal(data.train.images[3072], 101);
  t.equal(data.test.images[3071], 7);
  writeFileSync(join(folder, 'train.bin'), Buffer.concat([cifarRecord(99, 1, 2), cifarRecord(0, 2, 2)]));
  writeFileSync(join(folder, 'test.bin'), cifarRecord(50, 3, 2));
  const hundred = await loadDataset('cifar100', { dataDir: folder });
  t.same([...hundred.train.labels], [99, 0]);
  t.equal(hundred.classes, 100);
  writeFileSync(join(folder, 'train.bin'), cifarRecord(99, 1, 2).subarray(0, 3000));
  await t.rejects(loadDataset('cifar100', { dataDir: folder }), {
    name: 'DataError',
    message: /train\.bin: cut off or of another format: 3000 bytes/,
  });
  writeFileSync(join(folder, 'train.bin'), cifarRecord(100, 1, 2));
  await t.rejects(loadDataset('cifar100', { dataDir: folder }), { name: 'DataError', message: /label 100/ });
});

t.test('a folder of images by class', async (t) => {
  const sharp = (await import('sharp').catch(() => undefined))?.default;
  if (!sharp) return t.skip('the optional package sharp is not installed');
  const folder = temporaryFolder(t);
  const image = (color) =>
    sharp({ create: { width: 6, height: 4, channels: 3, background: color } })
      .png()
      .toBuffer();
  for (const [split, count] of [
    ['train', 3],
    ['test', 1],
  ]) {
    for (const [name, color] of [
      ['red', '#ff0000'],
      ['blue', '#0000ff'],
    ]) {
      mkdirSync(join(folder, split, name), { recursive: true });
      for (let i = 0; i < count; i++) writeFileSync(join(folder, split, name, `${i}.png`), await image(color));
      writeFileSync(join(folder, split, name, 'notes.txt'), 'not an image');
    }
  }
  const data = await loadDataset('images', { dataDir: folder });
  t.same(data.classNames, ['blue', 'red']);
  t.same(data.shape, [3, 4, 6]);
  t.same([...data.train.labels], [0, 0, 0, 1, 1, 1]);
  t.same([...data.train.images.subarray(0, 72)], [...new Array(48).fill(0), ...new Array(24).fill(255)], 'planes: red and green 0, blue 255');
  writeFileSync(join(folder, 'train', 'red', '1.png'), (await image('#ff0000')).subarray(0, 40));
  await t.rejects(loadDataset('images', { dataDir: folder }), { name: 'DataError', message: /red.1\.png: not a readable image/ });
  rmSync(join(folder, 'train', 'red', '1.png'));
  mkdirSync(join(folder, 'test', 'green'));
  t.equal((await loadDataset('images', { dataDir: folder })).classes, 2, 'an empty folder is no class');
  writeFileSync(join(folder, 'test', 'green', '0.png'), await image('#00ff00'));
  await t.rejects(loadDataset('images', { dataDir: folder }), { name: 'DataError', message: /"green" has no training images/ });
  await t.rejects(loadDataset('images', { dataDir: join(folder, 'none') }), { name: 'DataError', message: /cannot be read/ });
});

t.test('the embedded digits', async (t) => {
  const data = await loadDataset('digits');
  t.equal(data.train.count + data.test.count, 10000);
  t.same(data.shape, [1, 28, 28]);
  for (const { labels, count } of [data.train, data.test]) {
    t.equal(labels.length, count);
    t.equal(new Set(labels).size, 10);
  }
});

t.test('Fashion-MNIST where its package puts it', async (t) => {
  if (!existsSync('/usr/share/datasets/fashion-mnist')) return t.skip('the Debian package dataset-fashion-mnist is not installed');
  const data = await loadDataset('fashion-mnist');
  t.same([data.train.count, data.test.count], [60000, 10000]);
  t.ok(Math.abs(data.mean[0] - 0.286) < 0.001);
  t.ok(Math.abs(data.std[0] - 0.353) < 0.001);
});

t.test('arrays in memory', async (t) => {
  const split = { images: new Uint8Array(8), labels: [0, 1] };
  const good = { shape: [1, 2, 2], classes: 2, train: split, test: split };
  t.equal((await datasetFromArrays(good)).train.count, 2);
  const wrong = (change, message) => t.rejects(datasetFromArrays({ ...good, ...change }), { message });
  await wrong({ train: { images: new Uint8Array(7), labels: [0, 1] } }, /train\.images/);
  await wrong({ train: { images: new Uint8Array(8), labels: [0] } }, /2 labels or 2×4 labels for train\.labels/);
  await wrong({ test: { images: new Uint8Array(8), labels: [0, 2] } }, /from 0 to 1 for test\.labels\[1\] but received 2/);
  await wrong({ shape: [1, 2, 2, 1] }, /shape/);
  await wrong({ train: { images: [1, 2, 3, 4], labels: [0] } }, /train\.images/);
  await wrong({ train: { images: new Uint8Array(8) } }, /labels or targets/);
});

t.test('names and limits', async (t) => {
  await t.rejects(loadDataset('imagenet'), { name: 'RangeError', message: /digits, mnist, fashion-mnist/ });
  await t.rejects(loadDataset('cifar10'), { name: 'TypeError', message: /dataDir/ });
  await t.rejects(loadDataset('digits', { limit: 0 }), { name: 'RangeError', message: /limit/ });
});
