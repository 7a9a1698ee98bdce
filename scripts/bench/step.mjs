// One training step through the public library, on made-up images or tokens.
import { binding, createModel, initialState, inspectNetwork } from '../../dist/index.js';

// Bit depths stay as they are: channels that died would make what is timed smaller from round to round.
const settings = { seed: 1, gamma: 0.05, learningRate: 1e-3, bitDepthLearningRate: 0, exponentLearningRate: 0.02 };

/** The notebook net with `width` of its channels in every layer but the last. */
export function notebookOfWidth(width, compress = true) {
  const network = createModel('notebook', { input: [1, 28, 28], classes: 10, compress });
  for (const node of network.nodes) if ('outChannels' in node) node.outChannels = Math.round(node.outChannels * width);
  return network;
}

/** Networks for images of 28² and 10 classes, of 32² in colour, and for texts. */
export function networkByName(name) {
  if (name.endsWith('-lm')) return createModel(name, { input: { tokens: 64 }, classes: 65 });
  return createModel(name, { input: /^(notebook|lenet|mlp)/.test(name) ? [1, 28, 28] : [3, 32, 32], classes: 10 });
}

const scattered = (i) => (i * 2654435761) >>> 24;

function randomImages(shape, batch) {
  return new binding.DataSet({
    shape,
    images: Uint8Array.from({ length: batch * shape[0] * shape[1] * shape[2] }, (_, i) => scattered(i)),
    labels: Int32Array.from({ length: batch }, (_, i) => i % 10),
    classes: 10,
    mean: Array(shape[0]).fill(0.3),
    std: Array(shape[0]).fill(0.3),
  });
}

function randomTokens({ input, nodes }, batch) {
  const { vocabulary } = nodes.find((node) => 'vocabulary' in node);
  const tokens = Int32Array.from({ length: batch + input.at(-1) }, (_, i) => scattered(i) % vocabulary);
  return new binding.DataSet({ tokens, length: input.at(-1), vocabulary, windows: true });
}

/** Returns a function that runs steps for about `least` seconds and gives the seconds of one, and the weights' number. */
export async function stepTimer(description, { batch = 512, least = 0.4, device = 'cpu', precision = 'fp32' } = {}) {
  const { parameters, weights } = inspectNetwork(description);
  const ofTokens = description.inputType === 'token';
  const network = new binding.Network(description, {
    device,
    precision,
    loss: { kind: 'crossEntropy', perPosition: ofTokens },
    optimizer: { kind: 'adam' },
    batchSize: batch,
  });
  await network.loadState(initialState(parameters, 1, { bitDepth: 8, headroom: 1 }));
  const data = ofTokens ? randomTokens(description, batch) : randomImages(description.input, batch);
  const indices = Int32Array.from({ length: batch }, (_, i) => i);
  let step = 0;
  const seconds = async () => {
    const run = () => network.trainStep(data, indices, { ...settings, step: ++step });
    await run();
    const ahead = device === 'cpu' ? 0 : 1; // a device gets the next step before the result of the one before is there
    const running = [];
    const start = performance.now();
    for (let runs = 1 - ahead; ; runs++) {
      running.push(run());
      if (running.length > ahead) await running.shift();
      const passed = (performance.now() - start) / 1000;
      if (passed <= least || runs < 1) continue;
      await Promise.all(running);
      return (performance.now() - start) / 1000 / (runs + ahead);
    }
  };
  return { seconds, weights, dispose: () => network.dispose() };
}
