/** Networks that several benchmarks take. */
import { createModel, inspectNetwork, NetworkBuilder } from '../../dist/index.js';

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

/** The notebook's network with these channels instead of its 32, 32, 64, 64. */
function notebookWith([a, b, c, d]) {
  const net = new NetworkBuilder([1, 28, 28]);
  let x = net.relu(net.conv2d('input', { outChannels: a, kernel: 5 }));
  x = net.relu(net.conv2d(x, { outChannels: b, kernel: 5 }));
  x = net.maxPool(net.batchNorm(x), { kernel: 2 });
  x = net.relu(net.conv2d(x, { outChannels: c, kernel: 3 }));
  x = net.relu(net.conv2d(x, { outChannels: d, kernel: 3 }));
  x = net.maxPool(net.batchNorm(x), { kernel: 2 });
  return net.build(net.linear(net.flatten(x), { outFeatures: 10 }));
}

/** Weights of a network. */
export const weightsOf = (description) =>
  inspectNetwork(description)
    .parameters.filter((p) => p.role === 'weight')
    .reduce((sum, p) => sum + p.shape.reduce((a, b) => a * b), 0);

const colours = { input: [3, 32, 32], classes: 10 };
const notebook = createModel('notebook', { input: [1, 28, 28], classes: 10 });
/** Networks, and the ones that they were cut from. */
export const cutNetworks = [
  { name: 'notebook', description: notebook, full: notebook },
  { name: 'notebook, channels cut by hand to 16, 16, 32, 32', description: notebookWith([16, 16, 32, 32]), full: notebook },
  { name: 'notebook, channels cut by hand to 13, 15, 33, 31', description: notebookWith([13, 15, 33, 31]), full: notebook },
  ...['resnet20', 'resnet9'].flatMap((name) => {
    const full = createModel(name, colours);
    return [
      { name, description: full, full },
      { name: `${name}, half of the channels cut by hand`, description: createModel(name, { ...colours, width: 0.5 }), full },
    ];
  }),
];

export const smallNetworks = {
  notebook,
  'resnet20, half as wide': createModel('resnet20', { ...colours, width: 0.5 }),
  resnet20: createModel('resnet20', colours),
  'depthwise, 64 channels': separable(),
  'linear 784, 1024, 1024, 10': layers(),
};
