// What shows a run while it is trained: the dashboard's server and page, TensorBoard's event files, the report's facts.
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import t from 'tap';
import { startDashboard } from '../dist/dashboard/server.js';
import { crc32c, EventFile } from '../dist/report/tensorboard.js';
import { cli, temporaryFolder } from './support.mjs';

const metrics = (epoch) => ({
  epoch,
  step: 10 * epoch,
  trainLoss: 1 / epoch,
  trainAccuracy: 0.5,
  testLoss: 2 / epoch,
  testAccuracy: 0.1 * epoch,
  bitsPerWeight: 5,
  modelBytes: 4000 - epoch,
  gamma: 0.2,
  learningRate: 0.001 * epoch,
  epochSeconds: 1,
  imagesPerSecond: 1000,
  bits: 100,
  bitsFraction: 0.5,
  weights: 50,
  weightsFraction: 0.5,
  channels: 4,
  channelsFraction: 1,
  layers: [
    { name: 'conv1', kind: 'conv2d', channels: 3, originalChannels: 4, weights: 50, originalWeights: 50, bits: 100, channelBits: [0, 2, 2, 7] },
  ],
});
const request = (url, options = {}) =>
  new Promise((resolve, reject) => {
    get(url, options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (data) => {
        text += data;
      });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
    }).on('error', reject);
  });

t.test('the dashboard serves what runs have recorded, to this machine alone', async (t) => {
  const folder = temporaryFolder(t);
  for (const run of ['b', 'a']) {
    mkdirSync(join(folder, run));
    writeFileSync(join(folder, run, 'metrics.jsonl'), `${JSON.stringify(metrics(1))}\n${JSON.stringify(metrics(2))}\n{"epoch": 3, half a li`);
  }
  mkdirSync(join(folder, 'no-run'));
  writeFileSync(join(folder, 'secret'), 'secret');
  const dashboard = await startDashboard({ folder, port: 0, live: () => ({ run: 'a', step: { epoch: 3 } }) });
  t.teardown(() => dashboard.close());
  const at = (path, options) => request(new URL(path, dashboard.url), options);
  t.match(dashboard.url, /^http:\/\/127\.0\.0\.1:\d+\/$/);
  t.same(JSON.parse((await at('runs')).text), { runs: ['a', 'b'], live: { run: 'a', step: { epoch: 3 } } });
  t.same(
    JSON.parse((await at('metrics?run=a')).text).map(({ epoch }) => epoch),
    [1, 2],
    'whole lines',
  );
  appendFileSync(join(folder, 'a/metrics.jsonl'), 'ne": 1}\n');
  writeFileSync(join(folder, 'b/metrics.jsonl'), [1, 2, 3].map((epoch) => `${JSON.stringify(metrics(epoch))}\n`).join(''));
  t.same(
    JSON.parse((await at('metrics?run=b&from=2')).text).map(({ epoch }) => epoch),
    [3],
  );
  for (const path of [
    'metrics?run=..',
    'metrics?run=no-run',
    'metrics?run=a&from=-1',
    'metrics?run=a&from=x',
    'secret',
    '../secret',
    'metrics',
    '%2e%2e/secret',
  ])
    t.equal((await at(path)).status, 404, path);
  t.equal((await at('runs', { headers: { Host: 'elsewhere.example' } })).status, 403, 'a name that points here');
  t.equal((await at('runs', { method: 'POST' })).status, 405);
  for (const path of ['', 'page.js', 'page.css']) {
    const { status, headers } = await at(path);
    t.equal(status, 200, path);
    t.match(headers['content-security-policy'], /default-src 'self'/);
  }
  await t.rejects(startDashboard({ folder, port: Number(new URL(dashboard.url).port) }), /cannot be served at port \d+ of 127\.0\.0\.1: it is taken/);
  const one = await startDashboard({ folder: join(folder, 'b'), port: 0 });
  t.teardown(() => one.close());
  t.same(JSON.parse((await request(new URL('runs', one.url))).text), { runs: ['b'] }, "a run's own folder");
});

t.test('the page draws its figures in a browser', async (t) => {
  const browser = ['/usr/bin/chromium', '/usr/bin/google-chrome'].find((path) => existsSync(path));
  if (!browser) return t.skip('needs Chromium');
  const folder = temporaryFolder(t);
  for (const run of ['first', 'second <b>']) {
    mkdirSync(join(folder, run));
    writeFileSync(join(folder, run, 'metrics.jsonl'), [1, 2, 3].map((epoch) => `${JSON.stringify(metrics(epoch))}\n`).join(''));
  }
  const live = () => ({ run: 'first', step: { epoch: 4, stepInEpoch: 5, stepsPerEpoch: 10, loss: 0.5, bitsPerWeight: 2, imagesPerSecond: 900 } });
  const dashboard = await startDashboard({ folder, port: 0, live });
  t.teardown(() => dashboard.close());
  const args = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-quic'];
  const child = spawn(browser, [...args, `--user-data-dir=${join(folder, '.browser')}`, '--virtual-time-budget=4000', '--dump-dom', dashboard.url], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let html = '';
  child.stdout.setEncoding('utf8').on('data', (data) => {
    html += data;
  });
  await new Promise((resolve) => child.once('close', resolve));
  t.ok((html.match(/<svg/g) ?? []).length >= 9, 'figures');
  for (const title of ['Accuracy', 'Loss', 'Size', 'Accuracy against size', 'Speed', 'Learning rate', 'Bits of every channel: first'])
    t.match(html, `<h2>${title}</h2>`);
  t.match(html, /first: epoch 4, step 5 of 10, loss 0\.5000/);
  t.match(html, 'second &lt;b&gt;', 'names are text');
});

/** Another way to the same checksum than the one under test: bit by bit. */
function crcBitwise(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}
const unmask = (masked) => {
  const turned = (masked - 0xa282ead8) >>> 0;
  return ((turned >>> 17) | (turned << 15)) >>> 0;
};

/** Fields of a protobuf message: number → values. */
function fields(bytes) {
  const reader = new BinaryReader(bytes);
  const found = {};
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const read = { [WireType.Varint]: 'int64', [WireType.Bit64]: 'double', [WireType.Bit32]: 'float', [WireType.LengthDelimited]: 'bytes' }[type];
    found[number] = [...(found[number] ?? []), reader[read]()];
  }
  return found;
}

function readRecords(bytes) {
  const events = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const content = bytes.subarray(at + 12, at + 12 + length);
    if (unmask(bytes.readUInt32LE(at + 8)) !== crcBitwise(bytes.subarray(at, at + 8))) throw new Error(`length at ${at}`);
    if (unmask(bytes.readUInt32LE(at + 12 + length)) !== crcBitwise(content)) throw new Error(`content at ${at}`);
    events.push(fields(content));
    at += 16 + length;
  }
  return events;
}

t.test('event files are records that TensorBoard reads', async (t) => {
  // RFC 3720, B.4: 32 bytes of zeros, of ones, counted up, counted down; and the usual check value.
  const counted = Uint8Array.from({ length: 32 }, (_, i) => i);
  t.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  t.equal(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43);
  t.equal(crc32c(counted), 0x46dd794e);
  t.equal(crc32c(counted.toReversed?.() ?? [...counted].reverse()), 0x113fdb5c);
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  const folder = join(temporaryFolder(t), 'events');
  const file = await EventFile.create(folder);
  for (const epoch of [1, 2]) await file.add({ ...metrics(epoch), ...(epoch === 2 && { validationLoss: 0.25, validationAccuracy: 0.75 }) });
  const [name] = readdirSync(folder);
  t.match(name, /^events\.out\.tfevents\.\d{10}\./);
  const text = (bytes) => Buffer.from(bytes).toString();
  const [head, ...events] = readRecords(readFileSync(join(folder, name)));
  t.equal(text(head[3][0]), 'brain.Event:2');
  t.equal(events.length, 2);
  events.forEach((event, i) => {
    t.equal(Number(event[2][0]), 10 * (i + 1), 'step');
    t.ok(Math.abs(event[1][0] - Date.now() / 1000) < 100, 'time');
    const values = Object.fromEntries(
      fields(event[5][0])[1]
        .map((bytes) => fields(bytes))
        .map((value) => [text(value[1][0]), value]),
    );
    t.ok(Math.abs(values['loss/test'][2][0] - 2 / (i + 1)) < 1e-6);
    t.equal(values['size/model_bytes'][2][0], 4000 - (i + 1));
    t.equal('loss/validation' in values, i === 1);
    const histogram = fields(values['bits/conv1'][5][0]);
    t.same(
      [1, 2, 3, 4, 5].map((field) => histogram[field][0]),
      [0, 7, 4, 11, 57],
      'min, max, number, sum, sum of squares',
    );
    const doubles = (bytes) => Array.from({ length: bytes.length / 8 }, (_, j) => Buffer.from(bytes).readDoubleLE(8 * j));
    t.same(doubles(histogram[6][0]), [0, 1, 2, 3, 4, 5, 6, 7]);
    t.same(doubles(histogram[7][0]), [1, 0, 2, 0, 0, 0, 0, 1]);
  });
});

t.test('from the command line: --dashboard, --tensorboard, serve, and who made the report', { timeout: 120000 }, async (t) => {
  const folder = temporaryFolder(t);
  const args = ['train', '--model', 'mlp', '--limit', '200', '--batch-size', '50', '--epochs', '2', '--threads', '1', '--out', 'runs/one two'];
  const { status, stderr } = spawnSync(process.execPath, [cli, ...args, '--tensorboard', 'tb', '--dashboard', '0'], {
    cwd: folder,
    encoding: 'utf8',
  });
  t.equal(status, 0, stderr);
  t.match(stderr, /Watch it at http:\/\/127\.0\.0\.1:\d+\//);
  t.equal(readRecords(readFileSync(join(folder, 'tb', readdirSync(join(folder, 'tb'))[0]))).length, 3);
  const report = readFileSync(join(folder, 'runs/one two/report.html'), 'utf8');
  t.match(report, /command line<\/th><td class="text">selfcompress train --model mlp .* --out 'runs\/one two'/);
  for (const part of [/learning rate/, /γ/, /bits of a channel/, /machine/, /<th scope="row">date<\/th>/]) t.match(report, part);
  const child = spawn(process.execPath, [cli, 'serve', 'runs', '--port', '0'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const url = await new Promise((resolve) => child.stdout.once('data', (data) => resolve(String(data).trim())));
  t.same(JSON.parse((await request(new URL('runs', url))).text), { runs: ['one two'] });
  child.kill('SIGTERM');
  t.equal(await new Promise((resolve) => child.once('close', resolve)), 143);
});
