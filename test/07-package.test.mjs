// The package as users get it: packed, installed into an empty project where no script may run, trained and asked.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as esbuild from 'esbuild';
import t from 'tap';
import { installedSize, installInto, packHere, runFirst } from '../scripts/build/try-install.mjs';
import { loadDataset, root, temporaryFolder } from './support.mjs';

const require = createRequire(import.meta.url);
const platform = `${process.platform}-${process.arch}`;

t.test('the digits are those of the package mnist, to the bit', async (t) => {
  const { train, test } = await loadDataset('digits');
  const folder = join(require.resolve('mnist'), '../digits');
  const pixels = 28 * 28;
  for (const digit of [0, 7]) {
    const { data } = JSON.parse(readFileSync(join(folder, `${digit}.json`), 'utf8'));
    const ours = [train, test].flatMap(({ images, labels }) =>
      [...labels.keys()].filter((i) => labels[i] === digit).map((i) => images.subarray(i * pixels, (i + 1) * pixels)),
    );
    t.equal(ours.length, data.length / pixels);
    t.ok(
      ours.every((image, i) => image.every((value, j) => value === Math.round(data[i * pixels + j] * 255))),
      `${digit}`,
    );
  }
});

t.test('packed, installed without scripts, trained, asked', async (t) => {
  const folder = temporaryFolder(t);
  // Without nvcc another library is found in the package's place, and refused.
  const library = [join(root, 'build/Release/selfcompress-cuda.so'), join(root, 'build/Release/selfcompress.node')].find(existsSync);
  const [main, binary, cuda] = packHere(folder, platform === 'linux-x64' ? library : undefined);
  const tarballs = [main, binary];
  const project = join(folder, 'project');
  const { status, output } = installInto(project, 'npm', tarballs);
  if (status !== 0 && /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|EAI_FAIL/.test(output)) return t.skip('the npm registry is out of reach');
  t.equal(status, 0, output);
  const { packages, bytes } = installedSize(project);
  t.ok(packages <= 20, `${packages} packages`);
  t.ok(bytes <= 15e6, `${(bytes / 1e6).toFixed(1)} MB`);
  const modules = join(project, 'node_modules');
  const installed = JSON.parse(readFileSync(join(modules, 'selfcompress/package.json'), 'utf8'));
  t.same(Object.keys(installed.optionalDependencies), [`@selfcompress/${platform}`]);
  t.notOk(installed.scripts, 'nothing that a package manager would run');
  t.ok(existsSync(join(modules, 'selfcompress/native/node-addon-api/napi.h')), 'the headers that a build from source needs');
  for (const name of Object.keys(installed.dependencies)) {
    const { scripts = {} } = JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8'));
    t.notMatch(Object.values(scripts).join('\n'), /\bnode-gyp\b(?!-)/, `${name}: Yarn would install node-gyp with it`);
  }
  const result = runFirst(project, [process.execPath]);
  t.equal(result.status, 0, result.stderr);
  t.ok(result.testAccuracy > 0.8 && result.predicted > 0.8, JSON.stringify(result));
  const cli = join(modules, 'selfcompress/dist/cli/main.js');
  const run = (...args) =>
    spawnSync(process.execPath, [cli, ...args], { cwd: project, encoding: 'utf8', env: { ...process.env, PATH: '/nonexistent' } });
  t.equal(JSON.parse(run('info', '--json').stdout).version, installed.version);
  t.equal(run('train', '--model', 'lenet5', '--limit', '200', '--epochs', '1', '--out', 'run').status, 0);
  t.match(readFileSync(join(project, 'run/report.html'), 'utf8'), /<svg/, 'charts without the libraries installed');

  const required = spawnSync(process.execPath, ['-p', "require('selfcompress/binding').binding.info().version"], { cwd: project, encoding: 'utf8' });
  t.equal(required.stdout.trim(), installed.version, required.stderr);

  if (cuda) {
    t.match(run('info').stdout, /CUDA +not available: looked for/);
    const npm = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', cuda];
    const added = spawnSync('npm', npm, { cwd: project, encoding: 'utf8' });
    t.equal(added.status, 0, added.stderr);
    const place = join(modules, '@selfcompress/cuda-linux-x64');
    const info = JSON.parse(run('info', '--json').stdout).cuda;
    t.equal(info.library, join(place, 'prebuilds/linux-x64/selfcompress-cuda.so'));
    if (library.endsWith('.node')) t.match(info.reason, /is not the CUDA library of selfcompress/);
    else if (!info.available) t.match(info.reason, /was found, but .*(driver|device)/);
    rmSync(place, { recursive: true });
  }

  renameSync(join(modules, '@selfcompress'), join(folder, 'elsewhere'));
  const without = run('info');
  t.equal(without.status, 1);
  t.match(without.stderr, new RegExp(`no native binary of selfcompress for ${platform}.*@selfcompress/${platform} is not installed`));
  t.match(without.stderr, /npx selfcompress build/);
  t.notMatch(without.stderr, /\n\s+at /, 'no stack');
  const build = run('build');
  t.equal(build.status, 1, 'which runs, but finds no cmake');
  t.match(build.stderr, /cmake, which was not found/);
  const broken = join(folder, 'elsewhere', platform, 'prebuilds', platform);
  for (const name of readdirSync(broken)) writeFileSync(join(broken, name), 'not a library');
  renameSync(join(folder, 'elsewhere'), join(modules, '@selfcompress'));
  const wrong = run('info');
  t.match(wrong.stderr, /could not be loaded: [\s\S]*npx selfcompress build/);
});

t.test('bundlers keep what registers a backend, and leave out what is not used', async (t) => {
  const bundle = async (contents) => {
    const options = { bundle: true, write: false, format: 'esm', platform: 'node', external: ['@tensorflow/*'], logLevel: 'silent' };
    const { outputFiles } = await esbuild.build({ ...options, stdin: { contents, resolveDir: root } });
    return outputFiles[0].text;
  };
  for (const contents of ["import 'selfcompress/tfjs'", "require('selfcompress/tfjs')"])
    t.match(await bundle(contents), /registerBackend\)?\(/, contents);
  t.equal(await bundle("import 'selfcompress'"), '');
});

t.test('modules of dist/ name no library that users do not have', async (t) => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const users = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies)];
  const others = Object.keys(manifest.devDependencies).filter((name) => !users.includes(name));
  for (const file of readdirSync(join(root, 'dist'), { recursive: true }).filter(
    (name) => /\.(js|cjs|d\.ts)$/.test(name) && !name.startsWith('vendor'),
  )) {
    const text = readFileSync(join(root, 'dist', file), 'utf8');
    for (const name of others) t.notMatch(text, new RegExp(`(from|import|require)\\s*\\(?\\s*['"]${name}['"/]`), `${file}: ${name}`);
  }
});
