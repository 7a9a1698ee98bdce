/**
 * The engine as WebAssembly against onnxruntime-web (wasm, SIMD, one thread) in turn in one run, in node (processor time, which other
 * programs hardly change) or in headless Chromium (time): on the same networks in floats, and on networks of which a quarter of the
 * weights is left against (a) the network that they were cut from and (b) themselves. Prints a table.
 *   npm run build:wasm && node scripts/bench/wasm.mjs --onnxruntime-web FOLDER [--chromium] [--seconds 3] [--only notebook] [--write]
 * FOLDER: where onnxruntime-web has been installed (npm install onnxruntime-web in a folder of its own). --write: into docs/inference.md.
 * CHROMIUM in the environment: the browser's program.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { cpus, tmpdir } from 'node:os';
import { extname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { loadModel } from '../../dist/browser/browser.js';
import { exportModel, initialState, inspectNetwork } from '../../dist/index.js';
import { cutNetworks, smallNetworks, weightsOf } from './networks.mjs';
import { compare } from './wasm-compare.mjs';

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    chromium: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    'onnxruntime-web': { type: 'string' },
  },
});
if (!flags['onnxruntime-web']) throw new Error('Expected the folder of onnxruntime-web for --onnxruntime-web but received none');
const peer = resolve(flags['onnxruntime-web'], 'node_modules/onnxruntime-web');
const { version } = JSON.parse(readFileSync(join(peer, 'package.json'), 'utf8'));
const seconds = Number(flags.seconds);
const root = new URL('../..', import.meta.url);

/** Networks as they are, then those of which a quarter of the weights is left. */
const networks = [
  ...Object.entries(smallNetworks).map(([name, description]) => ({ name, description })),
  ...cutNetworks.filter(({ description, full }) => weightsOf(description) < 0.26 * weightsOf(full)),
].filter(({ name }) => name.startsWith(flags.only));

const stateOf = (network) => initialState(inspectNetwork(network).parameters, 1, { bitDepth: 4, headroom: 0 });
const onnxOf = (network) => exportModel({ network, state: stateOf(network) }, { format: 'onnx', foldNorms: true });
/** What compare() takes. */
async function prepared({ name, description, full }) {
  const info = { name: 'random', classes: 0, mean: [0], std: [1] };
  const scnn = await exportModel({ network: description, state: stateOf(description), info }, { format: 'scnn' });
  return { name, input: description.input, scnn, exported: await onnxOf(description), original: full && (await onnxOf(full)) };
}

async function* inNode() {
  const ort = await import(pathToFileURL(createRequire(join(peer, 'package.json')).resolve('onnxruntime-web')).href).then((m) => m.default ?? m);
  ort.env.wasm.numThreads = 1;
  const clock = () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  };
  const wasm = readFileSync(new URL('dist/browser/engine.wasm', root));
  for (const network of networks) yield await compare({ loadModel, ort, wasm, clock, seconds }, await prepared(network));
}

/** The page: everything in turn, what comes out is sent back. */
const page = `<!doctype html><script type="module">
const send = (said) => fetch('/said', { method: 'POST', body: JSON.stringify(said) });
const bytes = async (address) => new Uint8Array(await (await fetch(address)).arrayBuffer());
try {
  const ort = await import('/ort/ort.wasm.min.mjs');
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = '/ort/';
  const { loadModel } = await import('/dist/browser/browser.js');
  const { compare } = await import('/scripts/bench/wasm-compare.mjs');
  const surroundings = { loadModel, ort, wasm: await bytes('/dist/browser/engine.wasm'), clock: () => 1000 * performance.now(), seconds: ${seconds} };
  for (let i = 0; i < ${networks.length}; i++) {
    const network = await (await fetch('/network/' + i)).json();
    for (const part of ['scnn', 'exported', 'original']) network[part] = network[part] && await bytes('/network/' + i + '/' + part);
    await send({ rows: await compare(surroundings, network) });
  }
} catch (error) {
  await send({ error: String(error?.stack ?? error) });
}
</script>`;

const types = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' };
/** The bytes behind a path; undefined where there are none. */
async function contentOf(path, cache) {
  if (path === '/index.html') return page;
  const [, i, part] = path.match(/^\/network\/(\d+)(?:\/(\w+))?$/) ?? [];
  if (i !== undefined) {
    cache[i] ??= await prepared(networks[i]);
    return part ? cache[i][part] : JSON.stringify({ ...cache[i], scnn: true, exported: true, original: cache[i].original !== undefined });
  }
  if (path.startsWith('/ort/')) return readFileSync(join(peer, 'dist', path.slice(5)));
  if (/^\/(dist|scripts\/bench)\//.test(path)) return readFileSync(new URL(`.${path}`, root));
  return undefined;
}

/** In headless Chromium, with pages of this process that are isolated from others: their clock has steps of 5 µs. */
async function* inChromium() {
  const heard = [];
  let wake = () => {};
  const cache = {};
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://localhost').pathname;
    if (path === '/said') {
      heard.push(JSON.parse((await request.setEncoding('utf8').toArray()).join('')));
      wake();
      return response.end();
    }
    const content = await contentOf(path, cache).catch(() => undefined);
    const headers = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
    return response.writeHead(content ? 200 : 404, { ...headers, 'content-type': types[extname(path)] ?? 'application/octet-stream' }).end(content);
  }).listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const profile = mkdtempSync(join(tmpdir(), 'chromium-'));
  const options = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--no-first-run'];
  const address = `http://127.0.0.1:${server.address().port}/index.html`;
  const child = spawn(process.env.CHROMIUM ?? 'chromium', [...options, `--user-data-dir=${profile}`, address], { stdio: 'ignore' });
  const ended = new Promise((done) => {
    child.once('exit', done).once('error', done);
  });
  ended.then((reason) => {
    heard.push({ error: `Chromium has ended: ${reason}` });
    wake();
  });
  try {
    for (let i = 0; i < networks.length; i++) {
      while (!heard.length)
        await new Promise((done) => {
          wake = done;
        });
      const { rows, error } = heard.shift();
      if (error) throw new Error(error);
      yield rows;
    }
  } finally {
    child.kill();
    await ended;
    server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

const lines = [
  `| network | images a call | selfcompress | onnxruntime-web ${version} (a) | (b) | (a) / selfcompress | (b) / selfcompress |`,
  '| --- | ---: | ---: | ---: | ---: | ---: | ---: |',
];
console.log(lines.join('\n'));
let at = 0;
for await (const rows of flags.chromium ? inChromium() : inNode()) {
  const { name, description, full } = networks[at++];
  const share = full ? `${name} (${Math.round((100 * weightsOf(description)) / weightsOf(full))} %)` : name;
  for (const { batch, own, original, exported } of rows) {
    const [a, ratio] = original ? [original.toFixed(0), (original / own).toFixed(2)] : ['', ''];
    lines.push(`| ${share} | ${batch} | ${own.toFixed(0)} | ${a} | ${exported.toFixed(0)} | ${ratio} | ${(exported / own).toFixed(2)} |`);
    console.log(lines.at(-1));
  }
}
if (flags.write) {
  const path = new URL('docs/inference.md', root);
  const mark = flags.chromium ? 'wasm in chromium' : 'wasm in node';
  const where = flags.chromium ? 'In headless Chromium, time' : `In node ${process.version}, processor time`;
  const text = `${where}, ${cpus()[0].model}:\n\n${lines.join('\n')}`;
  const pattern = new RegExp(`(<!-- ${mark} -->\\n)[\\s\\S]*?(\\n<!-- /${mark} -->)`);
  const before = readFileSync(path, 'utf8');
  if (!pattern.test(before)) throw new Error(`Expected a place between <!-- ${mark} --> and <!-- /${mark} --> in docs/inference.md`);
  writeFileSync(
    path,
    before.replace(pattern, (_, first, last) => first + text + last),
  );
}
process.exit(0);
