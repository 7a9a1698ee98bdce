/** Small networks for digits: tinygrad's notebook, LeNet, perceptrons. */
import type { NetworkDescription } from '../../binding.js';
import { NetworkBuilder } from '../builder.js';
import { channelsAt, type ModelOptions } from './options.js';

/** The convolutional network of tinygrad's self-compression notebook: 87,456 weights on 28×28 images. */
export function notebook({ input, classes, compress, width }: ModelOptions): NetworkDescription {
  const net = new NetworkBuilder(input);
  const at = channelsAt(width);
  let x = net.relu(net.conv2d('input', { name: 'conv1', outChannels: at(32), kernel: 5, compress }), 'relu1');
  x = net.relu(net.conv2d(x, { name: 'conv2', outChannels: at(32), kernel: 5, compress }), 'relu2');
  x = net.maxPool(net.batchNorm(x, { name: 'norm1' }), { name: 'pool1', kernel: 2 });
  x = net.relu(net.conv2d(x, { name: 'conv3', outChannels: at(64), kernel: 3, compress }), 'relu3');
  x = net.relu(net.conv2d(x, { name: 'conv4', outChannels: at(64), kernel: 3, compress }), 'relu4');
  x = net.maxPool(net.batchNorm(x, { name: 'norm2' }), { name: 'pool2', kernel: 2 });
  return net.build(net.linear(net.flatten(x, 'flatten'), { name: 'linear', outFeatures: classes, compress }));
}

/** LeNet-5 in the form that pruning papers use (Caffe's): 430,500 weights on 28×28 images. */
export function lenet5({ input, classes, compress, width }: ModelOptions): NetworkDescription {
  const net = new NetworkBuilder(input);
  const at = channelsAt(width);
  let x = net.maxPool(net.conv2d('input', { name: 'conv1', outChannels: at(20), kernel: 5, compress }), { name: 'pool1', kernel: 2 });
  x = net.maxPool(net.conv2d(x, { name: 'conv2', outChannels: at(50), kernel: 5, compress }), { name: 'pool2', kernel: 2 });
  x = net.relu(net.linear(net.flatten(x, 'flatten'), { name: 'linear1', outFeatures: at(500), compress }), 'relu1');
  return net.build(net.linear(x, { name: 'linear2', outFeatures: classes, compress }));
}

/** LeNet-300-100: fully connected, 266,200 weights on 28×28 images. */
export function lenet300(options: ModelOptions): NetworkDescription {
  return perceptron(options, [300, 100]);
}

/** One hidden layer of 128. */
export function mlp(options: ModelOptions): NetworkDescription {
  return perceptron(options, [128]);
}

function perceptron({ input, classes, compress, width }: ModelOptions, hidden: number[]): NetworkDescription {
  const net = new NetworkBuilder(input);
  let x = net.flatten('input', 'flatten');
  hidden.forEach((outFeatures, i) => {
    x = net.relu(net.linear(x, { name: `linear${i + 1}`, outFeatures: channelsAt(width)(outFeatures), compress }), `relu${i + 1}`);
  });
  return net.build(net.linear(x, { name: `linear${hidden.length + 1}`, outFeatures: classes, compress }));
}
