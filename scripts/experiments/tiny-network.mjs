// Convolutional nets for digits of 16×16 pixels, of the size that microcontrollers run.
import { NetworkBuilder } from '../../dist/index.js';

/** Two convolutions of `width` channels at 16×16, two of twice as many at 8×8, one at 4×4, each with a norm, and a linear layer. */
export function tinyNetwork(width, compress = true) {
  const net = new NetworkBuilder([1, 16, 16]);
  const layer = (input, i, outChannels, padding) =>
    net.relu(
      net.batchNorm(net.conv2d(input, { name: `conv${i}`, outChannels, kernel: 3, padding, bias: false, compress }), { name: `norm${i}` }),
      `relu${i}`,
    );
  let x = layer(layer('input', 1, width, 1), 2, width, 1);
  x = layer(layer(net.maxPool(x, { name: 'pool1', kernel: 2 }), 3, 2 * width, 1), 4, 2 * width, 1);
  x = layer(net.maxPool(x, { name: 'pool2', kernel: 2 }), 5, 2 * width, 0);
  return net.build(net.linear(net.flatten(x, 'flatten'), { name: 'linear', outFeatures: 10, compress }));
}
