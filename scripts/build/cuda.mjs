// npm run build:cuda: the shared library with the CUDA backend, where the addon looks for it: build/Release/, and beside the prebuilt
// addon of this platform if there is one. It runs on every machine with a driver, whether it has nvcc or not; the CUDA runtime is linked statically.
//   --arch 90      one architecture (or 80,90) instead of all, for quick tries
//   --out <dir>    another folder
//   --if-present   do nothing where there is no nvcc
// nvcc is CUDACXX, or in CUDA_HOME or CUDA_PATH, or on the PATH, or in /usr/local/cuda.
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { architectures, findNvcc, gencode } from './nvcc.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const windows = process.platform === 'win32';
const fileName = windows ? 'selfcompress-cuda.dll' : 'selfcompress-cuda.so';
const { values: flags } = parseArgs({ options: { arch: { type: 'string' }, out: { type: 'string' }, 'if-present': { type: 'boolean' } } });

function fail(text) {
  console.error(`selfcompress: ${text}`);
  process.exit(1);
}

const nvcc = findNvcc();
if (!nvcc.path) {
  if (!flags['if-present']) fail(`the CUDA library needs nvcc, of CUDA 12.8 or newer (looked for ${nvcc.tried.join(', ')}).`);
  console.log('No nvcc: the CUDA library is not built');
  process.exit(0);
}
if (nvcc.version < 12.8 && !flags.arch)
  fail(`${nvcc.path} is of CUDA ${nvcc.version}, which does not know all of sm_${architectures.join(', ')}. Use 12.8 or newer, or --arch.`);
const wanted = flags.arch ? flags.arch.split(',').map(Number) : architectures;
if (!wanted.every((a) => Number.isInteger(a) && a >= 75))
  fail(`Expected architectures from 75 on, such as 80 or 80,90, for --arch but received "${flags.arch}"`);

const objects = join(root, 'build/cuda');
const out = flags.out ?? join(root, 'build/Release');
mkdirSync(objects, { recursive: true });
mkdirSync(out, { recursive: true });
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const common = [
  '-std=c++20',
  '-O3',
  `-I${join(root, 'native')}`,
  `-I${join(root, 'native/backends')}`,
  `-I${join(root, 'native/include')}`,
  `-DSELFCOMPRESS_VERSION="${version}"`,
  ...(windows ? ['-Xcompiler', '/MD,/EHsc'] : ['-Xcompiler', '-fPIC,-fvisibility=hidden']),
];
const sources = [
  ...readdirSync(join(root, 'native/backends/cuda/kernels'))
    .filter((name) => name.endsWith('.cu'))
    .map((name) => join(root, 'native/backends/cuda/kernels', name)),
  ...['cuda_backend.cpp', 'library.cpp', 'runtime.cpp', 'runtime_common.cpp'].map((name) => join(root, 'native/backends/cuda', name)),
  join(root, 'native/backends/precision.cpp'),
];

/** When any header of the kernels changed last. */
const headersChanged = Math.max(
  ...['native/backends/cuda', 'native/include'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .filter((name) => /\.(h|cuh)$/.test(name) && !name.startsWith('host'))
      .map((name) => statSync(join(root, folder, name)).mtimeMs),
  ),
);

function compile(source) {
  const object = join(objects, `${basename(source, extname(source))}${windows ? '.obj' : '.o'}`);
  const args = [...common, ...(source.endsWith('.cu') ? gencode(wanted) : []), '-c', source, '-o', object];
  const stamp = `${object}.command`;
  const command = [nvcc.path, ...args].join(' ');
  const current =
    existsSync(object) &&
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === command &&
    statSync(object).mtimeMs > Math.max(headersChanged, statSync(source).mtimeMs);
  if (current) return Promise.resolve(object);
  return new Promise((resolve) => {
    const started = performance.now();
    spawn(nvcc.path, args, { stdio: 'inherit' }).on('close', (code) => {
      if (code !== 0) fail(`nvcc could not compile ${source}`);
      writeFileSync(stamp, command);
      console.log(`${basename(source)}  ${((performance.now() - started) / 1000).toFixed(1)} s`);
      resolve(object);
    });
  });
}

async function compileAll() {
  const compiled = [];
  const waiting = [...sources];
  const worker = async () => {
    for (let source = waiting.shift(); source; source = waiting.shift()) compiled.push(await compile(source));
  };
  const jobs = Number(process.env.SELFCOMPRESS_BUILD_JOBS) || availableParallelism();
  await Promise.all(Array.from({ length: jobs }, worker));
  return compiled.sort();
}

const started = performance.now();
const compiled = await compileAll();
const library = join(out, fileName);
const link = [
  '-shared',
  '-cudart',
  'static',
  ...(windows ? [] : ['-Xlinker', `--version-script=${join(root, 'native/backends/cuda/library.map')},-s`]),
  ...compiled,
  '-o',
  library,
];
if (spawnSync(nvcc.path, link, { stdio: 'inherit' }).status !== 0) fail('the CUDA library could not be linked');
const size = `${(statSync(library).size / 2 ** 20).toFixed(1)} MiB`;
console.log(`${library}: sm_${wanted.join(', ')}, ${size}, CUDA ${nvcc.version}, ${((performance.now() - started) / 1000).toFixed(0)} s`);

/** Beside the prebuilt addons of this platform, if there are any. */
const prebuilds = join(root, 'prebuilds', `${process.platform}-${process.arch}`);
if (!flags.out && !flags.arch && existsSync(prebuilds)) {
  copyFileSync(library, join(prebuilds, fileName));
  console.log(`copied to ${prebuilds}`);
}
