// Networks with every operator that is exported, and random parameters for them.
import { binding, floats, initialState, randomNumbers } from './support.mjs';

const conv = (name, inputs, outChannels, more = {}) => ({ kind: 'conv2d', name, inputs, outChannels, kernel: [1, 1], ...more });
/** Nodes behind a convolution `a` of six channels; the last one is the output. */
const behind = (kind, fields = {}, input = [3, 6, 8], outChannels = 6) => [
  input,
  [conv('a', ['input'], outChannels), { kind, name: 'x', inputs: ['a'], ...fields }],
];
const pairOf = (kind, second, fields = {}) => [
  [3, 6, 8],
  [conv('a', ['input'], 6), ...second, { kind, name: 'x', inputs: ['a', second.at(-1).name], ...fields }],
];
const other = [conv('b', ['input'], 6, { kernel: [3, 3], padding: [1, 1] })];
const oneChannel = [conv('b', ['input'], 1), { kind: 'exp', name: 'e', inputs: ['b'] }];
const onePosition = [conv('b', ['input'], 6), { kind: 'globalAveragePool', name: 'g', inputs: ['b'] }, { kind: 'exp', name: 'e', inputs: ['g'] }];
const vector = [...onePosition, { kind: 'flatten', name: 'f', inputs: ['e'] }];
const sequence = [5, 12];
const attention = (fields, [q, k, v], axes = [5, 7]) => [
  axes,
  [
    { kind: 'linear', name: 'q', inputs: ['input'], outFeatures: q, perPosition: true },
    { kind: 'linear', name: 'k', inputs: ['input'], outFeatures: k, perPosition: true },
    { kind: 'linear', name: 'v', inputs: ['input'], outFeatures: v, perPosition: true },
    { kind: 'attention', name: 'x', inputs: ['q', 'k', 'v'], ...fields },
  ],
];

const table = { kind: 'embedding', name: 'e', inputs: ['input'], dimensions: 6, vocabulary: 7 };

/** name: [input axes, nodes] */
export const cases = {
  conv2d: [[3, 9, 8], [conv('x', ['input'], 8, { kernel: [3, 5], stride: [2, 1], padding: [1, 2], dilation: [2, 1] })]],
  'conv2d in groups': [[4, 9, 8], [conv('x', ['input'], 8, { kernel: [3, 3], groups: 2, bias: false })]],
  'conv2d by channel': [[4, 9, 8], [conv('x', ['input'], 4, { kernel: [3, 3], groups: 4, padding: [1, 1] })]],
  'conv2d of a sequence': [sequence, [conv('x', ['input'], 4, { kernel: [1, 3], stride: [1, 2], padding: [0, 1] })]],
  'conv2d of a sequence, padded rows': [sequence, [conv('x', ['input'], 4, { kernel: [3, 3], padding: [1, 1] })]],
  'conv2d of a vector': [[5], [conv('x', ['input'], 4, { kernel: [1, 1] })]],
  linear: [[3, 4, 5], [{ kind: 'linear', name: 'x', inputs: ['input'], outFeatures: 7 }]],
  'linear of a vector': [[9], [{ kind: 'linear', name: 'x', inputs: ['input'], outFeatures: 7, bias: false }]],
  'linear per position': [[3, 4, 5], [{ kind: 'linear', name: 'x', inputs: ['input'], outFeatures: 7, perPosition: true }]],
  'linear per position of a volume': [[3, 4, 5, 2], [{ kind: 'linear', name: 'x', inputs: ['input'], outFeatures: 7, perPosition: true }]],
  convTranspose2d: [
    [4, 5, 6],
    [
      {
        kind: 'convTranspose2d',
        name: 'x',
        inputs: ['input'],
        outChannels: 6,
        kernel: [3, 2],
        stride: [2, 3],
        padding: [1, 0],
        outputPadding: [1, 2],
        dilation: [1, 2],
        groups: 2,
      },
    ],
  ],
  'convTranspose2d of a sequence': [
    sequence,
    [{ kind: 'convTranspose2d', name: 'x', inputs: ['input'], outChannels: 3, kernel: [1, 3], stride: [1, 2] }],
  ],
  batchNorm: behind('batchNorm'),
  'batchNorm without scale': behind('batchNorm', { affine: false, epsilon: 0.1 }),
  'batchNorm of a vector': [
    [9],
    [
      { kind: 'linear', name: 'a', inputs: ['input'], outFeatures: 7 },
      { kind: 'batchNorm', name: 'x', inputs: ['a'] },
    ],
  ],
  ...Object.fromEntries(
    'relu gelu silu sigmoid geluTanh tanh hardSwish softplus exp abs square hardSigmoid leakyRelu elu'.split(' ').map((kind) => [kind, behind(kind)]),
  ),
  log: [
    [3, 6, 8],
    [conv('a', ['input'], 6), { kind: 'exp', name: 'e', inputs: ['a'] }, { kind: 'log', name: 'x', inputs: ['e'] }],
  ],
  sqrt: [
    [3, 6, 8],
    [conv('a', ['input'], 6), { kind: 'abs', name: 'e', inputs: ['a'] }, { kind: 'sqrt', name: 'x', inputs: ['e'] }],
  ],
  reciprocal: [
    [3, 6, 8],
    [conv('a', ['input'], 6), { kind: 'exp', name: 'e', inputs: ['a'] }, { kind: 'reciprocal', name: 'x', inputs: ['e'] }],
  ],
  dropout: behind('dropout', { probability: 0.5 }),
  clip: behind('clip', { low: -0.2, high: 0.5 }),
  'hardSigmoid with fields': behind('hardSigmoid', { slope: 0.4, offset: 0.3 }),
  'leakyRelu with a slope': behind('leakyRelu', { slope: 0.3 }),
  'elu with alpha': behind('elu', { alpha: 0.3 }),
  affine: behind('affine', { scale: -2.5, offset: 0.25 }),
  prelu: behind('prelu'),
  'prelu, one slope': behind('prelu', { shared: true }),
  layerNorm: behind('layerNorm'),
  'layerNorm with removed channels': behind('layerNorm', { divisor: 9 }),
  'layerNorm of a vector': [
    [9],
    [
      { kind: 'linear', name: 'a', inputs: ['input'], outFeatures: 7 },
      { kind: 'layerNorm', name: 'x', inputs: ['a'], epsilon: 0.01 },
    ],
  ],
  rmsNorm: behind('rmsNorm'),
  'rmsNorm with removed channels': behind('rmsNorm', { divisor: 9, affine: false }),
  instanceNorm: behind('instanceNorm'),
  'instanceNorm with scale': behind('instanceNorm', { affine: true }, sequence),
  groupNorm: behind('groupNorm', { groups: 3 }),
  'groupNorm of a sequence': behind('groupNorm', { groups: 2, affine: false, epsilon: 0.1 }, sequence),
  'groupNorm with removed channels': behind('groupNorm', { groups: 2, divisor: 5 }),
  'groupNorm with groups of other sizes': behind('groupNorm', { groups: 3, divisor: 4, sizes: [1, 3, 2] }),
  softmax: behind('softmax'),
  'softmax of positions': behind('softmax', { axis: 'positions' }),
  'softmax of the positions of a sequence': behind('softmax', { axis: 'positions' }, sequence),
  maxPool: behind('maxPool', { kernel: [3, 2], stride: [2, 2], padding: [1, 1] }),
  averagePool: behind('averagePool', { kernel: [3, 2], padding: [1, 0] }),
  'averagePool without padding': behind('averagePool', { kernel: [3, 2], stride: [1, 2], padding: [1, 1], countIncludePad: false }),
  'maxPool of a sequence': behind('maxPool', { kernel: [1, 3] }, sequence),
  globalAveragePool: behind('globalAveragePool'),
  'globalAveragePool of a sequence': behind('globalAveragePool', {}, sequence),
  globalMaxPool: behind('globalMaxPool'),
  meanPositions: behind('meanPositions'),
  'meanPositions of rows': behind('meanPositions', { columns: false }),
  'meanPositions of a sequence': behind('meanPositions', { rows: false }, sequence),
  meanChannels: behind('meanChannels'),
  'meanChannels with removed channels': behind('meanChannels', { divisor: 9 }),
  add: pairOf('add', other),
  'add one channel': pairOf('add', oneChannel),
  'add one position': pairOf('add', onePosition),
  multiply: pairOf('multiply', onePosition),
  'multiply by a vector': pairOf('multiply', vector),
  subtract: pairOf('subtract', other),
  divide: pairOf('divide', oneChannel),
  'divide by a vector': pairOf('divide', vector),
  flatten: behind('flatten'),
  concat: pairOf('concat', other),
  'concat rows': pairOf('concat', other, { axis: 'rows' }),
  'concat columns': pairOf('concat', other, { axis: 'columns' }),
  'concat columns of sequences': [
    sequence,
    [conv('a', ['input'], 6), conv('b', ['input'], 6), { kind: 'concat', name: 'x', inputs: ['a', 'b'], axis: 'columns' }],
  ],
  'concat rows of sequences': [
    sequence,
    [conv('a', ['input'], 6), conv('b', ['input'], 6), { kind: 'concat', name: 'x', inputs: ['a', 'b'], axis: 'rows' }],
  ],
  gatherChannels: behind('gatherChannels', { index: [3, -1, 0, 0, 5] }),
  channelShuffle: behind('channelShuffle', { groups: 3 }),
  'channelShuffle in an order': behind('channelShuffle', { groups: 3, order: [2, 0, 4, 3, 1, 5] }),
  padChannels: behind('padChannels', { before: 1, after: 2 }),
  sliceChannels: behind('sliceChannels', { first: 2, count: 3 }),
  slicePositions: behind('slicePositions', { first: [1, 2], count: [3, 2], step: [2, 3] }),
  'slicePositions of a sequence': behind('slicePositions', { first: [0, 2], count: [1, 3], step: [1, 3] }, sequence),
  pad: behind('pad', { before: [1, 0], after: [2, 3] }),
  ...Object.fromEntries(['reflect', 'edge', 'wrap'].map((mode) => [`pad, ${mode}`, behind('pad', { before: [1, 2], after: [2, 3], mode })])),
  pixelShuffle: behind('pixelShuffle', { size: 2 }, [3, 6, 8], 8),
  'pixelShuffle, blocks first': behind('pixelShuffle', { size: 2, order: 'blockFirst' }, [3, 6, 8], 8),
  pixelUnshuffle: behind('pixelUnshuffle', { size: 2 }),
  'pixelUnshuffle, blocks first': behind('pixelUnshuffle', { size: 2, order: 'blockFirst' }),
  reshape: behind('reshape', { channels: 3, positions: [4, 24] }),
  resize: behind('resize', { size: [9, 5] }),
  ...Object.fromEntries(
    ['halfPixel', 'alignCorners', 'asymmetric'].flatMap((coordinates) => [
      [`resize, linear, ${coordinates}`, behind('resize', { size: [11, 5], mode: 'linear', coordinates })],
      ...['floor', 'ceil', 'halfDown', 'halfUp'].map((rounding) => [
        `resize, ${coordinates}, ${rounding}`,
        behind('resize', { size: [12, 5], coordinates, rounding }),
      ]),
    ]),
  ),
  'resize by scales': behind('resize', { size: [13, 5], mode: 'linear', coordinates: 'halfPixel', scaleHeight: 2.2, scaleWidth: 0.7 }),
  attention: attention({ heads: 2 }, [6, 6, 8]),
  'attention, causal, shared keys': attention({ heads: 4, keyHeads: 2, causal: true, scale: 0.7 }, [12, 6, 8]),
  'attention, heads of several sizes': attention({ heads: 4, keyHeads: 2, scale: 0.7, headSizes: [2, 4], valueSizes: [3, 5] }, [12, 6, 8]),
  'attention over images': attention({ heads: 2 }, [6, 6, 8], [5, 3, 2]),
  rotary: [
    sequence,
    [
      { kind: 'linear', name: 'a', inputs: ['input'], outFeatures: 8, perPosition: true },
      { kind: 'rotary', name: 'x', inputs: ['a'], headSize: 4, firstPosition: 3 },
    ],
  ],
  'rotary, interleaved, in part': [
    sequence,
    [
      { kind: 'linear', name: 'a', inputs: ['input'], outFeatures: 10, perPosition: true },
      { kind: 'rotary', name: 'x', inputs: ['a'], headSize: 6, rotated: 4, interleaved: true, channels: [0, 1, 4, 5, 6, 7, 8, 9, 10, 11] },
    ],
  ],
  'embedding, with learned positions': [
    [1, 9],
    [table, { kind: 'parameter', name: 'p', inputs: ['input'], channels: 6 }, { kind: 'add', name: 'x', inputs: ['e', 'p'] }],
  ],
  'parameter of one position': [
    [3, 6, 8],
    [
      conv('a', ['input'], 6),
      { kind: 'parameter', name: 'p', inputs: ['a'], channels: 6, positions: 'one' },
      { kind: 'multiply', name: 'x', inputs: ['a', 'p'] },
    ],
  ],
  unembedding: [
    [1, 9],
    [table, { kind: 'linear', name: 'a', inputs: ['e'], outFeatures: 6, perPosition: true }, { kind: 'unembedding', name: 'x', inputs: ['a', 'e'] }],
  ],
  ...Object.fromEntries(
    [
      ['lstm', {}],
      ['lstm', { reverse: true, bias: false }],
      ['gru', {}],
      ['gru', { reverse: true }],
      ['gru', { resetFirst: true }],
    ].map(([kind, fields]) => [
      `${kind} ${Object.keys(fields)}`.trim(),
      [
        sequence,
        [
          { kind: 'linear', name: 'a', inputs: ['input'], outFeatures: 12, perPosition: true },
          { kind, name: 'x', inputs: ['a'], ...fields },
        ],
      ],
    ]),
  ),
};

export function describeCase(name) {
  const [input, nodes] = cases[name];
  const tokens = nodes.some(({ kind }) => kind === 'embedding');
  return { input, nodes, output: nodes.at(-1).name, ...(tokens && { inputType: 'token' }) };
}

/** Random parameters, with variances that are none too small; weights of about 6 bits. */
export function randomState(network, seed = 1) {
  const random = randomNumbers(seed);
  const { parameters } = binding.inspectNetwork(network);
  const state = initialState(parameters, seed, { bitDepth: 6, headroom: 0 });
  for (const { name, role } of parameters) {
    if (role === 'bitDepth' || role === 'exponent' || role === 'weight') continue;
    const [low, high] = role === 'runningVar' || role === 'normWeight' ? [0.5, 1.5] : [-0.5, 0.5];
    state[name] = floats(random, state[name].length, low, high);
  }
  return state;
}

/** Examples [count × input]: numbers, or tokens that the embedding has vectors of. */
export function examplesFor({ input, inputType, nodes }, count) {
  const random = randomNumbers(5);
  const length = count * input.reduce((a, b) => a * b);
  if (inputType !== 'token') return floats(random, length);
  const { vocabulary } = nodes.find(({ kind }) => kind === 'embedding');
  return Int32Array.from({ length }, () => Math.floor(vocabulary * random()));
}

/** What the training network makes of examples [count × input]. */
export async function predictWith(network, state, images, count) {
  const compiled = new binding.Network(network, { device: 'cpu', loss: { kind: 'meanSquaredError' }, optimizer: { kind: 'sgd' }, batchSize: count });
  try {
    const names = new Set(compiled.parameters.map(({ name }) => name));
    await compiled.loadState(Object.fromEntries(Object.entries(state).filter(([name]) => names.has(name))));
    return await compiled.predict(images, count);
  } finally {
    await compiled.dispose();
  }
}
