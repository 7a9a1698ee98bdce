// Gradients of weights, bit depths and exponents, of whole networks, against PyTorch (Debian: python3-torch).
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { binding, difference, floats, initialState, NetworkBuilder, randomNumbers, range, root, toyNetwork } from './support.mjs';

const python = '/usr/bin/python3';
const hasTorch = spawnSync(python, ['-c', 'import torch'], { encoding: 'utf8' }).status === 0;

function richNetwork() {
  const net = new NetworkBuilder([2, 12, 10]);
  const a = net.silu(net.conv2d('input', { outChannels: 6, kernel: [3, 5], padding: [1, 2], stride: [2, 1] }));
  const b = net.gelu(net.batchNorm(net.conv2d(a, { outChannels: 6, kernel: 3, padding: 2, dilation: 2, groups: 3 })));
  const c = net.relu(net.add(a, net.conv2d(b, { outChannels: 6, kernel: 1, bias: false })));
  const d = net.concat([net.averagePool(c, { kernel: 2 }), net.maxPool(b, { kernel: 3, stride: 2, padding: 1 })]);
  const e = net.relu(net.batchNorm(net.conv2d(d, { outChannels: 9, kernel: 3, padding: 1 }), { affine: false }));
  return net.build(net.linear(net.concat([net.globalAveragePool(e), net.flatten(net.maxPool(e, { kernel: 3 }))]), { outFeatures: 5 }));
}

/** Every operator that is not in the other networks. */
function gatedNetwork() {
  const net = new NetworkBuilder([2, 6, 5]);
  const layer = (input, kernel = 3) => net.conv2d(input, { outChannels: 6, kernel, padding: (kernel - 1) / 2 });
  const a = net.layerNorm(net.leakyRelu(layer('input'), { slope: 0.2 }));
  const gate = net.sigmoid(net.linear(net.globalAveragePool(a), { outFeatures: 6 }));
  const b = net.prelu(net.multiply(a, gate));
  const c = net.subtract(net.apply('tanh', layer(b, 1)), net.softmax(layer(b)));
  const d = net.divide(
    net.hardSigmoid(layer(c)),
    net.affine(net.apply('softplus', net.conv2d(c, { outChannels: 1, kernel: 1 })), { scale: 0.5, offset: 0.5 }),
  );
  const e = net.instanceNorm(net.elu(layer(d), { alpha: 0.7 }), { affine: true });
  const f = net.rmsNorm(net.add(net.groupNorm(e, { groups: 3 }), net.clip(net.apply('hardSwish', layer(e)), { low: -0.2, high: 0.8 })));
  const positive = net.affine(net.apply('square', net.apply('geluTanh', f)), { offset: 0.4 });
  const g = net.concat([net.apply('log', positive), net.apply('sqrt', positive), net.apply('reciprocal', positive)]);
  const h = net.multiply(net.apply('abs', layer(g)), net.apply('exp', net.affine(layer(f, 1), { scale: 0.1 })));
  return net.build(net.linear(net.prelu(h, { shared: true }), { outFeatures: 5 }));
}

t.test('gradients agree with PyTorch', { skip: hasTorch ? false : 'python3-torch is not installed' }, async (t) => {
  for (const [description, bits] of [
    [toyNetwork(), 4],
    [toyNetwork(), 2],
    [richNetwork(), 6],
    [richNetwork(), 3],
    [gatedNetwork(), 6],
  ]) {
    for (const seed of [1, 2]) {
      const random = randomNumbers(seed);
      const count = 21;
      const network = new binding.Network(description, {
        device: 'cpu',
        loss: { kind: 'crossEntropy', labelSmoothing: 0.1 },
        optimizer: { kind: 'adam' },
        batchSize: 32,
      });
      const state = initialState(network.parameters, seed, { bitDepth: bits, headroom: -0.3 }); // some weights are clipped
      for (const p of network.parameters) {
        if (p.role === 'bitDepth') state[p.name].set(floats(random, state[p.name].length, bits - 0.8, bits + 0.8));
        if (p.role === 'bitDepth') state[p.name][1] = 0; // one dead channel
        if (p.role === 'normWeight' || p.role === 'normBias') state[p.name].set(floats(random, state[p.name].length, 0.5, 1.5));
      }
      await network.loadState(state);
      const images = floats(random, count * description.input.reduce((a, b) => a * b));
      const labels = Int32Array.from({ length: count }, () => Math.floor(random() * 4));
      const data = new binding.DataSet({ shape: description.input, images, labels, classes: 4 });
      const settings = { step: 1, seed: 1, gamma: 0.7, learningRate: 0, bitDepthLearningRate: 0, exponentLearningRate: 0 };
      const gradients = await network.gradients(data, range(count), settings);
      const { loss, bitsPerWeight } = await network.trainStep(data, range(count), settings);
      const job = {
        description,
        images: [...images],
        imageShape: [count, ...description.input],
        labels: [...labels],
        gamma: 0.7,
        labelSmoothing: 0.1,
        state: Object.fromEntries(network.parameters.map((p) => [p.name, { shape: p.shape, data: [...state[p.name]] }])),
      };
      const result = spawnSync(python, [join(root, 'test/pytorch-gradients.py')], {
        input: JSON.stringify(job),
        encoding: 'utf8',
        maxBuffer: 1 << 28,
      });
      t.equal(result.status, 0, result.stderr);
      const expected = JSON.parse(result.stdout);
      t.ok(Math.abs(loss - expected.loss) < 1e-4, `loss ${loss} ${expected.loss}`);
      t.ok(Math.abs(bitsPerWeight - expected.bitsPerWeight) < 1e-4, `Q ${bitsPerWeight} ${expected.bitsPerWeight}`);
      for (const p of network.parameters) {
        if (!(p.name in expected.gradients)) continue;
        let reference = expected.gradients[p.name] ?? new Array(gradients[p.name].length).fill(0);
        let actual = gradients[p.name];
        const bitDepth = state[`${p.node}.bitDepth`];
        // Dead channels: their biases do not learn, they decay; PyTorch knows nothing of that.
        if (bitDepth && p.role === 'bias') [reference, actual] = [reference, actual].map((v) => [...v].filter((_, i) => bitDepth[i] > 0));
        // The same behind a norm: its scale and shift are left alone where its input is dead, as slopes are.
        if (['normBias', 'normWeight', 'slope'].includes(p.role))
          [reference, actual] = [reference, gradients[p.name]].map((v) => [...v].filter((_, i) => gradients[p.name][i] !== 0));
        const worst = difference(actual, reference);
        t.ok(worst < 1e-3, `${p.name} ${worst}`);
      }
    }
  }
});
