// Builds the native addon from source where no binary of it is found: `prepare` of a clone runs it, and `selfcompress build`.
//   --force   build even if there is one
//   --clean   leave nothing of the build behind but the addon
// SELFCOMPRESS_WERROR=1 makes compiler warnings errors. cmake-js drives CMake; users do not have it among their packages: npm runs it
// from its cache then.
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('../..', import.meta.url));
const windows = process.platform === 'win32';
const CMAKE_JS = 'cmake-js@8';

const advice = {
  linux: 'Debian and Ubuntu: sudo apt install cmake g++    Fedora: sudo dnf install cmake gcc-c++    Alpine: apk add cmake make g++',
  darwin: 'xcode-select --install && brew install cmake',
  win32: 'install Visual Studio 2022 with "Desktop development with C++", which has cmake',
}[process.platform];

function fail(text) {
  console.error(`selfcompress: ${text}`);
  if (advice) console.error(`  ${advice}`);
  process.exit(1);
}

const runs = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

function hasBinary() {
  try {
    require('node-gyp-build').path(root);
    return true;
  } catch {
    return false;
  }
}

function checkTools() {
  if (!runs('cmake')) fail('the native addon is built from source with cmake, which was not found.');
  if (windows) return; // cmake finds Visual Studio, which is not on the PATH
  const compilers = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  if (!compilers.some(runs)) fail(`the native addon is built from source, and no C++ compiler was found (tried ${compilers.join(', ')}).`);
}

/** Exit status of cmake-js with these arguments. */
export function cmakeJs(args, options = {}) {
  const settings = { cwd: root, stdio: 'inherit', ...options };
  try {
    return spawnSync(process.execPath, [require.resolve('cmake-js/bin/cmake-js'), ...args], settings).status;
  } catch {
    const command = ['npm', 'exec', '--yes', `--package=${CMAKE_JS}`, '--', 'cmake-js', ...args];
    // npm is a script on Windows: a shell has to start it, with paths quoted.
    return windows
      ? spawnSync(command.map((word) => (/\s/.test(word) ? `"${word}"` : word)).join(' '), { ...settings, shell: true }).status
      : spawnSync(command[0], command.slice(1), settings).status;
  }
}

function build() {
  checkTools();
  const werror = process.env.SELFCOMPRESS_WERROR ? ['--CDSELFCOMPRESS_WERROR=ON'] : [];
  if (cmakeJs(['compile', '--directory', root, '--out', 'build', ...werror]) !== 0)
    fail('the build of the native addon failed; the compiler says why above. It needs C++20: GCC 11, Clang 14, or Visual Studio 2022.');
}

/** Object files and CMake's notes are many times the size of the addon. */
function clean() {
  for (const name of readdirSync(join(root, 'build'))) if (name !== 'Release') rmSync(join(root, 'build', name), { recursive: true, force: true });
  for (const name of readdirSync(join(root, 'build/Release')))
    if (!name.endsWith('.node')) rmSync(join(root, 'build/Release', name), { recursive: true, force: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--force') || !hasBinary()) build();
  if (process.argv.includes('--clean')) clean();
}
