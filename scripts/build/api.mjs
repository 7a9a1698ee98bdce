// npm run docs:api [-- --out DIR]: pages of the whole interface by TypeDoc, from the types and their comments, in build/api/. They are not
// kept in the repository. TypeDoc needs the compiler interface of TypeScript 5, which TypeScript 7 does not have: npm runs both from its
// cache. A type that a page mentions and that is not exported is an error.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values } = parseArgs({ options: { out: { type: 'string', default: join(root, 'build/api') } } });
const types = ['index.d.ts', 'tfjs/index.d.ts', 'browser/browser.d.ts'].map((name) => join(root, 'dist', name));
if (!types.every(existsSync)) {
  console.error('Expected dist/ with types: npm run build:ts');
  process.exit(1);
}
const packages = ['typedoc@0.28', 'typescript@5.9'].map((name) => `--package=${name}`);
// Of its own: that of the project lists lib/ alone, and TypeScript 7's options.
const config = join(root, 'build/tsconfig.api.json');
mkdirSync(join(root, 'build'), { recursive: true });
const compilerOptions = { target: 'es2022', module: 'nodenext', skipLibCheck: true, types: ['node'], typeRoots: [join(root, 'node_modules/@types')] };
// Names of generic helpers, which pages show by what they stand for.
const intentionallyNotExported = ['Named', 'Paired', 'NodeOf', 'Optional', 'OnnxOptions', 'imageModels', 'languageModels', 'TokenInput'];
writeFileSync(config, JSON.stringify({ compilerOptions, files: types, typedocOptions: { intentionallyNotExported } }));
const options = [
  '--tsconfig',
  config,
  '--out',
  values.out,
  '--name',
  'selfcompress',
  '--readme',
  join(root, 'README.md'),
  '--excludeInternal',
  '--treatValidationWarningsAsErrors',
];
const { status } = spawnSync('npx', ['--yes', ...packages, '--', 'typedoc', ...options, ...types], {
  cwd: root,
  stdio: 'inherit',
  shell: process.platform === 'win32',
});
if (status === 0)
  console.log(`${readdirSync(values.out, { recursive: true }).filter((name) => name.endsWith('.html')).length} pages in ${values.out}`);
process.exitCode = status ?? 1;
