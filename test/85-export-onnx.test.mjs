// Networks as ONNX files: ONNX Runtime, the standard's checker and our own importer judge them.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { rules } from '../dist/export/onnx/rules.js';
import { cases, describeCase, examplesFor, predictWith, randomState } from './export-support.mjs';
import { richNetwork } from './integer-support.mjs';
import { binding, difference, exportModel, floats, importModel, inspectNetwork, randomNumbers, toyNetwork } from './support.mjs';

const ort = await import('onnxruntime-node').then(
  (module) => module.default,
  () => undefined,
);
const judged = { skip: ort ? false : 'onnxruntime-node is not installed' };
/** Debian's packages are for its own interpreter. */
const python = ['/usr/bin/python3', 'python3'].find((path) => spawnSync(path, ['-c', 'import onnx']).status === 0);
const checked = { skip: python ? false : 'the Python package onnx is not installed' };

t.setTimeout(600_000); // a session of ONNX Runtime and two compiled networks for each case
const folder = mkdtempSync(join(tmpdir(), 'selfcompress-export-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const COUNT = 3;

async function runOnnx(bytes, input, images) {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const count = images.length / input.reduce((a, b) => a * b);
  const tensor =
    images instanceof Int32Array
      ? new ort.Tensor('int64', BigInt64Array.from(images, BigInt), [count, ...input.slice(1)])
      : new ort.Tensor('float32', images, [count, ...input]);
  const results = await session.run({ input: tensor });
  return results[session.outputNames[0]];
}

/** Exported files by case. */
const files = {};

t.test('every operator with a rule is in a case, and ONNX Runtime agrees with the training network', judged, async (t) => {
  const kinds = new Set(Object.values(cases).flatMap(([, nodes]) => nodes.map(({ kind }) => kind)));
  t.same(
    Object.keys(rules).filter((kind) => !kinds.has(kind)),
    [],
  );
  for (const name of Object.keys(cases)) {
    const network = describeCase(name);
    const state = randomState(network);
    const bytes = await exportModel({ network, state }, { format: 'onnx' });
    files[name] = bytes;
    const images = examplesFor(network, COUNT);
    const expected = await predictWith(network, state, images, COUNT);
    const result = await runOnnx(bytes, network.input, images).catch((error) => t.fail(`${name}: ${error.message}`));
    if (!result) continue;
    t.ok(difference(result.data, expected) < 2e-5, `${name}: ${difference(result.data, expected)}`);
    t.same(result.dims.slice(1).map(Number), binding.inspectNetwork(network).shapes[network.output], `${name}: shape`);
  }
});

t.test('the checker of the standard has nothing to say', checked, async (t) => {
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, `${name}.onnx`), bytes);
  const script = `
import onnx, sys, os
for name in sorted(os.listdir(sys.argv[1])):
    try:
        onnx.checker.check_model(onnx.load(os.path.join(sys.argv[1], name)), full_check=True)
    except Exception as error:
        print(name, error)
`;
  const { stdout, stderr, status } = spawnSync(python, ['-c', script, folder], { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  t.equal(stdout, '');
});

/** A prediction in the file's order. */
function inFileOrder({ shape, axes }, sizes, values) {
  if (axes.flat().every((axis, i, all) => i === 0 || axis >= all[i - 1])) return values;
  const order = axes.map((_, i) => i).sort((a, b) => (axes[a][0] ?? 0) - (axes[b][0] ?? 0) || a - b);
  const strides = sizes.map((_, i) => sizes.slice(i + 1).reduce((a, b) => a * b, 1));
  const count = shape.slice(1).reduce((a, b) => a * b, 1);
  return Float32Array.from(values, (_, at) => {
    let rest = at % count;
    let place = at - rest;
    for (const axis of [...order].reverse()) {
      place += (rest % sizes[axis]) * strides[axis];
      rest = Math.floor(rest / sizes[axis]);
    }
    return values[place];
  });
}

t.test('our importer makes the same network of it', async (t) => {
  for (const name of Object.keys(cases)) {
    const network = describeCase(name);
    const state = randomState(network);
    const path = join(folder, 'case.onnx');
    writeFileSync(path, await exportModel({ network, state }, { format: 'onnx' }));
    const imported = await importModel(path, { input: network.input }).catch((error) => t.fail(`${name}: ${error.message}`));
    if (!imported) continue;
    const layers = new Set(binding.operators().flatMap(({ kind, fields }) => (fields.some(({ name }) => name === 'compress') ? [kind] : [])));
    const plain = {
      ...imported.network,
      nodes: imported.network.nodes.map((node) => (layers.has(node.kind) ? { ...node, compress: false } : node)),
    };
    const images = examplesFor(network, COUNT);
    const expected = await predictWith(network, state, images, COUNT);
    const prediction = await predictWith(plain, imported.state, images, COUNT);
    const actual = inFileOrder(imported.report.output, inspectNetwork(imported.network).shapes[imported.network.output], prediction);
    const tail = imported.report.tail.length > 0; // a function that training's loss has in it
    if (!tail) t.ok(difference(actual, expected) < 2e-5, `${name}: ${difference(actual, expected)}`);
  }
});

t.test('removed channels are gone, norms are folded on demand', async (t) => {
  const network = toyNetwork();
  const state = randomState(network, 4);
  for (const name of ['conv1', 'conv2', 'conv3']) for (const of of ['bitDepth', 'bias']) state[`${name}.${of}`].fill(0, 1, 4); // dead channels
  for (const name of ['norm1', 'norm2']) for (const of of ['bias', 'runningMean']) state[`${name}.${of}`].fill(0, 1, 4);
  const images = examplesFor(network, COUNT);
  const expected = await predictWith(network, state, images, COUNT);
  const path = join(folder, 'toy.onnx');
  const sizes = [];
  for (const foldNorms of [false, true]) {
    const bytes = await exportModel({ network, state }, { format: 'onnx', foldNorms });
    writeFileSync(path, bytes);
    const { network: back, state: weights } = await importModel(path);
    t.equal(back.nodes.find(({ kind }) => kind === 'conv2d').outChannels, 5, 'three channels of eight are gone');
    t.equal(back.nodes.filter(({ kind }) => kind === 'batchNorm').length, foldNorms ? 0 : 2);
    const plain = { ...back, nodes: back.nodes.map((node) => ('compress' in node ? { ...node, compress: false } : node)) };
    t.ok(difference(await predictWith(plain, weights, images, COUNT), expected) < 2e-5);
    if (ort) t.ok(difference((await runOnnx(bytes, [1, 12, 12], images)).data, expected) < 2e-5);
    sizes.push(bytes.length);
  }
  t.ok(sizes[1] < sizes[0], 'folded norms need no bytes');
});

t.test('what ONNX does not have is refused by name, all of it at once', async (t) => {
  const linear = (name, outFeatures) => ({ kind: 'linear', name, inputs: ['input'], outFeatures, perPosition: true });
  const network = {
    input: [5, 7],
    nodes: [
      linear('q', 6),
      { kind: 'slicePositions', name: 'short', inputs: ['q'], count: [1, 3] },
      { kind: 'attention', name: 'one', inputs: ['q', 'short', 'short'], heads: 2, causal: true },
      { kind: 'attention', name: 'two', inputs: ['one', 'short', 'short'], heads: 2, causal: true },
    ],
    output: 'two',
  };
  const error = await exportModel({ network, state: randomState(network) }, { format: 'onnx' }).catch((error) => error);
  t.equal(error.name, 'ExportError');
  t.equal(error.code, 'ERR_SELFCOMPRESS_EXPORT');
  t.same(
    error.faults.map(({ node, operator }) => [node, operator]),
    [
      ['one', 'attention'],
      ['two', 'attention'],
    ],
  );
  t.match(error.message, /attention "one" needs a key for each query/);
});

t.test('integers: codes as int8 and int4, values in 8 bits, near the float network', judged, async (t) => {
  const network = richNetwork();
  const state = randomState(network, 9);
  state['n1.weight'].fill(-0.7, 2, 5); // of which the codes change their sign
  state['c1.weight'][2 * 18] = -100; // the lowest code, which has no opposite
  const count = 64;
  const calibration = floats(randomNumbers(5), count * 160);
  const expected = await predictWith(network, state, calibration, count);
  const sizes = [];
  for (const [bits, depth] of [
    [8, undefined],
    [4, 4],
  ]) {
    if (depth) for (const name of Object.keys(state)) if (name.endsWith('.bitDepth')) state[name].fill(depth);
    const options = { format: 'onnx', arithmetic: 'integer', int4: bits === 4, calibration };
    const bytes = await exportModel({ network, state }, options);
    const result = await runOnnx(bytes, network.input, calibration);
    const reference = depth ? await predictWith(network, state, calibration, count) : expected;
    t.ok(difference(result.data, reference) < 0.05, `${bits} bits: ${difference(result.data, reference)}`);
    sizes.push(bytes.length);
  }
  t.ok(sizes[1] < sizes[0], `${sizes} bytes`);
  await t.rejects(exportModel({ network, state }, { format: 'onnx', arithmetic: 'integer' }), { message: /for options.calibration but received/ });
});
