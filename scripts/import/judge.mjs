// What ONNX Runtime makes of a file, and what the imported network makes of the same input.
import { readFileSync } from 'node:fs';
import { fileOrder } from '../../dist/import/onnx/layout.js';
import { translateOnnx } from '../../dist/import/onnx/model.js';
import { decodeModelProto } from '../../dist/import/onnx/proto.js';
import { binding, importModel, initialState } from '../../dist/index.js';

/** Seeded numbers of about unit variance. */
export function inputNumbers(count, seed = 1) {
  let a = seed;
  const uniform = () => {
    a = (Math.imul(a, 1664525) + 1013904223) >>> 0;
    return a / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () => uniform() + uniform() + uniform() - 1.5);
}

/** Seeded tokens. */
export function inputTokens(count, vocabulary) {
  return Int32Array.from(inputNumbers(count, 5), (x) => Math.floor(Math.abs(x) * 1e6) % vocabulary);
}

/** Rows of the tables that the network's tokens name: the fewest. */
const vocabularyOf = ({ nodes }) => Math.min(...nodes.flatMap(({ vocabulary }) => vocabulary ?? []));

/** The network's prediction for examples [count × input]. */
export async function predict({ network, state }, images, count) {
  const options = { device: 'cpu', loss: { kind: 'meanSquaredError' }, optimizer: { kind: 'sgd' }, batchSize: count };
  const layers = new Set(binding.operators().flatMap(({ kind, fields }) => (fields.some(({ name }) => name === 'compress') ? [kind] : [])));
  const plain = { ...network, nodes: network.nodes.map((node) => (layers.has(node.kind) ? { ...node, compress: false } : node)) };
  const compiled = new binding.Network(plain, options);
  try {
    await compiled.loadState(initialState(compiled.parameters, 0, { bitDepth: 8, headroom: 0 }, state));
    return await compiled.predict(images, count);
  } finally {
    await compiled.dispose();
  }
}

/** The network's prediction, or its input, in the file's order: the batch first among the axes of one example. */
export function inFileOrder(activation, values, count) {
  const order = fileOrder(activation);
  return Float32Array.from(
    { length: values.length },
    (_, i) => values[Math.floor(i / order.length) * order.length + order[i % order.length]],
  ).subarray(0, count * order.length);
}

/** Examples in the file's order as the network wants them. */
export function inNetworkOrder(activation, values) {
  const order = fileOrder(activation);
  const result = new Float32Array(values.length);
  values.forEach((x, i) => {
    result[Math.floor(i / order.length) * order.length + order[i % order.length]] = x;
  });
  return result;
}

/** Every run of an axis of numbers, in place. */
function alongAxis(values, shape, given, change) {
  const axis = given < 0 ? given + shape.length : given;
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const size = shape[axis];
  for (let at = 0; at < values.length; at += size * inner) {
    for (let i = 0; i < inner; i++) {
      const row = Array.from({ length: size }, (_, k) => values[at + k * inner + i]);
      change(row).forEach((x, k) => {
        values[at + k * inner + i] = x;
      });
    }
  }
}

/** What training's loss does itself, done to a prediction in the file's order. */
export function applyTail(tail, values, shape) {
  let result = Float64Array.from(values);
  for (const { operator, axis } of tail) {
    if (operator === 'Sigmoid') result = result.map((x) => 1 / (1 + Math.exp(-x)));
    else if (operator === 'Softmax' || operator === 'LogSoftmax') {
      alongAxis(result, shape, axis, (row) => {
        const most = Math.max(...row);
        const sum = row.reduce((total, x) => total + Math.exp(x - most), 0);
        return row.map((x) => (operator === 'Softmax' ? Math.exp(x - most) / sum : x - most - Math.log(sum)));
      });
    } else if (operator === 'ArgMax') {
      const found = [];
      alongAxis(result, shape, axis, (row) => {
        found.push(row.indexOf(Math.max(...row)));
        return row;
      });
      result = Float64Array.from(found);
    }
  }
  return result;
}

/** Largest absolute difference ÷ largest absolute output. */
export function relativeDifference(actual, expected) {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  let largest = 0;
  expected.forEach((x, i) => {
    const difference = Math.abs(actual[i] - Number(x));
    worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
    largest = Math.max(largest, Math.abs(Number(x)));
  });
  return worst === 0 ? 0 : worst / largest;
}

/** The file with another tensor among its outputs: a second message of the graph adds to the first. */
function withOutput(path, name) {
  const message = (field, value) => Buffer.concat([Buffer.of((field << 3) | 2, (value.length & 127) | 128, value.length >> 7), value]);
  const type = message(1, Buffer.of(8, 1)); // tensor of floats
  const info = Buffer.concat([message(1, Buffer.from(name)), message(2, type)]);
  return Buffer.concat([readFileSync(path), message(7, message(12, info))]);
}

/** Tokens in the type that the file's input has. */
function tokensFor(path, tokens) {
  const { graph } = decodeModelProto(readFileSync(path));
  const constants = new Set(graph.initializer.map(({ name }) => name));
  const { elemType } = graph.input.find(({ name }) => !constants.has(name)).type.tensorType;
  if (elemType === 7) return ['int64', BigInt64Array.from(tokens, BigInt)];
  return elemType === 2 ? ['uint8', Uint8Array.from(tokens)] : ['int32', tokens];
}

/** Imports a file and compares it with ONNX Runtime on random input. @returns the difference, and the imported model */
export async function compareWithRuntime(path, ort, options = {}) {
  const model = await importModel(path, options);
  const { input, output, tensor } = await translateOnnx(path, options);
  const { tail } = model.report;
  // Softmax and the like make nearly equal numbers of what they get: what they get is compared.
  const exact = tail.length > 0;
  const session = await ort.InferenceSession.create(exact ? withOutput(path, tensor) : path, { logSeverityLevel: 3 });
  const size = input.sizes.reduce((a, b) => a * b, 1);
  const images = input.isTokens ? inputTokens(size, vocabularyOf(model.network)) : inputNumbers(size);
  const [name] = session.inputNames;
  const given = input.isTokens ? tokensFor(path, images) : ['float32', images];
  const results = await session.run({ [name]: new ort.Tensor(...given, input.shape) });
  const whole = results[options.output ?? session.outputNames[0]].data;
  const expected = exact ? results[tensor].data : whole;
  const prediction = inFileOrder(output, await predict(model, input.isTokens ? images : inNetworkOrder(input, images), 1), 1);
  const behind = exact ? relativeDifference(applyTail(tail, prediction, output.shape), Array.from(whole)) : 0;
  return { model, difference: relativeDifference(prediction, Array.from(expected)), behind, outputs: whole.length };
}

/** A data set has images: a sequence is one of one row, a vector one of one pixel. */
const imageShape = ([channels, ...positions]) => [channels, ...(positions.length > 1 ? positions : [1, positions[0] ?? 1])];

/** One step of training towards other numbers than the network's own, with everything compressed. @returns the losses before and after */
export async function trainStep({ network, state }) {
  const options = { device: 'cpu', loss: { kind: 'l1' }, optimizer: { kind: 'adam' }, batchSize: 1 };
  const compiled = new binding.Network(network, options);
  try {
    await compiled.loadState(initialState(compiled.parameters, 0, { bitDepth: 8, headroom: 1 }, state));
    const [channels, ...positions] = network.input;
    const pixels = positions.reduce((a, b) => a * b, 1);
    const isToken = network.inputType === 'token';
    const images = isToken ? inputTokens(pixels, vocabularyOf(network)) : inputNumbers(channels * pixels);
    const prediction = await compiled.predict(images, 1);
    const targets = prediction.map((x, i) => x + Math.sin(i + 1));
    const examples = isToken ? { tokens: images, length: pixels, vocabulary: vocabularyOf(network) } : { shape: imageShape(network.input), images };
    const data = new binding.DataSet({ ...examples, targets });
    const settings = { seed: 1, gamma: 0.01, learningRate: 1e-4, bitDepthLearningRate: 0.1, exponentLearningRate: 0.01 };
    const { loss } = await compiled.trainStep(data, Int32Array.of(0), { ...settings, step: 1 });
    const next = await compiled.trainStep(data, Int32Array.of(0), { ...settings, step: 2 });
    return [loss, next.loss];
  } finally {
    await compiled.dispose();
  }
}
