/**
 * Residual networks for images of about 32×32 pixels. Nodes have the names of the usual PyTorch modules, with `_` in place of
 * the dot (`layer1_0_conv1`), so that published weights are found by name.
 */
import type { NetworkDescription } from '../../binding.js';
import { NetworkBuilder } from '../builder.js';
import { channelsAt, type ModelOptions } from './options.js';

interface Convolution {
  conv: string;
  norm?: string | undefined;
  outChannels: number;
  kernel: number;
  stride?: number;
  bias?: boolean;
}

/** Adds convolutions of one network, each with the norm behind it. */
function convolutions(net: NetworkBuilder, compress: boolean | undefined) {
  return (x: string, { conv, norm, outChannels, kernel, stride = 1, bias = false }: Convolution): string => {
    const y = net.conv2d(x, { name: conv, outChannels, kernel, stride, padding: (kernel - 1) / 2, bias, compress });
    return norm === undefined ? y : net.batchNorm(y, { name: norm });
  };
}

interface Stages {
  /** Channels of the first convolution and of every stage; each stage but the first halves the image. */
  channels: number[];
  blocks: number[];
  /** Whether the projection of a shortcut has a norm behind it. */
  shortcutNorm: boolean;
}

/** Basic blocks: two 3×3 convolutions, and a shortcut that is a 1×1 convolution where the shape changes (option B). */
function basicBlocks({ input, classes, compress, width }: ModelOptions, { channels, blocks, shortcutNorm }: Stages): NetworkDescription {
  const net = new NetworkBuilder(input);
  const convolution = convolutions(net, compress);
  const at = channelsAt(width);
  let present = at(channels[0] ?? 1);
  let x = net.relu(convolution('input', { conv: 'conv1', norm: 'bn1', outChannels: present, kernel: 3 }), 'relu1');
  channels.forEach((count, stage) => {
    for (let block = 0; block < (blocks[stage] ?? 0); block++) {
      const name = `layer${stage + 1}_${block}`;
      const outChannels = at(count);
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const inner = net.relu(convolution(x, { conv: `${name}_conv1`, norm: `${name}_bn1`, outChannels, kernel: 3, stride }), `${name}_relu1`);
      const main = convolution(inner, { conv: `${name}_conv2`, norm: `${name}_bn2`, outChannels, kernel: 3 });
      const changes = stride > 1 || present !== outChannels;
      const norm = shortcutNorm ? `${name}_shortcut_1` : undefined;
      const shortcut = changes ? convolution(x, { conv: `${name}_shortcut_0`, norm, outChannels, kernel: 1, stride }) : x;
      x = net.relu(net.add(main, shortcut, `${name}_sum`), `${name}_relu2`);
      present = outChannels;
    }
  });
  return net.build(net.linear(net.globalAveragePool(x, 'pool'), { name: 'linear', outFeatures: classes, compress }));
}

/** ResNet-18 in the form for CIFAR: the first convolution is 3×3, without pooling. 11.17 M parameters with 10 classes. */
export function resnet18(options: ModelOptions): NetworkDescription {
  return basicBlocks(options, { channels: [64, 128, 256, 512], blocks: [2, 2, 2, 2], shortcutNorm: true });
}

/**
 * The CIFAR networks of He et al. (2016), 6n + 2 layers deep. A shortcut that changes the shape is a 1×1 convolution of stride 2
 * without a norm. Zeros and ones in it make it option A of the article, every second pixel and channels of zeros around: so it
 * starts from weights of a network that has option A (`loadWeights`), and from the same random weights as other layers otherwise.
 */
const cifarResnet = (blocks: number) => (options: ModelOptions) =>
  basicBlocks(options, { channels: [16, 32, 64], blocks: [blocks, blocks, blocks], shortcutNorm: false });
export const resnet20 = cifarResnet(3);
export const resnet32 = cifarResnet(5);
export const resnet44 = cifarResnet(7);
export const resnet56 = cifarResnet(9);

/** The image classification network of MLPerf Tiny: 78,666 parameters with 10 classes, statistics of the norms included. */
export function resnet8({ input, classes, compress, width }: ModelOptions): NetworkDescription {
  const net = new NetworkBuilder(input);
  const convolution = convolutions(net, compress);
  const at = channelsAt(width);
  let x = net.relu(convolution('input', { conv: 'conv1', norm: 'bn1', outChannels: at(16), kernel: 3, bias: true }), 'relu1');
  [16, 32, 64].forEach((channels, i) => {
    const outChannels = at(channels);
    const stride = i > 0 ? 2 : 1;
    const name = `stack${i + 1}`;
    const shape = { outChannels, kernel: 3, bias: true };
    const inner = net.relu(convolution(x, { conv: `${name}_conv1`, norm: `${name}_bn1`, stride, ...shape }), `${name}_relu1`);
    const main = convolution(inner, { conv: `${name}_conv2`, norm: `${name}_bn2`, ...shape });
    const shortcut = i > 0 ? convolution(x, { conv: `${name}_shortcut`, outChannels, kernel: 1, stride, bias: true }) : x;
    x = net.relu(net.add(main, shortcut, `${name}_sum`), `${name}_relu2`);
  });
  return net.build(net.linear(net.globalAveragePool(x, 'pool'), { name: 'linear', outFeatures: classes, compress }));
}

/** The nine-layer network of the DAWNBench entries for CIFAR-10: 6.57 M weights with 10 classes. Images of at least 8×8 pixels. */
export function resnet9({ input, classes, compress, width }: ModelOptions): NetworkDescription {
  const net = new NetworkBuilder(input);
  const convolution = convolutions(net, compress);
  const at = channelsAt(width);
  const step = (x: string, name: string, channels: number) =>
    net.relu(convolution(x, { conv: `${name}_conv`, norm: `${name}_bn`, outChannels: at(channels), kernel: 3 }), `${name}_relu`);
  const halve = (x: string, name: string) => net.maxPool(x, { name: `${name}_pool`, kernel: 2 });
  const residual = (x: string, name: string, channels: number) =>
    net.add(x, step(step(x, `${name}_0`, channels), `${name}_1`, channels), `${name}_sum`);
  let x = step('input', 'prep', 64);
  x = residual(halve(step(x, 'layer1', 128), 'layer1'), 'layer1_residual', 128);
  x = halve(step(x, 'layer2', 256), 'layer2');
  x = residual(halve(step(x, 'layer3', 512), 'layer3'), 'layer3_residual', 512);
  const left = [Math.max(1, input[1] >> 3), Math.max(1, input[2] >> 3)] as [number, number];
  x = net.flatten(net.maxPool(x, { name: 'pool', kernel: left }), 'flatten');
  return net.build(net.linear(x, { name: 'linear', outFeatures: classes, bias: false, compress }));
}
