// A trained model of another program, made small.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  cli,
  compressModel,
  compressOnnx,
  createModel,
  exportModel,
  importModel,
  loadModel,
  NetworkBuilder,
  Trainer,
  temporaryFolder,
  toyDataset,
} from './support.mjs';

const data = await toyDataset({ count: 384 });
function network() {
  const net = new NetworkBuilder([1, 12, 12]);
  const a = net.relu(net.conv2d('input', { name: 'conv1', outChannels: 8, kernel: 3, compress: false }));
  const b = net.relu(net.batchNorm(net.conv2d(net.maxPool(a, { kernel: 2 }), { name: 'conv2', outChannels: 12, kernel: 3, compress: false })));
  return net.build(net.linear(net.flatten(b), { name: 'head', outFeatures: 4, compress: false }));
}
/** A plain network, trained, as an ONNX file. */
async function trained(folder) {
  const trainer = Trainer.create({ network: network(), data, epochs: 20, batchSize: 16, gamma: 0, learningRate: 0.01, device: 'cpu' });
  await trainer.run();
  const { name, classes, mean, std } = data;
  const onnx = await exportModel(
    { network: trainer.description, state: await trainer.state(), info: { name, classes, mean, std } },
    { format: 'onnx' },
  );
  await trainer.dispose();
  const path = join(folder, 'plain.onnx');
  writeFileSync(path, onnx);
  return path;
}

t.test('an ONNX model becomes small and names the same classes', async (t) => {
  const folder = temporaryFolder(t);
  const path = await trained(folder);
  const epochs = [];
  const bare = { ...data, train: { ...data.train, labels: new Int32Array(data.train.count) } }; // labels of training images are not used
  const {
    model,
    onnx,
    report,
    network: small,
    state,
  } = await compressOnnx(path, bare, {
    target: { bytes: 1400 },
    epochs: 20,
    batchSize: 32,
    learningRate: 0.003,
    device: 'cpu',
    onEpoch: ({ epoch }) => epochs.push(epoch),
  });
  t.same(
    epochs,
    Array.from({ length: 20 }, (_, i) => i + 1),
  );
  t.ok(report.bytesAfter < 1500 && report.bytesAfter < report.bytesBefore / 3, `${report.bytesBefore} → ${report.bytesAfter}`);
  t.equal(report.bytesAfter, model.length);
  t.ok(report.agreement > 0.9, `${report.agreement} agree`);
  t.ok(report.accuracyBefore > 0.9 && report.accuracyAfter > report.accuracyBefore - 0.1, `${report.accuracyBefore} → ${report.accuracyAfter}`);
  t.ok(report.outcome.length > 0);
  // What comes out is the same network in every form.
  writeFileSync(join(folder, 'small.onnx'), onnx);
  const [engine, imported] = [await loadModel(model), await importModel(join(folder, 'small.onnx'), { input: data.shape })];
  const labels = await engine.predict([data.test.images.subarray(0, 144), data.test.images.subarray(144, 288)]);
  t.equal(labels.length, 2);
  t.equal(imported.network.nodes.filter((node) => node.outChannels).length, small.nodes.filter((node) => node.outChannels).length);
  t.ok(Object.keys(state).every((name) => !/moment|idle/.test(name)));
});

t.test('a drop of accuracy as the target wants images to decide on', async (t) => {
  const imported = await importModel(await trained(temporaryFolder(t)), { input: data.shape });
  await t.rejects(compressModel(imported, data, { target: { drop: 1 } }), {
    message: /validation split, which options\.target\.drop needs,.* data\.validation/,
  });
  const half = { count: 64, images: data.train.images.slice(0, 64 * 144), labels: data.train.labels.slice(0, 64) };
  const { report } = await compressModel(imported, { ...data, validation: half }, { target: { drop: 10 }, epochs: 6, batchSize: 32, device: 'cpu' });
  t.ok(report.bitsFraction < 0.5);
  t.match(report.outcome, /accuracy|point/i);
});

t.test('wrong options are named', async (t) => {
  const imported = await importModel(await trained(temporaryFolder(t)), { input: data.shape });
  await t.rejects(compressModel(imported, data, { epoch: 3 }), { message: /"epoch"/ });
  await t.rejects(compressModel(imported, data, { onEpoch: 5 }), { message: /options\.onEpoch/ });
  await t.rejects(compressModel(imported, data, { target: { bytes: -1 } }), { message: /options\.target\.bytes/ });
  await t.rejects(compressModel(imported, {}, {}), { name: 'TypeError' });
  for (const images of [undefined, null, 5, []])
    await t.rejects(compressModel(imported, { ...data, test: { ...data.test, images } }, {}), {
      code: 'ERR_SELFCOMPRESS_ARGUMENT',
      message: /images/,
    });
  await t.rejects(compressModel(undefined, data), { name: 'TypeError' });
  await t.rejects(compressOnnx('no.onnx', data), { message: /no\.onnx/ });
});

t.test('selfcompress compress leaves both files and a report', async (t) => {
  const folder = temporaryFolder(t);
  const run = (...args) => spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', cwd: folder });
  run('train', '--plain', '--model', 'mlp', '--epochs', '4', '--limit', '1000', '--batch-size', '64', '--out', 'plain', '-q');
  t.equal(run('export', 'plain', '--format', 'onnx', '--out', 'plain.onnx').status, 0);
  const args = [
    'compress',
    'plain.onnx',
    '--dataset',
    'digits',
    '--limit',
    '1000',
    '--epochs',
    '8',
    '--lr',
    '0.003',
    '--batch-size',
    '64',
    '--out',
    'small',
  ];
  const { status, stdout, stderr } = run(...args, '--json');
  t.equal(status, 0, stderr);
  const report = JSON.parse(stdout);
  t.ok(report.agreement > 0.7 && report.accuracyAfter > 0.7, `${report.agreement}, ${report.accuracyAfter}`);
  const { engine, onnxruntime = { before: 1, after: 1 } } = report.latency;
  for (const time of [engine.before, engine.after, onnxruntime.before, onnxruntime.after]) t.ok(time > 0 && time < 1000, `${time} ms`);
  t.equal(
    'onnxruntime' in report.latency,
    await import('onnxruntime-node').then(
      () => true,
      () => false,
    ),
  );
  t.same(JSON.parse(readFileSync(join(folder, 'small/report.json'), 'utf8')), report);
  for (const file of ['model.scnn', 'model.onnx']) t.ok(existsSync(join(folder, 'small', file)), file);
  t.equal(readFileSync(join(folder, 'small/model.scnn')).length, report.bytesAfter);
  const wrong = run(...args, '--target-bits', '0.1', '--target-size', '5kB');
  t.equal(wrong.status, 2);
  t.match(wrong.stderr, /Expected one of --target-size, --target-bits, --target-drop but received --target-size and --target-bits/);
});

t.test('selfcompress compress takes a file of weights for the network of --model', (t) => {
  const folder = temporaryFolder(t);
  const run = (...args) => spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', cwd: folder });
  run('train', '--plain', '--model', 'mlp', '--width', '0.5', '--epochs', '4', '--limit', '1000', '--batch-size', '64', '--out', 'plain', '-q');
  t.equal(run('export', 'plain', '--format', 'safetensors', '--out', 'w.safetensors').status, 0);
  const { testAccuracy } = JSON.parse(run('eval', 'w.safetensors', '--model', 'mlp', '--width', '0.5', '--dataset', 'digits', '--json').stdout);
  const description = createModel('mlp', { input: [1, 28, 28], classes: 10, width: 0.5 });
  writeFileSync(join(folder, 'net.json'), JSON.stringify(description));
  const data = ['--dataset', 'digits', '--epochs', '2', '--lr', '0.003', '--target-bits', '0.3', '--json'];
  const reports = [
    ['--model', 'mlp', '--width', '0.5'],
    ['--model', 'net.json'],
  ].map((which) => {
    const { status, stdout, stderr } = run('compress', 'w.safetensors', ...which, ...data, '--out', 'small');
    t.equal(status, 0, stderr);
    t.match(stderr, /w\.safetensors: \d+ parameters: /);
    const { latency, ...report } = JSON.parse(stdout);
    return report;
  });
  t.same(reports[0], reports[1], 'a network by name and its description');
  t.ok(Math.abs(reports[0].accuracyBefore - testAccuracy) < 1e-9, `${reports[0].accuracyBefore}, ${testAccuracy}`);
  for (const [args, message] of [
    [['w.safetensors'], /Expected --model NAME for the weights in w\.safetensors but received none/],
    [['plain'], /Expected a file by the name of \.safetensors, .*\.onnx.* for <model> but received "plain"/],
    [['no.onnx', '--model', 'mlp'], /Expected no --model, --width and --map with "no\.onnx"/],
    [['no.onnx', '--map', 'm.json'], /Expected no --model, --width and --map with "no\.onnx"/],
  ]) {
    const { status, stderr } = run('compress', ...args, ...data, '--out', 'none');
    t.match({ status, stderr }, { status: 2, stderr: message });
    t.notOk(existsSync(join(folder, 'none')), 'nothing is written');
  }
  t.end();
});
