// --image-size: a run keeps it when it is resumed, to the same numbers; compress scales images to what the model reads.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cli, temporaryFolder, withoutTimes } from './support.mjs';

t.test('--image-size', (t) => {
  const folder = temporaryFolder(t);
  const run = (...args) => spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', cwd: folder });
  const done = (...args) => {
    const { status, stdout, stderr } = run(...args);
    t.equal(status, 0, stderr);
    return stdout.trim().split('\n');
  };
  const lines = (name) =>
    readFileSync(join(folder, name, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => withoutTimes(JSON.parse(line)));
  const args = ['train', '--plain', '--model', 'mlp', '--limit', '400', '--batch-size', '64', '--image-size', '12x14', '-q'];
  const constant = ['--schedule', 'constant', '--seed', '3'];
  done(...args, ...constant, '--epochs', '2', '--out', 'whole');
  done(...args, ...constant, '--epochs', '1', '--out', 'part');
  done('train', '--resume', 'part', '--epochs', '2', '-q');
  t.same(lines('part'), lines('whole'), 'as if it had never stopped');
  const config = JSON.parse(readFileSync(join(folder, 'part/config.json'), 'utf8'));
  t.same(config.run.imageSize, [12, 14]);
  t.same(config.network.input, [1, 12, 14]);
  const refused = run('train', '--resume', 'part', '--epochs', '3', '--image-size', '8');
  t.equal(refused.status, 2);
  t.match(refused.stderr, /Expected no --image-size with --resume/);

  done('export', 'whole', '--format', 'onnx', '--out', 'plain.onnx');
  const compress = (...more) => run('compress', 'plain.onnx', '--dataset', 'digits', '--limit', '400', '--epochs', '1', '--out', 'small', ...more);
  const { status, stdout, stderr } = compress('--image-size', '12x14', '--json');
  t.equal(status, 0, stderr);
  t.ok(Math.abs(JSON.parse(stdout).accuracyBefore - lines('whole').at(-1).testAccuracy) < 0.02, 'the images that it was trained on');
  const other = compress();
  t.not(other.status, 0, 'images of the data as they are do not fit');
  t.equal(compress('--image-size', '0').status, 2);
  t.end();
});
