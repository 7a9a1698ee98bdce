// Files that promise too much, hold too much or are no files: a DataError with the path, in little memory and time; and the
// event loop goes on turning while large files are read.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { loadDataset, loadJsonLines, loadTable, loadText, root, temporaryFolder } from './support.mjs';

function idx(shape, data) {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header[2] = 8;
  header[3] = shape.length;
  for (const [i, size] of shape.entries()) header.writeUInt32BE(size, 4 + 4 * i);
  return Buffer.concat([header, data]);
}

const names = ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte', 't10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'];
const contents = [idx([4, 2, 2], Buffer.alloc(16, 5)), idx([4], Buffer.alloc(4)), idx([1, 2, 2], Buffer.alloc(4)), idx([1], Buffer.alloc(1))];

function mnist(t, change = {}) {
  const folder = mkdtempSync(join(temporaryFolder(t), 'mnist-'));
  for (const [i, name] of names.entries()) {
    if (change[name] !== null) writeFileSync(join(folder, name), change[name] ?? contents[i]);
  }
  return folder;
}

/** Processor time of this process since `start` in ms: others may use the machine as well. */
function processorTime(start) {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

/** Largest growth of the memory of this process while `work` runs, in MB. */
async function memoryOf(work) {
  const before = process.memoryUsage().rss;
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 1);
  await work();
  most = Math.max(most, process.memoryUsage().rss);
  clearInterval(timer);
  return (most - before) / 2 ** 20;
}

/**
 * The longest time that the event loop did not turn while `work` went on, in ms. Others use the machine too: a pause is counted
 * no longer than the processor time that this process had in it, and the best of a few runs counts.
 */
async function longestPause(work) {
  let last = performance.now();
  let before = process.cpuUsage();
  let longest = 0;
  const tick = () => {
    const now = performance.now();
    longest = Math.max(longest, Math.min(now - last, processorTime(before)));
    last = now;
    before = process.cpuUsage();
    timer = setImmediate(tick);
  };
  let timer = setImmediate(tick);
  await work();
  clearImmediate(timer);
  return longest;
}

t.test('the event loop goes on turning', async (t) => {
  const shared = process.env.SELFCOMPRESS_SHARED ?? join(root, '..', 'shared');
  const works = { digits: () => loadDataset('digits', { limit: 5000, validation: 100 }) };
  if (existsSync(join(shared, 'data', 'mnist', 'train-images-idx3-ubyte.gz'))) {
    works.mnist = () => loadDataset('mnist', { dataDir: join(shared, 'data', 'mnist'), limit: 50000, validation: 10000 });
  } else t.comment('no MNIST in shared/data: its part is left out');
  const folder = temporaryFolder(t);
  for (let i = 1; i <= 6; i++) {
    const path = join(folder, i === 6 ? 'test_batch.bin' : `data_batch_${i}.bin`);
    const bytes = Buffer.alloc(10000 * 3073, i);
    writeFileSync(path, bytes);
    t.equal(statSync(path).size, 30_730_000);
  }
  works.cifar10 = () => loadDataset('cifar10', { dataDir: folder, validation: 5000 });
  for (const [name, work] of Object.entries(works)) {
    const pauses = [];
    for (let i = 0; i < 2; i++) pauses.push(await longestPause(work));
    pauses.sort((a, b) => a - b);
    t.comment(`${name}: longest pauses ${pauses.map((p) => p.toFixed(1)).join(', ')} ms`);
    t.ok(pauses[0] < 50, `${name}: ${pauses[0].toFixed(1)} ms at best`);
  }
});

t.test('headers that promise more than the file holds, plain and gzipped', async (t) => {
  const data = Buffer.alloc(16);
  for (const shape of [
    [5, 2, 2],
    [2 ** 31, 2, 2],
    [2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1],
    [4, 2, 2 ** 31],
    [1, 65535, 65535],
    [100_000, 1000, 1000],
  ]) {
    for (const zip of [(x) => x, gzipSync]) {
      const folder = mnist(t, { [names[0]]: zip(idx(shape, data)) });
      const used = await memoryOf(() =>
        t.rejects(loadDataset('mnist', { dataDir: folder }), { name: 'DataError', message: /cut off/, path: join(folder, names[0]) }, String(shape)),
      );
      t.ok(used < 64, `${used.toFixed(0)} MB`);
    }
  }
});

t.test('a bomb: gzip that holds much more than its header promises', async (t) => {
  const bomb = gzipSync(idx([4, 2, 2], Buffer.alloc(400_000_000)), { level: 9 });
  t.ok(bomb.length < 400_000);
  const folder = mnist(t, { [names[0]]: bomb });
  const before = process.cpuUsage();
  const used = await memoryOf(() => t.rejects(loadDataset('mnist', { dataDir: folder }), { name: 'DataError', message: /too long/ }));
  const took = processorTime(before);
  t.ok(used < 64, `${used.toFixed(0)} MB`);
  t.ok(took < 1000, `${took.toFixed(0)} ms`);
  const cifar = temporaryFolder(t);
  writeFileSync(join(cifar, 'data_batch_1.bin'), bomb);
  await t.rejects(loadDataset('cifar10', { dataDir: cifar }), { name: 'DataError', message: /expand to more than 200 times as many/ });
});

t.test('bombs of formats that do not say how long they are', async (t) => {
  const bombs = {
    'a.csv.gz': [gzipSync(Buffer.alloc(60_000_000, `${'1'.repeat(30)}${' '.repeat(400)},2\n`)), (path) => loadTable(path, { target: 0 })],
    'b.csv.gz': [gzipSync(Buffer.alloc(60_000_000, 'a')), (path) => loadTable(path, { target: 0 })],
    'c.csv.gz': [gzipSync(Buffer.alloc(60_000_000, '"')), (path) => loadTable(path, { target: 0 })],
    'd.txt.gz': [gzipSync(Buffer.alloc(60_000_000, 'a')), loadText],
    'e.jsonl.gz': [gzipSync(Buffer.alloc(60_000_000, `{"input":[1],"target":1}${' '.repeat(4000)}\n`)), loadJsonLines],
    'f.jsonl.gz': [gzipSync(Buffer.alloc(60_000_000, '[')), loadJsonLines],
  };
  for (const [name, [contents, load]] of Object.entries(bombs)) {
    const path = join(temporaryFolder(t), name);
    writeFileSync(path, contents);
    const started = process.cpuUsage();
    await t.rejects(load(path), { name: 'DataError' }, name);
    const took = processorTime(started);
    t.ok(took < 20_000, `${name}: ${took.toFixed(0)} ms`);
  }
  // What is no bomb: large, but not suspiciously so.
  const plain = join(temporaryFolder(t), 'plain.txt.gz');
  writeFileSync(plain, gzipSync(Buffer.alloc(15_000_000, 'abc\n')));
  t.equal((await loadText(plain, { length: 1000 })).vocabulary, 4);
});

t.test('tables with more fields than are held in memory', async (t) => {
  const path = join(temporaryFolder(t), 'a.csv');
  writeFileSync(path, Buffer.concat([Buffer.from('a,b,c,d\n'), Buffer.alloc(20_000_000, ',,,\n')]));
  await t.rejects(loadTable(path, { target: 0 }), { name: 'DataError', message: /more fields than are held in memory/ });
});

t.test('truncated, extended, empty, and what is no file', async (t) => {
  const zipped = gzipSync(contents[0]);
  const path = (folder) => join(folder, names[0]);
  for (const [change, message] of [
    [Buffer.alloc(0), /the file is empty/],
    [gzipSync(Buffer.alloc(0)), /cut off/],
    ...Array.from({ length: contents[0].length - 1 }, (_, i) => [contents[0].subarray(0, i + 1), /cut off|not an IDX/]),
    ...Array.from({ length: zipped.length - 2 }, (_, i) => [zipped.subarray(0, i + 2), /damaged or cut off/]),
    [Buffer.concat([contents[0], Buffer.alloc(1)]), /too long/],
    [Buffer.concat([zipped, Buffer.from('x')]), /other bytes behind the end|damaged or cut off/],
    [Buffer.concat([zipped, Buffer.alloc(1_000_000, 1)]), /other bytes behind the end|damaged or cut off/],
    [Buffer.concat([zipped, Buffer.alloc(512)]), /other bytes behind the end|damaged or cut off/],
    [Buffer.concat([zipped, gzipSync(Buffer.from('more'))]), /too long/],
  ]) {
    const folder = mnist(t, { [names[0]]: change });
    await t.rejects(loadDataset('mnist', { dataDir: folder }), { name: 'DataError', message, path: path(folder) }, `${change.length} bytes`);
  }
  // Two members that make one file together are one file.
  const folder = mnist(t, { [names[0]]: Buffer.concat([gzipSync(contents[0].subarray(0, 9)), gzipSync(contents[0].subarray(9))]) });
  t.equal((await loadDataset('mnist', { dataDir: folder })).train.count, 4);
});

t.test('a folder of the name of a file does not end the search', async (t) => {
  for (const taken of [names[0], 'train-images.idx3-ubyte', `${names[0]}.gz`]) {
    const folder = mnist(t, { [names[0]]: null });
    mkdirSync(join(folder, taken));
    const free = [names[0], `${names[0]}.gz`, 'train-images.idx3-ubyte', 'train-images.idx3-ubyte.gz'].filter((name) => name !== taken);
    for (const name of free) {
      const again = mnist(t, { [names[0]]: null });
      mkdirSync(join(again, taken));
      writeFileSync(join(again, name), name.endsWith('.gz') ? gzipSync(contents[0]) : contents[0]);
      t.equal((await loadDataset('mnist', { dataDir: again })).train.count, 4, `${taken}/ beside ${name}`);
    }
    await t.rejects(loadDataset('mnist', { dataDir: folder }), { name: 'DataError', message: /not found/ });
  }
  const linked = mnist(t, { [names[0]]: null });
  writeFileSync(join(linked, 'elsewhere'), contents[0]);
  symlinkSync('elsewhere', join(linked, names[0]));
  t.equal((await loadDataset('mnist', { dataDir: linked })).train.count, 4, 'a link');
  const file = join(linked, 'elsewhere');
  await t.rejects(loadDataset('mnist', { dataDir: file }), { name: 'DataError', message: /not found/ }, 'a file in place of the folder');
  if (process.platform === 'win32') return;
  const piped = mnist(t, { [names[0]]: null });
  execFileSync('mkfifo', [join(piped, names[0])]);
  await t.rejects(loadDataset('mnist', { dataDir: piped }), { name: 'DataError', message: /not a regular file/ }, 'a pipe that nobody writes to');
});
