// The model file: the same predictions as the network it was made from, its size, and files that are not whole.
import { createHash } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
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
    const decoded = await decodeModel(bytes);
    t.same(decoded.info, info);
    const images = floats(randomNumbers(seed), 16 * 144);
    t.ok(difference(await predict(decoded.network, decoded.state, images, 16), await predict(description, state, images, 16)) < 1e-5);
    t.same(await encodeModel(decoded.network, decoded.state, decoded.info), bytes, 'encode(decode(file)) is the file');
  }
});

t.test('codes survive another round exactly', async (t) => {
  const net = new NetworkBuilder([3, 1, 1]);
  const description = net.build(net.linear('input', { name: 'a', outFeatures: 40 }));
  const state = randomState(description, 5);
  const once = await decodeModel(await encodeModel(description, state, info));
  const twice = await decodeModel(await encodeModel(once.network, once.state, info));
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
  const { network, state } = await decodeModel(bytes);
  const images = floats(randomNumbers(2), 64 * 144);
  t.ok(difference(await predict(network, state, images, 64), await predict(trainer.description, await trainer.state(), images, 64)) < 1e-4);
});

t.test('every changed byte and every cut is noticed', async (t) => {
  const description = toyNetwork();
  const bytes = await encodeModel(description, randomState(description, 1), info);
  for (let i = 0; i < bytes.length; i += Math.ceil(bytes.length / 200)) {
    const changed = bytes.slice();
    changed[i] ^= 1 + (i % 255);
    await t.rejects(decodeModel(changed), { name: 'ModelFileError' }, `byte ${i}`);
  }
  for (const length of [0, 3, 15, 16, 100, bytes.length - 1])
    await t.rejects(decodeModel(bytes.subarray(0, length)), { name: 'ModelFileError' }, `${length} bytes`);
  await t.rejects(decodeModel(Buffer.concat([bytes, Buffer.from([0])])), { name: 'ModelFileError' });
  await t.rejects(decodeModel(bytes, { maxWeights: 10 }), { name: 'ModelFileError', message: /10/ });
});

/** A file of version 1 for a network with a convolution of two channels (depths 2 and 0), a norm and a plain linear layer. */
function version1File() {
  const network = {
    input: [1, 3, 3],
    nodes: [
      { kind: 'conv2d', name: 'conv', inputs: ['input'], outChannels: 2, kernel: [3, 3] },
      { kind: 'batchNorm', name: 'norm', inputs: ['conv'], affine: false },
      { kind: 'linear', name: 'out', inputs: ['norm'], outFeatures: 2, compress: false, bias: false },
    ],
    output: 'out',
  };
  const structure = deflateRawSync(JSON.stringify({ network, info: { name: 'old', classes: 2, mean: [0], std: [1] } }));
  let bits = '';
  const put = (value, count) => {
    for (let i = 0; i < count; i++) bits += (value >>> i) & 1;
  };
  put(2, 5);
  put(0, 5);
  put(new Uint32Array(new Float32Array([-1]).buffer)[0], 32); // exponent −1
  for (const code of [1, -2, 0, 1, -1, 0, 0, 1, -2]) put(code & 3, 2);
  const stream = Buffer.from(bits.match(/.{1,8}/g).map((byte) => Number.parseInt([...byte].reverse().join(''), 2)));
  const floats = (...values) => Buffer.from(new Float32Array(values).buffer);
  const body = Buffer.concat([structure, stream, floats(0.5, 0.25), floats(2, 3), floats(0.125, -1), floats(1, -1, 0.5, 2)]);
  const header = Buffer.alloc(16);
  header.write('SCNN');
  header.writeUInt16LE(1, 4);
  header.writeUInt32LE(structure.length, 8);
  createHash('sha256').update(body).digest().copy(header, 12, 0, 4);
  return Buffer.concat([header, body]);
}

t.test('files of version 1 stay readable', async (t) => {
  const { network, state, info } = await decodeModel(version1File());
  t.same([...state['conv.weight']].slice(0, 9), [0.5, -1, 0, 0.5, -0.5, 0, 0, 0.5, -1]);
  t.same([...state['conv.bitDepth']], [2, 0]);
  t.equal(info.name, 'old');
  const image = Float32Array.from({ length: 9 }, (_, i) => i / 8);
  const sum = image.reduce((total, x, i) => total + x * state['conv.weight'][i], 0.5);
  const [a, b] = [sum * 2 + 0.125, 0.25 * 3 - 1];
  t.ok(difference(await predict(network, state, image, 1), [a - b, 0.5 * a + 2 * b]) < 1e-5);
  const damaged = version1File();
  damaged[damaged.length - 1] ^= 1;
  await t.rejects(decodeModel(damaged), { name: 'ModelFileError', message: /checksum/ });
});
