// Options of single layers: frozen, left out of compression, limits of bits, channels in multiples.
import t from 'tap';
import * as library from '../dist/index.js';
import { difference, toyDataset, toyNetwork } from './support.mjs';

const { Trainer } = library;
const data = await toyDataset();
const base = {
  network: toyNetwork(),
  data,
  device: 'cpu',
  epochs: 12,
  batchSize: 32,
  gamma: 1.5,
  seed: 3,
  bits: { freezeAt: 1, learningRate: 0.15 },
};
const of = (state, layer) => Object.fromEntries(Object.entries(state).filter(([name]) => name.startsWith(`${layer}.`) && !name.includes('/moment')));

t.test('a frozen layer stays to the bit, whatever else moves', async (t) => {
  for (const penalty of ['own', 'coupled', 'rate']) {
    const trainer = Trainer.create({
      ...base,
      epochs: 2,
      penalty,
      layers: [
        { name: 'conv*', frozen: true },
        { name: 'conv2', frozen: false },
        { name: 'norm1', frozen: true },
      ],
    });
    const before = await trainer.state();
    await trainer.run();
    const after = await trainer.state();
    const kept = of(after, 'conv1');
    t.ok(Object.keys(kept).length >= 4);
    for (const [name, values] of Object.entries(kept)) if (!name.endsWith('.idle')) t.same(values, before[name], `${penalty}: ${name}`);
    for (const name of ['norm1.weight', 'norm1.bias']) t.same(after[name], before[name], name);
    for (const name of ['conv2.weight', 'linear.weight']) t.notSame(after[name], before[name], name);
    t.notSame(after['norm1.runningMean'], before['norm1.runningMean'], 'running statistics go on');
    const moved = penalty === 'rate' ? 'conv2.exponent' : 'conv2.bitDepth';
    t.notSame(after[moved].slice(0, 4), before[moved].slice(0, 4), moved);
    await trainer.dispose();
  }
});

t.test('a layer that is left out has float weights, and the others compress', async (t) => {
  const trainer = Trainer.create({ ...base, epochs: 1, layers: [{ name: 'conv2', compress: false }] });
  const state = await trainer.state();
  t.notOk('conv2.bitDepth' in state);
  t.ok('conv1.bitDepth' in state);
  t.equal(trainer.description.nodes.find((node) => node.name === 'conv2').compress, false);
  await trainer.run();
  await trainer.dispose();
});

t.test('bits stay within their limits, and layers with a least number lose no channel', async (t) => {
  const layers = [
    { name: '*', mostBits: 5 },
    { name: 'conv2', leastBits: 3 },
  ];
  const trainer = Trainer.create({ ...base, layers });
  await trainer.run();
  const state = await trainer.state();
  t.ok(state['conv2.bitDepth'].length === 8 && state['conv2.bitDepth'].every((b) => b >= 3 && b <= 5), String(state['conv2.bitDepth']));
  for (const name of ['conv1.bitDepth', 'linear.bitDepth'])
    t.ok(
      state[name].every((b) => b <= 5),
      name,
    );
  t.ok(state['conv1.bitDepth'].length < 8 || state['conv1.bitDepth'].some((b) => b < 3), 'the others shrink');
  await trainer.dispose();
});

t.test('channels leave in multiples, without a change of the function', async (t) => {
  const options = { device: 'cpu', loss: { kind: 'crossEntropy' }, optimizer: { kind: 'adam' }, batchSize: 16 };
  const trainer = Trainer.create({ ...base, epochs: 1 });
  const alive = await trainer.state();
  await trainer.dispose();
  for (const [multipleOf, dead, left] of [
    [1, [1, 3, 5], 5],
    [4, [1, 3, 5], 8],
    [4, [0, 3, 5, 6], 4],
    [4, [0, 1, 2, 3, 5, 6, 7], 4],
    [3, [2, 7], 6],
    [2, [4], 8],
    [16, [1, 3, 5], 8],
  ]) {
    const network = new library.binding.Network(toyNetwork(), { ...options, layers: [{ name: 'conv1', multipleOf }] });
    const state = Object.fromEntries(Object.entries(alive).map(([name, values]) => [name, values.slice()]));
    // Both members of the residual sum, so that its channels can leave.
    for (const name of [
      'conv1.bitDepth',
      'conv2.bitDepth',
      'conv1.bias',
      'conv2.bias',
      'norm1.bias',
      'norm2.bias',
      'norm1.runningMean',
      'norm2.runningMean',
    ])
      for (const channel of dead) if (state[name]) state[name][channel] = 0;
    await network.loadState(state);
    const images = Float32Array.from({ length: 5 * 144 }, (_, i) => Math.sin(i));
    const before = await network.predict(images, 5);
    await network.prune();
    const after = await network.predict(images, 5);
    t.equal(
      network.description.nodes.find((node) => node.name === 'conv1').outChannels,
      left,
      `${dead.length} of 8 dead, multiples of ${multipleOf}`,
    );
    t.ok(difference(after, before) < 1e-6);
    await network.dispose();
  }
});

t.test('a run with rules resumes as it would have gone on', async (t) => {
  const options = {
    ...base,
    layers: [
      { name: 'conv1', frozen: true },
      { name: 'conv2', multipleOf: 2, leastBits: 0, mostBits: 6 },
    ],
  };
  const whole = Trainer.create(options);
  await whole.run();
  const part = Trainer.create(options);
  part.onEpochEnd = async () => part.stop();
  await part.run();
  const resumed = await Trainer.resume(await part.checkpoint(), data);
  await resumed.run();
  t.same(await resumed.state(), await whole.state());
  for (const trainer of [whole, part, resumed]) await trainer.dispose();
});

t.test('wrong rules are named', (t) => {
  const refuses = (layers, message) => t.throws(() => Trainer.create({ ...base, layers }), { message });
  refuses({}, /Expected an array for options\.layers/);
  refuses([{ name: 'conv9' }], /Expected the name of a node, or a pattern of one \(.*conv1.*\), for options\.layers\[0\]\.name but received .*conv9/);
  refuses([{ name: 'conv1', leastBits: 5, mostBits: 4 }], /options\.layers\[0\]\.leastBits/);
  refuses([{ name: 'conv1', multipleOf: 0 }], /options\.layers\[0\]\.multipleOf/);
  refuses([{ name: 'conv1', freeze: true }], /"freeze"/);
  refuses([{ name: 5 }], /Expected a string for options\.layers\[0\]\.name/);
  t.throws(
    () =>
      new library.binding.Network(toyNetwork(), {
        device: 'cpu',
        loss: { kind: 'crossEntropy' },
        optimizer: { kind: 'adam' },
        batchSize: 4,
        layers: [{ name: 'no' }],
      }),
    {
      message: 'Expected the name of a node for options.layers[0].name but received "no"',
    },
  );
  t.end();
});
