// prebuilds/<platform>-<arch>/: the addon for this platform, in the layout that node-gyp-build loads, and the CUDA library for
// all architectures where there is nvcc.
// prebuildify drives the build; node-gyp-cmake.mjs stands in for node-gyp. One Node-API binary serves all versions of Node.
import { spawnSync } from 'node:child_process';
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

const folder = join(root, 'prebuilds', `${process.platform}-${process.arch}`);
const { status } = spawnSync(process.execPath, [join(root, 'scripts/build/cuda.mjs'), '--if-present', '--out', folder], { stdio: 'inherit' });
if (status !== 0) process.exit(1);
console.log('prebuilds/ is ready');
