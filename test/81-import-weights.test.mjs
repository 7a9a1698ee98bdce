// Weights from safetensors files: matched by map, by name, by shape and order; everything without a counterpart is listed.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cli, createModel, initialState, inspectNetwork, loadWeights, NetworkBuilder, temporaryFolder } from './support.mjs';

/** A safetensors file of float32 tensors, in the order given. */
function writeSafetensors(path, tensors) {
  const header = {};
  const parts = [];
  let end = 0;
  for (const [name, { shape, data, dtype = 'F32' }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
    parts.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, ...parts]));
}
const tensor = (shape, first = 0) => ({ shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => first + i) });

function network(compress = true) {
  const net = new NetworkBuilder([1, 12, 12]);
  let x = net.relu(net.batchNorm(net.conv2d('input', { name: 'conv_a', outChannels: 4, kernel: 3, bias: false, compress }), { name: 'bn_a' }));
  x = net.relu(net.conv2d(x, { name: 'conv_b', outChannels: 4, kernel: 3, compress }));
  return net.build(net.linear(net.globalAveragePool(x), { name: 'head', outFeatures: 4, compress }));
}
const norm = (prefix, first) => ({
  [`${prefix}.weight`]: tensor([4], first),
  [`${prefix}.bias`]: tensor([4], first + 10),
  [`${prefix}.running_mean`]: tensor([4], first + 20),
  [`${prefix}.running_var`]: tensor([4], first + 30),
  [`${prefix}.num_batches_tracked`]: { shape: [], dtype: 'I64', data: new BigInt64Array(1) },
});
const named = (conv, bn, second, head) => ({
  ...norm(bn, 100),
  [`${conv}.weight`]: tensor([4, 1, 3, 3], 1),
  [`${second}.weight`]: tensor([4, 4, 3, 3], 200),
  [`${second}.bias`]: tensor([4], 7),
  [`${head}.weight`]: tensor([4, 4, 1, 1], -5),
  [`${head}.bias`]: tensor([4], 3),
});

t.test('by name, with the norms’ statistics', async (t) => {
  const path = join(temporaryFolder(t), 'a.safetensors');
  writeSafetensors(path, named('module.conv.a', 'module.bn.a', 'module.conv.b', 'module.head'));
  const { state, matches, ignored } = await loadWeights(network(), path);
  t.ok(matches.every(({ by }) => by === 'name'));
  t.equal(matches.length, 9);
  t.same(ignored, ['module.bn.a.num_batches_tracked']);
  t.same([...state['bn_a.runningMean']], [120, 121, 122, 123]);
  t.same([...state['bn_a.runningVar']], [130, 131, 132, 133]);
  t.same([...state['head.weight']].slice(0, 2), [-5, -4]);
  t.notOk('conv_a.bitDepth' in state, 'bits are chosen from the weights');
});

t.test('by shape and order, by a map and by a file with one', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'b.safetensors');
  writeSafetensors(path, named('0', '1', '3', '6'));
  const { state, matches } = await loadWeights(network(), path);
  t.ok(matches.every(({ by }) => by === 'order'));
  t.same([...state['conv_a.weight']].slice(0, 2), [1, 2]);

  const map = { 'conv_b.bias': '6.bias', 'head.bias': '3.bias', 'conv_b.weight': '3.weight', 'head.weight': '6.weight' };
  const told = await loadWeights(network(), path, { map });
  t.same([...told.state['conv_b.bias']], [3, 4, 5, 6]);
  t.same(
    told.matches.find(({ parameter }) => parameter === 'conv_b.bias'),
    { parameter: 'conv_b.bias', tensor: '6.bias', by: 'map' },
  );
  const file = join(folder, 'map.json');
  writeFileSync(file, JSON.stringify(map));
  t.same((await loadWeights(network(), path, { map: file })).state, told.state);
  t.rejects(loadWeights(network(), path, { map: { nowhere: '6.bias' } }), { name: 'TypeError', message: /for map but received "nowhere"/ });
  t.rejects(loadWeights(network(), path, { map: { 'head.bias': 'x' } }), { name: 'TypeError', message: /map\["head.bias"\] but received "x"/ });
  await t.rejects(loadWeights(network(), path, { map: { 'head.bias': '3.weight' } }), {
    name: 'DataError',
    message: /\[4, 4, 3, 3\] but head.bias is \[4\]/,
  });
  writeFileSync(file, '{');
  await t.rejects(loadWeights(network(), path, { map: file }), { name: 'DataError', message: /expected JSON/ });
});

t.test('what has no counterpart is listed, on both sides', async (t) => {
  const path = join(temporaryFolder(t), 'c.safetensors');
  const tensors = named('conv.a', 'bn.a', 'conv.b', 'head');
  delete tensors['head.bias'];
  delete tensors['bn.a.running_var'];
  tensors['conv.b.weight'] = tensor([4, 4, 5, 5]);
  tensors.extra = tensor([3]);
  writeSafetensors(path, tensors);
  const error = await loadWeights(network(), path).catch((e) => e);
  t.equal(error.name, 'DataError');
  for (const part of ['head.bias [4]', 'bn_a.runningVar [4]', 'conv_b.weight [4, 4, 3, 3]', 'conv.b.weight [4, 4, 5, 5]', 'extra [3]']) {
    t.ok(error.message.includes(part), part);
  }
  writeSafetensors(path, { ...named('conv.a', 'bn.a', 'conv.b', 'head'), 'head.bias': { shape: [4], dtype: 'I32', data: new Int32Array(4) } });
  await t.rejects(loadWeights(network(), path), { message: /weights are floats, but it has head.bias \(i32\)/ });
});

t.test('a shortcut without weights in the file is option A, and its zeros start at b = 0', async (t) => {
  const description = createModel('resnet20', { input: [3, 8, 8], classes: 4, width: 0.25 });
  const path = join(temporaryFolder(t), 'd.safetensors');
  const tensors = {};
  for (const { name, role, shape } of inspectNetwork(description).parameters) {
    const ending = { runningMean: 'running_mean', runningVar: 'running_var' }[role] ?? name.split('.')[1];
    if (['bitDepth', 'exponent'].includes(role) || name.includes('shortcut')) continue;
    tensors[`${name.split('.')[0].replace(/_/g, '.')}.${ending}`] = tensor(shape, 1);
  }
  writeSafetensors(path, tensors);
  const { state, matches } = await loadWeights(description, path);
  t.same(
    matches.filter(({ by }) => by === 'identity').map(({ parameter }) => parameter),
    ['layer2_0_shortcut_0.weight', 'layer3_0_shortcut_0.weight'],
  );
  const weight = state['layer2_0_shortcut_0.weight']; // 4 channels to the middle of 8
  for (let o = 0; o < 8; o++) for (let i = 0; i < 4; i++) t.equal(weight[4 * o + i], o - 2 === i ? 1 : 0);
  const start = initialState(inspectNetwork(description).parameters, 1, { bitDepth: 8, headroom: 0 }, state);
  t.same([...start['layer2_0_shortcut_0.bitDepth']], [0, 0, 8, 8, 8, 8, 0, 0]);
});

t.test('train --from, and the run goes on with the normalisation it was given', async (t) => {
  const folder = temporaryFolder(t);
  const run = (...args) => spawnSync(process.execPath, [cli, ...args.map(String)], { encoding: 'utf8' });
  const file = join(folder, 'model.json');
  const net = new NetworkBuilder([1, 28, 28]);
  const x = net.relu(net.conv2d('input', { name: 'conv1', outChannels: 4, kernel: 5, stride: 3 }));
  writeFileSync(file, JSON.stringify(net.build(net.linear(net.flatten(x), { name: 'fc', outFeatures: 10 }))));
  const weights = join(folder, 'w.safetensors');
  const zero = tensor([4, 1, 5, 5], -50);
  zero.data.fill(0, 0, 25);
  writeSafetensors(weights, { 'conv1.weight': zero, 'conv1.bias': tensor([4]), 'fc.weight': tensor([10, 256]), 'fc.bias': tensor([10]) });
  const out = join(folder, 'run');
  const quick = ['--limit', 100, '--batch-size', 50, '--threads', 1, '--lr', 0, '--bits-lr', 0, '--exponent-lr', 0, '--mean', 0.5, '--std', 0.25];
  const first = run('train', '--model', file, '--from', weights, ...quick, '--epochs', 1, '--out', out);
  t.equal(first.status, 0, first.stderr);
  t.match(first.stderr, /4 parameters: 4 by name/);
  const layers = JSON.parse(run('inspect', out, '--json').stdout).layers;
  t.equal(layers[0].channels, 3, 'the channel of zeros');
  const again = run('train', '--resume', out, '--epochs', 2);
  t.equal(again.status, 0, again.stderr);
  const evaluated = run('eval', weights, '--model', file, '--dataset', 'digits', '--mean', 0.5, '--std', 0.25, '--json');
  t.equal(JSON.parse(evaluated.stdout).images, 2004, evaluated.stderr);
  t.match(run('eval', weights, '--dataset', 'digits').stderr, /Expected --model NAME/);
  t.match(run('train', '--model', file, '--map', file, ...quick, '--out', out).stderr, /Expected --from/);
});
