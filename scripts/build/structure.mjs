// The structure of the project, checked: which folder may include or import which, and that nobody but the table of operators
// knows which operators there are. The rules are data; the pictures in CONTRIBUTING.md between `<!-- structure:... -->` are
// made from them.   --write: draw the pictures again
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Folders of native/ and what each may include beside itself; test/ and bench/ may include everything. */
const nativeRules = {
  include: [],
  base: ['include'],
  program: ['include'],
  // The emitter is what operators write their operations with, graph/ in turn asks the table of operators.
  ops: ['base', 'include', 'graph/emitter.h', 'backends/reference'],
  graph: ['ops', 'program', 'base', 'include'],
  train: ['graph', 'program', 'ops', 'base', 'include'],
  model: ['base'],
  // Of the graph the engine needs shapes alone, of the export how a network is read from a file's structure.
  engine: ['model', 'ops', 'base', 'include', 'graph/infer.h', 'export/structure.h'],
  wasm: ['engine', 'model', 'base', 'include'],
  // C carries the arithmetic of the engine's integers along.
  export: ['train', 'graph', 'model', 'ops', 'base', 'include', 'engine/integer/model.h', 'engine/integer/program.h'],
  'backends/reference': ['ops', 'include'],
  'backends/cpu': ['ops/quantize', 'ops/states', 'include'],
  'backends/cuda': ['ops/quantize', 'include'],
  backends: ['include'],
  node: ['export', 'engine', 'train', 'graph', 'program', 'model', 'ops', 'base', 'include', 'backends/cuda/loader.h', 'backends/cpu/threads.h'],
};

/** What everything that handles data and networks may import. */
const foundations = ['data', 'model-file', 'network', 'binding', 'errors', 'indexing', 'files', 'bytes-text', 'arguments', 'pace'];
/** Folders and files of lib/ and what each may import beside itself. */
const libRules = {
  // What everything may import; errors names types of the contract (binding.d.ts) alone.
  errors: [],
  indexing: [],
  'bytes-text': [],
  pace: [],
  arguments: ['errors'],
  files: ['errors'],
  'package-root': [],
  binding: ['errors', 'package-root'],
  network: ['binding', 'errors', 'indexing', 'files', 'bytes-text', 'arguments', 'pace'],
  'model-file': ['network', 'binding', 'errors', 'indexing', 'files', 'bytes-text', 'arguments', 'pace'],
  data: ['network', 'binding', 'errors', 'indexing', 'files', 'bytes-text', 'arguments', 'pace', 'package-root'],
  import: ['data', 'network', 'binding', 'errors', 'indexing', 'files', 'arguments', 'pace'],
  inference: foundations,
  // For browsers: what needs no Node alone.
  browser: ['inference/examples', 'inference/prediction', 'binding', 'errors', 'indexing'],
  training: foundations,
  export: ['training', 'import', 'inference', ...foundations],
  report: ['training', 'model-file', 'data', 'network', 'binding', 'errors', 'indexing', 'files', 'bytes-text', 'arguments', 'pace'],
  dashboard: ['package-root'],
  cli: ['compress', 'dashboard', 'export', 'report', 'training', 'import', 'inference', ...foundations, 'package-root'],
  compress: ['export', 'training', 'import', 'inference', ...foundations],
  tfjs: ['binding'],
  index: ['compress', 'export', 'training', 'import', 'inference', 'data', 'model-file', 'network', 'binding', 'errors'],
};

const faults = [];
const files = (folder, pattern) =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder), { recursive: true })
        .filter((file) => pattern.test(file))
        .map((file) => join(folder, file).replaceAll('\\', '/'))
    : [];
const read = (file) => readFileSync(join(root, file), 'utf8');
/** Line numbers of the matches of a global pattern. */
const matches = (text, pattern) => [...text.matchAll(pattern)].map((match) => [match, text.slice(0, match.index).split('\n').length]);

/** The longest of the folders that `file` lies in. */
const folderOf = (rules, file) =>
  Object.keys(rules)
    .filter((folder) => file === folder || file.startsWith(`${folder}/`) || file.startsWith(`${folder}.`))
    .sort((a, b) => b.length - a.length)[0];

function checkDependency(rules, from, to, where) {
  const folder = folderOf(rules, from);
  if (folder === undefined) return faults.push(`${where}: its folder has no rule`);
  const isIn = (allowed) => to === allowed || to.startsWith(`${allowed}/`) || to.startsWith(`${allowed}.`);
  if (folderOf(rules, to) === folder || rules[folder].some(isIn)) return undefined;
  return faults.push(`${where}: ${folder} may not depend on ${to}, only on ${rules[folder].join(', ') || 'nothing'}`);
}

/** Folders in an order in which each depends on earlier ones only; rules of single files (the emitter) do not count. */
function checkOrder(rules, name) {
  const folders = Object.keys(rules);
  const state = {};
  const visit = (folder, path) => {
    if (state[folder] === 'done') return;
    if (state[folder]) return void faults.push(`${name}: the rules go in a circle: ${[...path, folder].join(' → ')}`);
    state[folder] = 'open';
    for (const next of rules[folder]) if (rules[next]) visit(next, [...path, folder]);
    state[folder] = 'done';
  };
  for (const folder of folders) visit(folder, []);
}

/** Rules of native code: where an include leads, by the include paths of CMakeLists.txt. */
function checkNative() {
  // Circles through the reference backend are those of declarations: ops/ defines what backends/reference/ declares.
  checkOrder({ ...nativeRules, ops: nativeRules.ops.filter((folder) => folder !== 'backends/reference') }, 'native');
  for (const file of files('native', /\.(h|cpp|cu|cuh)$/)) {
    const from = file.slice('native/'.length);
    if (/^(test|bench)\//.test(from)) continue;
    for (const [match, line] of matches(read(file), /^\s*#\s*include\s+"([^"]+)"/gm)) {
      const places = [join(dirname(file), match[1]), join('native', match[1]), join('native/backends', match[1]), join('native/include', match[1])];
      const target = places.find((place) => existsSync(join(root, place)));
      if (target) checkDependency(nativeRules, from, relative('native', target).replaceAll('\\', '/'), `${file}:${line}`);
    }
  }
}

function checkLib() {
  checkOrder(libRules, 'lib');
  const graph = new Map();
  for (const file of files('lib', /\.ts$/)) {
    const targets = matches(read(file), /(?:^|\n)(?:import|export)( type)?[^;]*?from '(\.[^']+)'|import\('(\.[^']+)'\)/g).map(([match, line]) => ({
      to: relative('lib', join(dirname(file), (match[2] ?? match[3]).replace(/\.js$/, '.ts'))).replaceAll('\\', '/'),
      isType: match[1] !== undefined,
      line,
    }));
    for (const { to, line } of targets) if (!to.startsWith('..')) checkDependency(libRules, file.slice(4), to, `${file}:${line}`);
    // Types are gone when the modules are loaded.
    graph.set(
      file.slice(4),
      targets.filter(({ isType }) => !isType).map(({ to }) => to),
    );
  }
  const done = new Set();
  const visit = (file, path) => {
    if (path.includes(file)) return void faults.push(`lib: imports go in a circle: ${[...path.slice(path.indexOf(file)), file].join(' → ')}`);
    if (done.has(file)) return;
    for (const to of graph.get(file) ?? []) visit(to, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
}

/** Kinds of operators, as the table has them. */
const kinds = [...read('native/ops/operators.h').matchAll(/X\((\w+)\)/g)].map((match) => match[1]).filter((kind) => kind !== 'X');

/** Names of kinds outside of the table: only where a kind is written, not where one is told from another. */
function checkKinds() {
  if (kinds.length < 13) faults.push(`native/ops/operators.h: expected a list of operators but found ${kinds.length}`);
  const kind = `(?:${kinds.join('|')})`;
  // Words that files are packed with: they are not told apart by them. Functions on plain arrays that have a `kind` of their own.
  // Kernels of a backend are no operators of a network: they name themselves in errors. The engine's entries name the operator
  // that each of them runs.
  const notKinds =
    /^native\/(ops|test|bench|backends)\/|^native\/engine\/(ops\/|integer\/operators\.cpp$)|^native\/model\/dictionary\.cpp$|^native\/node\/raw_\w+\.cpp$/;
  const nativePattern = new RegExp(`"${kind}"|\\bNodeKind\\b|\\bops::${kind}\\b`, 'g');
  for (const file of files('native', /\.(h|cpp|cu|cuh)$/)) {
    if (notKinds.test(file)) continue;
    for (const [match, line] of matches(read(file), nativePattern))
      faults.push(`${file}:${line}: ${match[0]} is a kind of operator, which only the table (native/ops/) knows`);
  }
  const compared = new RegExp(
    `[=!]==?\\s*(['"\`])${kind}\\1|(['"\`])${kind}\\2\\s*[=!]==?|case (['"\`])${kind}\\3|kind\\)?\\s*(?:in|of)\\s*[{[]`,
    'g',
  );
  const listed = new RegExp(`\\[[^\\]]*(['"])${kind}\\1[^\\]]*\\]\\.includes\\(`, 'g');
  for (const file of [...files('lib', /\.ts$/), ...files('scripts', /\.mjs$/)]) {
    for (const [match, line] of [...matches(read(file), compared), ...matches(read(file), listed)])
      faults.push(`${file}:${line}: compares with a kind of operator (${match[0]}); ask binding.operators() or inspectNetwork`);
  }
}

/** A table of folders and what they may depend on. */
const picture = (rules) =>
  [
    '```mermaid',
    'flowchart TD',
    ...Object.entries(rules).flatMap(([from, to]) => (to.length > 0 ? [`  ${from} --> ${to.join(' & ')}`] : [])),
    '```',
  ].join('\n');

function checkPictures() {
  const path = 'CONTRIBUTING.md';
  let text = read(path);
  for (const [name, rules] of Object.entries({ native: nativeRules, lib: libRules })) {
    const pattern = new RegExp(`(<!-- structure:${name} -->\\n)[\\s\\S]*?(\\n<!-- /structure -->)`);
    const found = pattern.exec(text);
    if (!found) faults.push(`${path}: expected a picture between <!-- structure:${name} --> and <!-- /structure -->`);
    else if (found[0] !== `${found[1]}${picture(rules)}${found[2]}`) {
      if (process.argv.includes('--write')) text = text.replace(pattern, `$1${picture(rules)}$2`);
      else faults.push(`${path}: the picture of ${name} is not that of the rules; draw it again: node scripts/build/structure.mjs --write`);
    }
  }
  if (process.argv.includes('--write')) writeFileSync(join(root, path), text);
}

checkNative();
checkLib();
checkKinds();
checkPictures();
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exitCode = 1;
