// Small ONNX files for the tests of the importer, judged by ONNX Runtime.
import { join } from 'node:path';
import { compareWithRuntime } from '../scripts/import/judge.mjs';
import { node, tensor, writeModel } from './onnx-writer.mjs';
import { floats, randomNumbers, temporaryFolder } from './support.mjs';

export const ort = await import('onnxruntime-node').then(
  (module) => module.default,
  () => undefined,
);
export const judged = { skip: ort ? false : 'onnxruntime-node is not installed' };
const random = randomNumbers(7);
const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);
export const weights = (name, ...shape) => tensor(name, shape, floats(random, sizeOf(shape)));
export const number = (name, value) => tensor(name, [], Float32Array.of(value));
export const numbers = (name, ...values) => tensor(name, [values.length], Float32Array.from(values));
export const int64 = (name, ...values) => tensor(name, [values.length], BigInt64Array.from(values.map(BigInt)));
export const scalarInt = (name, value) => tensor(name, [], BigInt64Array.of(BigInt(value)));
export const float = (value) => ({ float: value });

/** One node behind a convolution. */
export const behind = (shape, nodes, initializers = [], opset = 17) => ({
  opset,
  inputs: { x: shape },
  outputs: { y: [1] },
  initializers: [weights('w0', shape[1], shape[1], ...shape.slice(2).map(() => 1)), ...initializers],
  nodes: [node('Conv', ['x', 'w0'], 'c'), ...nodes],
});

/** Forms by name: [model, a kind of node that its network has, a check of the network]. All give the outputs of ONNX Runtime. */
export async function judgeForms(t, forms, most = 2e-5) {
  const path = join(temporaryFolder(t), 'm.onnx');
  for (const [name, [model, kind, check]] of Object.entries(forms)) {
    const { options = {}, ...file } = model;
    writeModel(path, file);
    try {
      const { model: imported, difference } = await compareWithRuntime(path, ort, options);
      t.ok(difference < most, `${name}: ${difference}`);
      const kinds = imported.network.nodes.map((n) => n.kind);
      t.ok(kinds.includes(kind), `${name}: ${kinds}`);
      if (check) t.ok(check(imported.network), `${name}: ${imported.network.input}, ${kinds}`);
    } catch (error) {
      t.fail(`${name}: ${error.stack}`);
    }
  }
}
