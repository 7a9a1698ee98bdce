// Every piece of JavaScript in README.md and docs/ runs, and every command line in them has options that there are. A snippet is run
// alone, in a project of its own; `cases` makes the files and names that its text speaks of.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import t from 'tap';
import * as library from '../dist/index.js';
import { cli, root, temporaryFolder, toyDataset, toyNetwork } from './support.mjs';

const require = createRequire(import.meta.url);
const files = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const blocks = (file, language) =>
  [...readFileSync(join(root, file), 'utf8').matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, text]) => text);

const project = temporaryFolder(t);
mkdirSync(join(project, 'node_modules'));
writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
symlinkSync(root, join(project, 'node_modules/selfcompress'), 'junction');
for (const scope of ['@tensorflow'])
  if (existsSync(join(root, 'node_modules', scope))) symlinkSync(join(root, 'node_modules', scope), join(project, 'node_modules', scope), 'junction');

/** A trained network, as a model file and as a run's folder. */
async function train(folder) {
  const data = await toyDataset({ size: 12 });
  const trainer = library.Trainer.create({ network: toyNetwork(), data, epochs: 1, batchSize: 64 });
  await trainer.run();
  writeFileSync(join(folder, 'model.scnn'), await trainer.encodeModel());
  mkdirSync(join(folder, 'runs/fashion'), { recursive: true });
  await trainer.saveCheckpoint(join(folder, 'runs/fashion/checkpoint'));
  const model = await library.exportModel(join(folder, 'model.scnn'), { format: 'onnx' });
  for (const name of ['net.onnx', 'model.onnx']) writeFileSync(join(folder, name), model);
  await trainer.dispose();
}

/** Fashion-MNIST's four files with few images. */
function writeFashion(folder) {
  mkdirSync(folder, { recursive: true });
  const idx = (shape, bytes) =>
    Buffer.concat([Buffer.from([0, 0, 8, shape.length]), ...shape.map((n) => Buffer.from([0, 0, n >> 8, n & 255])), bytes]);
  for (const [prefix, n] of [
    ['train', 60],
    ['t10k', 20],
  ]) {
    writeFileSync(
      join(folder, `${prefix}-images-idx3-ubyte`),
      idx(
        [n, 28, 28],
        Buffer.alloc(n * 784).map((_, i) => (i * 7) & 255),
      ),
    );
    writeFileSync(
      join(folder, `${prefix}-labels-idx1-ubyte`),
      idx(
        [n],
        Buffer.alloc(n).map((_, i) => i % 10),
      ),
    );
  }
}

const toyData = `const split = (n) => ({ images: new Uint8Array(n * 144).map((_, i) => i), labels: new Int32Array(n).map((_, i) => i % 4) });
  const data = await datasetFromArrays({ shape: [1, 12, 12], classes: 4, train: split(64), test: split(16) });`;
const images = async (names) => {
  const sharp = require('sharp');
  for (const name of names)
    await sharp(
      Buffer.alloc(144).map((_, i) => i),
      { raw: { width: 12, height: 12, channels: 1 } },
    ).toFile(join(project, name));
};

/** Snippets by file and number: code before and after them, packages that they need. Those without an entry run as they stand. */
const cases = {
  'README.md 1': { before: '' },
  'README.md 2': { after: "if (!network.output) throw new Error('no network')" },
  'README.md 3': { needs: ['sharp'] },
  'docs/data.md 1': {
    before: `const images = new Uint8Array(20 * 784), labels = new Int32Array(20);
      const vectors = new Float32Array(20 * 13), targets = new Float32Array(20), testVectors = vectors, testTargets = targets;
      const tokens = new Int32Array(20 * 64), testTokens = tokens; const testLabels = labels;`,
  },
  'docs/data.md 2': {
    before: `import { writeFileSync } from 'node:fs'; writeFileSync('tinyshakespeare.txt', 'To be, or not to be. '.repeat(2000));
      const seed = 1; const useful = (tokens, labels) => tokens.length > 0 && labels.length > 0;`,
  },
  'docs/data.md 3': {
    before: `const images = new Uint8Array(200 * 3 * 4096), labels = new Int32Array(200), test = { images, labels }, epoch = 1, seed = 1;
      let batches = 0; const useful = () => { batches++; };`,
    after: "if (batches < 1) throw new Error('no batch')",
  },
  'docs/export.md 1': {
    before:
      "import { decodeModel } from 'selfcompress'; import { readFileSync } from 'node:fs'; const { network, state } = await decodeModel(readFileSync('model.scnn'));",
  },
  'docs/export.md 2': {
    before: `import { cpSync } from 'node:fs'; cpSync('runs/fashion', 'runs/mnist', { recursive: true });
      const examples = Float32Array.from({ length: 8 * 144 }, (_, i) => Math.sin(i)), labels = new Int32Array(8);`,
  },
  'docs/inference.md 1': { needs: ['sharp'] },
  'docs/inference.md 2': { elsewhere: 'a browser runs it (75-browser.test.mjs)' },
  'docs/inputs-outputs.md 1': {
    before: `const n = 64;
      const [image, age] = [new Uint8Array(n * 144).map((_, i) => i), Float32Array.from({ length: n }, (_, i) => Math.sin(i))];
      const [digit, mask] = [Int32Array.from({ length: n }, (_, i) => i % 10), Int32Array.from({ length: n * 144 }, (_, i) => i % 2)];
      const height = Float32Array.from({ length: n }, (_, i) => Math.cos(i));`,
    after: 'model.dispose(); await trainer.dispose();',
  },
  'docs/integer.md 1': {
    before: `import { cpSync } from 'node:fs'; cpSync('runs/fashion', 'runs/mnist', { recursive: true });
      const calibration = Float32Array.from({ length: 8 * 144 }, (_, i) => Math.sin(i));`,
    after: 'model.dispose();',
  },
  'docs/onnx.md 1': { before: toyData, after: 'await trainer.dispose();' },
  'docs/tfjs.md 1': { needs: ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-cpu'] },
  'docs/compress.md 1': {
    before: `import { writeFileSync } from 'node:fs';
      const network = createModel('mlp', { input: [1, 28, 28], classes: 10, width: 0.1, compress: false });
      const state = initialState(inspectNetwork(network).parameters, 1, { bitDepth: 8, headroom: 1 });
      writeFileSync('shoes.onnx', await exportModel({ network, state }, { format: 'onnx' }));`,
  },
  'docs/compress.md 2': {
    needs: ['@tensorflow/tfjs-layers', '@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-cpu'],
    before: `import 'selfcompress/tfjs'; import { setBackend, zeros } from '@tensorflow/tfjs-core'; await setBackend('selfcompress');
      const split = (n) => ({ images: new Uint8Array(n * 144).map((_, i) => i), labels: new Int32Array(n).map((_, i) => i % 4) });
      const data = await datasetFromArrays({ shape: [1, 12, 12], classes: 4, train: split(64), test: split(16) });
      const tfModel = tf.sequential({ layers: [tf.layers.conv2d({ filters: 4, kernelSize: 3, inputShape: [12, 12, 1] }), tf.layers.flatten(), tf.layers.dense({ units: 4, activation: 'softmax' })] });
      const images = zeros([2, 12, 12, 1]);`,
    after: "if (String(scores.shape) !== '2,4') throw new Error(scores.shape)",
  },
  'docs/training.md 1': {
    before: `${toyData}
      const net = new NetworkBuilder(data.shape);
      const stem = net.conv2d('input', { name: 'stem', outChannels: 8, kernel: 3 });
      const network = net.build(net.linear(net.flatten(net.conv2d(stem, { name: 'conv1', outChannels: 8, kernel: 3 })), { name: 'head', outFeatures: 4 }));`,
  },
  'docs/training.md 2': {
    before: `${toyData}
      import { mkdirSync } from 'node:fs'; mkdirSync('run', { recursive: true });
      const trainer = Trainer.create({ network: createModel('mlp', { input: data.shape, classes: 4 }), data, epochs: 1, batchSize: 32 });
      await trainer.saveCheckpoint('run/checkpoint');`,
    after: 'await trainer.dispose(); await later.dispose();',
  },
};

/** The text with imports of the names of the library that it uses and does not import. */
function complete(snippet, { before = '', after = '' } = {}) {
  const text = `${before}\n${snippet}\n${after}`;
  const imported = [...text.matchAll(/import\s*\{([^}]*)\}/g)].flatMap(([, names]) => names.split(',').map((name) => name.trim()));
  const used = Object.keys(library).filter((name) => new RegExp(`(?<![.\\w'"])${name}(?!['"\\w:])`).test(text) && !imported.includes(name));
  return `${used.length ? `import { ${used.join(', ')} } from 'selfcompress';\n` : ''}${text}`;
}

t.test('JavaScript', { timeout: 300000 }, async (t) => {
  await train(project);
  writeFashion(join(project, 'data/fashion-mnist'));
  const all = files.flatMap((file) => blocks(file, 'js').map((snippet, i) => ({ name: `${file} ${i + 1}`, snippet })));
  t.ok(all.length >= 12, `${all.length} snippets`);
  for (const name of Object.keys(cases))
    t.ok(
      all.some((one) => one.name === name),
      `${name} is there`,
    );
  const missing = (needs) => needs.filter((name) => !existsSync(join(root, 'node_modules', name)));
  if (missing(['sharp']).length === 0) await images(['shoe.png', 'digit.png']);
  for (const { name, snippet } of all) {
    const { needs = [], elsewhere, ...around } = cases[name] ?? {};
    if (elsewhere) {
      t.pass(`${name}: ${elsewhere}`);
      continue;
    }
    if (missing(needs).length > 0) {
      t.skip(`${name}: ${missing(needs).join(', ')} not installed`);
      continue;
    }
    const folder = mkdtempSync(join(project, 'snippet-'));
    const path = join(folder, 'snippet.mjs');
    writeFileSync(path, complete(snippet, around));
    const { status, stderr } = spawnSync(process.execPath, [path], { cwd: project, encoding: 'utf8' });
    t.equal(status, 0, `${name}\n${stderr}`);
  }
});

t.test('command lines', async (t) => {
  const help = new Map();
  const helpOf = (command) => {
    if (!help.has(command))
      help.set(command, spawnSync(process.execPath, [cli, ...(command ? [command] : []), '--help'], { encoding: 'utf8' }).stdout);
    return help.get(command);
  };
  let count = 0;
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const [line, words] of text.matchAll(/(?:npx )?(?<![\w/.-])selfcompress ((?:[a-z]+)(?: [^\n`]*)?)/g)) {
      const [command, ...rest] = words.replace(/\s+#.*/, '').split(/\s+/);
      if (!helpOf('').includes(`\n  ${command} `)) continue; // prose
      count++;
      for (const option of rest
        .filter((word) => /^-{1,2}[a-z]/.test(word.replace(/^\[/, '')))
        .map((word) => word.replace(/^\[/, '').replace(/[\]…,;.:)]+$/, '')))
        t.match(helpOf(command), new RegExp(`(^|\\s|, )${option}([ ,\\n]|$)`, 'm'), `${file}: ${line}`);
    }
  }
  t.ok(count >= 15, `${count} command lines`);
});
