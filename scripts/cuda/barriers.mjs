// Takes every barrier and every wait for asynchronous copies out of the CUDA kernels, one at a time, and sees whether the tests on
// the model of a GPU notice: npm run cuda:barriers [-- part of a kernel file's name]. Status 1 if one goes unnoticed.
// It works on a copy of the sources in build/cuda-barriers/ and takes about a minute for each of them.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'build/cuda-barriers');
const source = join(folder, 'source');
const kernels = join(source, 'native/backends/cuda/kernels');
const part = process.argv[2] ?? '';

// The tests that reach a file's kernels, by the start of its name.
const testsOf = {
  batch: ['training_test'],
  common: ['norm_test', 'training_test'],
  conv2d: ['conv2d_tiles_test', 'conv2d_test'],
  elementwise: ['sizes_test'],
  loss: ['training_test'],
  norm: ['norm_test'],
  optimizer: ['training_test', 'sizes_test'],
  quantize: ['quantize_test', 'sizes_test'],
};

function run(command, args) {
  const env = { ...process.env, SELFCOMPRESS_TEST_SHARE: '0.03' };
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: source, encoding: 'utf8', maxBuffer: 1 << 28, env });
  return { good: status === 0, text: stdout + stderr };
}
function build(targets) {
  const { good, text } = run('cmake', ['--build', folder, '--parallel', String(availableParallelism()), '--target', ...targets]);
  if (!good) throw new Error(text);
}

mkdirSync(source, { recursive: true });
for (const name of ['native', 'CMakeLists.txt', 'package.json']) cpSync(join(root, name), join(source, name), { recursive: true });
run('cmake', ['-S', source, '-B', folder, '-DSELFCOMPRESS_TESTS=ON', '-DSELFCOMPRESS_CUDA_HOST=ON']);

const mutated = /^(?!\s*\/\/).*?(__syncthreads\(\);|__syncwarp\(\);|cpAsyncWait<[^>]*>\(\);)/gm;
const files = readdirSync(kernels)
  .filter((file) => file.includes(part) && readFileSync(join(kernels, file), 'utf8').match(mutated))
  .sort();
const testsFor = (file) => {
  const family = Object.keys(testsOf).find((start) => file.startsWith(start));
  if (!family) throw new Error(`no tests are named for ${file}`);
  return testsOf[family];
};
const allTests = [...new Set(files.flatMap(testsFor))];
build(allTests);
for (const test of allTests) if (!run(join(folder, test), []).good) throw new Error(`${test} fails as it is`);

let caught = 0;
let missed = 0;
for (const file of files) {
  const path = join(kernels, file);
  const text = readFileSync(path, 'utf8');
  for (const match of text.matchAll(mutated)) {
    const at = match.index + match[0].length - match[1].length;
    writeFileSync(path, `${text.slice(0, at)};${text.slice(at + match[1].length)}`);
    build(testsFor(file));
    const failure = testsFor(file)
      .map((test) => run(join(folder, test), []))
      .find(({ good }) => !good);
    const why = failure && (/exception: (.*)/.exec(failure.text)?.[1] ?? 'a wrong result');
    console.log(`${file}:${text.slice(0, at).split('\n').length} without ${match[1]} ${why ? `caught: ${why}` : 'NOT CAUGHT'}`);
    if (failure) caught++;
    else missed++;
    writeFileSync(path, text);
  }
}
console.log(`${caught} caught, ${missed} missed`);
process.exitCode = missed ? 1 : 0;
