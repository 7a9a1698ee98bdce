// Folders of images as they are found: with litter, turned, grey beside colour, with alpha, of 16 bits, of many sizes.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { crc32 } from '../dist/data/byte-source.js';
import { cli, loadDataset, loadImageMasks, NetworkBuilder, randomNumbers, temporaryFolder } from './support.mjs';

const sharp = (await import('sharp').catch(() => undefined))?.default;
const test = (name, work) => t.test(name, { skip: sharp ? false : 'the optional package sharp is not installed' }, work);

/** An image of `channels` planes, interleaved, from a function of place and channel. */
function png(height, width, channels, value, change = (image) => image.png()) {
  const pixels = Buffer.alloc(height * width * channels);
  for (let i = 0; i < pixels.length; i++) pixels[i] = value(Math.floor(i / channels / width), Math.floor(i / channels) % width, i % channels);
  let image = sharp(pixels, { raw: { width, height, channels } });
  if (channels < 3) image = image.toColourspace('b-w');
  return change(image).toBuffer();
}

const fill = (...colour) => png(4, 6, colour.length, (_y, _x, c) => colour[c]);

/** A folder with files by path. */
function folderOf(t, files) {
  const folder = mkdtempSync(join(temporaryFolder(t), 'images-'));
  for (const [path, contents] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    if (contents === null) mkdirSync(join(folder, path), { recursive: true });
    else writeFileSync(join(folder, path), contents);
  }
  return folder;
}

async function basic() {
  const [a, b] = [await fill(200, 0, 0), await fill(0, 0, 200)];
  return { 'train/a/0.png': a, 'train/a/1.png': a, 'train/b/0.png': b, 'test/a/0.png': a, 'test/b/0.png': b };
}

test('litter of systems and tools is no class and no image', async (t) => {
  const junk = Buffer.from('not an image');
  const files = await basic();
  for (const split of ['train', 'test']) {
    Object.assign(files, {
      [`${split}/.ipynb_checkpoints/0-checkpoint.png`]: junk,
      [`${split}/__MACOSX/a/._0.png`]: junk,
      [`${split}/__MACOSX/0.png`]: junk,
      [`${split}/.git/objects/0.png`]: junk,
      [`${split}/.git/0.png`]: junk,
      [`${split}/@eaDir/0.png`]: junk,
      [`${split}/.DS_Store`]: junk,
      [`${split}/a/._0.png`]: junk,
      [`${split}/a/.hidden.jpg`]: junk,
      [`${split}/a/Thumbs.db`]: junk,
      [`${split}/a/notes.txt`]: junk,
      [`${split}/a/folder.png`]: null,
      [`${split}/empty`]: null,
      [`${split}/texts/readme.md`]: junk,
      [`${split}/stray.png`]: junk,
    });
  }
  const data = await loadDataset('images', { dataDir: folderOf(t, files) });
  t.same(data.classNames, ['a', 'b']);
  t.same([data.train.count, data.test.count], [3, 2]);
  await t.rejects(loadDataset('images', { dataDir: folderOf(t, { ...files, 'train/b/0.png': null }) }), {
    name: 'DataError',
    message: /at least 2 classes but found 1/,
  });
  await t.rejects(loadDataset('images', { dataDir: folderOf(t, { ...files, 'test/c/0.png': junk }) }), {
    message: /class "c" has no training images/,
  });
});

test('an image that says its rows are longer than those of any image is refused before it is decoded', async (t) => {
  const files = await basic();
  const long = Buffer.from(files['test/b/0.png']);
  long.writeUInt32BE(2_000_000, 16);
  long.writeUInt32BE(crc32(long.subarray(12, 29)), 29);
  for (const path of ['test/b/0.png', 'train/a/0.png'])
    await t.rejects(loadDataset('images', { dataDir: folderOf(t, { ...files, [path]: long }), size: [4, 6] }), {
      name: 'DataError',
      message: /4×2000000 pixels, and no side may have more than 65535/,
    });
});

test('links to folders and images', async (t) => {
  const folder = folderOf(t, { ...(await basic()), 'elsewhere/0.png': await fill(1, 2, 3) });
  symlinkSync('../elsewhere', join(folder, 'train', 'c'));
  symlinkSync('../../elsewhere/0.png', join(folder, 'train', 'a', '9.png'));
  const data = await loadDataset('images', { dataDir: folder });
  t.same(data.classNames, ['a', 'b', 'c']);
  t.equal(data.train.count, 5);
});

test('images are turned as EXIF says, in each of the eight ways', async (t) => {
  // As shown: 4 rows, 6 columns, a value for each pixel.
  const shown = (y, x) => 20 + 40 * y + 5 * x;
  const stored = {
    1: [4, 6, (y, x) => shown(y, x)],
    2: [4, 6, (y, x) => shown(y, 5 - x)],
    3: [4, 6, (y, x) => shown(3 - y, 5 - x)],
    4: [4, 6, (y, x) => shown(3 - y, x)],
    5: [6, 4, (y, x) => shown(x, y)],
    6: [6, 4, (y, x) => shown(x, 5 - y)],
    7: [6, 4, (y, x) => shown(3 - x, 5 - y)],
    8: [6, 4, (y, x) => shown(3 - x, y)],
  };
  for (const [orientation, [height, width, value]] of Object.entries(stored)) {
    const image = await png(height, width, 3, value, (i) => i.withMetadata({ orientation: Number(orientation) }).png());
    const files = { 'train/a/0.png': image, 'train/b/0.png': image, 'test/a/0.png': image, 'test/b/0.png': image };
    const data = await loadDataset('images', { dataDir: folderOf(t, files) });
    t.same(data.shape, [3, 4, 6], `orientation ${orientation}`);
    const expected = Array.from({ length: 24 }, (_, i) => shown(Math.floor(i / 6), i % 6));
    t.same([...data.train.images.subarray(0, 24)], expected, `orientation ${orientation}`);
  }
});

test('colour if any image has colour, wherever it comes in the order', async (t) => {
  const [grey, colour] = [await fill(100), await fill(10, 20, 30)];
  for (let place = 0; place < 6; place++) {
    const image = (i) => (i === place ? colour : grey);
    const names = ['train/a/0.png', 'train/a/1.png', 'train/b/0.png', 'train/b/1.png', 'test/a/0.png', 'test/b/0.png'];
    const data = await loadDataset('images', { dataDir: folderOf(t, Object.fromEntries(names.map((name, i) => [name, image(i)]))) });
    t.same(data.shape, [3, 4, 6], `colour in place ${place}`);
    const all = [...data.train.images, ...data.test.images];
    for (let i = 0; i < 6; i++)
      t.same(
        [0, 24, 48].map((c) => all[i * 72 + c]),
        i === place ? [10, 20, 30] : [100, 100, 100],
      );
  }
  const files = { 'train/a/0.png': grey, 'train/b/0.png': await fill(100, 255), 'test/a/0.png': grey, 'test/b/0.png': grey };
  t.same((await loadDataset('images', { dataDir: folderOf(t, files) })).shape, [1, 4, 6], 'grey with alpha is grey');
});

test('alpha is laid over black, 16 bits are brought to 8', async (t) => {
  const sixteen = (channels, value) =>
    sharp(
      Uint16Array.from({ length: 24 * channels }, (_, i) => value[i % channels] * 257),
      { raw: { width: 6, height: 4, channels } },
    )
      .toColourspace(channels < 3 ? 'grey16' : 'rgb16')
      .png()
      .toBuffer();
  const files = { ...(await basic()) };
  files['train/a/0.png'] = await fill(200, 100, 50, 0);
  files['train/a/1.png'] = await fill(200, 100, 50, 51);
  files['train/b/0.png'] = await sixteen(3, [200, 100, 50]);
  files['train/b/1.png'] = await sixteen(1, [150]);
  files['train/b/2.png'] = await png(
    4,
    6,
    3,
    (_y, _x, c) => [200, 100, 50][c],
    (i) => i.png({ palette: true }),
  );
  const data = await loadDataset('images', { dataDir: folderOf(t, files) });
  const colours = Array.from({ length: 5 }, (_, i) => [0, 24, 48].map((c) => data.train.images[i * 72 + c]));
  const near = (i, expected, name) =>
    t.ok(
      expected.every((v, c) => Math.abs(v - colours[i][c]) <= 2),
      `${name}: ${colours[i]} for ${expected}`,
    );
  near(0, [0, 0, 0], 'transparent');
  near(1, [40, 20, 10], 'a fifth');
  near(2, [200, 100, 50], '16 bits, colour');
  near(3, [150, 150, 150], '16 bits, grey');
  near(4, [200, 100, 50], 'palette');
  const grey = await sixteen(1, [150]);
  const greys = { 'train/a/0.png': grey, 'train/b/0.png': grey, 'test/a/0.png': grey, 'test/b/0.png': grey };
  const all = await loadDataset('images', { dataDir: folderOf(t, greys) });
  t.same([all.shape[0], all.train.images[0]], [1, 150]);
});

test('a limit takes of every class, by seed, and only these count for the statistics', async (t) => {
  const files = {};
  for (const [c, name] of ['a', 'b', 'c'].entries()) {
    for (let i = 0; i < 10; i++) files[`train/${name}/${i}.png`] = await fill(10 * c + i);
    files[`test/${name}/0.png`] = await fill(0);
  }
  const dataDir = folderOf(t, files);
  const data = await loadDataset('images', { dataDir, limit: 7 });
  const counts = [0, 0, 0];
  for (const label of data.train.labels) counts[label]++;
  t.same(counts, [3, 2, 2]);
  const values = [...data.train.images].filter((_, i) => i % 24 === 0);
  t.ok(values.every((value, i) => Math.floor(value / 10) === data.train.labels[i]));
  t.ok(Math.abs(data.mean[0] - values.reduce((x, y) => x + y, 0) / 7 / 255) < 1e-9);
  t.same(data.train, (await loadDataset('images', { dataDir, limit: 7 })).train);
  t.notSame(data.train, (await loadDataset('images', { dataDir, limit: 7, seed: 9 })).train);
});

test('size and fit', async (t) => {
  // Left half 50, right half 200.
  const wide = await png(10, 20, 1, (_y, x) => (x < 10 ? 50 : 200));
  const tall = await png(20, 10, 1, (y) => (y < 10 ? 50 : 200));
  const dataDir = folderOf(t, { 'train/a/0.png': wide, 'train/b/0.png': tall, 'test/a/0.png': wide, 'test/b/0.png': tall });
  t.same((await loadDataset('images', { dataDir })).shape, [1, 10, 20], 'that of the first image');
  t.same((await loadDataset('images', { dataDir, size: [5, 7] })).shape, [1, 5, 7]);
  t.same((await loadDataset('images', { dataDir, shape: [3, 5, 7] })).shape, [3, 5, 7]);
  const cover = await loadDataset('images', { dataDir, size: 10 });
  t.same(cover.shape, [1, 10, 10]);
  t.ok(
    cover.train.images.every((value) => value >= 45),
    'the whole area is covered',
  );
  const contain = await loadDataset('images', { dataDir, size: 10, fit: 'contain' });
  const [first, second] = [contain.train.images.subarray(0, 100), contain.train.images.subarray(100)];
  const rows = (image) => Array.from({ length: 10 }, (_, y) => image.subarray(10 * y, 10 * y + 10).some((value) => value > 0));
  t.same(rows(first), [false, false, true, true, true, true, true, false, false, false]);
  t.same(
    Array.from(second.subarray(0, 10), (value) => value > 0),
    [false, false, true, true, true, true, true, false, false, false],
  );
  for (const [options, message] of [
    [{ size: 0 }, /size but received 0/],
    [{ size: [10] }, /size/],
    [{ size: [10, 1e9] }, /size\[1\]/],
    [{ fit: 'stretch' }, /fit but received "stretch"/],
    [{ shape: [2, 10, 10] }, /shape\[0\]/],
    [{ shape: [3, 10] }, /shape/],
  ]) {
    await t.rejects(loadDataset('images', { dataDir, ...options }), { message });
  }
});

test('images with masks', async (t) => {
  const random = randomNumbers(4);
  const classes = Array.from({ length: 60 }, () => Math.floor(random() * 3));
  classes[7] = 255;
  const image = await png(6, 10, 3, (y, x, c) => y * 30 + x * 5 + c);
  const mask = await png(6, 10, 1, (y, x) => classes[y * 10 + x]);
  const files = {
    'train/images/one.jpg': image,
    'train/masks/one.png': mask,
    'train/masks/._one.png': Buffer.from('litter'),
    'test/images/two.png': image,
    'test/masks/two.png': mask,
  };
  const expected = classes.map((v) => (v === 255 ? -1 : v));
  const data = await loadImageMasks(folderOf(t, files), { classes: 3 });
  t.same([data.task, data.classes, data.shape], ['perPosition', 3, [3, 6, 10]]);
  t.same([...data.train.labels], expected);
  t.ok(data.train.labels instanceof Int32Array);
  const colours = [
    [0, 0, 0],
    [128, 0, 0],
    [0, 128, 0],
  ];
  const coloured = await png(6, 10, 3, (y, x, c) => (colours[classes[y * 10 + x]] ?? [224, 224, 192])[c]);
  const inColour = folderOf(t, { ...files, 'train/masks/one.png': coloured, 'test/masks/two.png': coloured });
  t.same([...(await loadImageMasks(inColour, { values: colours, ignoreValue: [224, 224, 192] })).train.labels], expected);
  const scaled = await loadImageMasks(folderOf(t, files), { classes: 3, size: [12, 20] });
  t.ok(
    scaled.train.labels.every((label, i) => label === expected[Math.floor(Math.floor(i / 20) / 2) * 10 + Math.floor((i % 20) / 2)]),
    'no classes in between',
  );
  const contained = await loadImageMasks(folderOf(t, files), { classes: 3, size: 10, fit: 'contain' });
  t.same([...contained.train.labels.subarray(0, 20)], new Array(20).fill(-1), 'what is free around the image does not count');
  t.same([...contained.train.labels.subarray(20, 80)], expected);
  const turned = (value, channels) =>
    png(
      10,
      6,
      channels,
      (y, x, c) => value(x, 9 - y, c),
      (i) => i.withMetadata({ orientation: 6 }).png(),
    );
  const rotated = {
    ...files,
    'train/images/one.jpg': await turned((y, x, c) => y * 30 + x * 5 + c, 3),
    'train/masks/one.png': await turned((y, x) => classes[y * 10 + x], 3),
  };
  const grey = [0, 1, 2].map((v) => [v, v, v]);
  const both = await loadImageMasks(folderOf(t, rotated), { values: grey, ignoreValue: [255, 255, 255] });
  t.same([...both.train.labels], expected, 'both are turned');
  t.same([...both.train.images], [...data.train.images]);
  const binary = await png(6, 10, 1, (y) => (y < 3 ? 0 : 255));
  const values = await loadImageMasks(folderOf(t, { ...files, 'train/masks/one.png': binary, 'test/masks/two.png': binary }), { values: [0, 255] });
  t.same([values.train.labels[0], values.train.labels[59]], [0, 1]);
  for (const [change, options, message] of [
    [{}, { classes: 2 }, /one\.png: the pixel in row \d, column \d has the value 2, which stands for no class/],
    [{ 'train/masks/one.png': coloured }, { classes: 3 }, /one\.png: not a readable mask: it has colours/],
    [{ 'train/images/three.png': image }, { classes: 3 }, /three\.png: it has no mask/],
    [{ 'train/masks/three.png': mask }, { classes: 3 }, /three\.png: the mask has no image/],
    [{ 'train/masks/one.png': await png(6, 9, 1, () => 0) }, { classes: 3 }, /the mask is 6×9 but its image 6×10/],
    [{ 'train/masks/one.png': mask.subarray(0, 50) }, { classes: 3 }, /one\.png: not a readable/],
    [{}, {}, /classes/],
    [{}, { classes: 3, class: 1 }, /"class"/],
    [{}, { values: [0, [1, 2, 3]] }, /grey values alone/],
    [{}, { values: [0, 0] }, /of its own/],
    [{}, { values: [0, 300] }, /values\[1\] but received 300/],
  ]) {
    await t.rejects(loadImageMasks(folderOf(t, { ...files, ...change }), options), { message });
  }
});

test('eval scales images of another size and colour to what the model reads', async (t) => {
  const [dark, bright] = [await fill(30), await fill(220)];
  const small = folderOf(t, {
    'train/a/0.png': dark,
    'train/a/1.png': dark,
    'train/b/0.png': bright,
    'train/b/1.png': bright,
    'test/a/0.png': dark,
    'test/b/0.png': bright,
  });
  const net = new NetworkBuilder([1, 4, 6]);
  const network = net.build(net.linear(net.flatten('input'), { outFeatures: 2 }));
  writeFileSync(join(small, 'network.json'), JSON.stringify(network));
  const run = (...flags) => spawnSync(process.execPath, [cli, ...flags], { encoding: 'utf8' });
  const out = join(small, 'run');
  const trained = run(
    'train',
    '--model',
    join(small, 'network.json'),
    '--dataset',
    'images',
    '--data-dir',
    small,
    '--epochs',
    '3',
    '--out',
    out,
    '--batch-size',
    '4',
  );
  t.equal(trained.status, 0, trained.stderr);
  const [large, coloured] = [await png(40, 60, 3, () => 30), await png(33, 21, 3, (_y, _x, c) => 220 - c)];
  const big = folderOf(t, { 'train/a/0.png': large, 'train/b/0.png': coloured, 'test/a/0.png': large, 'test/b/0.png': coloured });
  const { status, stdout, stderr } = run('eval', out, '--dataset', 'images', '--data-dir', big, '--json');
  t.equal(status, 0, stderr);
  t.equal(JSON.parse(stdout).images, 2);
});
