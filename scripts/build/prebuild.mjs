// prebuilds/<platform>-<arch>/: the addon for this platform, in the layout that node-gyp-build loads.
// prebuildify drives the build; node-gyp-cmake.mjs stands in for node-gyp. One Node-API binary serves all versions of Node.
import { createRequire } from 'node:module';
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
console.log('prebuilds/ is ready');
