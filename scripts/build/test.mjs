// npm test: the C++ tests through CTest, then the tap tests. The last line is `N passed, N failed`.
//   test.mjs [all|native|js|sanitize|arm64|cuda-host] [part of a tap file's name, or a seed of the model]...
// `sanitize` runs the C++ tests under the address and undefined-behaviour sanitizers, `sanitize thread` those of the thread pool and of
// the queue of JavaScript's calls under the thread sanitizer; `arm64` cross-compiles them and runs a
// share of their random cases under qemu (Debian: apt install g++-aarch64-linux-gnu qemu-user). `cuda-host` runs the CUDA backend over the
// model of a GPU in native/backends/cuda/host/, with a share of the random cases for each of several orders of its threads.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);
const [what = 'all', ...parts] = process.argv.slice(2);
if (!['all', 'native', 'js', 'sanitize', 'arm64', 'cuda-host'].includes(what)) {
  console.error(`Expected all, native, js, sanitize, arm64 or cuda-host but received ${what}`);
  process.exit(2);
}
let passed = 0;
let failed = 0;

function must(command, args) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status === 0) return true;
  console.error(`failed: ${command} ${args.join(' ')}`);
  failed++;
  return false;
}

/** Runs a command, shows its output as it comes, and returns it. */
function watch(command, args, show) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      show(text);
    });
    child.on('close', (code) => resolve({ code, output }));
  });
}

/** CMake's package search finds doctest or not. */
function hasDoctest() {
  const probe = spawnSync('cmake', ['--find-package', '-DNAME=doctest', '-DCOMPILER_ID=GNU', '-DLANGUAGE=CXX', '-DMODE=EXIST'], {
    cwd: tmpdir(), // it leaves a folder CMakeFiles behind
    encoding: 'utf8',
  });
  return probe.status === 0;
}

function hasBoostContext() {
  const header = ['-x', 'c++', '-fsyntax-only', '-include', 'boost/context/detail/fcontext.hpp', '/dev/null'];
  return spawnSync(process.env.CXX ?? 'c++', header).status === 0;
}

// As in native.mjs. The sanitizers' instrumentation and other compilers warn of more, so it is for builds like the addon's alone.
const warnings = process.env.SELFCOMPRESS_WERROR && ['all', 'native', 'cuda-host'].includes(what) ? ['-DSELFCOMPRESS_WERROR=ON'] : [];

/** Whether the C++ tests could be built. Without doctest there are none to build. */
function buildTests(folder, settings, targets = []) {
  if (!hasDoctest()) {
    console.log('C++ tests SKIPPED: doctest was not found (Debian and Ubuntu: apt install doctest-dev; macOS: brew install doctest)');
    return false;
  }
  return (
    must('cmake', ['-S', '.', '-B', folder, '-DSELFCOMPRESS_TESTS=ON', ...warnings, ...settings]) &&
    must('cmake', [
      '--build',
      folder,
      '--config',
      'Release',
      '--parallel',
      String(availableParallelism()),
      ...targets.flatMap((t) => ['--target', t]),
    ])
  );
}

async function nativeTests(folder, ...settings) {
  if (buildTests(folder, settings)) await runTests(folder);
}

/** C++ test programs: every third one, from the one that SELFCOMPRESS_TEST_THIRD (0, 1 or 2) says: CI has no time for all of them everywhere. */
function third() {
  const which = process.env.SELFCOMPRESS_TEST_THIRD;
  if (which === undefined) return [];
  return readdirSync(join(root, 'native/test'))
    .filter((file) => file.endsWith('_test.cpp'))
    .sort()
    .filter((_, i) => i % 3 === Number(which))
    .map((file) => file.slice(0, -'.cpp'.length));
}

/** CTest's choice of these programs, of all where there are none. */
const named = (programs) => (programs.length > 0 ? ['-R', `^(${programs.join('|')})$`] : []);

async function thirdOfNativeTests(folder, ...settings) {
  const programs = third();
  if (buildTests(folder, settings, programs)) await runTests(folder, ...named(programs));
}

async function runTests(folder, ...options) {
  const { code, output } = await watch(
    'ctest',
    ['--test-dir', folder, '-C', 'Release', '--verbose', '--timeout', '900', '--parallel', String(availableParallelism()), ...options],
    (text) => process.stdout.write(text),
  );
  const failedBefore = failed;
  let cases = 0;
  for (const [, good, bad] of output.matchAll(/test cases: +\d+ \| +(\d+) passed \| +(\d+) failed/g)) {
    passed += Number(good);
    failed += Number(bad);
    cases += Number(good) + Number(bad);
  }
  if (code !== 0 && failed === failedBefore) failed++; // a test program crashed before its summary
  if (cases === 0) failed++;
}

/** Tap files that look at a clock: they run alone. */
const timed = /^test.(02|26-start|33-data-files|42-terminal|82-import-onnx\.)/;

async function tapTests() {
  if (!existsSync(join(root, 'dist/index.js')) && !must(process.execPath, ['scripts/build/typescript.mjs'])) return;
  const tap = join(dirname(require.resolve('tap/package.json')), 'dist/esm/run.mjs');
  if (!must(process.execPath, [tap, 'build'])) return;
  const files = readdirSync(join(root, 'test'))
    .filter((file) => file.endsWith('.test.mjs') && (parts.length === 0 || parts.some((part) => file.includes(part))))
    .sort()
    .map((file) => join('test', file));
  if (files.length === 0) {
    console.error(`Expected a tap file whose name has ${parts.join(' or ')} but found none`);
    failed++;
    return;
  }
  let code = 0;
  let output = '';
  // Two at a time: most of them wait for other processes half of their time.
  for (const [jobs, some] of [
    [2, files.filter((file) => !timed.test(file))],
    [1, files.filter((file) => timed.test(file))],
  ]) {
    if (some.length === 0) continue;
    const run = await watch(process.execPath, [tap, 'run', '--reporter=tap', `--jobs=${jobs}`, ...some], (text) => process.stdout.write(text));
    code ||= run.code;
    output += run.output;
  }
  // Files are the outer level; the tests inside them, one level in, are what we count.
  const count = (pattern) => [...output.matchAll(pattern)].length;
  passed += count(/^ {4}ok \d+/gm);
  const inner = count(/^ {4}not ok \d+/gm);
  failed += inner > 0 ? inner : count(/^not ok \d+/gm);
  if (code !== 0 && failed === 0) failed++;
}

if (what === 'sanitize' && parts[0] === 'thread') {
  process.env.TSAN_OPTIONS ??= 'halt_on_error=1:second_deadlock_stack=1';
  const targets = ['threads_test', 'job_queue_test'];
  const settings = ['-DSELFCOMPRESS_SANITIZE=thread', '-DCMAKE_BUILD_TYPE=RelWithDebInfo'];
  if (buildTests('build/sanitize-thread', settings, targets)) await runTests('build/sanitize-thread', '-R', targets.join('|'));
} else if (what === 'sanitize') {
  process.env.SELFCOMPRESS_TEST_SHARE ??= '0.15'; // of the random cases: sanitized code is slow
  process.env.ASAN_OPTIONS ??= 'detect_leaks=1';
  process.env.UBSAN_OPTIONS ??= 'halt_on_error=1:print_stacktrace=1';
  const settings = ['-DCMAKE_BUILD_TYPE=RelWithDebInfo', '-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1 -DNDEBUG']; // -O2 -g compiles for twice as long
  await thirdOfNativeTests('build/sanitize', '-DSELFCOMPRESS_SANITIZE=address,undefined', ...settings);
}
if (what === 'arm64') {
  process.env.SELFCOMPRESS_TEST_SHARE ??= '0.03';
  await thirdOfNativeTests(
    'build/arm64',
    '-DCMAKE_SYSTEM_NAME=Linux',
    '-DCMAKE_SYSTEM_PROCESSOR=aarch64',
    '-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++',
    '-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64;-L;/usr/aarch64-linux-gnu',
    '-Ddoctest_DIR=/usr/lib/cmake/doctest',
  );
}
if (what === 'cuda-host') {
  if (!hasBoostContext()) {
    console.log('Tests of the CUDA backend on the host SKIPPED: Boost.Context was not found (Debian and Ubuntu: apt install libboost-context-dev)');
  } else {
    const programs = third();
    const targets = programs.length > 0 ? [...programs, 'selfcompress_cuda_model'] : []; // which test/50-cuda.test.mjs takes
    const slow = /attention|binary|conv2d|conv_transpose|graph|layer_norm|layout|operators|prune|recurrent|resize|runs|sizes|softmax|statistics/;
    const slowOnes = programs.length > 0 ? named(programs.filter((name) => slow.test(name))) : ['-R', slow.source];
    const share = process.env.SELFCOMPRESS_TEST_SHARE;
    const built = buildTests('build/cuda-host', ['-DSELFCOMPRESS_CUDA_HOST=ON'], targets);
    const seeds = parts.length > 0 ? parts : ['1', '2', '3'];
    for (const seed of built ? seeds : []) {
      console.log(`threads and blocks in order ${seed}`);
      process.env.SELFCOMPRESS_CUDA_SEED = seed;
      process.env.SELFCOMPRESS_TEST_SHARE = share ?? '0.1'; // of the random cases, for each order
      await runTests('build/cuda-host', ...slowOnes);
      process.env.SELFCOMPRESS_TEST_SHARE = share ?? '1';
      await runTests('build/cuda-host', ...named(programs), '-E', slow.source);
    }
  }
}
if (what === 'all' || what === 'native') await nativeTests('build/native');
if (what === 'all' || what === 'js') await tapTests();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
