// The programs of examples/, as a user runs them: from another folder, on public models where those are there.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { loadModel, randomNumbers, root, temporaryFolder } from './support.mjs';

const shared = process.env.SELFCOMPRESS_SHARED ?? fileURLToPath(new URL('../../shared', import.meta.url));
const publicModel = (path) => (existsSync(join(shared, 'models', path)) ? false : `no shared models: ${path}`);
const example = (name) => join(root, 'examples', name);

t.setTimeout(300_000);
const folder = temporaryFolder(t);

/** Output of an example that must end well. */
function run(t, name, ...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [example(name), ...args], { cwd: folder, encoding: 'utf8' });
  t.equal(status, 0, `${name}: ${stderr}`);
  return stdout;
}
function writeTable(name, header, rows) {
  const path = join(folder, name);
  writeFileSync(path, `${[header, ...rows.map((row) => row.join())].join('\n')}\n`);
  return path;
}

t.test('a network of one’s own', async (t) => {
  const output = run(t, 'train-own-network.mjs', 'digits.scnn', '3');
  const [, accuracy] = /epoch 3: ([\d.]+) %/.exec(output) ?? [];
  t.ok(Number(accuracy) > 75, output);
  t.same((await loadModel(join(folder, 'digits.scnn'))).input, [1, 28, 28]);
});

t.test('data of one’s own', async (t) => {
  const random = randomNumbers(1);
  const rows = Array.from({ length: 120 }, () => {
    const [rooms, zip] = [1 + Math.floor(7 * random()), Math.floor(3 * random())];
    return [rooms, `z${zip}`, 10 * rooms + 5 * zip];
  });
  const output = run(t, 'train-own-data.mjs', writeTable('houses.csv', 'rooms,zip,price', rows), 'price');
  const [, error] = /mean squared error ([\d.]+)/.exec(output) ?? [];
  t.ok(Number(error) < 20, `${output} (the variance is about 400)`);
  t.match(run(t, 'train-own-data.mjs', 'houses.csv', 'zip', '2'), /% of the test rows[\s\S]*→ z\d/, 'names are classes');
  t.equal(spawnSync(process.execPath, [example('train-own-data.mjs')]).status, 2, 'it says how it is called');
});

const cntk = 'onnx/mnist-cntk-opset8.onnx';
t.test('an ONNX model becomes smaller', { skip: publicModel(cntk) }, async (t) => {
  const output = run(t, 'compress-onnx.mjs', join(shared, 'models', cntk), '--epochs', '2', '--out', 'small');
  const [, bytes, before, after] = /23976 → (\d+) bytes, ([\d.]+) % → ([\d.]+) %/.exec(output) ?? [];
  t.ok(Number(bytes) < 4500 && Number(before) > 99 && Number(after) > 97, output);
  t.equal(readFileSync(join(folder, 'small/model.scnn')).length, Number(bytes));
  t.ok(existsSync(join(folder, 'small/model.onnx')));
});

const abalone = 'tfjs-layers/abalone/model.json';
const tfjs = ['core', 'backend-cpu', 'layers'].find((part) => !existsSync(join(root, 'node_modules/@tensorflow', `tfjs-${part}`)));
t.test('a layers model becomes smaller', { skip: tfjs ? `no @tensorflow/tfjs-${tfjs}` : publicModel(abalone) }, async (t) => {
  const random = randomNumbers(2);
  // What the public model was trained on is not at hand: sizes of about such shells. It learns from the model alone.
  const rows = Array.from({ length: 300 }, () => {
    const length = 0.1 + 0.7 * random();
    const weights = [4, 1.7, 0.9, 1.1].map((share) => share * length ** 3);
    return [Math.floor(3 * random()), length, 0.8 * length, 0.28 * length, ...weights, Math.round(3 + 15 * length)];
  });
  const table = writeTable('abalone.csv', 'sex,length,diameter,height,whole,shucked,viscera,shell,rings', rows);
  const output = run(t, 'compress-layers-model.mjs', join(shared, 'models', abalone), table, 'rings', '--out', 'small-layers');
  const [, parameters, bytes] = /3051 → (\d+) parameters, 12204 → (\d+) bytes/.exec(output) ?? [];
  const [, off] = /outputs differ by ([\d.]+) %/.exec(output) ?? [];
  t.ok(Number(parameters) < 2700 && Number(bytes) < 1000 && Number(off) < 5, output);
  t.equal(readFileSync(join(folder, 'small-layers/weights.bin')).length, 4 * Number(parameters));
  t.match(JSON.parse(readFileSync(join(folder, 'small-layers/model.json'), 'utf8')), { format: 'layers-model' });
});

t.test('the result in a browser', async (t) => {
  writeFileSync(join(folder, 'served.scnn'), 'a model');
  mkdirSync(join(folder, 'node_modules'), { recursive: true });
  symlinkSync(root, join(folder, 'node_modules/selfcompress'), 'junction');
  const server = spawn(process.execPath, [example('serve-browser.mjs'), 'served.scnn', '0'], { cwd: folder });
  t.teardown(() => server.kill());
  const address = await new Promise((resolve) => server.stdout.on('data', (text) => resolve(String(text).trim())));
  const get = async (path) => {
    const response = await fetch(new URL(path, address));
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
  };
  const page = await get('/');
  t.match(page.type, /html/);
  const [, module] = /from '([^']+)'/.exec(page.text) ?? [];
  t.match(await get(module), { status: 200, type: /javascript/, text: /loadModel/ });
  t.match(await get('/model.scnn'), { status: 200, text: 'a model' });
  for (const path of ['/selfcompress/..%2fpackage.json', '/selfcompress/%2e%2e/package.json', '/package.json', '/selfcompress/no.js']) {
    t.equal((await get(path)).status, 404, path);
  }
  for (const [, name] of (await get(module)).text.matchAll(/from '(\.[^']+)'/g)) {
    t.equal((await get(new URL(name, new URL(module, address)).pathname)).status, 200, name);
  }
});
