// lib/ → dist/: ES modules and their types by the TypeScript compiler, libraries that users need not install and the CommonJS entries
// by esbuild, the digits. Their types are compiled into
// dist/cjs/, a folder of CommonJS: the compiler takes a declaration's module format from the nearest package.json.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { digitsFile } from './digits.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const dist = join(root, 'dist');
const require = createRequire(import.meta.url);

let esbuild;
let tsc;
try {
  esbuild = await import('esbuild');
  tsc = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc');
} catch {
  if (existsSync(join(dist, 'index.js'))) process.exit(0); // installed from the registry: dist/ came with the package
  throw new Error('Expected the development dependencies to build dist/. Run: npm install --include=dev');
}

rmSync(dist, { recursive: true, force: true });
function compile(...options) {
  const { status } = spawnSync(process.execPath, [tsc, '--project', root, ...options], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
compile();
compile('--module', 'esnext', '--moduleResolution', 'bundler', '--emitDeclarationOnly', '--outDir', join(dist, 'cjs/lib'));
copyFileSync(join(root, 'binding.d.ts'), join(dist, 'cjs/binding.d.ts')); // which lib/ names as ../binding.js
writeFileSync(join(dist, 'cjs/package.json'), '{ "type": "commonjs" }\n');

const { vendor, licences } = await import('./vendor.mjs');
const metafiles = await vendor(root);
for (const entry of ['index', 'binding', 'tfjs/index']) {
  const { metafile } = await esbuild.build({
    entryPoints: [join(root, `lib/${entry}.ts`)],
    outfile: join(dist, `${entry.replace('/index', '')}.cjs`),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    // Native code and data files are found beside their own package; pure JavaScript is bundled, some of it has no CommonJS form.
    external: ['node-gyp-build', 'sharp', '@tensorflow/*'],
    absWorkingDir: root,
    metafile: true,
    define: { 'import.meta.url': 'moduleUrl' },
    banner: { js: "const moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
    logLevel: 'warning',
  });
  metafiles.push(metafile);
}
const browser = await esbuild.build({
  entryPoints: [join(root, 'lib/dashboard/page/page.js')],
  outfile: join(dist, 'dashboard/page.js'),
  absWorkingDir: root,
  bundle: true,
  minify: true,
  platform: 'browser',
  target: 'es2022',
  format: 'esm',
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
});
metafiles.push(browser.metafile);
copyFileSync(join(root, 'lib/dashboard/page/page.css'), join(dist, 'dashboard/page.css'));
writeFileSync(join(dist, 'vendor/LICENSES.txt'), licences(metafiles, root));
copyFileSync(digitsFile(join(root, 'build')), join(dist, 'digits.br'));
const wasm = join(root, 'build/wasm/engine.wasm');
if (existsSync(wasm)) copyFileSync(wasm, join(dist, 'browser/engine.wasm')); // else: npm run build:wasm
chmodSync(join(dist, 'cli/main.js'), 0o755);
