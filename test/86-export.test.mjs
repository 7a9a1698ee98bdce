// Trained networks as files: safetensors with shapes, model files, and the command.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cases, describeCase, examplesFor, predictWith, randomState } from './export-support.mjs';
import {
  cli,
  decodeModel,
  difference,
  exportModel,
  loadWeights,
  Trainer,
  temporaryFolder,
  toyDataset,
  toyNetwork,
  writeCheckpoint,
} from './support.mjs';

t.setTimeout(600_000); // networks of every operator are compiled
const info = { name: 'toy', classes: 4, mean: [0.5], std: [0.25] };

/** The tensors of a safetensors file, read by the layout that its authors describe. */
function readTensors(bytes) {
  const length = Number(bytes.readBigUInt64LE());
  const { __metadata__: metadata, ...tensors } = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  return { metadata, tensors, data: bytes.subarray(8 + length) };
}

t.test('safetensors: every parameter with its shape, and weights that predict the same', async (t) => {
  const folder = temporaryFolder(t);
  for (const name of Object.keys(cases).filter((name) => !/resize/.test(name))) {
    const network = describeCase(name);
    const state = randomState(network);
    const path = join(folder, 'case.safetensors');
    const bytes = Buffer.from(await exportModel({ network, state }, { format: 'safetensors' }));
    writeFileSync(path, bytes);
    const { metadata, tensors, data } = readTensors(bytes);
    let end = 0;
    for (const [tensor, { dtype, shape, data_offsets: offsets }] of Object.entries(tensors)) {
      t.equal(dtype, 'F32');
      t.equal(offsets[0], end, `${name}: ${tensor} lies behind the one before`);
      end = offsets[1];
      t.equal(end - offsets[0], 4 * shape.reduce((a, b) => a * b, 1), `${name}: ${tensor}`);
    }
    t.equal(end, data.length);
    const description = JSON.parse(metadata.network);
    const plain = { ...description, nodes: description.nodes.map((node) => ('compress' in node ? { ...node, compress: false } : node)) };
    const back = await loadWeights(plain, path);
    const given = examplesFor(network, 2);
    t.ok(difference(await predictWith(plain, back.state, given, 2), await predictWith(network, state, given, 2)) < 1e-6, name);
  }
});

t.test('model files: exported twice, the same bytes; dead channels are gone', async (t) => {
  const network = toyNetwork();
  const state = randomState(network, 4);
  state['conv3.bitDepth'].fill(-1, 2, 5);
  state['conv3.bias'].fill(0, 2, 5);
  const bytes = await exportModel({ network, state, info }, { format: 'scnn' });
  const decoded = await decodeModel(bytes);
  t.equal(decoded.network.nodes.find(({ name }) => name === 'conv3' || name === 'conv2d3').outChannels, 9);
  t.same(await exportModel(decoded, { format: 'scnn' }), bytes);
  const given = examplesFor(network, 2);
  t.ok(difference(await predictWith(decoded.network, decoded.state, given, 2), await predictWith(network, state, given, 2)) < 1e-5);
});

t.test('wrong arguments', async (t) => {
  const network = toyNetwork();
  const source = { network, state: randomState(network) };
  await t.rejects(exportModel(source, { format: 'tflite' }), { message: /Expected one of .* for options.format but received "tflite"/ });
  await t.rejects(exportModel(source, { format: 'scnn' }), { message: /for source.info but received undefined/ });
  await t.rejects(exportModel(source, { format: 'onnx', folds: true }), { message: /folds/ });
  await t.rejects(exportModel(7, { format: 'onnx' }), { message: /for source but received 7/ });
  await t.rejects(exportModel({ network, state: {} }, { format: 'onnx' }), { name: /TypeError|RangeError/ });
  await t.rejects(exportModel(join(temporaryFolder(t), 'none'), { format: 'onnx' }), { name: 'CheckpointError' });
});

t.test('the command writes every format from a run and from its model file', async (t) => {
  const folder = temporaryFolder(t);
  const data = toyDataset();
  const trainer = Trainer.create({ network: toyNetwork(), data, epochs: 1, batchSize: 32, device: 'cpu' });
  await trainer.run();
  const run = join(folder, 'checkpoint');
  await writeCheckpoint(run, await trainer.checkpoint());
  const model = join(folder, 'model.scnn');
  const exported = (source, format, ...more) => {
    const out = join(folder, `x.${format}`);
    const { status, stderr, stdout } = spawnSync(process.execPath, [cli, 'export', source, '--format', format, '--out', out, ...more], {
      encoding: 'utf8',
    });
    t.equal(status, 0, stderr);
    const bytes = readFileSync(out);
    t.match(stdout, `${bytes.length} bytes`);
    return bytes;
  };
  writeFileSync(model, exported(run, 'scnn'));
  t.same(exported(model, 'scnn'), readFileSync(model));
  // From the file norms come back as scale and shift: folded into the layers they are the same.
  for (const format of ['onnx', 'safetensors']) t.equal(exported(run, format, '--fold-norms').length > 1000, true);
  const refused = spawnSync(process.execPath, [cli, 'export', run, '--format', 'none', '--out', join(folder, 'x')], { encoding: 'utf8' });
  t.equal(refused.status, 2);
  t.match(refused.stderr, /format/);
  trainer.dispose();
});
