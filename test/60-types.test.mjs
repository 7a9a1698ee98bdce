// The types of the package: for consumers of both module kinds, and against the table of operators.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import t from 'tap';
import { binding } from '../dist/index.js';

t.setTimeout(600_000); // the compiler runs a dozen times
const root = fileURLToPath(new URL('..', import.meta.url));
// The compiler itself: its launcher is a module that the test runner's loaders trip over.
const typescript = dirname(createRequire(import.meta.url).resolve('typescript/package.json'));
const { default: compilerPath } = await import(pathToFileURL(join(typescript, 'lib/getExePath.js')));
const tsc = compilerPath();

const folder = mkdtempSync(join(tmpdir(), 'selfcompress-types-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
mkdirSync(join(folder, 'node_modules/@types'), { recursive: true });
writeFileSync(join(folder, 'package.json'), '{ "name": "consumer", "private": true }');
symlinkSync(root, join(folder, 'node_modules/selfcompress'), 'dir');
symlinkSync(join(root, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'), 'dir');

const STRICT = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, target: 'es2022', types: ['node'] };
let projects = 0;

/** What the compiler says of these files in a package of its own; empty: nothing. */
function compile(files, options) {
  const project = join(folder, `project${projects++}`);
  mkdirSync(project);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(project, name), text);
  const tsconfig = { compilerOptions: { ...STRICT, outDir: 'out', ...options }, include: ['*.ts', '*.mts', '*.cts'] };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(tsconfig));
  const { status, stdout, stderr } = spawnSync(tsc, ['--project', project], { encoding: 'utf8' });
  const said = `${stdout}${stderr}`.trim();
  return said || status === 0 ? said : `tsc ended with ${status}`;
}

// Every value of the package is exported again, so that the declarations have to name every type of a public signature.
const CONSUMER = `
import * as all from 'selfcompress';
import { binding, createModel, Trainer, loadDataset, type Dataset, type EpochMetrics, type NodeDescription, type StepPlan } from 'selfcompress';
import { binding as low } from 'selfcompress/binding';
import type { NetworkDescription, OperatorInfo } from 'selfcompress/binding';

export const network: NetworkDescription = createModel('notebook', { input: [1, 28, 28], classes: 10, compress: undefined });
export const kinds: NodeDescription['kind'][] = network.nodes.map((node) => node.kind);
export const table: OperatorInfo[] = low.operators();
export async function train(data: Dataset): Promise<EpochMetrics[]> {
  const trainer = Trainer.create({ network, data, epochs: 2, target: { bitsFraction: undefined } });
  await trainer.run();
  return trainer.history;
}
export const load = () => loadDataset('digits', { limit: 100 });
export const plan = (): Promise<StepPlan> =>
  new binding.Network(network, { loss: { kind: 'crossEntropy' }, optimizer: { kind: 'adam' }, batchSize: 32 }).plan('training');
export const everything = { ...all };
export const made = {
  inspected: all.inspectNetwork(network),
  options: all.defaultTrainOptions,
  builder: () => new all.NetworkBuilder([1, 8, 8]),
  run: (data: Dataset) => Trainer.create({ network, data }).run(),
  datasets: { table: all.loadTable, text: all.loadText, stream: all.datasetFromGenerator, masks: all.loadImageMasks, lines: all.loadJsonLines },
};
`;
// Each line is an error; if the types were lost (any), none of them would be.
const WRONG = `
import { createModel, Trainer, inspectNetwork } from 'selfcompress';
import { binding } from 'selfcompress/binding';
// @ts-expect-error no such option
createModel('notebook', { input: [1, 28, 28], classes: 10, colour: 3 });
// @ts-expect-error no such network
const name: import('selfcompress').ModelName = 'nothing';
// @ts-expect-error no such kind
inspectNetwork({ input: [1], nodes: [{ kind: 'nothing', name: 'a', inputs: ['input'] }], output: 'a' });
// @ts-expect-error no such field
inspectNetwork({ input: [1], nodes: [{ kind: 'relu', name: 'a', inputs: ['input'], slope: 1 }], output: 'a' });
// @ts-expect-error a string is no number of threads
binding.setThreads('4');
// @ts-expect-error the constructor is private
new Trainer();
export { name };
`;
const MODES = {
  'node16, ES modules and CommonJS': { kinds: ['mts', 'cts'], options: { module: 'node16', moduleResolution: 'node16' } },
  'nodenext, ES modules and CommonJS': { kinds: ['mts', 'cts'], options: { module: 'nodenext', moduleResolution: 'nodenext' } },
  bundler: { kinds: ['ts'], options: { module: 'esnext', moduleResolution: 'bundler' } },
};
for (const [name, { kinds, options }] of Object.entries(MODES)) {
  t.test(name, async (t) => {
    const files = Object.fromEntries(
      kinds.flatMap((kind) => [
        [`consumer.${kind}`, CONSUMER],
        [`wrong.${kind}`, WRONG],
      ]),
    );
    t.equal(compile(files, { ...options, declaration: true }), '', 'declarations are written, and what is wrong is found');
  });
}

t.test('both module kinds hold what their types say', async (t) => {
  for (const [kind, text] of [
    ['mjs', "import { binding } from 'selfcompress/binding'; import * as all from 'selfcompress';"],
    ['cjs', "const { binding } = require('selfcompress/binding'); const all = require('selfcompress');"],
  ]) {
    const file = join(folder, `names.${kind}`);
    writeFileSync(file, `${text}\nconsole.log(JSON.stringify([Object.keys(all).sort(), typeof binding.Network, typeof all.binding.Network]));`);
    const { stdout, stderr } = spawnSync(process.execPath, ['--preserve-symlinks-main', file], { encoding: 'utf8' });
    const [names, ...types] = JSON.parse(stdout || `["${stderr.slice(0, 300).replace(/[^\w ]/g, ' ')}"]`);
    t.same(types, ['function', 'function'], kind);
    const found = compile(
      {
        'names.ts': `import * as all from 'selfcompress';\nconst names: ${JSON.stringify(names)} extends (keyof typeof all)[] ? 1 : 0 = 1;\nexport { names };`,
      },
      MODES.bundler.options,
    );
    t.equal(found, '', `${names.length} exports of ${kind} have types`);
  }
});

/** The fields of a node as a type, made from the table. */
function typeOf({ fields }) {
  const types = { integer: 'number', number: 'number', boolean: 'boolean', pair: '[number, number]', list: 'number[]' };
  const members = fields.map(({ name, type, required, choices }) => {
    const of = type === 'choice' ? choices.map((choice) => JSON.stringify(choice)).join(' | ') : types[type];
    return required ? `${name}: ${of}` : `${name}?: ${of} | undefined`;
  });
  return `{ ${['name: string', 'inputs: string[]', ...members].join('; ')} }`;
}

/** A file that compiles where the types of the nodes are those of this table. */
const comparison = (operators) => `
import type { NodeDescription } from 'selfcompress';
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Flat<T> = { [K in keyof T]: T[K] };
type NodeOf<K, N = NodeDescription> = N extends { kind: infer Kinds } ? (K extends Kinds ? Flat<Omit<N, 'kind'>> : never) : never;
const kinds: Same<NodeDescription['kind'], ${operators.map(({ kind }) => JSON.stringify(kind)).join(' | ')}> = true;
${operators.map((op, i) => `const node${i}: Same<NodeOf<'${op.kind}'>, ${typeOf(op)}> = true; // ${op.kind}`).join('\n')}
export { kinds, ${operators.map((_, i) => `node${i}`).join(', ')} };
`;

t.test('nodes in binding.d.ts are those of the table of operators', async (t) => {
  const operators = binding.operators();
  t.ok(operators.length >= 13);
  const check = (table) => compile({ 'nodes.ts': comparison(table) }, MODES.bundler.options);
  t.equal(check(operators), '');
  // The comparison can fail, in each of its parts.
  const changed = (change) => {
    const table = structuredClone(operators);
    change(table.find(({ kind }) => kind === 'conv2d').fields, table);
    return check(table);
  };
  t.match(
    changed((_, table) => table.pop()),
    /not assignable to type 'false'/,
    'a kind less',
  );
  t.match(
    changed((fields) => fields.pop()),
    /not assignable to type 'false'/,
    'a field less',
  );
  t.match(
    changed((fields) => Object.assign(fields[0], { required: !fields[0].required })),
    /not assignable to type 'false'/,
    'optional or required',
  );
  t.match(
    changed((fields) => Object.assign(fields[0], { type: 'boolean' })),
    /not assignable to type 'false'/,
    'another type',
  );
  t.match(
    changed((fields) => Object.assign(fields[0], { type: 'choice', choices: ['a'] })),
    /not assignable to type 'false'/,
    'choices',
  );
});
