/** Classes for every pixel. */
import type { NetworkDescription } from '../../binding.js';
import { NetworkBuilder } from '../builder.js';
import { channelsAt, type ModelOptions } from './options.js';

const LEVELS = [32, 64, 128, 256];

/**
 * U-Net (Ronneberger et al. 2015) with norms and padding, half as wide and one level less than published: pairs of 3×3 convolutions on
 * four levels, each half as large as the one before, and back with what each level had. Height and width are multiples of 8.
 */
export function unet({ input, classes, compress, width }: ModelOptions): NetworkDescription {
  const net = new NetworkBuilder(input);
  const at = channelsAt(width);
  const pair = (from: string, name: string, outChannels: number) =>
    [1, 2].reduce((x, i) => {
      const conv = net.conv2d(x, { name: `${name}-conv${i}`, outChannels, kernel: 3, padding: 1, bias: false, compress });
      return net.relu(net.batchNorm(conv, { name: `${name}-norm${i}` }), `${name}-relu${i}`);
    }, from);
  const sides: string[] = [];
  let x = 'input';
  LEVELS.forEach((channels, level) => {
    if (level > 0) {
      sides.push(x);
      x = net.maxPool(x, { name: `down${level}-pool`, kernel: 2 });
    }
    x = pair(x, `down${level}`, at(channels));
  });
  for (let level = LEVELS.length - 2; level >= 0; level--) {
    const outChannels = at(LEVELS[level] as number);
    const larger = net.convTranspose2d(x, { name: `up${level}`, outChannels, kernel: 2, stride: 2, compress });
    x = pair(net.concat([sides[level] as string, larger], `up${level}-concat`), `up${level}`, outChannels);
  }
  return net.build(net.conv2d(x, { name: 'head', outChannels: classes, kernel: 1, compress }));
}
