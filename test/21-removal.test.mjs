// Removal of dead channels leaves the network's function as it was, and reaches everything that belongs to a channel.
import t from 'tap';
import { binding, difference, floats, initialState, NetworkBuilder, randomNumbers, range, toyDataset, toyNetwork } from './support.mjs';

const compile = (description, batchSize = 16) =>
  new binding.Network(description, { device: 'cpu', loss: { kind: 'crossEntropy' }, optimizer: { kind: 'adam' }, batchSize });

/** What is left of a network with this state; undefined when nothing can go. */
async function remove(description, state) {
  const network = compile(description);
  await network.loadState(state);
  const result = await network.prune();
  if (!result) return undefined;
  const left = { ...result, description: network.description, parameters: network.parameters, state: await network.state() };
  await network.dispose();
  return left;
}

async function predict(description, state, images, count) {
  const network = compile(description);
  await network.loadState(state);
  const result = await network.predict(images, count);
  await network.dispose();
  return result;
}

/** All tensors, moments too, with random contents. */
async function randomState(description, seed) {
  const random = randomNumbers(seed);
  const network = compile(description, 1);
  const state = { ...(await network.state()), ...initialState(network.parameters, seed, { bitDepth: 6, headroom: 0 }) };
  for (const [name, values] of Object.entries(state)) {
    if (name.includes('/moment') || name.endsWith('runningMean') || name.endsWith('.bias')) values.set(floats(random, values.length, -0.3, 0.3));
    if (name.endsWith('runningVar')) values.set(floats(random, values.length, 0.5, 1.5));
  }
  await network.dispose();
  return state;
}

function residualNetwork() {
  const net = new NetworkBuilder([2, 10, 10]);
  const a = net.relu(net.conv2d('input', { name: 'a', outChannels: 8, kernel: 3, padding: 1 }));
  const b = net.batchNorm(net.conv2d(a, { name: 'b', outChannels: 8, kernel: 3, padding: 1 }), { name: 'bn' });
  const sum = net.relu(net.add(a, b, 'sum'));
  const depthwise = net.silu(net.conv2d(sum, { name: 'dw', outChannels: 8, kernel: 3, padding: 1, groups: 8 }));
  const c = net.relu(net.conv2d(depthwise, { name: 'c', outChannels: 6, kernel: 3 }));
  const cat = net.concat([net.maxPool(sum, { kernel: 3, stride: 1 }), c]);
  const d = net.gelu(net.conv2d(cat, { name: 'd', outChannels: 7, kernel: 1 }));
  return net.build(net.linear(net.flatten(net.maxPool(d, { kernel: 2 })), { name: 'out', outFeatures: 4 }));
}

const kill = (state, layer, channels) => {
  for (const c of channels) state[`${layer}.bitDepth`][c] = 0;
};
const zero = (state, name, channels) => {
  for (const c of channels) state[name][c] = 0;
};

t.test('nothing dead: nothing to remove', async (t) => {
  const description = residualNetwork();
  t.equal(await remove(description, await randomState(description, 1)), undefined);
});

t.test('dead channels with zero constants go everywhere; the function stays', async (t) => {
  const random = randomNumbers(9);
  const images = floats(random, 20 * 200);
  for (let seed = 1; seed <= 20; seed++) {
    const description = residualNetwork();
    const state = await randomState(description, seed);
    const dead = [...new Set([0, 3, 5].map(() => Math.floor(random() * 7)))];
    kill(state, 'a', dead);
    kill(state, 'b', dead);
    kill(state, 'c', [1, 4]);
    kill(state, 'd', dead.slice(0, 2));
    for (const name of ['a.bias', 'b.bias', 'bn.bias', 'bn.runningMean', 'dw.bias']) zero(state, name, dead);
    zero(state, 'c.bias', [1, 4]);
    const result = await remove(description, state);
    t.equal(result.removed.a, dead.length);
    t.equal(result.removed.b, dead.length, 'joined by the addition');
    t.equal(result.removed.dw, dead.length, 'joined by the depthwise convolution');
    t.equal(result.removed.c, 2);
    t.equal(result.removed.d, dead.slice(0, 2).length, 'constants folded: its reader has no padding');
    t.ok(difference(await predict(result.description, result.state, images, 20), await predict(description, state, images, 20)) < 1e-5);
  }
});

t.test('removal reaches bias, norm, running statistics, quantizer, moments and input slices', async (t) => {
  const description = residualNetwork();
  const state = await randomState(description, 3);
  kill(state, 'a', [2]);
  kill(state, 'b', [2]);
  for (const name of ['a.bias', 'b.bias', 'bn.bias', 'bn.runningMean', 'dw.bias']) zero(state, name, [2]);
  const { state: cut, description: after } = await remove(description, state);
  const expected = compile(after, 1);
  const shapes = await expected.state();
  t.same(Object.keys(cut).sort(), Object.keys(shapes).sort());
  for (const name of Object.keys(shapes)) t.equal(cut[name].length, shapes[name].length, name);
  const without = (values, i) => [...values].filter((_, k) => k !== i);
  for (const name of ['a.bias', 'a.exponent/moment2', 'bn.runningVar', 'bn.weight/moment1', 'dw.bitDepth'])
    t.same([...cut[name]], without(state[name], 2), name);
  t.equal(cut['b.weight/moment2'][0], state['b.weight/moment2'][0]);
  t.equal(cut['b.weight'][2 * 9], state['b.weight'][3 * 9], 'input slice 3 follows 1');
});

t.test('a constant that is not zero stays behind padding until it has decayed', async (t) => {
  const description = residualNetwork();
  const state = await randomState(description, 4);
  kill(state, 'a', [1]);
  kill(state, 'b', [1]);
  zero(state, 'dw.bias', [1]);
  state['a.bias'][1] = 0.5; // positive: the ReLU lets it through
  t.equal(await remove(description, state), undefined);
  state['a.bias'][1] = -0.5; // the ReLU makes it zero; the norm's shift must be gone as well
  for (const name of ['b.bias', 'bn.bias', 'bn.runningMean']) zero(state, name, [1]);
  t.equal((await remove(description, state)).removed.a, 1);
});

t.test('folding a constant into the next bias', async (t) => {
  const net = new NetworkBuilder([1, 6, 6]);
  const description = net.build(
    net.linear(
      net.relu(net.conv2d(net.silu(net.conv2d('input', { name: 'a', outChannels: 5, kernel: 3 })), { name: 'b', outChannels: 4, kernel: 2 })),
      { name: 'out', outFeatures: 3 },
    ),
  );
  const state = await randomState(description, 6);
  kill(state, 'a', [0, 4]);
  kill(state, 'b', [3]);
  state['a.bias'].set([0.7, 0, 0, 0, -0.4]);
  state['b.bias'][3] = 0.9;
  const images = floats(randomNumbers(1), 8 * 36);
  const result = await remove(description, state);
  t.same(result.removed, { a: 2, b: 1 });
  t.ok(difference(await predict(result.description, result.state, images, 8), await predict(description, state, images, 8)) < 1e-5);
});

t.test('what may not go: one group of a grouped convolution alone, the output, the last channel', async (t) => {
  const net = new NetworkBuilder([1, 6, 6]);
  const a = net.relu(net.conv2d('input', { name: 'a', outChannels: 4, kernel: 3, bias: false }));
  const b = net.relu(net.conv2d(a, { name: 'b', outChannels: 4, kernel: 3, groups: 2, bias: false }));
  const description = net.build(net.linear(b, { name: 'out', outFeatures: 3, bias: false }));
  const state = await randomState(description, 2);
  kill(state, 'a', [1]);
  kill(state, 'b', [0]);
  kill(state, 'out', [2]);
  t.equal(await remove(description, state), undefined);
  const chain = new NetworkBuilder([1, 6, 6]);
  const small = chain.build(
    chain.linear(chain.relu(chain.conv2d('input', { name: 'a', outChannels: 3, kernel: 3, bias: false })), { name: 'out', outFeatures: 2 }),
  );
  const all = await randomState(small, 2);
  kill(all, 'a', [0, 1, 2]);
  const result = await remove(small, all);
  t.equal(result.description.nodes[0].outChannels, 1, 'a layer is never emptied');
});

t.test('grouped convolutions lose whole groups, or as many channels in every group; removal elsewhere leaves them whole', async (t) => {
  const build = () => {
    const net = new NetworkBuilder([2, 8, 8]);
    const before = net.relu(net.conv2d('input', { name: 'before', outChannels: 6, kernel: 3, padding: 1 }));
    const a = net.relu(net.conv2d(before, { name: 'a', outChannels: 12, kernel: 3, padding: 1 }));
    const grouped = net.relu(net.conv2d(a, { name: 'grouped', outChannels: 8, kernel: 3, groups: 4 }));
    return net.build(net.linear(net.flatten(grouped), { name: 'out', outFeatures: 3 }));
  };
  const images = floats(randomNumbers(3), 8 * 128);
  const cases = [
    { name: 'elsewhere', dead: { before: [0, 4] }, removed: { before: 2 }, groups: 4 },
    { name: 'a whole group', dead: { a: [3, 4, 5], grouped: [2, 3] }, removed: { a: 3, grouped: 2 }, groups: 3 },
    { name: 'an input of every group', dead: { a: [0, 4, 8, 9] }, removed: { a: 4 }, groups: 4 },
    { name: 'a group, and an input of the others', dead: { a: [0, 1, 2, 4, 7, 11], grouped: [0, 1] }, removed: { a: 6, grouped: 2 }, groups: 3 },
    { name: 'an output of every group', dead: { grouped: [0, 3, 4, 7] }, removed: { grouped: 4 }, groups: 4 },
    { name: 'too few', dead: { a: [0], grouped: [6] }, removed: undefined },
  ];
  for (const { name, dead, removed, groups } of cases) {
    const description = build();
    const state = await randomState(description, 11);
    for (const [layer, channels] of Object.entries(dead)) {
      kill(state, layer, channels);
      zero(state, `${layer}.bias`, channels);
    }
    const result = await remove(description, state);
    t.same(result?.removed, removed, name);
    if (!result) continue;
    t.equal(result.description.nodes.find((n) => n.name === 'grouped').groups, groups, name);
    t.ok(difference(await predict(result.description, result.state, images, 8), await predict(description, state, images, 8)) < 1e-5, name);
  }
});

t.test('the penalty, bits and weights count the same before and after a removal', async (t) => {
  const description = residualNetwork();
  const state = await randomState(description, 8);
  const dead = [1, 6];
  for (const layer of ['a', 'b']) kill(state, layer, dead);
  for (const name of ['a.bias', 'b.bias', 'bn.bias', 'bn.runningMean', 'dw.bias']) zero(state, name, dead);
  const network = compile(description);
  await network.loadState(Object.fromEntries(Object.entries(state).filter(([name]) => !name.includes('/')))); // moments at zero
  const data = new binding.DataSet({ shape: [2, 10, 10], images: floats(randomNumbers(5), 16 * 200), labels: new Int32Array(16), classes: 4 });
  const still = { step: 1, seed: 1, gamma: 1, learningRate: 0, bitDepthLearningRate: 0, exponentLearningRate: 0 };
  const q = async () => (await network.trainStep(data, range(16), still)).bitsPerWeight;
  const sizes = async () => (await network.measure()).map(({ name, channels, weights, bits }) => ({ name, channels, weights, bits }));
  const before = { q: await q(), sizes: await sizes(), depths: (await network.gradients(data, range(16), still))['c.bitDepth'] };
  const originalWeights = network.parameters.filter((p) => p.role === 'weight').reduce((sum, p) => sum + p.shape.reduce((x, y) => x * y), 0);
  t.ok(await network.prune());
  t.ok(Math.abs((await q()) - before.q) < 1e-6 * before.q, 'Q');
  t.same(await sizes(), before.sizes);
  const after = (await network.gradients(data, range(16), still))['c.bitDepth'];
  t.ok(difference(after, before.depths) < 1e-4, 'the gradient of b');
  t.ok(network.parameters.reduce((sum, p) => sum + (p.role === 'weight' ? p.shape.reduce((x, y) => x * y) : 0), 0) < originalWeights);
});

t.test('work that is queued behind a removal sees the smaller network', async (t) => {
  const network = compile(toyNetwork());
  const state = initialState(network.parameters, 1, { bitDepth: 6, headroom: 0 });
  kill(state, 'conv3', [0, 5]);
  zero(state, 'conv3.bias', [0, 5]);
  await network.loadState(state);
  const { train } = toyDataset();
  const data = new binding.DataSet({ shape: [1, 12, 12], classes: 4, images: train.images, labels: train.labels });
  const before = network.evaluate(data, range(256));
  const pruned = network.prune();
  const during = network.evaluate(data, range(256));
  const refused = network.loadState(state); // its sizes were right when it was called
  t.ok(Math.abs((await before).loss - (await during).loss) < 1e-5);
  t.same((await pruned).removed, { conv3: 2 });
  await t.rejects(refused, { message: /state\["conv3/ });
  t.equal(network.description.nodes.find((n) => n.name === 'conv3').outChannels, 10);
  t.same(network.parameters.find((p) => p.name === 'conv3.bias').shape, [10]);
});

t.test('a prediction whose channels are dead is zero, not what the memory held', async (t) => {
  const net = new NetworkBuilder([1, 6, 6]);
  const hidden = net.relu(net.conv2d('input', { name: 'a', outChannels: 4, kernel: 3 }));
  const description = net.build(net.linear(hidden, { name: 'out', outFeatures: 5, bias: false }));
  const state = await randomState(description, 4);
  kill(state, 'out', [1, 3]);
  const network = compile(description);
  await network.loadState(state);
  const random = randomNumbers(2);
  for (let round = 0; round < 4; round++) {
    const predicted = await network.predict(floats(random, 20 * 36), 20);
    for (let i = 0; i < 20; i++) t.same([predicted[5 * i + 1], predicted[5 * i + 3]], [0, 0]);
    t.ok(predicted.some((x) => x !== 0));
  }
});
