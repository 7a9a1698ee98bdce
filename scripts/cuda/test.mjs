// npm run test:cuda: the C++ tests on this machine's GPU: builds the CUDA library for it and runs what test:cuda:host runs on the
// model, then a share of the random cases under compute-sanitizer (memcheck and racecheck), if it is there. Without a GPU it says
// so and fails. The last line is `N passed, N failed`.
//   --library FILE     test this library (SELFCOMPRESS_CUDA_LIBRARY) instead of building one; no GPU is looked for
//   --share 0.02       of the random cases under the sanitizer
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { requireDevice } from './device.mjs';
import { root, run } from './plan.mjs';

const { values: flags } = parseArgs({ options: { library: { type: 'string' }, share: { type: 'string', default: '0.02' } } });
const folder = process.env.SELFCOMPRESS_TEST_BUILD ?? 'build/native';
// What runs kernels on a device: not the tests of the model of a GPU alone, of the processor's threads and allocations, and of
// a backend of its own (staging_test).
const programs = readdirSync(join(root, 'native/test'))
  .filter((file) => file.endsWith('_test.cpp') && !/^(threads|staging|allocation|cuda_host|cuda_stream|cuda_runtime|conv2d_banks)_/.test(file))
  .map((file) => file.replace('.cpp', ''))
  .sort();

function libraryForDevice() {
  const device = requireDevice('test:cuda');
  console.log(`${device.name}, compute capability ${device.computeCapability / 10}`);
  const out = join(root, 'build/cuda-test');
  run(process.execPath, ['scripts/build/cuda.mjs', '--arch', String(device.computeCapability), '--out', out], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return join(out, process.platform === 'win32' ? 'selfcompress-cuda.dll' : 'selfcompress-cuda.so');
}

/** Runs a program of the tests, shows what it says; [passed, failed]. */
function runTest(command, args, env) {
  return new Promise((done) => {
    const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      process.stdout.write(text);
    });
    child.on('close', (code) => {
      const [, good, bad] = /test cases: +\d+ \| +(\d+) passed \| +(\d+) failed/.exec(output) ?? [undefined, 0, 0];
      done([Number(good), Math.max(Number(bad), code === 0 ? 0 : 1)]);
    });
  });
}

const library = flags.library ? resolve(flags.library) : libraryForDevice();
const env = { SELFCOMPRESS_TEST_CUDA: '1', SELFCOMPRESS_CUDA_LIBRARY: library };
run('cmake', ['-S', '.', '-B', folder, '-DSELFCOMPRESS_TESTS=ON'], { stdio: ['ignore', 'inherit', 'inherit'] });
const jobs = process.env.SELFCOMPRESS_BUILD_JOBS ?? String(availableParallelism());
run('cmake', ['--build', folder, '--config', 'Release', '--parallel', jobs, '--target', ...programs], { stdio: ['ignore', 'inherit', 'inherit'] });

let passed = 0;
let failed = 0;
async function runAll(title, command, before, more) {
  for (const program of programs) {
    console.log(`${title}: ${program}`);
    const path = join(folder, program);
    const [good, bad] = await runTest(command ?? path, command ? [...before, path] : [], { ...env, ...more });
    passed += good;
    failed += bad;
    if (good + bad === 0) failed++;
  }
}

await runAll('test', undefined, [], {});
const sanitizer = spawnSync('compute-sanitizer', ['--version']).status === 0;
if (sanitizer && !flags.library) {
  for (const tool of ['memcheck', 'racecheck'])
    await runAll(tool, 'compute-sanitizer', ['--tool', tool, '--error-exitcode', '1'], { SELFCOMPRESS_TEST_SHARE: flags.share });
} else if (!flags.library) {
  console.log('compute-sanitizer was not found: memcheck and racecheck SKIPPED');
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
