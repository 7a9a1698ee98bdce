// npm run try:install [-- --managers npm,pnpm --runtimes node,node@22.23.3,bun,deno]: packs the package, installs it into empty projects with
// scripts blocked, trains on the digits for an epoch and predicts, with several package managers and runtimes of the npm registry.
// Prints a table, which docs/install.md has.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pack } from './pack.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const host = `${process.platform}-${process.arch}`;
const shell = process.platform === 'win32';

/** The user's program: import, train, save, load, predict. */
export const program = `import { createModel, loadDataset, loadModel, Trainer } from 'selfcompress';
const data = await loadDataset('digits');
const network = createModel('lenet5', { input: data.shape, classes: data.classes });
const trainer = Trainer.create({ network, data, epochs: 1, batchSize: 128, gamma: 0.2 });
await trainer.run();
const model = await loadModel(await trainer.encodeModel());
const count = 500;
const pixels = 28 * 28;
const images = Array.from({ length: count }, (_, i) => data.test.images.subarray(i * pixels, (i + 1) * pixels));
const predictions = await model.predict(images);
const correct = predictions.filter(({ label }, i) => Number(label) === data.test.labels[i]).length;
console.log(JSON.stringify({ testAccuracy: trainer.history[0].testAccuracy, predicted: correct / count }));
await trainer.dispose();
`;

/** Tarballs of the package and of this platform's binary: the prebuilt one, or that of this clone's build. */
export function packHere(folder) {
  const prebuilds = join(folder, 'prebuilds');
  mkdirSync(join(prebuilds, host), { recursive: true });
  const ready = join(root, 'prebuilds', host);
  const from = [ready, join(root, 'build/Release')].find((path) => {
    try {
      return readdirSync(path).some((name) => name.endsWith('.node'));
    } catch {
      return false;
    }
  });
  if (!from) throw new Error('Expected a native binary in prebuilds/ or build/Release/ but found none. Build one with: npm run build:native');
  for (const name of readdirSync(from).filter((file) => file.endsWith('.node'))) copyFileSync(join(from, name), join(prebuilds, host, name));
  const { main, platforms } = pack(folder, prebuilds);
  return [main, platforms[host]];
}

export const managers = {
  npm: (tarballs) => ['npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', ...tarballs],
  pnpm: (tarballs) => ['npx', '--yes', 'pnpm@latest', 'add', '--ignore-scripts', ...tarballs],
  yarn: (tarballs) => ['npx', '--yes', 'yarn@1', 'add', '--ignore-scripts', ...tarballs],
  bun: (tarballs) => ['npx', '--yes', 'bun@latest', 'add', '--ignore-scripts', ...tarballs],
};

/** An empty project with the package: { status, output }. */
export function installInto(project, manager, tarballs) {
  mkdirSync(project, { recursive: true });
  writeFileSync(join(project, 'package.json'), '{ "name": "empty", "version": "1.0.0", "private": true, "type": "module" }\n');
  writeFileSync(join(project, 'first.js'), program);
  const [command, ...args] = managers[manager](tarballs);
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: project, encoding: 'utf8', shell });
  return { status, output: `${stdout}${stderr}` };
}

/** Packages and bytes in a project's node_modules. */
export function installedSize(project) {
  const files = readdirSync(join(project, 'node_modules'), { recursive: true, withFileTypes: true });
  const path = (file) => join(file.parentPath ?? file.path, file.name);
  const packages = files.filter((file) => file.isFile() && /node_modules[\\/](@[^\\/]+[\\/])?[^@.\\/][^\\/]*[\\/]package\.json$/.test(path(file)));
  return { packages: packages.length, bytes: files.reduce((sum, file) => sum + (file.isFile() ? statSync(path(file)).size : 0), 0) };
}

/** Command line that runs a script: `node` is this one, `node@22.23.3` the binary of the npm registry. */
function runtimeCommand(runtime, folder) {
  if (runtime === 'node') return [process.execPath];
  const [name, version = 'latest'] = runtime.split('@');
  const packageName = name === 'node' ? `node-${host}` : name;
  const place = join(folder, runtime.replace('@', '-'));
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'package.json'), JSON.stringify({ private: true, allowScripts: { [packageName]: true } }));
  // Bun and Deno put their program in place by a script of their own.
  const blocked = name === 'node' ? ['--ignore-scripts'] : [];
  const { status, stderr } = spawnSync('npm', ['install', ...blocked, '--no-audit', '--no-fund', `${packageName}@${version}`], {
    cwd: place,
    encoding: 'utf8',
    shell,
  });
  if (status !== 0) throw new Error(`${packageName}@${version} could not be installed: ${stderr}`);
  if (name === 'node') return [join(place, 'node_modules', packageName, 'bin/node')];
  return [join(place, 'node_modules/.bin', name), 'run', ...(name === 'deno' ? ['--allow-all'] : [])];
}

export function runFirst(project, command) {
  const { status, signal, stdout, stderr } = spawnSync(command[0], [...command.slice(1), 'first.js'], { cwd: project, encoding: 'utf8' });
  const line = stdout?.trim().split('\n').at(-1) ?? '';
  try {
    return { status, signal, stderr, ...JSON.parse(line) };
  } catch {
    return { status, signal, stderr };
  }
}

const versionOf = (command) => spawnSync(command[0], ['--version'], { encoding: 'utf8' }).stdout.trim().split('\n')[0];

function main() {
  const { values } = parseArgs({ options: { managers: { type: 'string' }, runtimes: { type: 'string' } } });
  const folder = mkdtempSync(join(tmpdir(), 'selfcompress-install-'));
  try {
    const tarballs = packHere(folder);
    const runtimes = (values.runtimes ?? 'node').split(',').map((runtime) => ({ runtime, command: runtimeCommand(runtime, folder) }));
    console.log('| installed by | run by | result |\n| --- | --- | --- |');
    for (const manager of (values.managers ?? 'npm').split(',')) {
      const project = join(folder, `project-${manager}`);
      const { status, output } = installInto(project, manager, tarballs);
      if (status !== 0) {
        console.log(`| ${manager} | | not installed: ${output.trim().split('\n').slice(-3).join(' ')} |`);
        process.exitCode = 1;
        continue;
      }
      for (const { runtime, command } of runtimes) {
        const { status: code, signal, testAccuracy, predicted, stderr } = runFirst(project, command);
        const good = code === 0 && testAccuracy > 0.8 && predicted > 0.8;
        const what = good ? `${(100 * testAccuracy).toFixed(1)} %` : `status ${code ?? signal}: ${stderr.trim().split('\n').slice(0, 3).join(' ')}`;
        if (!good) process.exitCode = 1;
        console.log(`| ${manager} | ${runtime.split('@')[0]} ${versionOf(command)} | ${what} |`);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
