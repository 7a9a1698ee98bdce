// The package: entries for import and require, the addon, prebuilds, advice when it cannot be built.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import t from 'tap';
import * as library from '../dist/index.js';
import { root, temporaryFolder } from './support.mjs';

const require = createRequire(import.meta.url);
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

t.test('import and require give the same names', async (t) => {
  const common = require('../dist/index.cjs');
  t.same(Object.keys(common).sort(), Object.keys(library).sort());
  t.equal(common.binding.info().version, manifest.version);
  const result = spawnSync(
    process.execPath,
    ['-e', `const { createModel } = require(${JSON.stringify(root)}); console.log(createModel('mlp', { input: [1, 4, 4], classes: 2 }).output)`],
    { encoding: 'utf8' },
  );
  t.equal(result.stdout.trim(), 'linear2', result.stderr);
});

t.test('types are exported for both', async (t) => {
  for (const file of [manifest.types, manifest.exports['.'].require.types, './binding.d.ts']) t.ok(existsSync(join(root, file)), file);
});

t.test('info tells the machine', async (t) => {
  const info = library.binding.info();
  t.equal(info.version, manifest.version);
  t.ok(info.isas.includes(info.isa));
  t.ok(info.isas.includes('scalar'));
  t.ok(info.threads >= 1);
  t.match(info.bf16, /^(native|emulated)$/);
  t.equal(info.napi, manifest.binary.napi_versions[0]);
  if (!info.cuda.available) t.ok(info.cuda.reason.length > 10);
});

t.test('SELFCOMPRESS_ISA and SELFCOMPRESS_THREADS choose, and refuse nonsense', async (t) => {
  const run = (env) =>
    spawnSync(process.execPath, [join(root, 'dist/cli/main.js'), 'info', '--json'], { encoding: 'utf8', env: { ...process.env, ...env } });
  t.equal(JSON.parse(run({ SELFCOMPRESS_ISA: 'scalar' }).stdout).isa, 'scalar');
  t.equal(JSON.parse(run({ SELFCOMPRESS_THREADS: '3' }).stdout).threads, 3);
  const wrong = run({ SELFCOMPRESS_ISA: 'mmx' });
  t.not(wrong.status, 0);
  t.match(wrong.stderr, /SELFCOMPRESS_ISA/);
  t.notMatch(wrong.stderr, /npm rebuild/);
});

t.test('a clone builds the addon only where there is none', async (t) => {
  const folder = temporaryFolder(t);
  const libc = process.platform === 'linux' ? (existsSync('/etc/alpine-release') ? '.musl' : '.glibc') : '';
  const prebuilds = join(folder, 'prebuilds', `${process.platform}-${process.arch}`);
  for (const path of [join(folder, 'scripts/build'), prebuilds]) mkdirSync(path, { recursive: true });
  copyFileSync(join(root, 'package.json'), join(folder, 'package.json'));
  copyFileSync(join(root, 'scripts/build/native.mjs'), join(folder, 'scripts/build/native.mjs'));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
  const prepare = () => spawnSync(process.execPath, [join(folder, 'scripts/build/native.mjs')], { encoding: 'utf8', env: { PATH: '/nonexistent' } });
  t.equal(prepare().status, 1, 'none yet, and no compiler');
  copyFileSync(join(root, 'build/Release/selfcompress.node'), join(prebuilds, `selfcompress${libc}.node`));
  const { status, stderr } = prepare();
  t.equal(status, 0, stderr);
});

t.test("nothing runs at a user's installation", async (t) => {
  for (const name of ['preinstall', 'install', 'postinstall']) t.notOk(manifest.scripts[name], name);
  t.notOk(existsSync(join(root, 'binding.gyp')), 'npm would run node-gyp');
});

t.test('without compiler or cmake the build says which is missing and how to get it', async (t) => {
  if (process.platform === 'win32') return t.skip('needs a PATH of its own');
  const script = join(root, 'scripts/build/native.mjs');
  const build = (env) => spawnSync(process.execPath, [script, '--force'], { encoding: 'utf8', env });
  const noCmake = build({ PATH: '/nonexistent' });
  t.equal(noCmake.status, 1);
  t.match(noCmake.stderr, /cmake, which was not found/);
  const noCompiler = build({ PATH: process.env.PATH, CXX: 'no-such-compiler' });
  t.equal(noCompiler.status, 1);
  t.match(noCompiler.stderr, /no C\+\+ compiler was found \(tried no-such-compiler\)/);
});
