// npm run test:tfjs: the operator suites that the package of tfjs-core has inside, run against a backend.
//   node scripts/tfjs/operator-suites.mjs [--backend cpu] [--only PART OF A FILE'S NAME]
// Prints the specs that fail and, last, `N passed, N failed`. `native` in the line before says how many kernels ran on native code.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import Jasmine from 'jasmine';
import { nativeCalls } from '../../dist/tfjs/index.js';

const { backend, only } = parseArgs({
  options: { backend: { type: 'string', default: 'selfcompress' }, only: { type: 'string', default: '' } },
}).values;
const root = fileURLToPath(new URL('../..', import.meta.url));
const core = join(dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-core/package.json')), 'dist');
const suites = readdirSync(join(core, 'ops'), { recursive: true }).filter((file) => file.endsWith('_test.js') && file.includes(only));
if (suites.length === 0) throw new Error(`Expected a part of a suite's name for --only but received "${only}"`);

// The suites are modules without file extensions, for bundlers. The engine and the registries of kernels are global: a bundle's tfjs-core
// has the backends that another copy has registered.
const source = [
  `import '${core}/public/chained_ops/register_all_chained_ops';`,
  `import '${core}/register_all_gradients';`,
  `import { setTestEnvs } from '${core}/jasmine_util';`,
  `setTestEnvs([{ name: '${backend}', backendName: '${backend}', isDataSync: true }]);`,
  ...suites.map((file) => `require('${core}/ops/${file}');`),
].join('\n');

const jasmine = new Jasmine({});
jasmine.loadConfig({ spec_dir: '.', spec_files: [], random: false });
jasmine.exitOnCompletion = false;
jasmine.jasmine.DEFAULT_TIMEOUT_INTERVAL = 120_000;
jasmine.clearReporters();
const count = { passed: 0, failed: 0, other: 0 };
const finished = new Promise((resolve) => {
  jasmine.addReporter({
    specDone({ status, fullName, failedExpectations }) {
      count[status in count ? status : 'other']++;
      if (status === 'failed') console.log(`not ok ${fullName}: ${failedExpectations[0]?.message.split('\n')[0].slice(0, 200)}`);
    },
    jasmineDone: resolve,
  });
});

const folder = mkdtempSync(join(root, 'node_modules', '.tfjs-suites-')); // where the bundle finds its own imports
try {
  const bundle = join(folder, 'suites.cjs');
  await build({
    stdin: { contents: source, resolveDir: root, loader: 'js' },
    outfile: bundle,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    mainFields: ['module', 'main'],
    ignoreAnnotations: true,
    logLevel: 'error',
  });
  await import(pathToFileURL(bundle));
  jasmine.execute();
  await finished;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const calls = Object.entries(nativeCalls());
console.log(`native: ${calls.map(([name, times]) => `${name} ${times}`).join(', ') || 'none'}`);
if (count.other > 0) console.log(`${count.other} specs are pending`);
console.log(`${count.passed} passed, ${count.failed} failed`);
process.exit(count.failed > 0 || count.passed === 0 ? 1 : 0);
