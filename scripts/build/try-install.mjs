// npm run try:install [-- --cells npm/node@22,bun/bun | ci | all] [--write]: packs the package, installs it into empty projects with scripts
// blocked, trains on the digits for an epoch and predicts, with several package managers and runtimes of the npm registry. A cell is
// MANAGER/RUNTIME; `node` is this one, `node@22` the registry's. Prints a table; --write puts it into docs/install.md.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pack } from './pack.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const host = `${process.platform}-${process.arch}`;
const shell = process.platform === 'win32';
const musl = existsSync('/etc/alpine-release'); // as node-gyp-build finds it out
/** Of a folder of binaries, those for this C library; a clone's build has one name for all. */
const isOurs = (file) => file.endsWith('.node') && (musl ? !file.includes('.glibc.') : !file.includes('.musl.'));

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

/** Tarballs of the package and of this platform's binary, the prebuilt one or that of this clone's build; and of a CUDA library. */
export function packHere(folder, cudaLibrary) {
  const prebuilds = join(folder, 'prebuilds');
  mkdirSync(join(prebuilds, host), { recursive: true });
  const ready = join(root, 'prebuilds', host);
  const from = [ready, join(root, 'build/Release')].find((path) => {
    try {
      return readdirSync(path).some(isOurs);
    } catch {
      return false;
    }
  });
  if (!from) throw new Error('Expected a native binary in prebuilds/ or build/Release/ but found none. Build one with: npm run build:native');
  for (const name of readdirSync(from).filter(isOurs)) {
    copyFileSync(join(from, name), join(prebuilds, host, name));
    // As `npm run prebuild` does: names of functions are a sixth of a build. Where there is no such tool it is packed as it is.
    if (from !== ready && process.platform === 'linux') spawnSync('strip', ['--strip-unneeded', join(prebuilds, host, name)]);
  }
  if (cudaLibrary) copyFileSync(cudaLibrary, join(prebuilds, host, 'selfcompress-cuda.so'));
  const { main, platforms, cuda } = pack(folder, prebuilds);
  return [main, platforms[musl ? `${host}-musl` : host], ...Object.values(cuda)];
}

const npmOptions = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
const files = (tarballs) => Object.fromEntries(tarballs.map((path) => [nameOf(path), `file:${path}`]));
const nameOf = (tarball) =>
  basename(tarball)
    .replace(/^selfcompress-((?:cuda-)?(?:linux|win32|darwin)-[a-z0-9]+(?:-musl)?)-.*/, '@selfcompress/$1')
    .replace(/-\d.*/, '');

/** Yarn's current major version, which places packages as its `linker` does. */
const yarn4 = (linker) => ({
  add: (tarballs) => ['npx', '--yes', '--package=@yarnpkg/cli-dist', 'yarn', 'add', ...tarballs],
  fields: (tarballs) => ({ resolutions: files(tarballs) }),
  settings: () => ({ 'yarn.lock': '', '.yarnrc.yml': `enableScripts: false\nenableTelemetry: false\nnodeLinker: ${linker}\n` }),
});

/**
 * How each installs tarballs in an empty project: `add`, fields of its package.json, environment. A binary's package is not in the registry
 * yet: where a manager looks for it there, `fields` say where it is.
 */
export const managers = {
  npm: { add: (tarballs) => ['npm', 'install', ...npmOptions, ...tarballs] },
  // Which blocks scripts by itself; it needs a newer Node.js than this package.
  'npm@latest': {
    add: (tarballs) => ['npx', '--yes', 'npm@latest', 'install', '--no-audit', '--no-fund', '--prefer-offline', ...tarballs],
    node: 'node@24',
  },
  pnpm: {
    add: (tarballs) => ['npx', '--yes', 'pnpm@latest', 'add', '--ignore-scripts', ...tarballs],
    settings: (tarballs) => ({
      'pnpm-workspace.yaml': ['overrides:', ...Object.entries(files(tarballs)).map(([name, path]) => `  '${name}': '${path}'`), ''].join('\n'),
    }),
    node: 'node@24',
  },
  yarn: {
    add: (tarballs) => ['npx', '--yes', 'yarn@1', 'add', '--ignore-scripts', ...tarballs],
    fields: (tarballs) => ({ resolutions: files(tarballs) }),
  },
  // Plug'n'Play: no node_modules at all.
  'yarn@4': {
    ...yarn4('pnp'),
    prefix: ['-r', './.pnp.cjs', '--experimental-loader', './.pnp.loader.mjs'],
  },
  'yarn@4-node-modules': yarn4('node-modules'),
  bun: {
    add: (tarballs) => ['npx', '--yes', 'bun@latest', 'add', '--ignore-scripts', ...tarballs],
    fields: (tarballs) => ({ overrides: files(tarballs) }),
  },
};
const nodeOfManager = (manager) => managers[manager].node;

/** An empty project with the package: { status, output }. `path` is put before the PATH. */
export function installInto(project, manager, tarballs, path = '') {
  const { add, fields, settings } = managers[manager];
  mkdirSync(project, { recursive: true });
  const manifest = { name: 'empty', version: '1.0.0', private: true, type: 'module', ...fields?.(tarballs) };
  writeFileSync(join(project, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
  for (const [name, text] of Object.entries(settings?.(tarballs) ?? {})) writeFileSync(join(project, name), text);
  writeFileSync(join(project, 'first.js'), program);
  const [command, ...args] = add(tarballs);
  const env = { ...process.env, PATH: path ? `${path}${delimiter}${process.env.PATH}` : process.env.PATH };
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: project, encoding: 'utf8', shell, env });
  return { status, output: `${stdout}${stderr}` };
}

/** Packages and bytes in a project's node_modules. */
export function installedSize(project) {
  if (!existsSync(join(project, 'node_modules'))) return undefined;
  const files = readdirSync(join(project, 'node_modules'), { recursive: true, withFileTypes: true });
  const path = (file) => join(file.parentPath ?? file.path, file.name);
  const packages = files.filter((file) => file.isFile() && /node_modules[\\/](@[^\\/]+[\\/])?[^@.\\/][^\\/]*[\\/]package\.json$/.test(path(file)));
  return { packages: packages.length, bytes: files.reduce((sum, file) => sum + (file.isFile() ? statSync(path(file)).size : 0), 0) };
}

const runtimes = new Map();

/** Command line that runs a script: `node` is this one, `node@22` the newest of the npm registry. */
function runtimeCommand(runtime, folder) {
  if (runtime === 'node') return [process.execPath];
  if (!runtimes.has(runtime)) runtimes.set(runtime, installRuntime(runtime, folder));
  return runtimes.get(runtime);
}

function installRuntime(runtime, folder) {
  const [name, version = 'latest'] = runtime.split('@');
  const packageName = name === 'node' ? `node-${host}` : name;
  const place = join(folder, runtime.replace('@', '-'));
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'package.json'), JSON.stringify({ private: true, allowScripts: { [packageName]: true } }));
  // Bun and Deno put their program in place by a script of their own.
  const blocked = name === 'node' ? ['--ignore-scripts'] : [];
  const args = ['install', ...blocked, '--no-audit', '--no-fund', '--prefer-offline', `${packageName}@${version}`];
  const { status, stderr } = spawnSync('npm', args, { cwd: place, encoding: 'utf8', shell });
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

const cells = {
  ci: ['npm/node', 'npm/node@22', 'npm/node@24', 'pnpm/node', 'npm/bun', 'npm/deno'],
  all: [
    ...['node@18', 'node@20', 'node@22', 'node@24', 'node@26', 'bun', 'deno'].map((runtime) => `npm/${runtime}`),
    ...['npm@latest/node@24', 'pnpm/node@24', 'yarn/node@24', 'yarn@4/node@24', 'yarn@4-node-modules/node@24', 'bun/bun'],
  ],
};

/** A row of the table, and whether the cell is good. */
function tryCell(cell, folder, tarballs, projects) {
  const [manager, runtime] = cell.split(/\/(?=[^/]*$)/);
  const command = runtimeCommand(runtime, folder);
  const by = `${runtime.split('@')[0]} ${versionOf(command).replace(/^v|^deno | \(.*$/g, '')}`;
  const project = join(folder, `project-${manager.replace('@', '-')}`);
  if (!projects.has(manager)) {
    const node = nodeOfManager(manager);
    projects.set(manager, installInto(project, manager, tarballs, node ? dirname(runtimeCommand(node, folder)[0]) : ''));
  }
  const { status, output } = projects.get(manager);
  const end = (text) => text.trim().split('\n').slice(-4).join(' ').replaceAll('|', '/').slice(0, 300);
  if (status !== 0) return { good: false, row: `| ${manager} | ${by} | | | not installed: ${end(output)} |` };
  const size = installedSize(project);
  const { status: code, signal, testAccuracy, predicted, stderr } = runFirst(project, [...command, ...(managers[manager].prefix ?? [])]);
  const small = size === undefined || (size.packages <= 20 && size.bytes <= 15e6);
  const good = code === 0 && testAccuracy > 0.8 && predicted > 0.8;
  const what = good ? `${(100 * testAccuracy).toFixed(1)} %` : `${signal ?? `status ${code}`}: ${end(stderr ?? '')}`;
  const sizes = size ? `${size.packages} | ${(size.bytes / 1e6).toFixed(1)} MB` : '| in an archive';
  return { good: good && small, row: `| ${manager} | ${by} | ${sizes} | ${what} |` };
}

function main() {
  const { values } = parseArgs({ options: { cells: { type: 'string', default: 'all' }, write: { type: 'boolean' } } });
  const folder = mkdtempSync(join(tmpdir(), 'selfcompress-install-'));
  const lines = ['| installed by | run by | packages | size | result |', '| --- | --- | ---: | ---: | --- |'];
  console.log(lines.join('\n'));
  let failed = 0;
  try {
    const tarballs = packHere(folder);
    const projects = new Map();
    const wanted = cells[values.cells] ?? values.cells.split(',');
    for (const cell of wanted) {
      const { good, row } = tryCell(cell, folder, tarballs, projects);
      console.log(row);
      lines.push(row);
      if (!good) failed++;
    }
    console.log(`${wanted.length - failed} passed, ${failed} failed`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  process.exitCode = failed > 0 ? 1 : 0;
  if (values.write) {
    const path = join(root, 'docs/install.md');
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace(/(<!-- tried -->\n)[\s\S]*?(<!-- \/tried -->)/, (_, a, b) => `${a}${lines.join('\n')}\n${b}`),
    );
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
