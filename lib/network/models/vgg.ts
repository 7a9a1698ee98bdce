/** VGG for images of 32×32 pixels. */
import type { NetworkDescription } from '../../binding.js';
import { NetworkBuilder } from '../builder.js';
import { channelsAt, type ModelOptions } from './options.js';

const stages = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
];

/**
 * VGG-16 in the form for CIFAR: thirteen 3×3 convolutions with norms, five poolings, one linear layer. 14.7 M parameters with 10
 * classes. Nodes are numbered as the modules of PyTorch's `features`. Images of at least 32×32 pixels.
 */
export function vgg16({ input, classes, compress, width }: ModelOptions): NetworkDescription {
  const net = new NetworkBuilder(input);
  const at = channelsAt(width);
  let index = 0;
  const next = () => `features_${index++}`;
  let x = 'input';
  for (const stage of stages) {
    for (const channels of stage) {
      x = net.conv2d(x, { name: next(), outChannels: at(channels), kernel: 3, padding: 1, compress });
      x = net.relu(net.batchNorm(x, { name: next() }), next());
    }
    x = net.maxPool(x, { name: next(), kernel: 2 });
  }
  return net.build(net.linear(net.flatten(x, 'flatten'), { name: 'classifier', outFeatures: classes, compress }));
}
