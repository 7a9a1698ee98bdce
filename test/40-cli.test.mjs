// The command line program, as users start it.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cli, createModel, temporaryFolder, withoutTimes } from './support.mjs';

const run = (...args) => spawnSync(process.execPath, [cli, ...args.map(String)], { encoding: 'utf8' });
const lines = (path) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const quick = [
  '--dataset',
  'digits',
  '--model',
  'lenet5',
  '--limit',
  1000,
  '--batch-size',
  100,
  '--threads',
  2,
  '--gamma',
  0.5,
  '--bits-lr',
  0.3,
  '--lr',
  0.005,
];

t.test('train, eval, inspect', async (t) => {
  const out = join(temporaryFolder(t), 'run');
  const { status, stdout, stderr } = run('train', ...quick, '--epochs', 6, '--out', out);
  t.equal(status, 0, stderr);
  t.match(stderr, /1000 training[\s\S]*6\/6/);
  t.match(stdout, /Test accuracy [\d.]+ ?% with [\d.]+ ?% of the bits/);
  t.same(readdirSync(out).sort(), ['checkpoint', 'config.json', 'metrics.jsonl', 'model.scnn', 'report.html']);
  const metrics = lines(join(out, 'metrics.jsonl'));
  t.equal(metrics.length, 6);
  for (const name of [
    'epoch',
    'step',
    'trainLoss',
    'testLoss',
    'testAccuracy',
    'bits',
    'bitsFraction',
    'weights',
    'weightsFraction',
    'modelBytes',
    'epochSeconds',
    'imagesPerSecond',
  ]) {
    t.ok(Number.isFinite(metrics[5][name]), name);
  }
  const last = metrics[5];
  t.ok(last.testAccuracy > 0.6 && last.testAccuracy <= 1, `${last.testAccuracy}`);
  t.ok(last.bitsFraction < metrics[0].bitsFraction);
  t.equal(readFileSync(join(out, 'model.scnn')).length, last.modelBytes);
  for (const path of [out, join(out, 'checkpoint'), join(out, 'model.scnn')]) {
    const result = JSON.parse(run('eval', path, '--dataset', 'digits', '--json').stdout);
    t.equal(result.testAccuracy, last.testAccuracy, path);
    t.ok(Math.abs(result.testLoss - last.testLoss) < 1e-4, path);
  }
  t.match(run('eval', out, '--dataset', 'digits').stdout, /testLoss .* testAccuracy/);
  const inspected = JSON.parse(run('inspect', out, '--json').stdout);
  t.equal(inspected.bits, last.bits);
  t.equal(inspected.modelBytes, last.modelBytes);
  t.equal(inspected.layers.length, 4);
  t.match(run('inspect', join(out, 'model.scnn')).stdout, /model file/);
  const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'));
  t.equal(config.options.gamma, 0.5);
  t.equal(config.run.limit, 1000);
  const again = run('train', ...quick, '--epochs', 1, '--out', out);
  t.equal(again.status, 1);
  t.match(again.stderr, /already holds a run.*--resume.*--force/);
});

t.test('a run that is killed and resumed has the metrics of one that was not', async (t) => {
  const folder = temporaryFolder(t);
  const [whole, killed] = ['whole', 'killed'].map((name) => join(folder, name));
  t.equal(run('train', ...quick, '--epochs', 5, '--out', whole).status, 0);
  const child = spawn(process.execPath, [cli, 'train', ...quick.map(String), '--epochs', '5', '--out', killed], { stdio: 'ignore' });
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      const file = join(killed, 'metrics.jsonl');
      if (!existsSync(file) || readFileSync(file, 'utf8').split('\n').length < 3) return;
      clearInterval(timer);
      child.once('exit', resolve);
      child.kill('SIGKILL');
    }, 5);
  });
  const before = lines(join(killed, 'metrics.jsonl')).length;
  t.ok(before >= 2);
  const resumed = run('train', '--resume', killed, '--threads', 1);
  t.equal(resumed.status, 0, resumed.stderr);
  t.same(lines(join(killed, 'metrics.jsonl')).map(withoutTimes), lines(join(whole, 'metrics.jsonl')).map(withoutTimes));
  t.same(readFileSync(join(killed, 'model.scnn')), readFileSync(join(whole, 'model.scnn')));
});

t.test('a network from a JSON file, plain weights, a target', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'net.json');
  writeFileSync(file, JSON.stringify(createModel('mlp', { input: [1, 28, 28], classes: 10, compress: false })));
  const plain = run('train', '--model', file, '--limit', 500, '--epochs', 1, '--out', join(folder, 'plain'));
  t.equal(plain.status, 0, plain.stderr);
  t.equal(lines(join(folder, 'plain/metrics.jsonl'))[0].bitsFraction, 1);
  const target = run('train', ...quick, '--epochs', 30, '--stop-accuracy', 0.3, '--out', join(folder, 'target'));
  t.match(target.stderr, /stop-accuracy ask for was met/);
  t.ok(lines(join(folder, 'target/metrics.jsonl')).length < 30);
});

t.test('a reader that goes away does not end the run', async (t) => {
  if (process.platform === 'win32') return t.skip('needs a POSIX shell');
  const out = join(temporaryFolder(t), 'run');
  const command = [process.execPath, cli, 'train', '--model', 'mlp', '--limit', 200, '--epochs', 3, '--out', out]
    .map((word) => JSON.stringify(String(word)))
    .join(' ');
  spawnSync('sh', ['-c', `${command} | head -n 1`], { encoding: 'utf8' });
  const deadline = Date.now() + 20000;
  while (Date.now() < deadline && (!existsSync(join(out, 'report.html')) || lines(join(out, 'metrics.jsonl')).length < 3))
    await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(lines(join(out, 'metrics.jsonl')).length, 3);
});

t.test('info', async (t) => {
  const info = JSON.parse(run('info', '--json').stdout);
  t.ok(info.threads >= 1);
  t.match(run('info').stdout, /instruction set/);
});

t.test('mistakes end with a status, one clear line and nothing written', async (t) => {
  const folder = temporaryFolder(t);
  const out = join(folder, 'out');
  const fails = (args, message) => {
    const { status, stderr } = run(...args);
    t.not(status, 0, args.join(' '));
    t.match(stderr, message);
    t.notMatch(stderr, /\n\s+at /, 'no stack');
    t.notOk(existsSync(out));
  };
  fails(['train', '--gamma', '-1', '--out', out], /gamma.*Expected a number >= 0 but received "-1"/s);
  fails(['train', '--epochs', 'many', '--out', out], /epochs/);
  fails(['train', '--dataset', 'imagenet', '--out', out], /imagenet/);
  fails(['train', '--dataset', 'cifar10', '--out', out], /folder with the files of cifar10/);
  fails(['train', '--dataset', 'mnist', '--data-dir', folder, '--out', out], /train-images-idx3-ubyte/);
  fails(['train', '--model', 'resnet1000', '--out', out], /notebook.*resnet1000/);
  fails(['train', '--colour', 'red'], /unknown option/);
  fails(['train', '--resume', join(folder, 'none')], /not the folder of a run/);
  fails(['eval', join(folder, 'none'), '--dataset', 'digits'], /no checkpoint/);
  if (!JSON.parse(run('info', '--json').stdout).cuda.available) fails(['train', '--device', 'cuda', '--out', out], /cuda/i);
  writeFileSync(join(folder, 'bad.scnn'), 'SCNN but no more');
  fails(['eval', join(folder, 'bad.scnn'), '--dataset', 'digits'], /version|damaged|not a model/);
  writeFileSync(
    join(folder, 'net.json'),
    '{"input": [1, 28, 28], "nodes": [{"kind": "conv2d", "name": "big", "inputs": ["input"], "outChannels": 4, "kernel": [40, 40]}], "output": "big"}',
  );
  fails(['train', '--model', join(folder, 'net.json'), '--out', out], /big/);
  writeFileSync(join(folder, 'net.json'), '{');
  fails(['train', '--model', join(folder, 'net.json'), '--out', out], /JSON/);
});

t.test('a checkpoint of another kind of data is refused', async (t) => {
  const out = join(temporaryFolder(t), 'run');
  t.equal(run('train', ...quick, '--epochs', 1, '--out', out).status, 0);
  const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'));
  config.run.limit = 900;
  writeFileSync(join(out, 'config.json'), JSON.stringify(config));
  const resumed = run('train', '--resume', out, '--epochs', 2);
  t.equal(resumed.status, 1);
  t.match(resumed.stderr, /1000 training images/);
  const fixed = { '--gamma': '0.3', '--lr': '0.1', '--seed': '3', '--batch-size': '16', '--model': 'tiny', '--optimizer': 'sgd' };
  for (const [flag, value] of Object.entries(fixed)) {
    const refused = run('train', '--resume', out, flag, value);
    t.equal(refused.status, 2, flag);
    t.match(refused.stderr, new RegExp(`${flag}\\b`), 'named as it was typed');
  }
  t.match(run('train', '--resume', out, '--gamma', 1).stderr, /--epochs/, 'and what can be changed');
});
