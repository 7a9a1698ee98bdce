// Training that starts from a model file, whose batch norms are folded to a scale and a shift.
import t from 'tap';
import { datasetNow, decodeModel, floats, NetworkBuilder, randomNumbers, Trainer } from './support.mjs';

/** Inputs whose channels have means and spreads of their own. */
function dataOf(shape) {
  const random = randomNumbers(11);
  const size = shape.reduce((product, n) => product * n, 1);
  const positions = size / shape[0];
  const split = (count) => {
    const images = floats(random, count * size).map((x, i) => {
      const channel = Math.floor((i % size) / positions);
      return (1 + channel) * x + 2 * channel;
    });
    const labels = Int32Array.from({ length: count }, (_, i) => (images[i * size] > 0 ? 1 : 0) + (images[i * size + positions] > 2 ? 2 : 0));
    return { images, labels };
  };
  return datasetNow({ shape, train: split(512), test: split(128), classes: 4 });
}

const networks = {
  images: [
    [3, 6, 6],
    (net) => {
      const conv = (x, outChannels) => net.batchNorm(net.conv2d(x, { outChannels, kernel: 3, padding: 1 }));
      const x = net.relu(conv('input', 8));
      return net.globalAveragePool(net.relu(net.add(conv(x, 8), x)));
    },
  ],
  'many norms': [
    [2],
    (net) => {
      let x = 'input';
      for (let i = 0; i < 20; i++) x = net.relu(net.batchNorm(net.linear(x, { outFeatures: 6 })));
      return x;
    },
  ],
  sequences: [[3, 10], (net) => net.globalAveragePool(net.relu(net.batchNorm(net.linear('input', { outFeatures: 6 }), { epsilon: 0.01 })))],
  vectors: [[3], (net) => net.relu(net.batchNorm(net.linear(net.relu(net.batchNorm(net.linear('input', { outFeatures: 9 }))), { outFeatures: 7 })))],
};

for (const [name, [shape, body]] of Object.entries(networks))
  t.test(`a run that starts from a model file goes on where its network was: ${name}`, async (t) => {
    const net = new NetworkBuilder(shape);
    const network = net.build(net.linear(body(net), { outFeatures: 4 }));
    const data = dataOf(shape);
    const options = { network, data, batchSize: 64, seed: 3, gamma: 0, bits: { initial: 16 } };
    const first = Trainer.create({ ...options, epochs: 12, learningRate: 0.02 });
    await first.run();
    const file = await first.encodeModel();
    const { state } = await decodeModel(file);
    const norms = Object.keys(state).filter((key) => key.endsWith('.runningMean'));
    t.ok(norms.length > 0 && norms.every((key) => state[key].every((mean) => mean === 0)), 'folded in the file');

    const before = await first.evaluate();
    const again = Trainer.create({
      ...options,
      state,
      epochs: 1,
      learningRate: 0,
      bits: { ...options.bits, exponentLearningRate: 0, learningRate: 0 },
    });
    const after = await again.evaluate();
    t.ok(Math.abs(after.loss - before.loss) < 1e-3 * (1 + before.loss), `the same in evaluation: ${after.loss}, ${before.loss}`);
    const known = await first.state();
    const measured = await again.state();
    for (const key of norms) {
      const spread = key.replace('Mean', 'Var');
      t.ok(
        measured[spread].every((v, c) => Math.abs(Math.log(v / known[spread][c])) < 0.5),
        `${spread} is near what training saw`,
      );
    }
    await again.run();
    const { trainLoss } = again.history[0];
    t.ok(
      Math.abs(trainLoss - first.history.at(-1).trainLoss) < 0.1,
      `a step finds the loss of the last ones: ${trainLoss}, ${first.history.at(-1).trainLoss}`,
    );
    await Promise.all([first.dispose(), again.dispose()]);
  });

t.test('norms that nothing has trained stay as they are', async (t) => {
  const net = new NetworkBuilder([3]);
  const network = net.build(net.linear(net.batchNorm(net.linear('input', { outFeatures: 5 })), { outFeatures: 4 }));
  const trainer = Trainer.create({ network, data: dataOf([3]), epochs: 1 });
  const state = await trainer.state();
  t.ok(state['batchNorm1.runningVar'].every((v) => v === 1));
  await trainer.dispose();
});
