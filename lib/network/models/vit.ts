/** Vision transformers for small images. */
import type { NetworkDescription } from '../../binding.js';
import { NetworkBuilder } from '../builder.js';
import { channelsAt, type ModelOptions } from './options.js';
import { addBlock } from './transformer.js';

const HEADS = 3;
const BLOCKS = 12;
const PATCH = 4;

/**
 * ViT-Tiny (Touvron et al. 2021) for images of about 32×32 pixels: patches of 4×4, 12 blocks of 3 heads on a stream of 192 dimensions
 * (`width` is its factor), learned positions. The mean over all patches is classified, without a token of its own for the class.
 */
export function vitTiny({ input, classes, compress, width }: ModelOptions): NetworkDescription {
  const net = new NetworkBuilder(input);
  const stream = HEADS * channelsAt(width)(192 / HEADS);
  const patches = net.conv2d('input', { name: 'patches', outChannels: stream, kernel: PATCH, stride: PATCH, compress });
  let x = net.add(patches, net.parameter(patches, { name: 'positions', channels: stream, compress }), 'stream');
  for (let i = 1; i <= BLOCKS; i++) x = addBlock(net, x, { name: `block${i}`, stream, heads: HEADS, causal: false, bias: true, compress });
  return net.build(net.linear(net.globalAveragePool(net.layerNorm(x, { name: 'norm' }), 'pool'), { name: 'head', outFeatures: classes, compress }));
}
