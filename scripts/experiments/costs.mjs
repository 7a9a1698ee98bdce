// What a network takes: multiply-adds and bytes of an image, memory of a training step.
import { readFileSync } from 'node:fs';
import { binding, createModel, decodeModel, inspectNetwork } from '../../dist/index.js';

/** Images that one vector of the layout holds: a batch of so many wastes none. */
const BATCH = 16;
const inputs = { mnist: [1, 28, 28], 'fashion-mnist': [1, 28, 28], cifar10: [3, 32, 32] };

const elements = (axes) => axes.reduce((product, n) => product * n, 1);

/** Bytes in float32 if every node reads its inputs and its weights and writes its output once. */
function bytesMovedBy(description) {
  const { shapes, parameters } = inspectNetwork(description);
  const sizeOf = (name) => elements(shapes[name] ?? description.input);
  const activations = description.nodes.reduce(
    (sum, { name, inputs: read }) => read.reduce((all, input) => all + sizeOf(input), sum + sizeOf(name)),
    0,
  );
  const weights = parameters.reduce((sum, { role, shape }) => sum + (role === 'weight' ? elements(shape) : 0), 0);
  return 4 * (activations + weights);
}

/**
 * @returns multiplyAdds and bytesMoved of one image, or window of text; trainingBytes: parameters, gradients, moments and activations of a step of
 *   `batchSize` images
 */
async function costOf(description, batchSize) {
  const loss = { kind: 'crossEntropy', ...(description.inputType === 'token' && { perPosition: true }) };
  const make = (size) => new binding.Network(description, { device: 'cpu', loss, optimizer: { kind: 'adam' }, batchSize: size });
  const network = make(BATCH);
  const { multiplyAdds } = await network.plan('evaluation');
  await network.dispose();
  const training = make(batchSize);
  const { parameterBytes, activationBytes } = await training.memory();
  await training.dispose();
  return { multiplyAdds: multiplyAdds / BATCH, bytesMoved: bytesMovedBy(description), trainingBytes: parameterBytes + activationBytes };
}

/** Of the network, by name where it is not given, and of what is left of it in the file. */
export async function costsOf({ model, dataset, options }, file, whole = createModel(model, { input: inputs[dataset], classes: 10 })) {
  const batchSize = Number(options.small?.['batch-size'] ?? options['batch-size'] ?? 128);
  const { network } = await decodeModel(readFileSync(file));
  return {
    batchSize,
    before: await costOf(whole, batchSize),
    after: await costOf(network, batchSize),
  };
}
