/** Networks that several benchmarks take. */
import { createModel, NetworkBuilder } from '../../dist/index.js';

/** Depthwise convolutions and those of one place, in turn. */
function separable() {
  const net = new NetworkBuilder([1, 49, 10]);
  let x = net.relu(net.batchNorm(net.conv2d('input', { outChannels: 64, kernel: [10, 4], stride: 2, padding: [5, 1] })));
  for (let i = 0; i < 4; i++) {
    x = net.relu(net.batchNorm(net.conv2d(x, { outChannels: 64, kernel: 3, padding: 1, groups: 64 })));
    x = net.relu(net.batchNorm(net.conv2d(x, { outChannels: 64, kernel: 1 })));
  }
  return net.build(net.linear(net.flatten(net.globalAveragePool(x)), { outFeatures: 12 }));
}
function layers() {
  const net = new NetworkBuilder([784]);
  const x = net.relu(net.linear('input', { outFeatures: 1024 }));
  return net.build(net.linear(net.relu(net.linear(x, { outFeatures: 1024 })), { outFeatures: 10 }));
}

const colours = { input: [3, 32, 32], classes: 10 };
export const smallNetworks = {
  notebook: createModel('notebook', { input: [1, 28, 28], classes: 10 }),
  'resnet20, half as wide': createModel('resnet20', { ...colours, width: 0.5 }),
  resnet20: createModel('resnet20', colours),
  'depthwise, 64 channels': separable(),
  'linear 784, 1024, 1024, 10': layers(),
};
