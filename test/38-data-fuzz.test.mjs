// A few seconds of damaged data files; scripts/fuzz/data.mjs runs for as long as it is asked to.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { root } from './support.mjs';

t.test('damaged data files are read as sound data or refused, in bounded time and memory', (t) => {
  const seed = process.env.SELFCOMPRESS_FUZZ_SEED ?? '1';
  const command = [join(root, 'scripts', 'fuzz', 'data.mjs'), '--seconds', '8', '--seed', seed];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' });
  t.equal(status, 0, `${stdout}${stderr}`.slice(-2000));
  const [, files] = /(\d+) files, 0 problems/.exec(stdout) ?? [];
  t.ok(Number(files) >= 16, `${files} files`); // however busy the machine is
  t.end();
});
