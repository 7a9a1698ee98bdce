// Networks that train in PyTorch as well (pytorch-steps.py), for the tests of networks by name.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { initialState, range, root } from './support.mjs';

const python = '/usr/bin/python3';
/** Option of a test that needs PyTorch. */
export const needsTorch = { skip: spawnSync(python, ['-c', 'import torch']).status === 0 ? false : 'python3-torch is not installed' };

/**
 * Trains three steps of the network from its initial state, on all examples of `data` at once, and expects PyTorch's losses, within what
 * single precision changes there.
 * @param given { name, description, network, data, inputs, labels, learningRate }; inputs: { shape, data } as `data` was made from
 * @returns the losses
 */
export async function followsPyTorch(t, { name, description, network, data, inputs, labels, learningRate }) {
  const state = initialState(network.parameters, 1, { bitDepth: 8, headroom: 1 });
  await network.loadState(state);
  const settings = { seed: 1, gamma: 0, learningRate, bitDepthLearningRate: 0, exponentLearningRate: 0 };
  const losses = [];
  for (let step = 1; step <= 3; step++) losses.push((await network.trainStep(data, range(data.count), { ...settings, step })).loss);
  const tensor = (shape, values) => ({ shape, data: [...values] });
  const job = {
    description,
    images: tensor(inputs.shape, inputs.data),
    labels: [...labels],
    learningRate,
    state: Object.fromEntries(network.parameters.map((p) => [p.name, tensor(p.shape, state[p.name])])),
  };
  const input = JSON.stringify(job);
  const { status, stdout, stderr } = spawnSync(python, [join(root, 'test/pytorch-steps.py')], { input, encoding: 'utf8', maxBuffer: 1 << 28 });
  t.equal(status, 0, stderr);
  const { float64, float32 } = JSON.parse(stdout);
  float64.forEach((loss, i) => {
    const rounding = Math.abs(loss - float32[i]); // some nets make much of it
    t.ok(
      Math.abs(loss - losses[i]) < 2e-4 * Math.max(1, loss) + rounding,
      `${name}, step ${i + 1}: ${losses[i]}, PyTorch ${loss}, in floats ${float32[i]}`,
    );
  });
  return losses;
}
