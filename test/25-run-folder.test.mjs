// The folder of a run: one process at a time, whole after every kind of damage, and errors that say what to do.
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { RunDirectory } from '../dist/report/run-directory.js';
import { takeLock } from '../dist/training/lock.js';
import { fuzz } from '../scripts/fuzz/kill.mjs';
import { root, Trainer, temporaryFolder, toyDataset, toyNetwork, withoutTimes } from './support.mjs';

const options = { epochs: 3, batchSize: 48, learningRate: 0.01, gamma: 2, bits: { initial: 3, learningRate: 0.5, freezeAt: 0.7 }, seed: 4 };
const description = { model: 'toy', dataset: 'toy', checkpointEvery: { steps: 2 } };
const FILES = ['checkpoint', 'config.json', 'metrics.jsonl', 'model.scnn', 'report.html'];

/** As the command does it. `stopAt`: the step at which the run stops and is saved. */
async function follow(directory, trainer, stopAt) {
  trainer.onEpochEnd = (metrics) => directory.record(trainer, metrics);
  trainer.on('step', (event) => directory.saveWhenDue(trainer, event));
  trainer.on('step', ({ step }) => step === stopAt && trainer.stop('step'));
  try {
    const reason = await trainer.run();
    if (reason === 'stopped') await directory.saveStep(trainer);
    return reason;
  } finally {
    await trainer.dispose();
    await directory.close();
  }
}

async function start(folder, stopAt) {
  const directory = await RunDirectory.create(folder, description);
  try {
    const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...options });
    await directory.begin(trainer);
    return await follow(directory, trainer, stopAt);
  } finally {
    await directory.close();
  }
}

async function resume(folder, changes) {
  const directory = await RunDirectory.open(folder);
  try {
    return await follow(directory, await directory.resume(toyDataset(), changes));
  } finally {
    await directory.close();
  }
}

function contents(folder) {
  return {
    files: readdirSync(folder).sort(),
    metrics: readFileSync(join(folder, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => withoutTimes(JSON.parse(line))),
    model: readFileSync(join(folder, 'model.scnn')),
    network: JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')).network,
    report: /<\/html>\s*$/.test(readFileSync(join(folder, 'report.html'), 'utf8')),
  };
}

const home = temporaryFolder(t);
const whole = join(home, 'whole');
await start(whole);
const expected = contents(whole);
t.same(expected.files, FILES);
t.ok(expected.metrics[0].channels > expected.metrics[2].channels, 'channels are removed on the way');

t.test('every file that is missing, cut off or older is made whole on resume', async (t) => {
  const old = join(home, 'old');
  await start(old, 7); // inside the second epoch
  t.ok(existsSync(join(old, 'checkpoint.step')));
  const damage = {
    missing: (file) => rmSync(file),
    'cut off': (file) => truncateSync(file, Math.floor(readFileSync(file).length / 2)),
    empty: (file) => truncateSync(file, 0),
    older: (file) => copyFileSync(join(old, basename(file)), file),
  };
  for (const [kind, harm] of Object.entries(damage)) {
    for (const file of ['metrics.jsonl', 'model.scnn', 'report.html']) {
      const folder = join(temporaryFolder(t), 'run');
      mkdirSync(folder);
      for (const name of FILES) copyFileSync(join(whole, name), join(folder, name));
      writeFileSync(join(folder, `${file}.4711.tmp`), 'half of');
      copyFileSync(join(old, 'checkpoint.step'), join(folder, 'checkpoint.step')); // of before the last epoch
      harm(join(folder, file));
      t.equal(await resume(folder), 'epochs');
      t.same(contents(folder), expected, `${file} ${kind}, after the end`);
    }
  }
  for (const [kind, harm] of Object.entries(damage)) {
    if (kind === 'older') continue;
    for (const file of ['metrics.jsonl', 'model.scnn', 'report.html']) {
      const folder = join(temporaryFolder(t), 'run');
      mkdirSync(folder);
      for (const name of readdirSync(old)) copyFileSync(join(old, name), join(folder, name));
      harm(join(folder, file));
      const directory = await RunDirectory.open(folder);
      const trainer = await directory.resume(toyDataset());
      t.ok(trainer.step > trainer.history.at(-1).step, 'it goes on inside the epoch');
      t.equal(readFileSync(join(folder, 'model.scnn')).length, trainer.history.at(-1).modelBytes, 'whole before the next epoch ends');
      t.equal(readFileSync(join(folder, 'metrics.jsonl'), 'utf8').trim().split('\n').length, 1);
      await follow(directory, trainer);
      t.same(contents(folder), expected, `${file} ${kind}, inside an epoch`);
    }
  }
});

t.test('a run that was killed in its first epoch starts again from config.json', async (t) => {
  const folder = join(temporaryFolder(t), 'run');
  const directory = await RunDirectory.create(folder, description);
  const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...options });
  await directory.begin(trainer);
  await directory.close();
  await trainer.dispose();
  t.same(readdirSync(folder).sort(), ['config.json', 'metrics.jsonl']);
  await t.rejects(RunDirectory.create(folder, description), { name: 'CheckpointError', message: /already holds a run.*--resume.*--force/ });
  const other = await RunDirectory.open(folder);
  await t.rejects(other.resume(toyDataset({ seed: 2 })), { name: 'RangeError', message: /very data "toy".*other mean and std, train\.images/ });
  await other.close();
  t.equal(await resume(folder), 'epochs');
  t.same(contents(folder), expected);
});

t.test('a run that is replaced is no run until it has begun', async (t) => {
  const folder = join(temporaryFolder(t), 'run');
  mkdirSync(folder);
  for (const name of FILES) copyFileSync(join(whole, name), join(folder, name));
  rmSync(join(folder, 'config.json')); // killed after the first file of the old run was removed
  const error = await RunDirectory.create(folder, description).catch((e) => e);
  t.match(error.message, /already holds a run/);
  t.notMatch(error.message, /--resume/);
  await t.rejects(RunDirectory.open(folder), { message: /not the folder of a run/ });
  const directory = await RunDirectory.create(folder, description, true);
  t.same(readdirSync(folder), ['lock']);
  await directory.close();
});

t.test('resuming takes other data of the same size for what they are', async (t) => {
  const folder = join(temporaryFolder(t), 'run');
  await start(folder, 7);
  const toy = toyDataset();
  const changed = (change) => {
    const data = { ...toy, train: { ...toy.train }, test: { ...toy.test } };
    change(data);
    return data;
  };
  const flip = (values, by = 1) => {
    const copy = values.slice();
    copy[copy.length - 1] ^= by;
    return copy;
  };
  for (const [part, change] of [
    ['train.images', (d) => Object.assign(d.train, { images: flip(d.train.images) })],
    ['train.labels', (d) => Object.assign(d.train, { labels: flip(d.train.labels) })],
    ['test.images', (d) => Object.assign(d.test, { images: flip(d.test.images) })],
    ['test.labels', (d) => Object.assign(d.test, { labels: flip(d.test.labels) })],
    ['mean and std', (d) => Object.assign(d, { mean: [d.mean[0] + 1e-9] })],
    ['mean and std', (d) => Object.assign(d, { std: [d.std[0] + 1e-9] })],
    ['shape and classes', (d) => Object.assign(d, { classes: 5 })],
    ['train.images', (d) => Object.assign(d.train, { images: Float32Array.from(d.train.images) })],
  ]) {
    const error = await Trainer.resume(folder, changed(change)).catch((e) => e);
    t.equal(error.name, 'RangeError', part);
    t.ok(error.message.endsWith(`for data but received "toy with other ${part}"`), error.message);
  }
  await t.rejects(Trainer.resume(folder, toyDataset({ count: 100 })), { name: 'RangeError', message: /256 training images/ });
  await t.rejects(Trainer.resume(folder, toy, { gamma: 2 }), { name: 'TypeError', message: /changes.*gamma/ });
  await (await Trainer.resume(folder, { ...toy, name: 'another name' })).dispose();
});

const lockText = (changes) =>
  JSON.stringify({ pid: process.pid, started: 'long ago', host: hostname(), namespace: '', since: 'then', id: 'x', ...changes });

t.test('a lock names its owner; the dead hold none', async (t) => {
  const path = join(temporaryFolder(t), 'lock');
  const lock = await takeLock(path);
  await t.rejects(takeLock(path), {
    name: 'CheckpointError',
    message: new RegExp(`Process ${process.pid} on .* \\(since 20.*\\) is at work in this folder`),
  });
  const own = JSON.parse(readFileSync(path, 'utf8'));
  await lock.release();
  t.notOk(existsSync(path));
  const taken = async (text, why) => {
    writeFileSync(path, text);
    const next = await takeLock(path);
    t.equal(JSON.parse(readFileSync(path, 'utf8')).id, next.owner.id, why);
    t.same(readdirSync(join(path, '..')), ['lock'], 'nothing is left behind');
    await next.release();
  };
  await taken(JSON.stringify({ ...own, pid: 2 ** 22 + 7 }), 'no such process');
  if (process.platform === 'linux') await taken(JSON.stringify({ ...own, started: 'long ago' }), 'another process has the pid now');
  writeFileSync(path, '');
  utimesSync(path, 1000, 1000);
  const next = await takeLock(path); // what a power cut leaves
  await next.release();
  writeFileSync(path, lockText({ host: 'elsewhere' }));
  await t.rejects(takeLock(path), { message: /Process \d+ on elsewhere .* If it no longer runs, remove .*lock\./ });
  rmSync(path);
  writeFileSync(path, JSON.stringify(own));
  await t.rejects(takeLock(path), /at work/, 'a process that lives');
});

t.test('of processes that find the lock of a dead one, one takes it', { timeout: 120000 }, async (t) => {
  const folder = temporaryFolder(t);
  const script = join(folder, 'taker.mjs');
  writeFileSync(
    script,
    `import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
    import { takeLock } from ${JSON.stringify(join(root, 'dist/training/lock.js'))};
    const [lock, mark] = ['lock', 'mark'].map((name) => ${JSON.stringify(`${folder}/`)} + name);
    let taken = 0;
    for (let i = 0; i < 150; i++) {
      let own;
      try { own = await takeLock(lock); } catch (error) {
        if (error.name !== 'CheckpointError' || !/at work/.test(error.message)) throw error;
        continue;
      }
      closeSync(openSync(mark, 'wx')); // fails when someone else believes to hold the lock
      await new Promise((resolve) => setTimeout(resolve, 1));
      rmSync(mark);
      taken++;
      if (i % 2) await own.release();
      else { // as if killed: the lock stays, of a process that is gone
        const owner = JSON.parse(readFileSync(lock, 'utf8'));
        if (owner.id !== own.owner.id) throw new Error('someone else has replaced the lock');
        writeFileSync(lock + '.dead', JSON.stringify({ ...owner, pid: 2 ** 22 + 9, id: owner.id + '-dead' }));
        (await import('node:fs')).renameSync(lock + '.dead', lock);
      }
    }
    console.log(taken);`,
  );
  const ends = await Promise.all(
    Array.from({ length: 4 }, () => {
      const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'pipe'] });
      const text = { out: '', err: '' };
      child.stdout.on('data', (data) => {
        text.out += data;
      });
      child.stderr.on('data', (data) => {
        text.err += data;
      });
      return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...text })));
    }),
  );
  for (const { code, err } of ends) t.equal(code, 0, err);
  t.ok(ends.reduce((sum, { out }) => sum + Number(out), 0) > 50);
});

/** Makes operations on files whose name `matches` fail with `code` while `work` runs. */
async function failing({ code, matches, on = ['open', 'rename', 'rm', 'link'] }, work) {
  const originals = Object.fromEntries(on.map((name) => [name, promises[name]]));
  let failed = 0;
  for (const name of on) {
    promises[name] = async (path, ...rest) => {
      const reads = name === 'open' && (rest[0] ?? 'r') === 'r';
      if (reads || !matches(basename(String(path)))) return originals[name](path, ...rest);
      failed++;
      throw Object.assign(new Error(`${code}: it does not work, ${name} '${path}'`), { code, syscall: name });
    };
  }
  syncBuiltinESMExports();
  try {
    return await work(() => failed);
  } finally {
    Object.assign(promises, originals);
    syncBuiltinESMExports();
  }
}

t.test('what cannot be written: nothing is lost, and one line says what to do', async (t) => {
  const advice = { ENOSPC: /disk is full; free some space/, EACCES: /permission is denied; make/, EROFS: /read-only; remount/ };
  for (const [code, says] of Object.entries(advice)) {
    for (const file of ['config.json', 'lock', ...FILES.filter((name) => name !== 'config.json'), 'checkpoint.step']) {
      const folder = join(temporaryFolder(t), 'run');
      const matches = (name) =>
        name === file || (name.startsWith(`${file}.`) && !name.startsWith('checkpoint.step') === (file !== 'checkpoint.step'));
      const error = await failing({ code, matches }, async (failed) => {
        const e = await start(folder).catch((x) => x);
        t.ok(failed() > 0, `${file} was to be written`);
        return e;
      });
      t.equal(error.name, 'CheckpointError', `${file} ${code}: ${error}`);
      t.match(error.message, says);
      t.ok(error.message.includes(join(folder, file)) && !error.message.includes('\n'), error.message);
      const begun = existsSync(join(folder, 'config.json'));
      t.equal(/--resume/.test(error.message), begun, error.message);
      await (begun ? resume(folder) : start(folder));
      t.same(contents(folder), expected, `${file} ${code}`);
    }
  }
});

t.test('a new folder on a file system that is read-only', (t) => {
  const folder = temporaryFolder(t);
  const script = `
    import { makeFolder } from ${JSON.stringify(pathToFileURL(join(root, 'dist/files.js')).href)};
    for (const name of ['a', 'a/b/c', '', 'here/b'])
      console.log(await makeFolder(process.argv[1] + '/' + name).then(() => 'made', ({ cause }) => cause.code));`;
  const mounted = `mount -t tmpfs tmpfs "$1" && mkdir "$1/here" && mount -o remount,ro "$1" && exec "$2" --input-type=module -e "$3" "$1"`;
  const { status, stdout } = spawnSync('unshare', ['-m', 'sh', '-c', mounted, 'sh', folder, process.execPath, script], { encoding: 'utf8' });
  if (status !== 0) t.skip('needs the right to mount a file system');
  else t.same(stdout.trim().split('\n'), ['EROFS', 'EROFS', 'made', 'EROFS']);
  t.end();
});

t.test('where nothing can be made, nothing is tried for ever', async (t) => {
  const script = `
    import { makeFolder } from ${JSON.stringify(pathToFileURL(join(root, 'dist/files.js')).href)};
    for (const path of process.argv.slice(1)) console.log(await makeFolder(path).then(() => 'made', ({ code, path }) => code + ' ' + path));`;
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'file'), '');
  const paths = [join(folder, 'file'), join(folder, 'file/below'), ...(process.platform === 'linux' ? ['/proc/none', '/proc/none/below'] : [])];
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script, ...paths], { encoding: 'utf8', timeout: 60000 });
  const first = ['file', 'file', '/proc/none', '/proc/none'].map((end) => (end.startsWith('/') ? end : join(folder, end)));
  first[1] = join(folder, 'file/below');
  t.same(
    run.stdout.trim().split('\n'),
    first.slice(0, paths.length).map((path) => `ERR_SELFCOMPRESS_FILE ${path}`),
  );
});

t.test('a folder that goes away while a run is at work in it', async (t) => {
  const folder = join(temporaryFolder(t), 'run');
  const directory = await RunDirectory.create(folder, description);
  const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), ...options });
  await directory.begin(trainer);
  trainer.once('step', () => renameSync(folder, `${folder}-away`));
  const error = await follow(directory, trainer).catch((e) => e);
  t.match(error.message, /its folder is not there; make it/);
  renameSync(`${folder}-away`, folder);
  rmSync(join(folder, 'lock')); // it could not be removed; it is this very process's
  t.equal(await resume(folder), 'epochs');
  t.same(contents(folder), expected);
});

t.test('killed and resumed runs are identical: a sample of scripts/fuzz/kill.mjs', { timeout: 240000 }, async (t) => {
  if (process.platform === 'win32') return t.skip('needs SIGKILL');
  const { kills, runs, identical, removed, differing } = await fuzz({ kills: 6, seed: 5, folder: temporaryFolder(t) });
  t.ok(kills >= 6 && removed > 0);
  t.equal(identical, runs, JSON.stringify(differing));
});
