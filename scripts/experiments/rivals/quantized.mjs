// A trained network's weights as codes · 2^exponent of their channel: what every method ends as, and how it is judged.
import { binding, encodeModel, inspectNetwork, measureSize, originOf } from '../../../dist/index.js';
import { metadataOf } from '../../../dist/model-file/model-file.js';
import { modelInfoOf } from '../../../dist/training/model-info.js';
import { roundedBiases } from '../../../dist/training/rounding.js';

/** Wide enough for every code here. */
const DEPTH = 16;

/** The layer's tensors of whole `codes`, each of `perChannel` to one of the `exponents`; a channel of zeros is dead. */
export function codedLayer(codes, exponents) {
  const perChannel = codes.length / exponents.length;
  const weight = Float32Array.from(codes, (code, i) => code * 2 ** exponents[Math.floor(i / perChannel)]);
  const bitDepth = Float32Array.from(exponents, (_, c) =>
    codes.subarray(c * perChannel, (c + 1) * perChannel).some((code) => code !== 0) ? DEPTH : 0,
  );
  return { weight, bitDepth, exponent: Float32Array.from(exponents) };
}

/** Names of the tensors of coded layers. @param layers by name, as `codedLayer` gives them */
export const layerState = (layers) =>
  Object.fromEntries(Object.entries(layers).flatMap(([name, tensors]) => Object.entries(tensors).map(([key, values]) => [`${name}.${key}`, values])));

export const BATCH = 128;
/** Rates of a step that learns nothing. */
export const STILL = { learningRate: 0, bitDepthLearningRate: 0, exponentLearningRate: 0, gamma: 0 };
/** Of an epoch, for the means and variances of norms. */
const BATCHES = 100;

/**
 * Accuracy and file of the network with these weights. Biases are rounded to 5 bits, as `rate` does; means and variances of the norms are
 * measured anew, over at most 12,800 training examples as training sees them.
 */
export async function judge({ network, state, data, native, augmentation }) {
  const net = new binding.Network(network, { loss: { kind: 'crossEntropy' }, optimizer: { kind: 'sgd', momentum: 0 }, batchSize: BATCH });
  await net.loadState({ ...state, ...roundedBiases(state, 5) });
  const settings = { ...STILL, seed: 1, augmentation };
  const order = native.order(1, 1, BATCHES, BATCH);
  const batches = Math.min(BATCHES, Math.floor(order.length / BATCH));
  for (let i = 0; i < batches; i++) await net.trainStep(native.train, order.subarray(i * BATCH, (i + 1) * BATCH), { ...settings, step: i + 1 });
  const origin = originOf(inspectNetwork(network).parameters);
  const { kept = {} } = (await net.prune()) ?? {};
  const present = Object.fromEntries(Object.entries(kept).map(([name, indices]) => [name, [...indices]]));
  const size = await measureSize(net, { ...origin, present: { ...origin.present, ...present } });
  const { correct, count } = await net.evaluate(native.test.set, native.test.indices);
  const file = await net.encodeModel(metadataOf(modelInfoOf(data)));
  await net.dispose();
  return { file, testAccuracy: correct / count, modelBytes: file.length, bitsFraction: size.bitsFraction, weightsFraction: size.weightsFraction };
}

/** Bytes of the file that these weights would have. */
export const bytesOf = async ({ network, state, data }) =>
  (await encodeModel(network, { ...state, ...roundedBiases(state, 5) }, modelInfoOf(data))).length;
