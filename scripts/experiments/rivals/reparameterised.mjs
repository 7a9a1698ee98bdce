/**
 * Trains a network whose weights are made of other parameters. `Network.gradients` gives the gradients of the plain network at the weights that a
 * method makes for a step; the method takes them on to its own parameters, and Adam is here. What is not a weight is trained as it is.
 * A size is steered to as by `--target-size`.
 */
import { binding, defaultTrainOptions, scheduleFactor } from '../../../dist/index.js';
import { withoutBits } from '../../../dist/network/description.js';
import { beginSteering, steerByEpoch, steerByStep } from '../../../dist/training/steering.js';
import { Trained } from './adam.mjs';
import { BATCH, bytesOf, layerState, STILL } from './quantized.mjs';

const LEARNING_RATE = 0.003;

/**
 * @param method makes, for each layer of `weights` = { name: { values, channels } }, what is trained: { made() → weights of a step by layer,
 *   take(gradients by layer, γ) → bits of each weight, trained: Trained[], layers() → tensors of layers by name }, and with `bytes` its `penalty`
 *   and the γ to begin at; `penalise(parameter, Trained)` may change the gradient of what is no weight
 * @returns the state with the method's layers
 */
export async function trainReparameterised({ network, state, data, native, method, epochs, seed, augmentation, bytes, log = () => {} }) {
  const plain = withoutBits(network);
  const net = new binding.Network(plain, { loss: { kind: 'crossEntropy' }, optimizer: { kind: 'sgd', momentum: 0 }, batchSize: BATCH });
  const parameters = new Map(net.parameters.map((parameter) => [parameter.name, parameter]));
  const values = Object.fromEntries([...parameters.keys()].map((name) => [name, Float32Array.from(state[name])]));
  const withRole = (...roles) => [...parameters.values()].filter(({ role }) => roles.includes(role)).map(({ name }) => name);
  const weights = withRole('weight');
  const others = Object.fromEntries(withRole('bias', 'normWeight', 'normBias').map((name) => [name, new Trained(values[name], LEARNING_RATE)]));
  const stepsPerEpoch = native.stepsPerEpoch(BATCH, 0);
  const options = { ...defaultTrainOptions, epochs, batchSize: BATCH, seed, penalty: method.penalty, gamma: method.gamma, target: { bytes } };
  options.bits = { ...options.bits, freezeAt: 1 };
  const plan = { options, stepsPerEpoch, weights: weights.reduce((sum, name) => sum + values[name].length, 0) };
  let steering = bytes ? beginSteering(plan, 1) : undefined;
  let step = 0;
  let bits = 0;
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const order = native.order(seed, epoch, stepsPerEpoch, BATCH);
    for (let i = 0; i < stepsPerEpoch; i++) {
      step++;
      const progress = (step - 1) / (epochs * stepsPerEpoch - 1);
      const factor = scheduleFactor({ kind: 'cosine', warmup: 0.01 }, progress);
      const gamma = steering ? steering.gammas[0] : 0;
      const made = Object.fromEntries(Object.entries(method.made()).map(([name, weights]) => [`${name}.weight`, weights]));
      await net.loadState({ ...made, ...Object.fromEntries(Object.entries(others).map(([name, own]) => [name, own.values])) });
      const indices = order.subarray(i * BATCH, Math.min(order.length, (i + 1) * BATCH));
      const gradients = await net.gradients(native.train, indices, { step, seed, augmentation, ...STILL });
      bits = method.take(Object.fromEntries(weights.map((name) => [name.slice(0, -'.weight'.length), gradients[name]])), gamma);
      for (const [name, own] of Object.entries(others)) {
        own.gradient.set(gradients[name]);
        method.penalise?.(parameters.get(name), own);
        own.step(factor);
      }
      for (const own of method.trained) own.step(factor);
      if (steering) steering = steerByStep(steering, plan, step, bits);
    }
    if (steering) {
      const size = await bytesOf({ network, data, state: { ...stateOf(), ...layerState(method.layers()) } });
      steering = steerByEpoch(steering, plan, { bitsPerWeight: bits, step }, size);
      log(`epoch ${epoch}/${epochs}: ${bits.toFixed(3)} bits of each weight, γ ${steering.last.toPrecision(3)}, ${size} bytes`);
    }
  }
  await net.dispose();
  return { ...stateOf(), ...layerState(method.layers()) };

  function stateOf() {
    return { ...values, ...Object.fromEntries(Object.entries(others).map(([name, own]) => [name, own.values])) };
  }
}
