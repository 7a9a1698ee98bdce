// Networks that integers cover.
const conv = (name, input, outChannels, more = {}) => ({
  kind: 'conv2d',
  name,
  inputs: [input],
  outChannels,
  kernel: [3, 3],
  padding: [1, 1],
  ...more,
});

/** Convolutions of every form, norms with negative factors, sums, gates, pools, functions by table. */
export function richNetwork() {
  return {
    input: [2, 10, 8],
    nodes: [
      conv('c1', 'input', 8, { stride: [2, 1] }),
      { kind: 'batchNorm', name: 'n1', inputs: ['c1'] },
      { kind: 'relu', name: 'r1', inputs: ['n1'] },
      conv('c2', 'r1', 8, { groups: 8, bias: false }),
      { kind: 'silu', name: 's2', inputs: ['c2'] },
      { kind: 'add', name: 'sum', inputs: ['s2', 'r1'] },
      { kind: 'maxPool', name: 'p', inputs: ['sum'], kernel: [2, 2], padding: [1, 0] },
      conv('c3', 'p', 8, { groups: 2, kernel: [1, 1], padding: [0, 0] }),
      { kind: 'clip', name: 'r3', inputs: ['c3'], low: 0, high: 6 },
      { kind: 'globalAveragePool', name: 'g', inputs: ['r3'] },
      conv('gate', 'g', 8, { kernel: [1, 1], padding: [0, 0] }),
      { kind: 'sigmoid', name: 'sg', inputs: ['gate'] },
      { kind: 'multiply', name: 'm', inputs: ['r3', 'sg'] },
      { kind: 'concat', name: 'cc', inputs: ['m', 'p'] },
      { kind: 'averagePool', name: 'ap', inputs: ['cc'], kernel: [2, 2], padding: [1, 1], countIncludePad: false },
      { kind: 'flatten', name: 'f', inputs: ['ap'] },
      { kind: 'linear', name: 'l', inputs: ['f'], outFeatures: 12 },
      { kind: 'gelu', name: 'ge', inputs: ['l'] },
      { kind: 'linear', name: 'out', inputs: ['ge'], outFeatures: 5 },
    ],
    output: 'out',
  };
}

/** Norms by themselves, an image as the output, dilated kernels, functions that follow one another, a flattened sum. */
export function otherNetwork() {
  return {
    input: [3, 7, 6],
    nodes: [
      { kind: 'batchNorm', name: 'n0', inputs: ['input'] },
      conv('c1', 'n0', 6, { dilation: [2, 1], padding: [2, 1] }),
      { kind: 'maxPool', name: 'p', inputs: ['c1'], kernel: [3, 3], stride: [1, 1], padding: [1, 1] },
      { kind: 'relu', name: 'r', inputs: ['p'] },
      { kind: 'tanh', name: 't', inputs: ['c1'] },
      { kind: 'dropout', name: 'd', inputs: ['t'], probability: 0.5 },
      { kind: 'concat', name: 'rows', inputs: ['r', 'd'], axis: 'rows' },
      { kind: 'leakyRelu', name: 'lr', inputs: ['rows'] },
      { kind: 'linear', name: 'pp', inputs: ['lr'], outFeatures: 4, perPosition: true },
      { kind: 'batchNorm', name: 'n1', inputs: ['pp'] },
      { kind: 'hardSwish', name: 'hs', inputs: ['n1'] },
      { kind: 'flatten', name: 'f', inputs: ['hs'] },
      { kind: 'geluTanh', name: 'gt', inputs: ['f'] },
      { kind: 'linear', name: 'l', inputs: ['gt'], outFeatures: 336 },
      { kind: 'add', name: 'sum', inputs: ['gt', 'l'] },
      { kind: 'hardSigmoid', name: 'out', inputs: ['sum'] },
    ],
    output: 'out',
  };
}

/** [channels, height, width] stays the shape of what comes out. */
export function imageNetwork() {
  return {
    input: [1, 5, 9],
    nodes: [
      conv('c1', 'input', 4),
      { kind: 'averagePool', name: 'ap', inputs: ['c1'], kernel: [2, 3], padding: [1, 1] },
      { kind: 'relu', name: 'r', inputs: ['ap'] },
      { kind: 'globalMaxPool', name: 'gm', inputs: ['r'] },
      { kind: 'multiply', name: 'm', inputs: ['gm', 'r'] },
      conv('out', 'm', 3, { groups: 1 }),
    ],
    output: 'out',
  };
}

export const integerNetworks = { rich: richNetwork, other: otherNetwork, image: imageNetwork };
