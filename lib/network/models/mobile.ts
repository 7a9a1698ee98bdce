/**
 * Inverted residuals: a convolution of one pixel that widens, a depthwise one, and one of one pixel that narrows. Nodes have the names
 * of torchvision's modules, with `_` in place of the dot.
 */
import type { NetworkDescription } from '../../binding.js';
import { NetworkBuilder } from '../builder.js';
import { channelsAt, type ModelOptions } from './options.js';

/** Images from here on are made small at once, as ImageNet's are; those of CIFAR keep their pixels longer. */
const LARGE = 96;

type Activation = (input: string, name: string) => string;

interface Layer {
  conv: string;
  norm: string;
  outChannels: number;
  kernel: number;
  stride?: number;
  groups?: number;
}

/** What the blocks of a network are made of. */
class Blocks {
  readonly at: (channels: number) => number;

  constructor(
    readonly net: NetworkBuilder,
    readonly options: ModelOptions,
  ) {
    this.at = channelsAt(options.width);
  }

  readonly relu: Activation = (input, name) => this.net.relu(input, name);
  readonly relu6: Activation = (input, name) => this.net.clip(input, { name, low: 0, high: 6 });
  readonly hardSwish: Activation = (input, name) => this.net.apply('hardSwish', input, name);

  layer(input: string, { conv, norm, kernel, ...rest }: Layer): string {
    const { compress } = this.options;
    return this.net.batchNorm(this.net.conv2d(input, { name: conv, kernel, padding: (kernel - 1) / 2, bias: false, compress, ...rest }), {
      name: norm,
    });
  }

  /** Gates for all channels, from their means: two layers, of which the first is narrow (Hu et al. 2018). */
  squeezeExcite(input: string, name: string, channels: number, narrow: number): string {
    const { net, options } = this;
    const { compress } = options;
    const mean = net.globalAveragePool(input, `${name}_mean`);
    const squeezed = net.relu(net.conv2d(mean, { name: `${name}_fc1`, outChannels: narrow, kernel: 1, compress }), `${name}_relu`);
    const gates = net.hardSigmoid(net.conv2d(squeezed, { name: `${name}_fc2`, outChannels: channels, kernel: 1, compress }), {
      name: `${name}_gates`,
    });
    return net.multiply(input, gates, `${name}_product`);
  }
}

const isLarge = ({ input }: ModelOptions) => Math.min(input[1], input[2]) >= LARGE;

/** Widening, channels, repetitions, stride of the first, and its stride for small images. */
const v2: [number, number, number, number, number][] = [
  [1, 16, 1, 1, 1],
  [6, 24, 2, 2, 1],
  [6, 32, 3, 2, 2],
  [6, 64, 4, 2, 2],
  [6, 96, 3, 1, 1],
  [6, 160, 3, 2, 2],
  [6, 320, 1, 1, 1],
];

/** MobileNetV2 (Sandler et al. 2018). For images of less than 96 pixels the first two strides are 1: the form for CIFAR. */
export function mobilenetv2(options: ModelOptions): NetworkDescription {
  const net = new NetworkBuilder(options.input);
  const blocks = new Blocks(net, options);
  const { at, relu6 } = blocks;
  const large = isLarge(options);
  let x = relu6(
    blocks.layer('input', { conv: 'features_0_0', norm: 'features_0_1', outChannels: at(32), kernel: 3, stride: large ? 2 : 1 }),
    'features_0_2',
  );
  let present = at(32);
  let index = 1;
  for (const [widening, channels, count, first, firstSmall] of v2) {
    for (let i = 0; i < count; i++, index++) {
      const stride = i > 0 ? 1 : large ? first : firstSmall;
      const outChannels = at(channels);
      const wide = widening * present;
      const name = `features_${index}_conv`;
      let y = x;
      let part = 0;
      if (widening > 1) {
        y = relu6(blocks.layer(y, { conv: `${name}_0_0`, norm: `${name}_0_1`, outChannels: wide, kernel: 1 }), `${name}_0_2`);
        part = 1;
      }
      const depthwise = { outChannels: wide, kernel: 3, stride, groups: wide };
      y = relu6(blocks.layer(y, { conv: `${name}_${part}_0`, norm: `${name}_${part}_1`, ...depthwise }), `${name}_${part}_2`);
      y = blocks.layer(y, { conv: `${name}_${part + 1}`, norm: `${name}_${part + 2}`, outChannels, kernel: 1 });
      x = stride === 1 && present === outChannels ? net.add(x, y, `features_${index}`) : y;
      present = outChannels;
    }
  }
  x = relu6(blocks.layer(x, { conv: `features_${index}_0`, norm: `features_${index}_1`, outChannels: at(1280), kernel: 1 }), `features_${index}_2`);
  const { classes, compress } = options;
  return net.build(net.linear(net.globalAveragePool(x, 'pool'), { name: 'classifier_1', outFeatures: classes, compress }));
}

/** Kernel, widened channels, channels, squeeze and excite, hard-swish, stride, and stride for small images. */
const v3small: [number, number, number, boolean, boolean, number, number][] = [
  [3, 16, 16, true, false, 2, 1],
  [3, 72, 24, false, false, 2, 2],
  [3, 88, 24, false, false, 1, 1],
  [5, 96, 40, true, true, 2, 2],
  [5, 240, 40, true, true, 1, 1],
  [5, 240, 40, true, true, 1, 1],
  [5, 120, 48, true, true, 1, 1],
  [5, 144, 48, true, true, 1, 1],
  [5, 288, 96, true, true, 2, 2],
  [5, 576, 96, true, true, 1, 1],
  [5, 576, 96, true, true, 1, 1],
];

/** The nearest multiple of 8 to a quarter of the channels, at least 8. */
const quarter = (channels: number) => Math.max(8, Math.round(channels / 32) * 8);

/**
 * MobileNetV3-small (Howard et al. 2019): inverted residuals with squeeze and excite. For images of less than 96 pixels the first two
 * strides are 1.
 */
export function mobilenetv3small(options: ModelOptions): NetworkDescription {
  const net = new NetworkBuilder(options.input);
  const blocks = new Blocks(net, options);
  const { at, hardSwish } = blocks;
  const large = isLarge(options);
  let x = hardSwish(
    blocks.layer('input', { conv: 'features_0_0', norm: 'features_0_1', outChannels: at(16), kernel: 3, stride: large ? 2 : 1 }),
    'features_0_2',
  );
  let present = at(16);
  v3small.forEach(([kernel, widened, channels, excites, swish, first, firstSmall], i) => {
    const activation = swish ? hardSwish : blocks.relu;
    const [wide, outChannels, stride] = [at(widened), at(channels), large ? first : firstSmall];
    const name = `features_${i + 1}_block`;
    let y = x;
    let part = 0;
    if (wide !== present) {
      y = activation(blocks.layer(y, { conv: `${name}_0_0`, norm: `${name}_0_1`, outChannels: wide, kernel: 1 }), `${name}_0_2`);
      part = 1;
    }
    const depthwise = { outChannels: wide, kernel, stride, groups: wide };
    y = activation(blocks.layer(y, { conv: `${name}_${part}_0`, norm: `${name}_${part}_1`, ...depthwise }), `${name}_${part}_2`);
    if (excites) y = blocks.squeezeExcite(y, `${name}_${++part}`, wide, quarter(wide));
    y = blocks.layer(y, { conv: `${name}_${part + 1}_0`, norm: `${name}_${part + 1}_1`, outChannels, kernel: 1 });
    x = stride === 1 && present === outChannels ? net.add(x, y, `features_${i + 1}`) : y;
    present = outChannels;
  });
  x = hardSwish(blocks.layer(x, { conv: 'features_12_0', norm: 'features_12_1', outChannels: at(576), kernel: 1 }), 'features_12_2');
  const { classes, compress } = options;
  x = hardSwish(net.linear(net.globalAveragePool(x, 'pool'), { name: 'classifier_0', outFeatures: at(1024), compress }), 'classifier_1');
  return net.build(net.linear(x, { name: 'classifier_3', outFeatures: classes, compress }));
}
