/**
 * The engine as WebAssembly, build/wasm/engine.wasm, by emscripten (Debian: apt install emscripten); and beside lib/browser in dist/,
 * where build:ts puts it as well.
 *   npm run build:wasm [-- --keep]   --keep: files that are older than their objects are not compiled again
 */
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));
const objects = join(root, 'build/wasm');
const output = join(objects, 'engine.wasm');

const compiler = process.env.EMXX ?? 'em++';
if (spawnSync(compiler, ['--version']).status !== 0)
  throw new Error(`Expected emscripten's compiler for EMXX but received ${compiler}: apt install emscripten`);

/** Files of a folder of native/ that end in .cpp. */
const files = (folder, wanted = () => true) =>
  readdirSync(join(root, 'native', folder))
    .filter((name) => name.endsWith('.cpp') && wanted(name))
    .map((name) => join('native', folder, name));
const operators = readdirSync(join(root, 'native/ops'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
const sources = [
  ...files('base'),
  ...files('model', (name) => name !== 'writer.cpp' && name !== 'squeeze.cpp'),
  ...files('ops'),
  // References belong to training.
  ...operators.flatMap(({ name }) => files(`ops/${name}`)).filter((file) => !readFileSync(join(root, file), 'utf8').includes('reference_backend.h')),
  'native/graph/infer.cpp',
  'native/graph/parts.cpp',
  'native/export/structure.cpp',
  ...files('engine', (name) => name !== 'decoder.cpp'),
  ...files('engine/ops'),
  ...files('engine/integer'),
  'native/engine/isa/wasm.cpp',
  'native/engine/isa/integer_wasm.cpp',
  ...files('wasm'),
];

const flags = [
  '-std=c++20',
  '-msimd128',
  '-mbulk-memory', // the small library's own copying goes byte by byte
  '-fwasm-exceptions',
  '-fno-threadsafe-statics',
  '-fno-rtti', // names of classes would be a tenth of the file; exceptions keep those that they need
  '-ffp-contract=off',
  '-fvisibility=hidden',
  '-ffunction-sections',
  '-fdata-sections',
  '-Inative',
  '-Inative/include',
  '-DNDEBUG',
  '-DSELFCOMPRESS_INFERENCE_ONLY',
  '-include',
  'native/wasm/standard.h',
];
/**
 * Kernels for speed, operators whose loops take time with vectors of what the compiler finds, everything else for size. Loops over the
 * sums of a kernel have to be unrolled wholly: else the sums lie in memory.
 */
const optimise = (source) => {
  if (/engine\/isa\//.test(source)) return ['-O2', '-mllvm', '-unroll-threshold=2000'];
  if (/engine\/ops\/attention/.test(source)) return ['-O2'];
  return [/engine\/ops\/(binary|elementwise|norms|pooling|winograd)/.test(source) ? '-Os' : '-Oz'];
};

/** Most bytes of the scripts and the engine, gzipped. */
const LIMIT = 150_000;

function run(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(compiler, args, { cwd: root, stdio: 'inherit' });
    child.on('error', reject);
    child.on('exit', (status) => (status === 0 ? resolve() : reject(new Error(`${compiler} ${args.at(-1)} failed`))));
  });
}

mkdirSync(objects, { recursive: true });
const queue = sources.map((source) => ({ source, object: join(objects, `${source.slice('native/'.length).replaceAll('/', '-')}.o`) }));
const newer = ({ source, object }) => {
  try {
    return process.argv.includes('--keep') && statSync(object).mtimeMs > statSync(join(root, source)).mtimeMs;
  } catch {
    return false;
  }
};
const left = queue.filter((item) => !newer(item));
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    for (let item = left.pop(); item; item = left.pop()) await run([...flags, ...optimise(item.source), '-c', '-o', item.object, item.source]);
  }),
);
await run([
  '-Oz',
  '-fwasm-exceptions',
  '-msimd128',
  '-mbulk-memory',
  '--no-entry',
  '-sSTANDALONE_WASM=1',
  '-sALLOW_MEMORY_GROWTH=1',
  '-sMAXIMUM_MEMORY=2GB',
  '-sFILESYSTEM=0',
  '-sMALLOC=emmalloc',
  '-Wl,--gc-sections',
  '-sBINARYEN_EXTRA_PASSES=--converge', // a hundredth less
  ...queue.map(({ object }) => object),
  '-o',
  output,
]);
const beside = join(root, 'dist/browser');
if (existsSync(beside)) copyFileSync(output, join(beside, 'engine.wasm'));
const bytes = readFileSync(output);
const gzipped = (data) => gzipSync(data, { level: 9 }).length;
/** What the browser's entry imports, in one file, as a bundler of a page makes it. */
const entry = join(beside, 'browser.js');
const bundle = existsSync(entry) ? await build({ entryPoints: [entry], bundle: true, minify: true, format: 'esm', write: false }) : undefined;
const scripts = bundle ? gzipped(bundle.outputFiles[0].contents) : 0;
console.log(`${basename(output)}: ${bytes.length} bytes, ${gzipped(bytes)} gzipped; scripts in one file, ${scripts} gzipped`);
if (gzipped(bytes) + scripts > LIMIT) {
  console.error(`Expected at most ${LIMIT} bytes gzipped but received ${gzipped(bytes) + scripts}`);
  process.exitCode = 1;
}
