// What the terminal and the shell see: a line that fits, signals, output that cannot be written, options that a run keeps.
import { spawn, spawnSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { cpSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { saveInterval } from '../dist/cli/values.js';
import { showProgress } from '../dist/report/progress.js';
import { cli, NetworkBuilder, temporaryFolder, withoutTimes } from './support.mjs';

const run = (args, options) => spawnSync(process.execPath, [cli, ...args.map(String)], { encoding: 'utf8', ...options });
const metricsOf = (folder) =>
  readFileSync(join(folder, 'metrics.jsonl'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => withoutTimes(JSON.parse(line)));

/** Files of a data set of 8×8 images, small so that runs are short. */
function writeData(folder, count) {
  mkdirSync(folder);
  const idx = (shape, bytes) =>
    Buffer.concat([Buffer.from([0, 0, 8, shape.length]), ...shape.map((n) => Buffer.from([0, 0, n >> 8, n & 255])), bytes]);
  for (const [prefix, n] of [
    ['train', count],
    ['t10k', 10],
  ]) {
    const images = Buffer.alloc(n * 64).map((_, i) => (Math.floor(i / 64) % 10) * 20 + ((i * 37) % 51));
    writeFileSync(join(folder, `${prefix}-images-idx3-ubyte`), idx([n, 8, 8], images));
    writeFileSync(
      join(folder, `${prefix}-labels-idx1-ubyte`),
      idx(
        [n],
        Buffer.alloc(n).map((_, i) => i % 10),
      ),
    );
  }
  return folder;
}
const home = temporaryFolder(t);
const net = new NetworkBuilder([1, 8, 8]);
writeFileSync(join(home, 'net.json'), JSON.stringify(net.build(net.linear(net.relu(net.linear('input', { outFeatures: 24 })), { outFeatures: 10 }))));
const common = ['--model', join(home, 'net.json'), '--dataset', 'mnist', '--lr', 0.005, '--gamma', 0.5, '--bits-lr', 0.3, '--threads', 1];
const quick = [...common, '--data-dir', writeData(join(home, 'many'), 900), '--batch-size', 3];
const tiny = [...common, '--data-dir', writeData(join(home, 'few'), 40), '--batch-size', 10, '--epochs', 1];
const FILES = ['checkpoint', 'config.json', 'metrics.jsonl', 'model.scnn', 'report.html'];

const stepEvent = {
  epoch: 99,
  stepInEpoch: 512,
  stepsPerEpoch: 1024,
  step: 1e5,
  loss: 2.3456,
  accuracy: 0.87654,
  bitsPerWeight: 7.654,
  imagesPerSecond: 123456,
};
const metrics = {
  epoch: 99,
  trainLoss: 1.5,
  testLoss: 12.25,
  testAccuracy: 0.98,
  bitsFraction: 0.05,
  weightsFraction: 0.5,
  channels: 1234,
  modelBytes: 123456,
  imagesPerSecond: 123456,
};

process.env.TERM = 'xterm'; // in a dumb one no line moves
function terminal(columns) {
  const output = Object.assign(new EventEmitter(), { isTTY: columns !== undefined, columns, text: '' });
  output.write = (text) => {
    output.text += text;
    return true;
  };
  const trainer = Object.assign(new EventEmitter(), { options: { epochs: 100, batchSize: 512 }, history: [], data: {} });
  return { output, trainer };
}

t.test('progress fits the terminal, whatever its width, and leaves cursor and wrapping alone', async (t) => {
  for (const columns of [1, 8, 20, 40, 60, 79, 80, 81, 100, 127, 128, 200, 0]) {
    const { output, trainer } = terminal(columns);
    const hide = showProgress(trainer, output);
    trainer.emit('step', stepEvent);
    trainer.emit('epoch', metrics);
    trainer.emit('step', stepEvent);
    hide();
    const width = columns || 80;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the codes of a terminal are control characters
    const lines = output.text.split(/\r?\x1b\[\d*[A-Z]|\n|\r/);
    for (const line of lines) t.ok(line.length < width || (width === 1 && line.length <= 1), `${line.length} of ${width} columns: ${line}`);
    t.notMatch(output.text, '\x1b[?', 'no mode of the terminal is changed');
    if (width >= 40) t.match(output.text, /epoch 99\/100[\s\S]*99\/100 /);
    if (width >= 60) t.match(output.text, /[█░]+ epoch 99\/100 \| loss 2\.3456/);
    if (width >= 128)
      t.match(
        output.text,
        /█+░+ epoch 99\/100 \| loss 2\.3456 \| accuracy 87\.7 % \| 7\.65 bits\/weight \| all channels \| 123456 images\/s \| \d+ s left/,
      );
    t.same([output.listenerCount('resize'), trainer.listenerCount('step'), trainer.listenerCount('epoch')], [0, 0, 0]);
  }
  const { output, trainer } = terminal(120);
  showProgress(trainer, output);
  trainer.emit('step', stepEvent);
  output.text = '';
  output.columns = 50;
  output.emit('resize');
  t.ok(output.text.startsWith('\x1b[2A\r\x1b[J'), 'the line of 119 columns takes three rows of 50: all are cleared');
  t.ok(output.text.length - 9 <= 49);
  const file = terminal(undefined);
  showProgress(file.trainer, file.output);
  file.trainer.emit('step', stepEvent);
  file.trainer.emit('epoch', metrics);
  t.equal(file.output.text.split('\n').length, 3, 'elsewhere: a head and a line for each epoch');
  t.match(file.output.text, /images\/s\n.*123456\n$/);
});

t.test('signals save the run inside its epoch and end with their own status', { timeout: 120000 }, async (t) => {
  const folder = temporaryFolder(t);
  const whole = join(folder, 'whole');
  t.equal(run(['train', ...quick, '--epochs', 6, '--out', whole]).status, 0);
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ]) {
    const out = join(folder, signal);
    const child = spawn(process.execPath, [cli, 'train', ...quick.map(String), '--epochs', '6', '--out', out], { stdio: ['ignore', 'pipe', 'pipe'] });
    const text = { out: '', err: '' };
    child.stderr.on('data', (data) => {
      text.err += data;
      if (!child.killed && /1\/6/.test(text.err)) child.kill(signal); // a second one would end it at once
    });
    child.stdout.on('data', (data) => {
      text.out += data;
    });
    const [code] = await once(child, 'close');
    t.equal(code, status, `${signal}: ${text.err}`);
    t.match(text.err, /Stopped.*Go on with: selfcompress train --resume/);
    t.notOk(existsSync(join(out, 'lock')));
    t.ok(metricsOf(out).length < 6);
    const resumed = run(['train', '--resume', out]);
    t.equal(resumed.status, 0, resumed.stderr);
    t.same(readdirSync(out).sort(), FILES);
    t.same(metricsOf(out), metricsOf(whole), signal);
    t.same(readFileSync(join(out, 'model.scnn')), readFileSync(join(whole, 'model.scnn')));
  }
});

t.test('a second signal ends at once, with the status of that signal', { timeout: 60000 }, async (t) => {
  const out = join(temporaryFolder(t), 'run');
  const args = [cli, 'train', '--model', 'notebook', '--batch-size', '4000', '--epochs', '3', '--threads', '1', '--out', out];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (data) => {
    said += data;
    if (/train loss/.test(String(data))) setTimeout(() => child.kill('SIGINT'), 200);
    if (/a second signal stops at once/.test(String(data))) child.kill('SIGTERM');
  });
  const [code] = await once(child, 'close');
  t.equal(code, 143);
  t.notMatch(said, /Stopped/, 'it did not wait for the end of the step');
  t.notOk(existsSync(join(out, 'checkpoint.step')), 'nothing was saved');
  t.notOk(existsSync(join(out, 'lock')));
});

t.test('output that cannot be written is one line on stderr and a status, and the run is whole', async (t) => {
  if (!existsSync('/dev/full')) return t.skip('this system has no /dev/full');
  const folder = temporaryFolder(t);
  const check = (out, { status, stderr }, why) => {
    t.equal(status, 1, stderr);
    t.match(stderr, new RegExp(`^selfcompress: standard output cannot be written: ${why}.*\n$`));
    t.equal(stderr.trim().split('\n').length, 1, stderr);
    if (out) t.equal(metricsOf(out).length, 2);
  };
  const full = join(folder, 'full');
  check(
    full,
    run(['train', ...quick, '--epochs', 2, '--quiet', '--out', full], { stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'] }),
    'the disk is full',
  );
  check(undefined, run(['info'], { stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'] }), 'the disk is full');
  const closed = join(folder, 'closed');
  const child = spawn(process.execPath, [cli, 'train', ...quick.map(String), '--epochs', '2', '--quiet', '--out', closed], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  const [status] = await once(child, 'close');
  check(closed, { status, stderr }, 'its reader has gone away');
});

t.test('runs that start or resume at once do not share a folder', { timeout: 120000 }, async (t) => {
  const folder = temporaryFolder(t);
  const start = (args) => {
    const child = spawn(process.execPath, [cli, 'train', ...args.map(String)], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    return once(child, 'close').then(([status]) => ({ status, stderr }));
  };
  const ends = await Promise.all(Array.from({ length: 6 }, () => start(tiny)));
  for (const { status, stderr } of ends) t.equal(status, 0, stderr);
  const names = readdirSync(join(folder, 'runs'));
  t.same(names.sort(), ['custom-mnist', ...[2, 3, 4, 5, 6].map((i) => `custom-mnist-${i}`)]);
  for (const name of names) t.same(readdirSync(join(folder, 'runs', name)).sort(), FILES);
  const out = join(folder, 'runs', names[0]);
  const both = await Promise.all([1, 2].map(() => start(['--resume', out, '--epochs', 8])));
  const refused = both.find(({ status }) => status === 1);
  t.ok(both.some(({ status }) => status === 0));
  if (refused) t.match(refused.stderr, /^selfcompress: Process \d+ on .* is at work in this folder: its lock is .*\n$/);
  t.same(
    metricsOf(out).map(({ epoch }) => epoch),
    Array.from({ length: 8 }, (_, i) => i + 1),
  );
  const live = spawn(process.execPath, [cli, 'train', '--resume', out, '--epochs', '100000'], { stdio: ['ignore', 'ignore', 'pipe'] });
  await once(live.stderr, 'data');
  for (const args of [
    [...tiny, '--out', out, '--force'],
    [...tiny, '--out', out],
    ['--resume', out],
  ]) {
    const { status, stderr } = await start(args);
    t.equal(status, 1);
    t.match(stderr, new RegExp(`Process ${live.pid} on .* is at work in this folder`), args.join(' '));
  }
  live.kill('SIGKILL');
  await once(live, 'close');
  const { status, stderr } = await start(['--resume', out, '--epochs', 9]);
  t.equal(status, 0, stderr);
  t.notOk(existsSync(join(out, 'lock')), 'the lock of the dead one is taken and given back');
});

t.test('--resume refuses what a run keeps, by the name that was typed, and keeps what may change', async (t) => {
  const folder = temporaryFolder(t);
  const data = writeData(join(folder, 'data'), 40);
  const out = join(folder, 'run');
  const started = run(
    ['train', '--model', 'mlp', '--dataset', 'mnist', '--data-dir', 'data', '--epochs', 2, '--threads', 3, '--batch-size', 10, '--out', out],
    { cwd: folder },
  );
  t.equal(started.status, 0, started.stderr);
  const config = () => JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'));
  t.equal(config().run.dataDir, data, 'a relative folder is stored as an absolute one');
  const before = readFileSync(join(out, 'checkpoint'));
  const fixed = {
    '--model': 'mlp',
    '--start': 'other',
    '--dataset': 'digits',
    '--limit': 20,
    '--batch-size': 5,
    '--lr': 0.1,
    '--schedule': 'constant',
    '--optimizer': 'sgd',
    '--weight-decay': 0,
    '--clip': 1,
    '--label-smoothing': 0.1,
    '--teacher-weight': 0.5,
    '--temperature': 2,
    '--ema': 0.9,
    '--gamma': 0.5,
    '--gamma-warmup': 0,
    '--penalty': 'own',
    '--coupling': 1,
    '--bias-bits': 5,
    '--bits': 8,
    '--bits-lr': 0.1,
    '--exponent-lr': 0.1,
    '--bits-start': 'rms',
    '--bits-schedule': 'cosine',
    '--exponents': 'channel',
    '--freeze-at': 1,
    '--keep': 'step',
    '--augment': 'flip',
    '--seed': 3,
    '--out': 'other',
  }; // in the order of the help
  const refused = (args, names) => {
    const { status, stderr } = run(['train', '--resume', out, '--epochs', 3, ...args]);
    t.equal(status, 2);
    t.ok(stderr.startsWith(`selfcompress: Expected no ${names} with --resume: a run keeps`), stderr);
    t.match(
      stderr,
      /What can change: (?=.*--epochs)(?=.*--target-bits)(?=.*--device)(?=.*--precision)(?=.*--memory-limit)(?=.*--threads)(?=.*--data-dir)/,
    );
  };
  refused(Object.entries(fixed).flat(), Object.keys(fixed).join(', '));
  refused(['--seed', 3], '--seed');
  refused(['--plain', '--force'], '--plain, --force');
  t.same(readFileSync(join(out, 'checkpoint')), before, 'nothing has happened');
  const moved = join(folder, 'moved');
  cpSync(data, moved, { recursive: true });
  const resumed = run(['train', '--resume', 'run', '--epochs', 3, '--data-dir', 'moved', '--checkpoint-every', '2'], { cwd: folder });
  t.equal(resumed.status, 0, resumed.stderr);
  t.match(resumed.stderr, /, 3 threads,/, 'as many threads as it was started with');
  t.equal(config().run.dataDir, moved);
  t.same(config().run.checkpointEvery, { steps: 2 });
  t.equal(config().options.epochs, 3);
  const again = run(['train', '--resume', out, '--epochs', 4, '--threads', 2], { cwd: '/' });
  t.equal(again.status, 0, again.stderr);
  t.match(again.stderr, /, 2 threads,/);
  t.equal(config().run.threads, 2);
  t.equal(metricsOf(out).length, 4);
  const images = readFileSync(join(moved, 'train-images-idx3-ubyte'));
  images[images.length - 1] ^= 1;
  writeFileSync(join(moved, 'train-images-idx3-ubyte'), images);
  const other = run(['train', '--resume', out, '--epochs', 5]);
  t.equal(other.status, 1);
  t.match(
    other.stderr,
    /^selfcompress: Expected the very data "mnist" that the run was made with for data but received "mnist with other mean and std, train\.images"\n$/,
  );
  t.notOk(existsSync(join(out, 'lock')));
  t.match(run(['train', '--checkpoint-every', '5m']).stderr, /checkpoint-every.*such as 60s/);
  for (const text of ['-1', 'x', '1.5s', '', 's', '1e3']) t.throws(() => saveInterval(text), /such as 60s/);
  t.same(['500', '60s', '0', '0s'].map(saveInterval), [{ steps: 500 }, { seconds: 60 }, {}, {}]);
});
