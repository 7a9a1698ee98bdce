// npm's install step: takes the prebuilt addon of this platform if the package has one, else builds it from source.
//   --force   build even if there is one
// SELFCOMPRESS_WERROR=1 makes compiler warnings errors.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('../..', import.meta.url));
const windows = process.platform === 'win32';

const advice = {
  linux: 'Debian and Ubuntu: sudo apt install cmake g++    Fedora: sudo dnf install cmake gcc-c++',
  darwin: 'xcode-select --install && brew install cmake',
  win32: 'install Visual Studio 2022 with "Desktop development with C++", which has cmake',
}[process.platform];

function fail(text) {
  console.error(`selfcompress: ${text}`);
  if (advice) console.error(`  ${advice}`);
  process.exit(1);
}

const runs = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

function hasPrebuild() {
  try {
    require('node-gyp-build').path(root);
    return true;
  } catch {
    return false;
  }
}

function checkTools() {
  if (!runs('cmake')) fail('there is no prebuilt binary for this platform, and cmake was not found to build one.');
  if (windows) return; // cmake finds Visual Studio, which is not on the PATH
  const compilers = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  if (!compilers.some(runs)) fail(`there is no prebuilt binary for this platform, and no C++ compiler was found (tried ${compilers.join(', ')}).`);
}

if (process.argv.includes('--force') || !hasPrebuild()) {
  checkTools();
  const { status } = spawnSync(
    process.execPath,
    [
      require.resolve('cmake-js/bin/cmake-js'),
      'compile',
      '--directory',
      root,
      '--out',
      'build',
      ...(process.env.SELFCOMPRESS_WERROR ? ['--CDSELFCOMPRESS_WERROR=ON'] : []),
    ],
    { cwd: root, stdio: 'inherit' },
  );
  if (status !== 0)
    fail('the build of the native addon failed; the compiler says why above. It needs C++20: GCC 11, Clang 14, or Visual Studio 2022.');
}
