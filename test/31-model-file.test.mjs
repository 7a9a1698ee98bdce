// The model file: the same predictions as the network it was made from, its size, and files that are not whole.
import t from 'tap';
import {
  binding,
  decodeModel,
  difference,
  encodeModel,
  floats,
  initialState,
  inspectNetwork,
  NetworkBuilder,
  randomNumbers,
  Trainer,
  toyDataset,
  toyNetwork,
} from './support.mjs';

const info = { name: 'toy', classes: 4, mean: [0.2], std: [0.3] };

async function predict(description, state, images, count) {
  const network = new binding.Network(description, { device: 'cpu', loss: { kind: 'crossEntropy' }, optimizer: { kind: 'sgd' }, batchSize: 16 });
  await network.loadState(Object.fromEntries(Object.entries(state).filter(([name]) => !name.includes('/'))));
  const result = await network.predict(images, count);
  await network.dispose();
  return result;
}

/** Random depths (0 among them), exponents, biases and running statistics. */
function randomState(description, seed) {
  const random = randomNumbers(seed);
  const state = initialState(inspectNetwork(description).parameters, seed, { bitDepth: 6, headroom: 0 });
  for (const [name, values] of Object.entries(state)) {
    if (name.endsWith('.bitDepth')) values.set(values.map(() => (random() < 0.2 ? 0 : 0.5 + 9 * random())));
    if (name.endsWith('.exponent')) values.set(values.map((e) => e + random() - 0.5));
    if (name.endsWith('.bias') || name.endsWith('.runningMean')) values.set(floats(random, values.length, -0.2, 0.2));
    if (name.endsWith('.runningVar')) values.set(floats(random, values.length, 0.5, 2));
  }
  return state;
}

t.test('a file predicts what its network predicts', async (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    const description = toyNetwork({ compress: seed % 4 !== 0 });
    const state = randomState(description, seed);
    const bytes = await encodeModel(description, state, info);
    const decoded = decodeModel(bytes);
    t.same(decoded.info, info);
    const images = floats(randomNumbers(seed), 16 * 144);
    t.ok(difference(await predict(decoded.network, decoded.state, images, 16), await predict(description, state, images, 16)) < 1e-5);
    t.same(
      await encodeModel(decoded.network, decoded.state, decoded.info),
      await encodeModel(decoded.network, decodeModel(bytes).state, info),
      'decoding repeats',
    );
  }
});

t.test('codes survive another round exactly', async (t) => {
  const net = new NetworkBuilder([3, 1, 1]);
  const description = net.build(net.linear('input', { name: 'a', outFeatures: 40 }));
  const state = randomState(description, 5);
  const once = decodeModel(await encodeModel(description, state, info));
  const twice = decodeModel(await encodeModel(once.network, once.state, info));
  t.same(twice.state['a.weight'], once.state['a.weight']);
  const quantized = new Float32Array(120);
  await binding.quantizeForward({ weight: state['a.weight'], bitDepth: state['a.bitDepth'], exponent: state['a.exponent'], output: quantized });
  t.ok(difference(once.state['a.weight'], quantized) < 1e-6);
});

t.test('the file of a trained network is as small as its bits', async (t) => {
  const trainer = Trainer.create({ network: toyNetwork(), data: toyDataset(), epochs: 4, batchSize: 64, learningRate: 0.01, gamma: 0.2 });
  await trainer.run();
  const bytes = await trainer.encodeModel();
  const { bits, channels } = trainer.history.at(-1);
  const overhead = bytes.length - bits / 8;
  t.ok(overhead > 0);
  t.ok(overhead < 700 + channels * 20, `${overhead} bytes besides the codes of ${channels} channels`);
  const { network, state } = decodeModel(bytes);
  const images = floats(randomNumbers(2), 64 * 144);
  t.ok(difference(await predict(network, state, images, 64), await predict(trainer.description, await trainer.state(), images, 64)) < 1e-4);
});

t.test('every changed byte and every cut is noticed', async (t) => {
  const description = toyNetwork();
  const bytes = await encodeModel(description, randomState(description, 1), info);
  for (let i = 0; i < bytes.length; i += Math.ceil(bytes.length / 200)) {
    const changed = bytes.slice();
    changed[i] ^= 1 + (i % 255);
    if (i === 6 || i === 7) continue; // reserved
    t.throws(() => decodeModel(changed), { name: 'ModelFileError' }, `byte ${i}`);
  }
  for (const length of [0, 3, 15, 16, 100, bytes.length - 1])
    t.throws(() => decodeModel(bytes.subarray(0, length)), { name: 'ModelFileError' }, `${length} bytes`);
  t.throws(() => decodeModel(Buffer.concat([bytes, Buffer.from([0])])), { name: 'ModelFileError' });
  const newer = bytes.slice();
  newer[4] = 9;
  t.throws(() => decodeModel(newer), { name: 'ModelFileError', message: /version 9.*reads version 1/ });
});
