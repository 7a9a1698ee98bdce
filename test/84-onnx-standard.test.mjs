// The tests of operators that come with the ONNX standard: those that are imported give the standard's results.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { temporaryFolder } from './support.mjs';

t.setTimeout(300_000);
const root = fileURLToPath(new URL('..', import.meta.url));
const shared = process.env.SELFCOMPRESS_SHARED ?? join(root, '..', 'shared');
const writer = join(shared, 'anchors', 'onnx-node-tests.py');
const python = '/usr/bin/python3';
const skip = !existsSync(writer)
  ? `${writer} is not there`
  : spawnSync(python, ['-c', 'import onnx']).status !== 0
    ? 'python3-onnx is not installed'
    : false;

t.test('none of them has another result', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const made = spawnSync(python, [writer, folder], { encoding: 'utf8' });
  t.equal(made.status, 0, made.stderr.slice(-500));
  const { stderr, status } = spawnSync(process.execPath, [join(root, 'scripts', 'import', 'operators.mjs'), folder], { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  const [, passed, folded, failed] = stderr.match(/(\d+) passed, (\d+) folded, \d+ refused, (\d+) failed/) ?? [];
  t.equal(failed, '0');
  t.ok(Number(passed) >= 558, `${passed} passed`);
  t.ok(Number(folded) >= 107, `${folded} folded`);
});
