// Rate-aware rounding at export: fewer bytes, accuracy within what may be given up, the same codes when the file is read again.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { binding, cli, decodeModel, encodeModel, exportModel, NetworkBuilder, Trainer, temporaryFolder, toyDataset, toyNetwork } from './support.mjs';

t.setTimeout(600_000);

/** A trained network, and its training images as it reads them. */
async function trained(network) {
  const data = toyDataset();
  const trainer = Trainer.create({ network, data, epochs: 3, batchSize: 32, device: 'cpu' });
  await trainer.run();
  const checkpoint = await trainer.checkpoint();
  trainer.dispose();
  const size = network.input.reduce((a, b) => a * b);
  const { mean, std } = data;
  const examples = Float32Array.from(data.train.images, (x) => (x / 255 - mean[0]) / std[0]);
  const labels = Int32Array.from(data.train.labels);
  t.equal(examples.length, labels.length * size);
  const info = { name: 'toy', classes: data.classes, mean, std };
  return { source: { network: checkpoint.description ?? network, state: checkpoint.state, info }, examples, labels };
}

async function accuracyOf(bytes, examples, labels) {
  const model = await binding.loadModelFile({ bytes });
  const scores = await model.predict(examples, labels.length);
  const [classes] = model.output;
  model.dispose();
  return (
    labels.filter(
      (label, i) => scores.subarray(i * classes, (i + 1) * classes).indexOf(Math.max(...scores.subarray(i * classes, (i + 1) * classes))) === label,
    ).length / labels.length
  );
}

/** Norms of images and of vectors. */
function withNorms() {
  const net = new NetworkBuilder([1, 12, 12]);
  const x = net.relu(net.batchNorm(net.conv2d('input', { outChannels: 8, kernel: 3, bias: false })));
  const y = net.relu(net.batchNorm(net.linear(net.flatten(net.maxPool(x, { kernel: 2 })), { outFeatures: 24 })));
  return net.build(net.linear(y, { outFeatures: 4 }));
}

const networks = { toy: toyNetwork(), norms: withNorms() };

for (const [name, network] of Object.entries(networks)) {
  t.test(`${name}: fewer bytes for points of accuracy`, async (t) => {
    const { source, examples, labels } = await trained(network);
    const plain = await exportModel(source, { format: 'scnn' });
    const before = await accuracyOf(plain, examples, labels);
    let last = plain.length;
    for (const points of [0, 3, 20]) {
      let result;
      const report = (r) => {
        result = r;
      };
      const bytes = await exportModel(source, { format: 'scnn', squeeze: { points, examples, labels, report } });
      const after = await accuracyOf(bytes, examples, labels);
      t.ok(after >= before - points / 100 - 1e-9, `${points} points: ${before} became ${after}`);
      t.ok(bytes.length <= last, `${points} points: ${bytes.length} bytes of ${plain.length}`);
      last = bytes.length;
      t.match(result, { bytesBefore: plain.length, bytes: bytes.length, accuracyBefore: before, accuracy: after, examples: labels.length });
      t.equal(result.changed > 0, bytes.length < plain.length);
      const { network, state, info } = await decodeModel(bytes);
      t.same(await encodeModel(network, state, info), bytes, 'encode(decode(file)) is the file');
    }
    t.ok(last < 0.97 * plain.length, `${last} bytes of ${plain.length}`);
  });
}

t.test('ranges are those of the squeezed codes', async (t) => {
  const { source, examples, labels } = await trained(toyNetwork());
  const ranged = await decodeModel(await exportModel(source, { format: 'scnn', calibration: examples }));
  const squeezed = await decodeModel(await exportModel(ranged, { format: 'scnn', squeeze: { points: 5, examples, labels } }));
  t.equal(squeezed.info.ranges.length, ranged.info.ranges.length);
  t.notSame(squeezed.info.ranges, ranged.info.ranges);
  const again = await decodeModel(await exportModel(squeezed, { format: 'scnn', calibration: examples }));
  t.same(squeezed.info.ranges, again.info.ranges);
  const without = await decodeModel(await exportModel(source, { format: 'scnn', squeeze: { points: 5, examples, labels } }));
  t.equal(without.info.ranges, undefined);
});

t.test('wrong arguments', async (t) => {
  const network = toyNetwork();
  const { source, examples, labels } = await trained(network);
  const refused = (squeeze, message, options = {}) => t.rejects(exportModel(source, { format: 'scnn', squeeze, ...options }), { message });
  await refused(7, /options.squeeze but received 7/);
  await refused({ points: 101, examples, labels }, /options.squeeze.points but received 101/);
  await refused({ points: 1, examples: [1], labels }, /options.squeeze.examples/);
  await refused({ points: 1, examples: examples.subarray(1), labels }, /options.squeeze.examples/);
  await refused({ points: 1, examples, labels: labels.subarray(1) }, /options.squeeze.labels/);
  await refused({ points: 1, examples, labels: labels.map((l, i) => (i === 3 ? 4 : l)) }, /options.squeeze.labels\[3\] but received 4/);
  await refused({ points: 1, examples, labels, report: 1 }, /options.squeeze.report but received 1/);
  await refused({ points: 1, examples, labels, least: 1 }, /least/);
  await refused({ points: 1, examples, labels }, /for options.format but received "onnx"/, { format: 'onnx' });
  const net = new NetworkBuilder([1, 12, 12]);
  const regression = net.build(net.conv2d('input', { outChannels: 2, kernel: 3 }));
  const other = { network: regression, state: (await trained(toyNetwork())).source.state, info: source.info };
  await t.rejects(exportModel(other, { format: 'scnn', squeeze: { points: 1, examples, labels } }), { name: /TypeError|RangeError/ });
  const codes = { codes: new Int32Array(12), cost: new Float32Array(12), channels: 2, places: 3, lambda: 1 };
  t.same(await binding.squeezeCodes(codes), codes.codes);
  t.throws(() => binding.squeezeCodes({ ...codes, places: 5 }), { message: /Expected .* for codes but received length 12/ });
  t.throws(() => binding.squeezeCodes({ ...codes, lambda: Number.NaN }), { message: /lambda/ });
  t.throws(() => binding.squeezeCodes({ ...codes, cost: new Float32Array(3) }), { message: /cost/ });
});

t.test('the command', async (t) => {
  const folder = temporaryFolder(t);
  const run = (...args) => spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
  const train = run('train', '--dataset', 'digits', '--model', 'lenet300', '--epochs', '3', '--out', join(folder, 'run'));
  t.equal(train.status, 0, train.stderr);
  const [plain, small] = ['plain.scnn', 'small.scnn'].map((name) => join(folder, name));
  t.equal(run('export', join(folder, 'run'), '--format', 'scnn', '--out', plain).status, 0);
  const { status, stdout, stderr } = run('export', join(folder, 'run'), '--format', 'scnn', '--squeeze', '1', '--dataset', 'digits', '--out', small);
  t.equal(status, 0, stderr);
  t.ok(readFileSync(small).length < readFileSync(plain).length);
  t.match(stdout, new RegExp(`${readFileSync(plain).length} bytes squeezed to ${readFileSync(small).length} .*training images right`));
  const missing = run('export', plain, '--format', 'scnn', '--squeeze', '1', '--out', small);
  t.equal(missing.status, 2);
  t.match(missing.stderr, /Expected .* for --dataset/);
  writeFileSync(small, '');
});
