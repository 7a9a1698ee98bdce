// Forms of ONNX's operators that the standard's own tests have not: later opsets, directions, attention, functions written out.
// ONNX Runtime judges the outputs; each network has the nodes that it should have.
import { join } from 'node:path';
import t from 'tap';
import { compareWithRuntime } from '../scripts/import/judge.mjs';
import { behind, float, int64, judged, judgeForms, number, ort, scalarInt, weights } from './import-support.mjs';
import { node, tensor, writeModel } from './onnx-writer.mjs';
import { importModel, temporaryFolder } from './support.mjs';

/** Scores hidden above the diagonal. */
const causalMask = (name, size) =>
  tensor(
    name,
    [size, size],
    Float32Array.from({ length: size * size }, (_, i) => (i % size > Math.floor(i / size) ? -1e9 : 0)),
  );

/** Queries, keys and values of four heads by products with weights, and the heads put together again. */
function heads({ positions, causal = false, transposeFirst = false }) {
  const project = (of) => [
    node('MatMul', ['x0', `w${of}`], `${of}0`),
    node('Add', [`${of}0`, `b${of}`], `${of}1`),
    node('Reshape', [`${of}1`, 'split'], `${of}2`),
    node('Transpose', [`${of}2`], of, { perm: of === 'k' && !transposeFirst ? [0, 2, 3, 1] : [0, 2, 1, 3] }),
  ];
  return {
    inputs: { x: [1, positions, 16] },
    outputs: { y: [1, positions, 16] },
    initializers: [
      ...['q', 'k', 'v', 'o'].flatMap((of) => [weights(`w${of}`, 16, 16), weights(`b${of}`, 16)]),
      ...[int64('split', 0, 0, 4, 4), int64('join', 0, 0, 16), number('root', 2), causalMask('mask', positions), weights('w', 16, 16)],
    ],
    nodes: [
      node('MatMul', ['x', 'w'], 'x0'),
      ...['q', 'k', 'v'].flatMap(project),
      ...(transposeFirst ? [node('Transpose', ['k'], 'kt', { perm: [0, 1, 3, 2] })] : []),
      node('MatMul', ['q', transposeFirst ? 'kt' : 'k'], 's0'),
      node('Div', ['s0', 'root'], 's1'),
      ...(causal ? [node('Add', ['s1', 'mask'], 's2')] : []),
      node('Softmax', [causal ? 's2' : 's1'], 's3', { axis: -1 }),
      node('MatMul', ['s3', 'v'], 'a0'),
      node('Transpose', ['a0'], 'a1', { perm: [0, 2, 1, 3] }),
      node('Reshape', ['a1', 'join'], 'a2'),
      node('MatMul', ['a2', 'wo'], 'a3'),
      node('Add', ['a3', 'x0'], 'y'),
    ],
  };
}

/** A sequence of 5 positions through a recurrent layer. */
const recurrent = (kind, gates, attributes, directions, outputs = ['y', '']) => ({
  inputs: { x: [5, 1, 3] },
  outputs: { [outputs[0] ? 'y' : 'h']: [1] },
  initializers: [weights('w', directions, gates * 4, 3), weights('r', directions, gates * 4, 4), weights('b', directions, 2 * gates * 4)],
  nodes: [node(kind, ['x', 'w', 'r', 'b'], outputs, { hidden_size: 4, ...attributes })],
  options: { batchAxis: 1 },
});

const image = [1, 6, 8, 5];

const isCausal = ({ nodes }) => nodes.find(({ kind }) => kind === 'attention').causal;
const lowerBits = (size, of) =>
  tensor('mask', [size, size], Buffer.from(Array.from({ length: size * size }, (_, i) => Number(of(Math.floor(i / size), i % size)))), { type: 9 });

/** Queries of four heads, keys and values of two, [batch, heads, positions, channels]. */
function attentionOfFour(attributes, mask, valueChannels = 4) {
  const heads = { q: [4, 4], k: [2, 4], v: [2, valueChannels] };
  return {
    opset: 23,
    inputs: { x: [1, 5, 16] },
    outputs: { y: [1] },
    initializers: [
      ...Object.entries(heads).flatMap(([of, [count, size]]) => [weights(`w${of}`, 16, count * size), int64(`s${of}`, 0, 0, count, size)]),
      ...(mask ? [mask] : []),
    ],
    nodes: [
      ...Object.keys(heads).flatMap((of) => [
        node('MatMul', ['x', `w${of}`], `${of}0`),
        node('Reshape', [`${of}0`, `s${of}`], `${of}1`),
        node('Transpose', [`${of}1`], of, { perm: [0, 2, 1, 3] }),
      ]),
      node('Attention', ['q', 'k', 'v', ...(mask ? ['mask'] : [])], 'y', attributes),
    ],
  };
}

/** Two heads of twelve channels turned by angles that begin at position 2; `shape`: of the cosines and sines. */
function rotary(shape, attributes, inputs = ['q'], before = []) {
  const pairs = shape.at(-1);
  const angle = (i) => (2 + Math.floor(i / pairs)) * 500 ** (-(i % pairs) / pairs);
  const table = (name) =>
    tensor(
      name,
      shape,
      Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math[name](angle(i))),
    );
  const [q, ...ids] = inputs;
  return {
    opset: 23,
    inputs: { x: [1, 5, 24] },
    outputs: { y: [1] },
    initializers: [
      ...[weights('w', 24, 24), table('cos'), table('sin'), int64('four', 0, 0, 2, 12)],
      tensor('ids', [1, 5], BigInt64Array.of(3n, 4n, 5n, 6n, 7n)),
    ],
    nodes: [node('MatMul', ['x', 'w'], 'q'), ...before, node('RotaryEmbedding', [q, 'cos', 'sin', ...ids], 'y', attributes)],
  };
}

const forms = {
  'Gelu of opset 20': [behind(image, [node('Gelu', ['c'], 'y')], [], 20), 'gelu'],
  'Gelu of opset 20 by tanh': [behind(image, [node('Gelu', ['c'], 'y', { approximate: 'tanh' })], [], 20), 'geluTanh'],
  'Mish of opset 18': [behind(image, [node('Mish', ['c'], 'y')], [], 18), 'softplus'],
  'GELU by tanh written out': [
    behind(
      image,
      [
        node('Pow', ['c', 'three'], 'p'),
        node('Mul', ['p', 'small'], 'm'),
        node('Add', ['c', 'm'], 'a'),
        node('Mul', ['a', 'root'], 'r'),
        node('Tanh', ['r'], 't'),
        node('Add', ['t', 'one'], 'u'),
        node('Mul', ['c', 'u'], 'v'),
        node('Mul', ['v', 'half'], 'y'),
      ],
      [number('three', 3), number('small', 0.044715), number('root', Math.sqrt(2 / Math.PI)), number('one', 1), number('half', 0.5)],
    ),
    'geluTanh',
  ],
  'hard-swish written out': [
    behind(
      image,
      [node('Add', ['c', 'three'], 'a'), node('Clip', ['a', 'zero', 'six'], 'l'), node('Mul', ['c', 'l'], 'm'), node('Div', ['m', 'six'], 'y')],
      [number('three', 3), number('zero', 0), number('six', 6)],
    ),
    'hardSwish',
  ],
  'layer norm written out': [
    behind(
      [1, 6, 5],
      [
        node('Transpose', ['c'], 'x0', { perm: [0, 2, 1] }),
        node('ReduceMean', ['x0'], 'm', { axes: [-1] }),
        node('Sub', ['x0', 'm'], 'd'),
        node('Pow', ['d', 'two'], 'q'),
        node('ReduceMean', ['q'], 'v', { axes: [-1] }),
        node('Add', ['v', 'epsilon'], 'e'),
        node('Sqrt', ['e'], 's'),
        node('Div', ['d', 's'], 'n'),
        node('Mul', ['n', 'scale'], 'n1'),
        node('Add', ['n1', 'shift'], 'y'),
      ],
      [number('two', 2), number('epsilon', 0.1), weights('scale', 6), weights('shift', 6)],
    ),
    'layerNorm',
  ],
  'layer norm of the last axis of three': [
    behind([1, 6, 5, 4], [node('LayerNormalization', ['c', 's', 'b'], 'y', { axis: -1, epsilon: float(1e-3) })], [weights('s', 4), weights('b', 4)]),
    'layerNorm',
  ],
  'RMSNormalization of opset 23': [behind([1, 6, 5], [node('RMSNormalization', ['c', 's'], 'y')], [weights('s', 5)], 23), 'rmsNorm'],
  'RMSNormalization of opset 23 over two axes': [
    behind([1, 6, 5], [node('RMSNormalization', ['c', 's'], 'y', { axis: 1, epsilon: float(1e-2) })], [weights('s', 6, 5)], 23),
    'rmsNorm',
  ],
  'RMSNormalization of opset 23 of the axis before positions': [
    behind(
      image,
      [node('Transpose', ['c'], 't', { perm: [0, 2, 3, 1] }), node('RMSNormalization', ['t', 's'], 'y', { axis: -1 })],
      [weights('s', 6)],
      23,
    ),
    'rmsNorm',
  ],
  'GroupNormalization of opset 21': [
    behind(image, [node('GroupNormalization', ['c', 's', 'b'], 'y', { num_groups: 3 })], [weights('s', 6), weights('b', 6)], 21),
    'groupNorm',
  ],
  'GroupNormalization of opset 18, numbers of each group': [
    behind(
      image,
      [node('GroupNormalization', ['c', 's', 'b'], 'y', { num_groups: 3, epsilon: float(1e-3) })],
      [weights('s', 3), weights('b', 3)],
      18,
    ),
    'groupNorm',
  ],
  'axes of a mean as an input': [
    behind(image, [node('ReduceMean', ['c', 'axes'], 'y', { keepdims: 0 })], [int64('axes', -1, 2)], 18),
    'globalAveragePool',
  ],
  'axes of a maximum as an input': [behind(image, [node('ReduceMax', ['c', 'axes'], 'y')], [int64('axes', 1)], 20), 'globalMaxPool'],
  'axes of a norm as an input': [behind(image, [node('ReduceL2', ['c', 'axes'], 'y')], [int64('axes', -1)], 18), 'sqrt'],
  'axes of a product as an input': [behind(image, [node('ReduceProd', ['c', 'axes'], 'y', { keepdims: 0 })], [int64('axes', 3)], 18), 'multiply'],
  'no axes, so that nothing is added up': [
    behind(image, [node('ReduceSum', ['c', 'axes'], 's', { noop_with_empty_axes: 1 }), node('Relu', ['s'], 'y')], [int64('axes')], 18),
    'relu',
  ],
  'axes to squeeze and to add as inputs': [
    behind(
      image,
      [
        node('ReduceMean', ['c', 'axes'], 'm'),
        node('Squeeze', ['m', 'axes'], 's'),
        node('Unsqueeze', ['s', 'last'], 'u'),
        node('Sigmoid', ['u'], 'y'),
      ],
      [int64('axes', 2), int64('last', -1)],
      21,
    ),
    'meanPositions',
  ],
  'padding by wrapping, of opset 19': [
    behind(image, [node('Pad', ['c', 'pads', '', 'axes'], 'y', { mode: 'wrap' })], [int64('pads', 2, 1, 1, 2), int64('axes', 2, 3)], 19),
    'pad',
  ],
  'a maximum over channels and rows': [behind(image, [node('ReduceMax', ['c'], 'y', { axes: [1, 2] })]), 'globalMaxPool'],
  'axes of Resize': [behind(image, [node('Resize', ['c', '', '', 'sizes'], 'y', { axes: [2, 3] })], [int64('sizes', 4, 10)], 18), 'resize'],
  'axes of Pad': [
    behind(image, [node('Pad', ['c', 'pads', '', 'axes'], 'y', { mode: 'reflect' })], [int64('pads', 1, 2), int64('axes', 3)], 18),
    'pad',
  ],
  'a split into uneven numbers': [behind([1, 7, 8, 5], [node('Split', ['c'], ['a', 'y'], { axis: 1, num_outputs: 2 })], [], 18), 'sliceChannels'],
  'channels last': [
    {
      inputs: { x: [1, 8, 5, 6] },
      outputs: { y: [1] },
      initializers: [weights('w', 4, 6, 3, 3), weights('b', 4), weights('w2', 160, 3), number('half', 0.5)],
      nodes: [
        node('Mul', ['x', 'half'], 'x1'),
        node('Transpose', ['x1'], 'c', { perm: [0, 3, 1, 2] }),
        node('Conv', ['c', 'w'], 'd', { pads: [1, 1, 1, 1] }),
        node('Transpose', ['d'], 'e', { perm: [0, 2, 3, 1] }),
        node('Add', ['e', 'b'], 'f'),
        node('Relu', ['f'], 'g'),
        node('Flatten', ['g'], 'h'),
        node('MatMul', ['h', 'w2'], 'y'),
      ],
    },
    'linear',
    (network) => network.input.join() === '6,8,5' && !network.nodes.some(({ kind }) => kind === 'gatherChannels'),
  ],
  'patches and learned positions': [
    {
      inputs: { x: [1, 3, 8, 8] },
      outputs: { y: [1] },
      initializers: [
        ...[weights('w', 16, 3, 4, 4), weights('token', 1, 1, 16), weights('positions', 1, 5, 16), weights('w2', 16, 4), weights('s', 16)],
        ...[weights('b', 16), int64('flat', 1, 16, 4), scalarInt('first', 0)],
      ],
      nodes: [
        node('Conv', ['x', 'w'], 'p', { strides: [4, 4] }),
        node('Reshape', ['p', 'flat'], 'f'),
        node('Transpose', ['f'], 't', { perm: [0, 2, 1] }),
        node('Concat', ['token', 't'], 'c', { axis: 1 }),
        node('Add', ['c', 'positions'], 'a'),
        node('LayerNormalization', ['a', 's', 'b'], 'l'),
        node('Gather', ['l', 'first'], 'g', { axis: 1 }),
        node('MatMul', ['g', 'w2'], 'y'),
      ],
    },
    'layerNorm',
  ],
  'attention written out': [heads({ positions: 6 }), 'attention'],
  'causal attention written out': [heads({ positions: 6, causal: true }), 'attention'],
  'attention with keys turned by themselves': [heads({ positions: 5, transposeFirst: true }), 'attention'],
  'Attention of opset 23': [
    {
      opset: 23,
      inputs: { x: [1, 5, 16] },
      outputs: { y: [1] },
      initializers: [weights('wq', 16, 16), weights('wk', 16, 8), weights('wv', 16, 8)],
      nodes: [
        ...['q', 'k', 'v'].map((of) => node('MatMul', ['x', `w${of}`], of)),
        node('Attention', ['q', 'k', 'v'], 'y', { q_num_heads: 4, kv_num_heads: 2, is_causal: 1 }),
      ],
    },
    'attention',
  ],
  'Attention of opset 23 of four axes, with a scale of its own': [
    attentionOfFour({ scale: float(0.3) }),
    'attention',
    ({ nodes }) => Math.abs(nodes.find(({ kind }) => kind === 'attention').scale - 0.3) < 1e-6,
  ],
  'Attention of opset 23, causal by a mask': [attentionOfFour({}, causalMask('mask', 5)), 'attention', isCausal],
  'Attention of opset 23, causal by a mask of bits': [
    attentionOfFour(
      {},
      lowerBits(5, (query, key) => key <= query),
    ),
    'attention',
    isCausal,
  ],
  'Attention of opset 23 with a mask that hides nothing': [
    attentionOfFour(
      {},
      lowerBits(5, () => true),
    ),
    'attention',
    (n) => !isCausal(n),
  ],
  'Attention of opset 23 with more channels of values': [attentionOfFour({ is_causal: 1 }, undefined, 6), 'attention', isCausal],
  'RotaryEmbedding of opset 23': [rotary([1, 5, 4], { num_heads: 2, rotary_embedding_dim: 8, interleaved: 1 }), 'rotary'],
  'RotaryEmbedding of opset 23 in halves, of all channels': [rotary([1, 5, 6], { num_heads: 2 }), 'rotary'],
  'RotaryEmbedding of opset 23 of four axes': [
    rotary([1, 5, 6], {}, ['q4'], [node('Reshape', ['q', 'four'], 'q0'), node('Transpose', ['q0'], 'q4', { perm: [0, 2, 1, 3] })]),
    'rotary',
  ],
  'RotaryEmbedding of opset 23 with the numbers of the positions': [rotary([9, 6], { num_heads: 2 }, ['q', 'ids']), 'rotary'],
  'tokens, learned positions and a head': [
    {
      inputs: { x: { shape: ['n', 6], type: 7 } },
      outputs: { y: [1] },
      initializers: [weights('table', 11, 8), weights('positions', 6, 8), weights('w', 8, 11), weights('s', 8), weights('b', 8)],
      nodes: [
        node('Gather', ['table', 'x'], 'e'),
        node('Add', ['e', 'positions'], 'a'),
        node('LayerNormalization', ['a', 's', 'b'], 'l'),
        node('MatMul', ['l', 'w'], 'y'),
      ],
    },
    'embedding',
    ({ input, inputType, nodes }) => input.join() === '1,6' && inputType === 'token' && nodes.some(({ kind }) => kind === 'parameter'),
  ],
  LSTM: [recurrent('LSTM', 4, {}, 1), 'lstm'],
  'LSTM of both directions': [recurrent('LSTM', 4, { direction: 'bidirectional' }, 2), 'lstm'],
  'last states of an LSTM of both directions': [recurrent('LSTM', 4, { direction: 'bidirectional' }, 2, ['', 'h']), 'lstm'],
  'GRU backwards': [recurrent('GRU', 3, { direction: 'reverse' }, 1), 'gru'],
  'GRU with the product before the reset': [recurrent('GRU', 3, { linear_before_reset: 1 }, 1, ['', 'h']), 'gru'],
};

t.test('they give the outputs of ONNX Runtime', judged, (t) => judgeForms(t, forms));

t.test('a mask that the file computes is folded', judged, async (t) => {
  const path = join(temporaryFolder(t), 'm.onnx');
  const model = heads({ positions: 6, causal: true });
  const ones = tensor('ones', [6, 6], new Float32Array(36).fill(1));
  const mask = [
    node('Trilu', ['ones', 'none'], 'lower', { upper: 0 }),
    node('Equal', ['lower', 'zero'], 'hidden'),
    node('Where', ['hidden', 'low', 's1'], 's2'),
  ];
  const at = model.nodes.length - 7; // the mask that is added
  const nodes = [...model.nodes.slice(0, at), ...mask, ...model.nodes.slice(at + 1)];
  const initializers = [...model.initializers, ones, scalarInt('none', 0), number('zero', 0), number('low', -1e9)];
  writeModel(path, { ...model, initializers, nodes });
  const { model: imported, difference } = await compareWithRuntime(path, ort);
  t.ok(difference < 2e-5, `${difference}`);
  t.match(
    imported.network.nodes.find(({ kind }) => kind === 'attention'),
    { causal: true },
  );
});

t.test('an attention is one node, with its scale', async (t) => {
  const path = join(temporaryFolder(t), 'm.onnx');
  writeModel(path, heads({ positions: 6, causal: true }));
  const { network } = await importModel(path);
  const attention = network.nodes.find(({ kind }) => kind === 'attention');
  t.match(attention, { heads: 4, keyHeads: 4, causal: true, scale: 0.5 });
  t.notOk(network.nodes.some(({ kind }) => ['gatherChannels', 'flatten', 'reshape', 'softmax'].includes(kind)));
});
