// Nodes of ONNX files whose inputs, axes or sizes are not those of their operator: each is a typed error that says what is at fault.
import { join } from 'node:path';
import t from 'tap';
import { node, tensor, writeModel } from './onnx-writer.mjs';
import { importModel, temporaryFolder } from './support.mjs';

const int64 = (name, ...values) => tensor(name, [values.length], BigInt64Array.from(values.map(BigInt)));
const floats = (name, ...shape) => tensor(name, shape, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5));
const conv = (fields) => [node('Conv', ['x', 'w'], 'y', fields)];
const shaped = (...nodes) => [...nodes, node('Reshape', ['x', 's'], 'y')];

const faults = {
  'Mul without inputs': [node('Mul', [], 'y')],
  'Mul of one input': [node('Mul', ['x'], 'y')],
  'Div without inputs': [node('Div', [], 'y')],
  'Add without inputs': [node('Add', [], 'y')],
  'Sum without inputs': [node('Sum', [], 'y')],
  'Concat without inputs': [node('Concat', [], 'y', { axis: 1 })],
  'Relu without inputs': [node('Relu', [], 'y')],
  'Softmax without inputs': [node('Softmax', [], 'y')],
  'Identity of itself': [node('Identity', ['y'], 'y')],
  'weights of another rank': [node('Conv', ['x', 'v'], 'y')],
  'a vector as a matrix': [node('Flatten', ['x'], 'f'), node('Gemm', ['f', 'v'], 'y')],
  'one stride of two': conv({ strides: [1] }),
  'strides of 0': conv({ strides: [0, 1] }),
  'three dilations': conv({ dilations: [1, 1, 1] }),
  'two sides of four': conv({ pads: [1, 1] }),
  'padding below 0': conv({ pads: [-1, 0, -1, 0] }),
  'a pool without a kernel': [node('MaxPool', ['x'], 'y')],
  'a pool of a kernel of 0': [node('AveragePool', ['x'], 'y', { kernel_shape: [0, 2] })],
  'a shape with a size of an axis that is not there': [node('Reshape', ['x', 'zeros'], 'y')],
  'a vector without a batch': [node('Reshape', ['x', 'all'], 'y')],
  'constants of sizes below 0': shaped(node('ConstantOfShape', ['below'], 's')),
  'an axis twice': shaped(node('Unsqueeze', ['below', 'twice'], 's')),
  'a permutation with an axis twice': shaped(node('Transpose', ['v2'], 's', { perm: [0, 0] })),
  'constants put together of other sizes': shaped(node('Concat', ['v2', 'v'], 's', { axis: 0 })),
  'fewer ends than starts': shaped(node('Slice', ['twice', 'twice', 'below'], 's')),
  'a slice with an end of two': [node('Slice', ['x', 'twice', 'below'], 'y')],
  'a slice with an axis of two': [node('Slice', ['x', 'twice', 'twice', 'below'], 'y')],
  'a slice of an axis that is not there': [node('Slice', ['x', 'all', 'all', 'all'], 'y')],
  'parts of other sizes': [node('Split', ['x', 'below'], 'y', { axis: 1 })],
  'an axis to split that is not there': [node('Split', ['x'], 'y', { axis: 9 })],
  'padding of an axis that is not there': [node('Pad', ['x', 'twice', '', 'all'], 'y')],
  'padding by two values': [node('Pad', ['x', 'zeros', 'v2'], 'y')],
  'sizes of five axes': [node('Resize', ['x', '', '', 'zeros'], 'y')],
  'scales below 0': [node('Resize', ['x', '', 'shrink'], 'y')],
  'one axis of four': [node('Transpose', ['x'], 'y', { perm: [0] })],
  'no groups': [node('ConvTranspose', ['x', 'w2'], 'y', { group: 0 })],
  'transposed strides of 0': [node('ConvTranspose', ['x', 'w2'], 'y', { strides: [0, 1] })],
  'blocks of 0': [node('DepthToSpace', ['x'], 'y', { blocksize: 0 })],
  'a norm with scales for others': [node('InstanceNormalization', ['x', 'v', 'v'], 'y')],
  'slopes for others': [node('PRelu', ['x', 'v'], 'y')],
  'a power by many': [node('Pow', ['x', 'v'], 'y')],
  'a range from two numbers': shaped(node('Range', ['twice', 'below', 'below'], 's')),
};

t.test('every node is named, or the graph', async (t) => {
  const path = join(temporaryFolder(t), 'm.onnx');
  for (const [name, nodes] of Object.entries(faults)) {
    writeModel(path, {
      inputs: { x: [1, 2, 6, 6] },
      outputs: { y: [1, 2] },
      initializers: [
        ...[
          floats('w', 4, 2, 3, 3),
          floats('v', 4),
          floats('v2', 2, 2),
          floats('w2', 2, 3, 2, 2),
          tensor('shrink', [4], Float32Array.of(1, 1, -2, 2)),
        ],
        ...[int64('zeros', 1, 2, 6, 6, 0), int64('all', 72), int64('below', -5), int64('twice', 0, 0)],
      ],
      nodes,
    });
    const error = await importModel(path).then(
      () => undefined,
      (e) => e,
    );
    t.match(error, { name: /^(ImportError|DataError)$/ }, `${name}: ${error?.stack}`);
  }
});
