// The ONNX standard's tests of operators through the importer: passed, folded (the result does not depend on layers, and is computed
// once), refused with the reason, or failed.
//   node scripts/import/operators.mjs FOLDER [--json] [--write]    (FOLDER/node/test_*/model.onnx and test_data_set_0/*.pb)
// --write puts the table into docs/onnx.md.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OnnxNode } from '../../dist/import/onnx/context.js';
import { folds } from '../../dist/import/onnx/fold.js';
import { translateOnnx } from '../../dist/import/onnx/model.js';
import { decodeModelProto, decodeTensorProto } from '../../dist/import/onnx/proto.js';
import { isFloatType, readTensor } from '../../dist/import/onnx/tensors.js';
import { inspectNetwork } from '../../dist/index.js';
import { inFileOrder, inNetworkOrder, predict } from './judge.mjs';

const [folder] = process.argv.slice(2);
const json = process.argv.includes('--json');
/** In docs/onnx.md: what is behind it is this program's. */
const MARK = '<!-- operators.mjs --write -->';

const BFLOAT16 = 16;
/** `type`: of the model, where it says more than the file, which keeps bfloat16 as the bits of integers. */
async function tensorOf(path, type) {
  const proto = decodeTensorProto(readFileSync(path));
  if (type === BFLOAT16) proto.dataType = type;
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

/** The output of a graph all of whose inputs are constants, undefined where an operator has no rule for them. */
async function foldedResult(graph, version, inputs) {
  const values = new Map(inputs);
  for (const [index, proto] of graph.node.entries()) {
    const fold = folds[proto.opType];
    if (!fold) return undefined;
    const node = new OnnxNode(proto, index, version);
    const tensor = node.tensor('value');
    const given = proto.input.map((name) => (name === '' ? undefined : { constant: values.get(name) }));
    try {
      values.set(proto.output[0], fold({ node, inputs: given }, tensor && (await readTensor(tensor, ''))));
    } catch (error) {
      if (error.constructor.name !== 'Unsupported') throw error;
      return undefined;
    }
  }
  return values.get(graph.output[0].name);
}

async function runTest(directory) {
  const path = join(directory, 'model.onnx');
  const data = join(directory, 'test_data_set_0');
  const { graph, opsetImport } = decodeModelProto(readFileSync(path));
  const operator = [...new Set(graph.node.map(({ opType }) => opType))].join('+');
  const version = opsetImport[0]?.version;
  const result = (status, reason = '') => ({ operator, version, status, reason });
  const inputs = new Map();
  const noTensor = [...graph.input, ...graph.output].find(({ type }) => !type?.tensorType);
  if (noTensor) return result('refused', `tensors, not lists or options of them (${noTensor.name})`);
  for (const [i, { name, type }] of graph.input.entries()) {
    const file = join(data, `input_${i}.pb`);
    if (!existsSync(file)) return result('refused', 'inputs that are no tensors');
    try {
      inputs.set(name, await tensorOf(file, type.tensorType.elemType));
    } catch (error) {
      return result('refused', error.message.replace(/^.*?: /, ''));
    }
  }
  // The first input with a fraction is the network's; the others are constants, as in files of trained networks.
  const [name, image] = [...inputs].find(([, { dataType }]) => isFloatType(dataType)) ?? [];
  const folded =
    !image || graph.node.every(({ opType }) => ['Shape', 'Size', 'Range'].includes(opType)) ? await foldedResult(graph, version, inputs) : undefined;
  if (folded) {
    const expected = await tensorOf(join(data, 'output_0.pb'));
    const same = expected.shape.join() === folded.shape.join() && agrees(Array.from(folded.data), Array.from(expected.data));
    return same ? result('folded') : result('failed', 'another result of constants');
  }
  if (!image) return result('refused', `numbers with a fraction, or a rule for constants of ${operator}`);
  if (image.shape.includes(0)) return result('refused', 'tensors with elements');
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
const summary = `${of('passed').length} passed, ${of('folded').length} folded, ${of('refused').length} refused, ${of('failed').length} failed`;

/** Lines of Markdown: operators of which any test is not refused, one by one, and the others by what they would need. */
function report() {
  const operators = new Map();
  for (const r of results) operators.set(r.operator, [...(operators.get(r.operator) ?? []), r]);
  const lines = [`${summary}.`, '', '| operators | passed | folded | refused | failed | reasons |', '|---|---:|---:|---:|---:|---|'];
  const needs = new Map();
  for (const [operator, list] of operators) {
    const count = (status) => list.filter((r) => r.status === status).length;
    const reasons = [...new Set(list.filter((r) => r.reason).map((r) => r.reason))].join('; ');
    if (count('refused') < list.length) {
      lines.push(`| ${operator} | ${count('passed')} | ${count('folded')} | ${count('refused')} | ${count('failed')} | ${reasons} |`);
      continue;
    }
    const isList = /^(tensors, not lists or options of them \([^)]*\)(; )?)+$/.test(reasons);
    const single = operator.includes('+') ? reasons : reasons.replaceAll(operator, 'it');
    const kind = isList ? 'tensors, not lists or options of them' : single;
    needs.set(kind, [...(needs.get(kind) ?? []), `${operator.replaceAll('+', ', ')} (${list.length})`]);
  }
  lines.push('', 'Refused altogether, by what they would need:', '');
  for (const [kind, list] of needs) lines.push(`- ${kind}: ${list.join('; ')}`);
  return lines.join('\n');
}

if (json) console.log(JSON.stringify(results, undefined, 1));
else console.log(report());
for (const { test, reason } of of('failed')) console.error(`FAILED ${test}: ${reason}`);
console.error(summary);
if (process.argv.includes('--write')) {
  const path = new URL('../../docs/onnx.md', import.meta.url);
  const [before] = readFileSync(path, 'utf8').split(MARK);
  writeFileSync(path, `${before}${MARK}\n\n${report()}\n`);
}
process.exitCode = of('failed').length ? 1 : 0;
