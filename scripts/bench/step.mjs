// One training step of the notebook net through the public library, on made-up images.
import { binding, createModel, initialState, inspectNetwork } from '../../dist/index.js';

const settings = { seed: 1, gamma: 0.05, learningRate: 1e-3, bitDepthLearningRate: 0.05, exponentLearningRate: 0.02 };

/** The notebook net with `width` of its channels in every layer but the last. */
export function notebookOfWidth(width, compress = true) {
  const network = createModel('notebook', { input: [1, 28, 28], classes: 10, compress });
  for (const node of network.nodes) if (node.kind === 'conv2d') node.outChannels = Math.round(node.outChannels * width);
  return network;
}

/** Returns a function that runs steps for about `least` seconds and gives the seconds of one, and the weights' number. */
export async function stepTimer(description, { batch = 512, least = 0.4, precision = 'fp32' } = {}) {
  const { parameters, weights } = inspectNetwork(description);
  const network = new binding.Network(description, {
    device: 'cpu',
    precision,
    loss: { kind: 'crossEntropy' },
    optimizer: { kind: 'adam' },
    batchSize: batch,
  });
  await network.loadState(initialState(parameters, 1, { bitDepth: 8, headroom: 1 }));
  const images = Uint8Array.from({ length: batch * 784 }, (_, i) => (i * 2654435761) >>> 24);
  const data = new binding.DataSet({
    shape: [1, 28, 28],
    images,
    labels: Int32Array.from({ length: batch }, (_, i) => i % 10),
    classes: 10,
    mean: [0.3],
    std: [0.3],
  });
  const indices = Int32Array.from({ length: batch }, (_, i) => i);
  let step = 0;
  const seconds = async () => {
    const run = () => network.trainStep(data, indices, { ...settings, step: ++step });
    await run();
    const start = performance.now();
    for (let runs = 1; ; runs++) {
      await run();
      const passed = (performance.now() - start) / 1000;
      if (passed > least) return passed / runs;
    }
  };
  return { seconds, weights, dispose: () => network.dispose() };
}
