// lib/ → dist/: ES modules and types by the TypeScript compiler, the CommonJS entry by esbuild, its types as .d.cts copies.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

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
const { status } = spawnSync(process.execPath, [tsc, '--project', root], { stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);

await esbuild.build({
  entryPoints: [join(root, 'lib/index.ts')],
  outfile: join(dist, 'index.cjs'),
  bundle: true,
  platform: 'node',
  target: 'node18',
  format: 'cjs',
  // Native code and data files are found beside their own package; pure JavaScript is bundled, some of it has no CommonJS form.
  external: ['node-gyp-build', 'mnist', 'sharp'],
  define: { 'import.meta.url': 'moduleUrl' },
  banner: { js: "const moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
  logLevel: 'warning',
});

// Types of the CommonJS entry: TypeScript takes the module format from the file's extension, so each has a .d.cts twin.
copyFileSync(join(root, 'binding.d.ts'), join(dist, 'contract.d.cts'));
for (const file of readdirSync(dist, { recursive: true })) {
  if (!file.endsWith('.d.ts')) continue;
  let text = readFileSync(join(dist, file), 'utf8');
  if (file === 'binding.d.ts') text = text.replaceAll("'../binding.js'", "'./contract.js'");
  text = text.replace(/(['"])(\.{1,2}\/[^'"]*)\.js\1/g, '$1$2.cjs$1').replace(/\n\/\/# sourceMappingURL=.*/, '');
  writeFileSync(join(dist, file.replace(/\.d\.ts$/, '.d.cts')), text);
}
chmodSync(join(dist, 'cli/main.js'), 0o755);
