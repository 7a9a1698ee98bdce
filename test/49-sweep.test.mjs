// selfcompress sweep: what its file may hold, which runs come of it, that it goes on after a kill, and its table and plot.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { program } from '../dist/cli/program.js';
import { checkSpec, runsOf } from '../dist/cli/sweep-spec.js';
import { groupsOf, sweepTable } from '../dist/report/sweep.js';
import { cli, temporaryFolder } from './support.mjs';

t.setTimeout(600_000);
const train = program.commands.find((command) => command.name() === 'train');
const check = (spec) => checkSpec(spec, train);
const folder = (name) => `out/${name}`;

t.test('what is wrong in the file is named', (t) => {
  for (const [spec, message] of [
    [[], /an object with options, grid and variants for the sweep/],
    [{ nets: [] }, /options, grid or variants for the sweep but received "nets"/],
    [{ options: { gama: 1 } }, /an option of `selfcompress train` for options but received "gama"/],
    [{ options: { out: 'x' } }, /for options but received "out"/],
    [{ options: { gamma: [1] } }, /a string, a number or a boolean for options\.gamma/],
    [{ grid: { gamma: 1 } }, /a list of values for grid\.gamma/],
    [{ grid: { gamma: [] } }, /a list of values for grid\.gamma/],
    [{ grid: { gamma: [{}] } }, /for grid\.gamma/],
    [{ variants: {} }, /a list of variants for variants/],
    [{ variants: [{ name: 'a/b' }] }, /a name of its own.* for variants\[0\]\.name but received "a\/b"/],
    [{ variants: [{ name: 'a' }, { name: 'a' }] }, /variants\[1\]\.name/],
    [{ variants: [{ name: 'a', start: '@b' }, { name: 'b' }] }, /a variant before it for variants\[0\]\.start but received "@b"/],
  ])
    t.throws(() => check(spec), { message }, String(message));
  t.end();
});

t.test('every combination is a run; runs that are the same are one; starts are those of the same values', (t) => {
  const runs = runsOf(
    check({
      options: { dataset: 'digits', epochs: 2 },
      grid: { model: ['mlp', 'lenet300'], gamma: [0.5, 1], seed: [1, 2] },
      variants: [
        { name: 'plain', plain: true, gamma: 0 },
        { name: 'rate', penalty: 'rate', start: '@plain' },
      ],
    }),
    folder,
  );
  t.equal(runs.length, 4 + 8);
  t.same(runs.map(({ name }) => name).slice(0, 5), [
    'plain-mlp-seed1',
    'plain-mlp-seed2',
    'plain-lenet300-seed1',
    'plain-lenet300-seed2',
    'rate-mlp-gamma0.5-seed1',
  ]);
  const last = runs.at(-1);
  t.match(last, {
    name: 'rate-lenet300-gamma1-seed2',
    group: 'rate-lenet300-gamma1',
    after: ['plain-lenet300-seed2'],
    options: { dataset: 'digits', epochs: 2, model: 'lenet300', gamma: 1, seed: 2, penalty: 'rate', start: 'out/plain-lenet300-seed2' },
  });
  t.same(
    runsOf(check({}), folder).map(({ name }) => name),
    ['run'],
  );
  t.end();
});

t.test('the front, by the accuracy that choices are made on', (t) => {
  const result = (group, seed, validationAccuracy, modelBytes) => ({
    name: `${group}-seed${seed}`,
    group,
    last: { validationAccuracy, testAccuracy: 0.5, modelBytes, bitsFraction: 0.1, weightsFraction: 0.2 },
    seconds: 3,
  });
  const groups = groupsOf([result('a', 1, 0.9, 2000), result('a', 2, 0.92, 2200), result('b', 1, 0.9, 3000), result('c', 1, 0.8, 1000)]);
  t.same(
    groups.map(({ group, front, runs, modelBytes }) => [group, front, runs, modelBytes]),
    [
      ['c', true, 1, 1000],
      ['a', true, 2, 2100],
      ['b', false, 1, 3000],
    ],
  );
  t.ok(Math.abs(groups[1].accuracy - 0.91) < 1e-12 && Math.abs(groups[1].spread - 0.01) < 1e-12);
  t.match(sweepTable(groups), /a +2 +91\.00 % +1\.00 +50\.00 % +2100 bytes/);
  t.end();
});

t.test('a sweep that is killed goes on, and ends as one that was not', async (t) => {
  const base = temporaryFolder(t);
  const spec = join(base, 'spec.json');
  writeFileSync(
    spec,
    JSON.stringify({
      options: { dataset: 'digits', model: 'mlp', limit: 600, 'batch-size': 50, threads: 1, epochs: 2, validation: 100, 'checkpoint-every': 3 },
      grid: { gamma: [2], seed: [1] },
      variants: [
        { name: 'plain', plain: true, gamma: 0 },
        { name: 'rate', penalty: 'rate', start: '@plain' },
      ],
    }),
  );
  const out = join(base, 'out');
  const child = spawn(process.execPath, [cli, 'sweep', spec, '--out', out, '--parallel', '2'], { stdio: 'ignore' });
  const exited = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
  while (!existsSync(join(out, 'rate-gamma2-seed1', 'config.json')) && child.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill('SIGTERM');
  t.same(await exited, { code: 143, signal: null });
  t.notOk(existsSync(join(out, 'results.json')));
  const again = spawnSync(process.execPath, [cli, 'sweep', spec, '--out', out], { encoding: 'utf8' });
  t.equal(again.status, 0, again.stderr);
  t.match(again.stderr, /plain-seed1: [\d.]+ %, .*\(done before\)/);
  t.match(again.stdout, /accuracy +± +test +file/);
  const whole = spawnSync(process.execPath, [cli, 'sweep', spec, '--out', join(base, 'whole')], { encoding: 'utf8' });
  t.equal(whole.status, 0, whole.stderr);
  for (const run of ['plain-seed1', 'rate-gamma2-seed1'])
    t.ok(readFileSync(join(out, run, 'model.scnn')).equals(readFileSync(join(base, 'whole', run, 'model.scnn'))), run);
  const { groups, runs } = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8'));
  t.equal(runs.length, 2);
  t.equal(groups.length, 2);
  t.ok(groups.some(({ front }) => front));
  t.match(readFileSync(join(out, 'report.html'), 'utf8'), /validation split[\s\S]*<svg[\s\S]*rate-gamma2/);
  writeFileSync(spec, JSON.stringify({ options: { model: 'mlp' } }));
  const other = spawnSync(process.execPath, [cli, 'sweep', spec, '--out', out], { encoding: 'utf8' });
  t.equal(other.status, 1);
  t.match(other.stderr, /that of this very sweep, for --out/);
});

t.test('runs that fail are named, the others are done', (t) => {
  const base = temporaryFolder(t);
  const spec = join(base, 'spec.json');
  const options = { dataset: 'digits', model: 'mlp', limit: 200, 'batch-size': 50, threads: 1, epochs: 1 };
  writeFileSync(
    spec,
    JSON.stringify({
      options,
      variants: [{ name: 'bad', plain: true, 'target-size': '1kB' }, { name: 'behind', start: '@bad' }, { name: 'good' }],
    }),
  );
  const { status, stderr } = spawnSync(process.execPath, [cli, 'sweep', spec, '--out', join(base, 'out')], { encoding: 'utf8' });
  t.equal(status, 1);
  t.match(stderr, /bad failed: selfcompress: Expected .* for --gamma but/);
  t.match(stderr, /2 of 3 runs failed: .*behind: bad, which it starts from, has no result/);
  t.match(stderr, /good: [\d.]+ %/);
  t.end();
});
