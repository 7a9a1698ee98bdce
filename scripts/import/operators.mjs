// The ONNX standard's tests of operators through the importer: passed, refused with the reason, or failed.
//   node scripts/import/operators.mjs FOLDER        (FOLDER/node/test_*/model.onnx and test_data_set_0/*.pb)
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { translateOnnx } from '../../dist/import/onnx/model.js';
import { decodeModelProto, decodeTensorProto } from '../../dist/import/onnx/proto.js';
import { isFloatType, readTensor } from '../../dist/import/onnx/tensors.js';
import { applyTail, predict } from './judge.mjs';

const [folder] = process.argv.slice(2);
const json = process.argv.includes('--json');

async function tensorOf(path) {
  const proto = decodeTensorProto(readFileSync(path));
  return { name: proto.name, dataType: proto.dataType, ...(await readTensor(proto, path)) };
}

/** The standard's tolerance: 1e-3 of the value, and 1e-7. */
const agrees = (actual, expected) =>
  actual.length === expected.length && expected.every((x, i) => Object.is(x, actual[i]) || Math.abs(actual[i] - x) <= 1e-7 + 1e-3 * Math.abs(x));

/** A network has at least one layer with weights: a convolution that changes nothing, before the rest. */
function withLayer({ network, state, report }) {
  const [channels] = network.input;
  const identity = { kind: 'conv2d', name: 'identity', inputs: ['input'], outChannels: channels, kernel: [1, 1], groups: channels, bias: false };
  const nodes = network.nodes.map((node) => ({ ...node, inputs: node.inputs.map((name) => (name === 'input' ? 'identity' : name)) }));
  const given = { ...state, 'identity.weight': new Float32Array(channels).fill(1) };
  return { network: { ...network, nodes: [{ ...identity, compress: false }, ...nodes] }, state: given, report };
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
  // The input with a batch is the network's; the others are constants, as in files of trained networks.
  const [first] = inputs;
  if (!first) return result('refused', 'no inputs');
  const [name, image] = first;
  if (!isFloatType(image.dataType)) return result('refused', 'an input of integers');
  const constants = new Map([...inputs].filter(([other]) => other !== name));
  let model;
  try {
    model = withLayer(await translateOnnx(path, { constants, output: graph.output[0].name }));
  } catch (error) {
    if (error.name === 'ImportError') return result('refused', error.faults.map(({ needs }) => needs).join('; '));
    return result('failed', error.message);
  }
  const expected = (await tensorOf(join(data, 'output_0.pb'))).data;
  const prediction = await predict(model, Float32Array.from(image.data), image.shape[0]);
  const actual = applyTail(model.report.tail, prediction, prediction.length / image.shape[0]);
  return agrees(actual, Array.from(expected)) ? result('passed') : result('failed', 'another result');
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
