// Builder methods of the operators that move channels and positions, of attention and of recurrent layers: each becomes
// a network that trains, is written to a model file and read again.
import t from 'tap';
import { binding, difference, floats, initialState, NetworkBuilder, randomNumbers, range } from './support.mjs';

const options = { device: 'cpu', loss: { kind: 'crossEntropy' }, optimizer: { kind: 'adam' }, batchSize: 8 };
const settings = { step: 1, seed: 3, gamma: 0.1, learningRate: 0.01, bitDepthLearningRate: 0.05, exponentLearningRate: 0.02 };

/** What stands between a convolution of 8 channels, on 6×4 pixels, and the last layer. */
const images = {
  'gather channels': (net, x) => net.gatherChannels(x, { index: [3, 0, -1, 7] }),
  'shuffle channels': (net, x) => net.channelShuffle(x, { groups: 2 }),
  'pad channels': (net, x) => net.padChannels(x, { before: 1, after: 2 }),
  split: (net, x) => net.add(...net.split(x, [4, 4])),
  'slice of channels': (net, x) => net.sliceChannels(x, { first: 2, count: 3 }),
  'slice of positions': (net, x) => net.slicePositions(x, { count: [3, 2], step: 2 }),
  pad: (net, x) => net.pad(x, { before: 1, after: [0, 2], mode: 'reflect' }),
  'concatenated rows': (net, x) => net.concat([x, x], { axis: 'rows' }),
  'concatenated channels': (net, x) => net.concat([x, x], 'both'),
  'pixel shuffle': (net, x) => net.pixelShuffle(x, { size: 2 }),
  'pixel unshuffle': (net, x) => net.pixelUnshuffle(x, { size: 2, order: 'blockFirst' }),
  reshape: (net, x) => net.reshape(x, { channels: 4, positions: [6, 8] }),
  resize: (net, x) => net.resize(x, { size: [3, 9], mode: 'linear', coordinates: 'halfPixel' }),
  'global maximum': (net, x) => net.globalMaxPool(x),
  'mean over rows': (net, x) => net.meanPositions(x, { columns: false }),
  'mean over channels': (net, x) => net.meanChannels(x),
  'transposed convolution': (net, x) => net.convTranspose2d(x, { outChannels: 3, kernel: 2, stride: 2 }),
};
/** The same, on a sequence of 5 positions. */
const sequences = {
  attention: (net, x) => net.attention(x, net.rotary(x, { headSize: 4 }), x, { heads: 2, causal: true }),
  lstm: (net, x) => net.lstm(x, { units: 3 }),
  gru: (net, x) => net.gru(x, { units: 3, reverse: true, resetFirst: true, name: 'turned' }),
};

async function trains(t, shape, description) {
  const random = randomNumbers(5);
  const size = shape.reduce((a, b) => a * b);
  const inputs = floats(random, 8 * size);
  const data = new binding.DataSet({ shape, images: inputs, labels: range(8).map((i) => i % 4), classes: 4 });
  const network = new binding.Network(description, options);
  await network.loadState(initialState(network.parameters, 1, { bitDepth: 6, headroom: 1 }));
  const { loss } = await network.trainStep(data, range(8), settings);
  t.ok(Number.isFinite(loss) && loss > 0);
  const bytes = await network.encodeModel({});
  const decoded = await binding.decodeModelFile({ bytes });
  t.same(decoded.network.nodes, network.description.nodes);
  const again = new binding.Network(decoded.network, options);
  await again.loadState(decoded.state);
  t.ok(difference(await again.predict(inputs, 8), await network.predict(inputs, 8)) < 1e-5);
}

for (const [name, build] of Object.entries(images)) {
  t.test(name, async (t) => {
    const net = new NetworkBuilder([2, 6, 4]);
    const x = net.conv2d('input', { outChannels: 8, kernel: 1 });
    await trains(t, [2, 6, 4], net.build(net.linear(build(net, x), { outFeatures: 4 })));
  });
}
for (const [name, build] of Object.entries(sequences)) {
  t.test(name, async (t) => {
    const net = new NetworkBuilder([2, 1, 5]);
    const x = net.conv2d('input', { outChannels: 8, kernel: 1 });
    await trains(t, [2, 1, 5], net.build(net.linear(build(net, x), { outFeatures: 4 })));
  });
}

t.test('lists are checked', (t) => {
  const node = { kind: 'gatherChannels', name: 'x', inputs: ['input'] };
  const network = (index) => () => new binding.Network({ input: [2, 4, 4], nodes: [{ ...node, index }], output: 'x' }, options);
  t.throws(network([0, 0.5]), { message: /index\[1\]/ });
  t.throws(network([0, 'a']), { message: /index\[1\]/ });
  t.throws(network([-2]), { message: /index\[0\]/ });
  t.throws(network(7), { message: /index/ });
  t.throws(network([2]), { message: /"x".index/ });
  t.same(binding.operators().find(({ kind }) => kind === 'gatherChannels').fields[0].type, 'list');
  t.end();
});
