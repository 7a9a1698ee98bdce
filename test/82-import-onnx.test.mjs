// ONNX files as networks: ONNX Runtime judges the outputs; faults are listed all at once; damaged files end in typed errors.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { compareWithRuntime } from '../scripts/import/judge.mjs';
import { node, tensor, writeModel } from './onnx-writer.mjs';
import { cli, floats, importModel, inspectNetwork, randomNumbers, Trainer, temporaryFolder, toyDataset } from './support.mjs';

const ort = await import('onnxruntime-node').then(
  (module) => module.default,
  () => undefined,
);
const judged = { skip: ort ? false : 'onnxruntime-node is not installed' };
const random = randomNumbers(3);
const weights = (name, shape, options) =>
  tensor(
    name,
    shape,
    floats(
      random,
      shape.reduce((a, b) => a * b, 1),
    ),
    options,
  );
const positive = (name, size) => tensor(name, [size], floats(random, size, 0.5, 1.5));
const int64 = (name, ...values) => tensor(name, [values.length], BigInt64Array.from(values.map(BigInt)), { typed: true });

/** Convolutions with everything around them: shape arithmetic, patterns, constants in and after layers. */
const richModel = {
  opset: 13,
  inputs: { x: ['batch', 3, 12, 10] },
  outputs: { y: ['batch', 5] },
  initializers: [
    tensor('mean', [1, 3, 1, 1], Float32Array.of(0.1, 0.2, 0.3)),
    tensor('std', [3, 1, 1], Float32Array.of(0.5, 0.6, 0.7)),
    weights('w1', [8, 3, 3, 5]),
    weights('b1', [8], { typed: true }),
    positive('scale', 8),
    weights('shift', [8]),
    weights('rm', [8]),
    positive('rv', 8),
    weights('mul', [8, 1, 1]),
    weights('add', [1, 8, 1, 1]),
    weights('w2', [8, 2, 3, 3], { typed: true }),
    weights('w3', [16, 24]),
    weights('b3', [24]),
    weights('w4', [5, 24]),
    tensor('half', [], Float32Array.of(0.5)),
    tensor('one', [], Float32Array.of(1)),
    tensor('root', [], Float32Array.of(Math.SQRT2)),
    int64('zero', 0),
    int64('minus', -1),
  ],
  nodes: [
    node('Sub', ['x', 'mean'], 'x0'),
    node('Div', ['x0', 'std'], 'x1'),
    node('Conv', ['x1', 'w1', 'b1'], 'c1', { pads: [1, 2, 1, 2], strides: [2, 1] }),
    node('BatchNormalization', ['c1', 'scale', 'shift', 'rm', 'rv'], 'n1', { epsilon: { float: 0.01 } }),
    node('Mul', ['n1', 'mul'], 'n2'),
    node('Add', ['add', 'n2'], 'n3'),
    node('Sigmoid', ['n3'], 's'),
    node('Mul', ['s', 'n3'], 'silu'),
    node('Conv', ['silu', 'w2'], 'c2', { auto_pad: 'SAME_UPPER', group: 4 }),
    node('Add', ['c2', 'silu'], 'sum'),
    node('Clip', ['sum', ''], 'same'),
    node('MaxPool', ['same'], 'p1', { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
    node('AveragePool', ['same'], 'p2', { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] }),
    node('MaxPool', ['p2'], 'p3', { kernel_shape: [3, 3], strides: [1, 1] }),
    node('GlobalAveragePool', ['p1'], 'g1'),
    node('GlobalMaxPool', ['p3'], 'g2'),
    node('Concat', ['g1', 'g2'], 'both', { axis: 1 }),
    node('Shape', ['both'], 'shape'),
    node('Gather', ['shape', 'zero'], 'batch'),
    node('Concat', ['batch', 'minus'], 'target', { axis: 0 }),
    node('Reshape', ['both', 'target'], 'flat'),
    node('MatMul', ['flat', 'w3'], 'm'),
    node('Add', ['m', 'b3'], 'l'),
    node('Div', ['l', 'root'], 'e0'),
    node('Erf', ['e0'], 'e1'),
    node('Add', ['e1', 'one'], 'e2'),
    node('Mul', ['l', 'e2'], 'e3'),
    node('Mul', ['e3', 'half'], 'gelu'),
    node('Gemm', ['gelu', 'w4'], 'logits', { transB: 1, alpha: { float: 0.5 } }),
    node('Softmax', ['logits'], 'y', { axis: -1 }),
  ],
};

t.test('a file with a bit of everything gives the outputs of ONNX Runtime', judged, async (t) => {
  const path = join(temporaryFolder(t), 'rich.onnx');
  writeModel(path, richModel);
  const { model, difference, outputs } = await compareWithRuntime(path, ort);
  t.equal(outputs, 5);
  t.ok(difference < 1e-5, `${difference}`);
  t.same(model.network.input, [3, 12, 10]);
  t.same(
    model.report.tail.map(({ operator }) => operator),
    ['Softmax'],
  );
  const kinds = model.network.nodes.map(({ kind }) => kind);
  t.equal(kinds.filter((kind) => kind === 'batchNorm').length, 1, 'Mul and Add are joined to the norm, which stays');
  t.equal(kinds.filter((kind) => kind === 'conv2d').length, 3, 'two, and one for mean and deviation of the input');
  t.ok(kinds.includes('silu') && kinds.includes('gelu') && !kinds.includes('sigmoid'));
});

t.test('a layer that two nodes read is not changed by a constant behind it', judged, async (t) => {
  const path = join(temporaryFolder(t), 'shared.onnx');
  writeModel(path, {
    inputs: { x: [1, 2, 5, 5] },
    outputs: { y: [1, 4, 5, 5] },
    initializers: [weights('w', [4, 2, 1, 1]), weights('k', [4, 1, 1])],
    nodes: [
      node('Conv', ['x', 'w'], 'c'),
      node('Identity', ['c'], 'alias'),
      node('Mul', ['alias', 'k'], 'm'),
      node('Relu', ['c'], 'r'),
      node('Add', ['m', 'r'], 'y'),
    ],
  });
  const { difference } = await compareWithRuntime(path, ort);
  t.ok(difference < 1e-5, `${difference}`);
});

t.test('1-D convolutions and pooling, products that begin with a constant', judged, async (t) => {
  const path = join(temporaryFolder(t), 'sequence.onnx');
  writeModel(path, {
    inputs: { x: ['n', 4, 20] },
    outputs: { y: ['n', 6, 8] },
    initializers: [weights('w', [6, 4, 5]), weights('b', [6]), weights('k', [6, 1]), tensor('two', [], Float32Array.of(2))],
    nodes: [
      node('Conv', ['x', 'w', 'b'], 'c', { pads: [4, 4], dilations: [2], kernel_shape: [5] }),
      node('Relu', ['c'], 'r'),
      node('Sub', ['k', 'r'], 's'),
      node('Mul', ['two', 's'], 'd'),
      node('MaxPool', ['d'], 'y', { kernel_shape: [5], strides: [2], pads: [0, 0] }),
    ],
  });
  const { difference } = await compareWithRuntime(path, ort);
  t.ok(difference < 1e-5, `${difference}`);
});

t.test('gates, shuffled channels, slices, transposed convolutions and padding that differs between the sides', judged, async (t) => {
  const path = join(temporaryFolder(t), 'layouts.onnx');
  writeModel(path, {
    opset: 13,
    inputs: { x: [1, 3, 9, 8] },
    outputs: { y: ['n', 'm'] },
    initializers: [
      weights('w1', [8, 3, 3, 3]),
      weights('w2', [8, 8, 1, 1]),
      weights('wt', [8, 3, 2, 3]),
      weights('bt', [6]),
      weights('slopes', [6, 1, 1]),
      int64('five', 1, 2, 4, 4, 4),
      int64('four', 1, 8, 4, 4),
      int64('pads', 0, 0, 1, 0, 0, 0, 0, 2),
      int64('from', 1, 0),
      int64('to', 100, -1),
      int64('axes', 2, -1),
      int64('steps', 1, 2),
      tensor('two', [], Float32Array.of(2)),
      tensor('low', [], Float32Array.of(-0.5)),
      tensor('high', [], Float32Array.of(4)),
    ],
    nodes: [
      node('Conv', ['x', 'w1'], 'c1', { pads: [0, 0, 1, 2] }),
      node('Relu', ['c1'], 'r1'),
      node('MaxPool', ['r1'], 'p1', { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 1, 0] }),
      node('GlobalAveragePool', ['p1'], 'g1'),
      node('Conv', ['g1', 'w2'], 'g2'),
      node('HardSigmoid', ['g2'], 'g3'),
      node('Mul', ['g3', 'p1'], 'gated'),
      node('Reshape', ['gated', 'five'], 's1'),
      node('Transpose', ['s1'], 's2', { perm: [0, 2, 1, 3, 4] }),
      node('Reshape', ['s2', 'four'], 's3'),
      node('ConvTranspose', ['s3', 'wt', 'bt'], 'd1', { group: 2, strides: [2, 1], pads: [0, 1, 0, 1] }),
      node('PRelu', ['d1', 'slopes'], 'd2'),
      node('Pow', ['d2', 'two'], 'd3'),
      node('Pad', ['d3', 'pads'], 'd4'),
      node('Slice', ['d4', 'from', 'to', 'axes', 'steps'], 'd5'),
      node('Sub', ['d5', 'd5'], 'zero'),
      node('Concat', ['d5', 'zero', 'd5'], 'd6', { axis: 3 }),
      node('Clip', ['d6', 'low', 'high'], 'd7'),
      node('Flatten', ['d7'], 'y'),
    ],
  });
  const { difference, outputs } = await compareWithRuntime(path, ort);
  t.equal(outputs, 6 * 8 * 9);
  t.ok(difference < 1e-5, `${difference}`);
});

t.test('all faults are in one error', async (t) => {
  const path = join(temporaryFolder(t), 'faults.onnx');
  writeModel(path, {
    inputs: { x: [1, 2, 6, 6] },
    outputs: { y: [1, 2, 1, 1], z: [1, 2, 3, 3] },
    initializers: [weights('w', [2, 2, 3, 3])],
    nodes: [
      node('AveragePool', ['x'], 'c', { kernel_shape: [3, 3], pads: [0, 0, 1] }, 'uneven'),
      node('Det', ['c'], 'l', {}, 'norm'),
      node('NonZero', ['l'], 'i', {}, 'odd'),
      node('Upsample', ['x'], 'p', { mode: 'cubic', scales: [1, 1, 2, 2] }, 'cubic'),
      node('Add', ['i', 'p'], 'y', {}, 'behind'),
      node('Conv', ['x', 'w'], 'z', {}, 'alone'),
    ],
  });
  const error = await importModel(path).catch((e) => e);
  t.equal(error.name, 'ImportError');
  t.equal(error.code, 'ERR_SELFCOMPRESS_IMPORT');
  t.same(
    error.faults.map((fault) => fault.node),
    ['uneven', 'norm', 'odd', 'cubic'],
  );
  for (const part of [
    'AveragePool "uneven" needs 4 whole numbers from 0 to 1048576 as padding',
    'Det "norm"',
    'an import rule for NonZero',
    'a scale or a size for each of 4 axes',
  ]) {
    t.ok(error.message.includes(part), part);
  }
  const chosen = await importModel(path, { output: 'z' });
  t.same(inspectNetwork(chosen.network).shapes[chosen.network.output], [2, 4, 4]);
});

t.test('sizes that the file leaves open', async (t) => {
  const path = join(temporaryFolder(t), 'open.onnx');
  const body = { outputs: { y: ['n', 2, 'h', 'w'] }, initializers: [weights('w', [2, 3, 3, 3])], nodes: [node('Conv', ['x', 'w'], 'y')] };
  writeModel(path, { ...body, inputs: { x: ['n', 3, 'height', 'width'] } });
  await t.rejects(importModel(path), { name: 'ImportError', message: /it has \[n, 3, height, width\]/ });
  t.same((await importModel(path, { input: [3, 8, 9] })).network.input, [3, 8, 9]);
});

t.test('external data, inside of the folder only', judged, async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'model'));
  const path = join(folder, 'model', 'm.onnx');
  const values = floats(random, 20);
  writeFileSync(join(folder, 'model', 'w.bin'), Buffer.from(values.buffer));
  writeFileSync(join(folder, 'secret.bin'), Buffer.from(values.buffer));
  const write = (external) =>
    writeModel(path, {
      inputs: { x: [1, 3] },
      outputs: { y: [1, 4] },
      initializers: [tensor('w', [3, 4], values, { external })],
      nodes: [node('MatMul', ['x', 'w'], 'y')],
    });
  write({ location: 'w.bin', offset: 32, length: 48 });
  const { state, network } = await importModel(path);
  t.equal(state[`${network.output}.weight`][1], values[8 + 4], 'transposed');
  t.ok((await compareWithRuntime(path, ort)).difference < 1e-5);
  for (const [external, message] of [
    [{ location: '../secret.bin' }, /outside of the model's folder/],
    [{ location: join(folder, 'secret.bin') }, /no relative path/],
    [{ location: 'nothing.bin' }, /nothing.bin/],
    [{ location: 'w.bin', offset: 40, length: 48 }, /48 bytes at 40 of "w.bin", which has 80/],
    [{ location: 'w.bin', offset: 0, length: 40 }, /of 12 elements has 40 bytes/],
    [{ location: 'w.bin', offset: -8, length: 48 }, /at -8/],
  ]) {
    write(external);
    await t.rejects(importModel(path), { name: 'DataError', message }, JSON.stringify(external));
  }
});

t.test('a large file leaves the event loop its turns', async (t) => {
  const path = join(temporaryFolder(t), 'large.onnx');
  const layers = Array.from({ length: 24 }, (_, i) => i);
  writeModel(path, {
    inputs: { x: [1, 512] },
    outputs: { y24: [1, 512] },
    initializers: layers.map((i) => tensor(`w${i}`, [512, 512], new Float32Array(512 * 512).fill(0.01))),
    nodes: layers.map((i) => node('Gemm', [i ? `y${i}` : 'x', `w${i}`], `y${i + 1}`, { transB: i % 2 })),
  });
  let longest = 0;
  let last = performance.now();
  const watch = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const start = performance.now();
  await importModel(path);
  const total = performance.now() - start;
  clearInterval(watch);
  longest = Math.max(longest, performance.now() - last);
  t.ok(longest < total / 2, `${longest} of ${total} ms at a stretch`);
});

t.test('damaged files end in typed errors', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'm.onnx');
  writeModel(path, richModel);
  const whole = readFileSync(path);
  const kinds = new Set();
  for (let i = 0; i < 400; i++) {
    const damaged = Buffer.from(whole);
    for (let k = 0; k <= i % 4; k++) damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256);
    writeFileSync(path, i % 5 === 0 ? damaged.subarray(0, 1 + Math.floor(random() * whole.length)) : damaged);
    const error = await importModel(path).then(
      () => undefined,
      (e) => e,
    );
    kinds.add(error?.code ?? 'none');
    if (error && !String(error.code).startsWith('ERR_SELFCOMPRESS_')) t.fail(`${error.stack}`);
  }
  t.ok(kinds.has('ERR_SELFCOMPRESS_DATA'), [...kinds].join());
  await t.rejects(importModel(join(folder, 'none.onnx')), { name: 'DataError' });
  await t.rejects(importModel('x.bin'), { name: 'RangeError', message: /for path but received "x.bin"/ });
  await t.rejects(importModel(3), { name: 'TypeError' });
});

t.test('an imported network trains: norms learn on, zeros start at b = 0', async (t) => {
  const path = join(temporaryFolder(t), 'train.onnx');
  const filters = floats(random, 8 * 9);
  filters.fill(0, 0, 9);
  writeModel(path, {
    inputs: { x: ['n', 1, 12, 12] },
    outputs: { y: ['n', 4] },
    initializers: [
      tensor('w', [8, 1, 3, 3], filters),
      ...[positive('s', 8), weights('b', [8]), weights('m', [8]), positive('v', 8), weights('f', [800, 4])],
    ],
    nodes: [
      node('Conv', ['x', 'w'], 'c'),
      node('BatchNormalization', ['c', 's', 'b', 'm', 'v'], 'n'),
      node('Relu', ['n'], 'r'),
      node('Flatten', ['r'], 'f1'),
      node('MatMul', ['f1', 'f'], 'y'),
    ],
  });
  const { network, state } = await importModel(path);
  const trainer = Trainer.create({ network, state, data: toyDataset(), epochs: 10, batchSize: 32, gamma: 0 });
  t.teardown(() => trainer.dispose());
  const conv = network.nodes[0].name;
  t.equal((await trainer.state())[`${conv}.bitDepth`][0], 0);
  const before = await trainer.evaluate();
  await trainer.run();
  const after = await trainer.evaluate();
  t.ok(after.loss < before.loss / 2 && after.accuracy > before.accuracy, `${before.loss} → ${after.loss}, ${before.accuracy} → ${after.accuracy}`);
});

t.test('the command line', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'digits.onnx');
  writeModel(path, {
    inputs: { x: ['n', 1, 28, 28] },
    outputs: { y: ['n', 10] },
    initializers: [weights('w', [4, 1, 5, 5]), weights('f', [256, 10])],
    nodes: [
      node('Conv', ['x', 'w'], 'c', { strides: [3, 3] }),
      node('Relu', ['c'], 'r'),
      node('Flatten', ['r'], 'v'),
      node('MatMul', ['v', 'f'], 'y'),
    ],
  });
  const run = (...args) => spawnSync(process.execPath, [cli, ...args.map(String)], { encoding: 'utf8' });
  const inspected = run('inspect', path);
  t.match(inspected.stdout, /opset 17 by test, input 1×28×28: 1 Conv, 1 Relu, 1 Flatten, 1 MatMul/, inspected.stderr);
  t.equal(JSON.parse(run('inspect', path, '--json').stdout).weights, 100 + 2560);
  const out = join(folder, 'run');
  const trained = run('train', '--from', path, '--limit', 200, '--epochs', 1, '--threads', 1, '--out', out);
  t.equal(trained.status, 0, trained.stderr);
  t.match(trained.stderr, /digits on digits/);
  t.match(run('train', '--from', path, '--model', 'mlp', '--out', out, '--force').stderr, /Expected no --model, --width and --map with/);
  t.equal(JSON.parse(run('eval', path, '--dataset', 'digits', '--json').stdout).images, 2004);
});
