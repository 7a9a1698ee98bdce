// What ONNX Runtime makes of a file, and what the imported network makes of the same input.
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

/** The network's prediction for examples [count × input]. */
export async function predict({ network, state }, images, count) {
  const options = { device: 'cpu', loss: { kind: 'meanSquaredError' }, optimizer: { kind: 'sgd' }, batchSize: count };
  const layers = new Set(binding.operators().flatMap(({ kind, hasWeights }) => (hasWeights ? [kind] : [])));
  const plain = { ...network, nodes: network.nodes.map((node) => (layers.has(node.kind) ? { ...node, compress: false } : node)) };
  const compiled = new binding.Network(plain, options);
  try {
    await compiled.loadState(initialState(compiled.parameters, 0, { bitDepth: 8, headroom: 0 }, state));
    return await compiled.predict(images, count);
  } finally {
    await compiled.dispose();
  }
}

/** What training's loss does itself, done to a prediction. */
export function applyTail(tail, values, classes) {
  let result = Float64Array.from(values);
  for (const { operator } of tail) {
    if (operator === 'Sigmoid') result = result.map((x) => 1 / (1 + Math.exp(-x)));
    else if (operator === 'Softmax' || operator === 'LogSoftmax') {
      for (let at = 0; at < result.length; at += classes) {
        const row = result.subarray(at, at + classes);
        const most = Math.max(...row);
        const sum = row.reduce((total, x) => total + Math.exp(x - most), 0);
        row.forEach((x, i) => {
          row[i] = operator === 'Softmax' ? Math.exp(x - most) / sum : x - most - Math.log(sum);
        });
      }
    } else if (operator === 'ArgMax') {
      const rows = result.length / classes;
      result = Float64Array.from({ length: rows }, (_, r) => {
        const row = result.subarray(r * classes, (r + 1) * classes);
        return row.indexOf(Math.max(...row));
      });
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

/** Imports a file and compares it with ONNX Runtime on random input. @returns the difference, and the imported model */
export async function compareWithRuntime(path, ort, options = {}) {
  const model = await importModel(path, options);
  const session = await ort.InferenceSession.create(path);
  const size = model.network.input.reduce((a, b) => a * b, 1);
  const images = inputNumbers(size);
  const [name] = session.inputNames;
  const results = await session.run({ [name]: new ort.Tensor('float32', images, [1, ...model.network.input]) });
  const expected = results[options.output ?? session.outputNames[0]].data;
  const prediction = await predict(model, images, 1);
  const actual = applyTail(model.report.tail, prediction, prediction.length);
  return { model, difference: relativeDifference(actual, Array.from(expected)), outputs: expected.length };
}
