// How the command line program behaves beside its work: statuses, streams, words, files of options.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cli, root, temporaryFolder } from './support.mjs';

const run = (args, options = {}) => spawnSync(process.execPath, [cli, ...args.map(String)], { encoding: 'utf8', ...options });
const ESCAPE = String.fromCharCode(27);
const small = ['--model', 'mlp', '--limit', 200, '--batch-size', 50, '--threads', 1];

t.test('--version, also without the addon', async (t) => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const flag of ['--version', '-V']) t.equal(run([flag]).stdout, `${version}\n`);
  t.equal(run(['--version'], { env: { ...process.env, SELFCOMPRESS_ISA: 'none' } }).stdout, `${version}\n`);
});

t.test('2 for a command line that is wrong, 1 for one that failed, 0 for help', async (t) => {
  const folder = temporaryFolder(t);
  const out = join(folder, 'out');
  for (const [status, args, message] of [
    [2, [], /Usage/],
    [2, ['grow'], /unknown command 'grow'/],
    [2, ['train', '--colour', 'red'], /unknown option '--colour'/],
    [2, ['train', '--gamma', '-1'], /'--gamma <factor>'.*Expected a number >= 0 but received "-1"/],
    [2, ['train', '--dataset', 'imagenet'], /'--dataset <name>'.*imagenet/],
    [2, ['train', '--dataset', 'cifar10', '--out', out], /for --data-dir but received undefined/],
    [2, ['train', '--bias-bits', 1, '--out', out], /Expected 0 or 2 to 12 for --bias-bits but received 1/],
    [2, ['train', '--model', 'resnet1000', '--out', out], /--model/],
    [2, ['train', '--map', 'x.json', '--out', out], /Expected --from FILE of weights .* with --map/],
    [2, ['eval', 'x.scnn'], /--dataset/],
    [1, ['train', '--resume', join(folder, 'none')], /not the folder of a run/],
    [1, ['train', '--dataset', 'mnist', '--data-dir', folder, '--out', out], /not found/],
    [1, ['eval', join(folder, 'none'), '--dataset', 'digits'], /no checkpoint/],
  ]) {
    const result = run(args);
    t.equal(result.status, status, `${args.join(' ')}: ${result.stderr}`);
    t.match(result.stderr, message, args.join(' '));
    t.equal(result.stdout, '', args.join(' '));
    t.notOk(existsSync(out));
  }
  for (const args of [['--help'], ['train', '--help'], ['help', 'train']]) t.equal(run(args).status, 0, args.join(' '));
});

t.test('--help of train has every option in a group, and examples', async (t) => {
  const { stdout } = run(['train', '--help']);
  for (const title of ['Network', 'Data', 'Training', 'Size', 'Machine', 'Run', 'Output', 'Examples']) t.match(stdout, new RegExp(`^${title}:`, 'm'));
  t.notMatch(stdout, /^Other options:/m, 'lib/cli/help.ts has no group for an option of train');
  for (const line of stdout.split('\n')) t.ok(line.length <= 120, line);
});

t.test('results on standard output, the rest on standard error', async (t) => {
  const folder = temporaryFolder(t);
  const normal = run(['train', ...small, '--epochs', 2, '--out', 'a'], { cwd: folder });
  t.equal(normal.status, 0, normal.stderr);
  t.match(normal.stdout, /^Test accuracy .*model\.scnn has .*\n$/);
  t.match(normal.stderr, /mlp on digits[\s\S]*train loss[\s\S]*2\/2[\s\S]*Finished/);
  const quiet = run(['train', ...small, '--epochs', 2, '--out', 'b', '--quiet'], { cwd: folder });
  t.match(quiet.stdout, /^Test accuracy .*\n$/);
  t.equal(quiet.stderr, '');
  const json = run(['train', ...small, '--epochs', 3, '--out', 'c', '--json', '-q'], { cwd: folder });
  t.equal(json.stdout, readFileSync(join(folder, 'c/metrics.jsonl'), 'utf8'), 'the lines of metrics.jsonl');
  t.equal(json.stdout.trim().split('\n').length, 3);
  t.equal(json.stderr, '');
  const verbose = run(
    ['train', ...small, '--epochs', 1, '--bits', 2, '--gamma', 100, '--gamma-warmup', 0, '--bits-lr', 1, '--out', 'd', '--verbose'],
    { cwd: folder },
  );
  t.match(verbose.stderr, /removed \d+ of linear/);
  t.match(run(['train', '--resume', 'none', '-v'], { cwd: folder }).stderr, /\n\s+at /, 'where the error comes from');
  const colours = run(['train', ...small, '--epochs', 1, '--out', 'e'], { cwd: folder, env: { ...process.env, FORCE_COLOR: '1' } });
  t.notOk(colours.stderr.includes(ESCAPE), 'no colours, so none that NO_COLOR would have to take away');
});

t.test('--config: options of a file, the command line goes before it', async (t) => {
  const folder = temporaryFolder(t);
  const write = (value) => writeFileSync(join(folder, 'train.json'), typeof value === 'string' ? value : JSON.stringify(value));
  write({
    model: 'mlp',
    limit: 200,
    'batch-size': 40,
    gammaWarmup: 0.25,
    epochs: 1,
    augment: 'shift=1,rotate=15,scale=0.1',
    imageSize: 16,
    mean: [0.1],
    std: [0.3],
    seed: 5,
    plain: false,
    out: 'run',
  });
  const { status, stderr } = run(['train', '--config', 'train.json', '--seed', 7, '--threads', 1], { cwd: folder });
  t.equal(status, 0, stderr);
  const { run: description, options } = JSON.parse(readFileSync(join(folder, 'run/config.json'), 'utf8'));
  t.same([description.model, description.limit, description.mean], ['mlp', 200, [0.1]]);
  t.same([options.batchSize, options.gammaWarmup, options.epochs, options.seed], [40, 0.25, 1, 7]);
  t.same(options.augmentation, { shift: 1, rotate: 15, scale: 0.1 });
  t.same(description.imageSize, [16, 16]);
  for (const [value, message] of [
    ['{', /readable JSON file for --config/],
    ['[1]', /Expected an object with options/],
    [{ colour: 'red' }, /Expected options of train in train.json \(model, .*\) but received "colour"/],
    [{ config: 'more.json' }, /but received "config"/],
    [{ gamma: -1 }, /Expected a number >= 0 but received "-1".*"gamma" in train.json/],
    [{ gamma: { a: 1 } }, /Expected a text or a number for "gamma" in train.json/],
    [{ plain: 'yes' }, /Expected true or false for "plain" in train.json but received "yes"/],
    [{ schedule: 'sometimes' }, /Allowed choices are .*"schedule" in train.json/],
  ]) {
    write(value);
    const wrong = run(['train', '--config', 'train.json'], { cwd: folder });
    t.equal(wrong.status, 2, JSON.stringify(value));
    t.match(wrong.stderr, message);
  }
  t.equal(run(['train', '--config', 'none.json'], { cwd: folder }).status, 2);
});

t.test('a dumb terminal gets plain lines', async (t) => {
  if (spawnSync('script', ['--version']).status !== 0) return t.skip('needs the program script');
  const folder = temporaryFolder(t);
  const words = [process.execPath, cli, 'train', ...small, '--epochs', 2, '--out', join(folder, 'run')].map(String).join(' ');
  const child = spawn('script', ['-qec', words, '/dev/null'], { env: { ...process.env, TERM: 'dumb' }, stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.on('data', (data) => {
    text += data;
  });
  await once(child, 'close');
  t.match(text, /2\/2/);
  t.notOk(text.includes(ESCAPE));
});
