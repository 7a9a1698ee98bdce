// The ONNX standard's tests of operators through the importer: passed, refused with the reason, or failed.
//   node scripts/import/operators.mjs FOLDER        (FOLDER/node/test_*/model.onnx and test_data_set_0/*.pb)
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { translateOnnx } from '../../dist/import/onnx/model.js';
import { decodeModelProto, decodeTensorProto } from '../../dist/import/onnx/proto.js';
import { isFloatType, readTensor } from '../../dist/import/onnx/tensors.js';
import { inspectNetwork } from '../../dist/index.js';
import { inFileOrder, inNetworkOrder, predict } from './judge.mjs';

const [folder] = process.argv.slice(2);
const json = process.argv.includes('--json');

async function tensorOf(path) {
  const proto = decodeTensorProto(readFileSync(path));
  return { name: proto.name, dataType: proto.dataType, ...(await readTensor(proto, path)) };
}

/** The standard's tolerance: 1e-3 of the value, and 1e-7. */
const agrees = (actual, expected) =>
  actual.length === expected.length && expected.every((x, i) => Object.is(x, actual[i]) || Math.abs(actual[i] - x) <= 1e-7 + 1e-3 * Math.abs(x));

/** A network has at least one layer with weights: one that changes nothing, before the rest. */
function withLayer({ network, state, ...rest }) {
  const [channels, ...positions] = network.input;
  const isVolume = positions.length > 2;
  const layer = isVolume
    ? { kind: 'linear', outFeatures: channels, perPosition: true }
    : { kind: 'conv2d', outChannels: channels, kernel: [1, 1], groups: channels };
  const identity = { ...layer, name: 'identity', inputs: ['input'], bias: false };
  const weight = isVolume
    ? Float32Array.from({ length: channels ** 2 }, (_, i) => Number(i % (channels + 1) === 0))
    : new Float32Array(channels).fill(1);
  const behind = (name) => (name === 'input' ? 'identity' : name);
  const nodes = network.nodes.map((node) => ({ ...node, inputs: node.inputs.map(behind) }));
  const given = { ...state, 'identity.weight': weight };
  const whole = { ...network, nodes: [{ ...identity, compress: false }, ...nodes], output: behind(network.output) };
  return { network: whole, state: given, ...rest };
}

/** The test's tensors with the examples first, as networks have them, and back. */
function moveAxis(data, shape, from, to) {
  if (from < 0 || from === to) return Float32Array.from(data);
  const order = shape.map((_, i) => i).filter((i) => i !== from);
  order.splice(to, 0, from);
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  const sizes = order.map((i) => shape[i]);
  return Float32Array.from({ length: data.length }, (_, at) => {
    let rest = at;
    let place = 0;
    for (let k = order.length - 1; k >= 0; k--) {
      place += (rest % sizes[k]) * strides[order[k]];
      rest = Math.floor(rest / sizes[k]);
    }
    return data[place];
  });
}

/** The network's output for the test's input, in the order of the test. */
async function outputOf(model, image) {
  const { input, output } = model;
  const at = input.batchAxis;
  const count = at < 0 ? 1 : image.shape[at];
  const images = inNetworkOrder(input, moveAxis(image.data, image.shape, at, 0));
  const prediction = inFileOrder(output, await predict(model, images, count), count);
  const to = output.batchAxis;
  if (to <= 0) return prediction;
  const shape = [count, ...output.shape.filter((_, i) => i !== to)];
  return moveAxis(prediction, shape, 0, to);
}

async function runTest(directory) {
  const path = join(directory, 'model.onnx');
  const data = join(directory, 'test_data_set_0');
  const { graph, opsetImport } = decodeModelProto(readFileSync(path));
  const operator = [...new Set(graph.node.map(({ opType }) => opType))].join('+');
  const version = opsetImport[0]?.version;
  const result = (status, reason = '') => ({ operator, version, status, reason });
  const inputs = new Map();
  for (const [i, { name }] of graph.input.entries()) {
    const file = join(data, `input_${i}.pb`);
    if (!existsSync(file)) return result('refused', 'inputs that are no tensors');
    try {
      inputs.set(name, await tensorOf(file));
    } catch (error) {
      return result('refused', error.message.replace(/^.*?: /, ''));
    }
  }
  // The first input with a fraction is the network's; the others are constants, as in files of trained networks.
  const [name, image] = [...inputs].find(([, { dataType }]) => isFloatType(dataType)) ?? [];
  if (!image) return result('refused', inputs.size ? 'an input of integers' : 'no inputs');
  const constants = new Map([...inputs].filter(([other]) => other !== name));
  const reasons = [];
  // Its first axis counts examples, or it is one example, or another axis counts them.
  for (const batchAxis of [0, -1, ...image.shape.keys()].filter((axis, i) => axis > 0 === i > 1)) {
    let model;
    try {
      model = withLayer(await translateOnnx(path, { constants, output: graph.output[0].name || graph.output[1]?.name, batchAxis, whole: true }));
      inspectNetwork(model.network);
    } catch (error) {
      if (error.name !== 'ImportError') return result('failed', error.message);
      reasons.push(error.faults.map(({ needs }) => needs).join('; '));
      continue;
    }
    const expected = (await tensorOf(join(data, 'output_0.pb'))).data;
    return agrees(await outputOf(model, image), Array.from(expected)) ? result('passed') : result('failed', 'another result');
  }
  return result('refused', reasons.find((reason) => !reason.includes('batch')) ?? reasons[0]);
}

const results = [];
for (const test of readdirSync(join(folder, 'node')).sort()) {
  try {
    results.push({ test, ...(await runTest(join(folder, 'node', test))) });
  } catch (error) {
    results.push({ test, operator: '?', status: 'failed', reason: error.message });
  }
}
const of = (status) => results.filter((r) => r.status === status);
if (json) console.log(JSON.stringify(results, undefined, 1));
else {
  const operators = new Map();
  for (const r of results) operators.set(r.operator, [...(operators.get(r.operator) ?? []), r]);
  console.log('| operators | passed | refused | failed | reasons |\n|---|---:|---:|---:|---|');
  for (const [operator, list] of operators) {
    if (!list.some((r) => r.status !== 'refused') && !process.argv.includes('--all')) continue;
    const count = (status) => list.filter((r) => r.status === status).length;
    const reasons = [...new Set(list.filter((r) => r.status !== 'passed').map((r) => r.reason))].join('; ');
    console.log(`| ${operator} | ${count('passed')} | ${count('refused')} | ${count('failed')} | ${reasons} |`);
  }
  for (const { test, reason } of of('failed')) console.log(`FAILED ${test}: ${reason}`);
}
console.error(`${of('passed').length} passed, ${of('refused').length} refused, ${of('failed').length} failed`);
process.exitCode = of('failed').length ? 1 : 0;
