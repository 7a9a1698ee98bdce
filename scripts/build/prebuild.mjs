// prebuilds/<platform>-<arch>/: the addon for this platform, in the layout that node-gyp-build loads, and the CUDA library, if
// `npm run build:cuda` has built it.
// prebuildify drives the build; node-gyp-cmake.mjs stands in for node-gyp. One Node-API binary serves all versions of Node.
import { copyFileSync, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const require = createRequire(import.meta.url);
const prebuildify = promisify(require('prebuildify'));
const root = fileURLToPath(new URL('../..', import.meta.url));

await prebuildify({
  cwd: root,
  napi: true,
  strip: process.platform === 'linux' || process.platform === 'darwin',
  tagLibc: process.platform === 'linux',
  targets: [{ runtime: 'node', target: process.version }],
  nodeGyp: fileURLToPath(new URL('node-gyp-cmake.mjs', import.meta.url)),
});

const name = process.platform === 'win32' ? 'selfcompress-cuda.dll' : 'selfcompress-cuda.so';
const library = join(root, 'build/Release', name);
const cuda = existsSync(library);
if (cuda) copyFileSync(library, join(root, 'prebuilds', `${process.platform}-${process.arch}`, name));
console.log(`prebuilds/ is ready, ${cuda ? 'with' : 'without'} the CUDA library`);
