// Networks that the CUDA evidence is about, and their form for native/bench/cuda/step_plan.cpp.
import { NetworkBuilder } from '../../dist/network/builder.js';
import { inspectNetwork } from '../../dist/network/description.js';
import { createModel } from '../../dist/network/models.js';

const scaled = (channels, width) => Math.max(1, Math.round(channels * width));

/** The notebook net with `width` of its channels in every layer but the last. */
export function notebook(width = 1) {
  const network = createModel('notebook', { input: [1, 28, 28], classes: 10 });
  for (const node of network.nodes) if ('outChannels' in node) node.outChannels = scaled(node.outChannels, width);
  return network;
}

/** ResNet-18 in its form for 32×32 images (He et al. 2016): a 3×3 stem, no pooling before the blocks. */
export function resnet18(width = 1) {
  const net = new NetworkBuilder([3, 32, 32]);
  const conv = (x, outChannels, kernel, stride) =>
    net.conv2d(x, { outChannels: scaled(outChannels, width), kernel, stride, padding: (kernel - 1) / 2, bias: false });
  let x = net.relu(net.batchNorm(conv('input', 64, 3, 1)));
  let channels = 64;
  for (const outs of [64, 128, 256, 512]) {
    for (const block of [0, 1]) {
      const stride = block === 0 && outs > 64 ? 2 : 1;
      const inner = net.relu(net.batchNorm(conv(x, outs, 3, stride)));
      const shortcut = stride > 1 || outs !== channels ? net.batchNorm(conv(x, outs, 1, stride)) : x;
      x = net.relu(net.add(net.batchNorm(conv(inner, outs, 3, 1)), shortcut));
      channels = outs;
    }
  }
  return net.build(net.linear(net.flatten(net.globalAveragePool(x)), { outFeatures: 10 }));
}

/** Nodes that neither of them has, so that every kernel of a step is launched by something. */
export function variety() {
  const net = new NetworkBuilder([3, 32, 32]);
  let x = net.gelu(net.conv2d('input', { outChannels: 24, kernel: 5, padding: 2, stride: 2 }));
  const y = net.silu(net.conv2d(x, { outChannels: 24, kernel: 3, padding: 1, groups: 24 }));
  x = net.dropout(net.concat([x, net.relu(y)]), 0.2);
  const pooled = net.averagePool(x, { kernel: 2 });
  x = net.add(net.maxPool(x, { kernel: 3, stride: 2, padding: 1 }), net.conv2d(pooled, { outChannels: 48, kernel: 1, groups: 2 }));
  x = net.relu(net.conv2d(x, { outChannels: 40, kernel: 3, dilation: 2, padding: 2, compress: false }));
  return net.build(net.linear(net.flatten(x), { outFeatures: 10 }));
}

/** Weights of convolutions and linear layers. */
export const weightsOf = (network) => inspectNetwork(network).weights;

const word = (value) => (typeof value === 'boolean' ? Number(value) : Array.isArray(value) ? value.join(',') : value);

/** Lines that native/bench/cuda/read_network.cpp reads. */
export function networkLines({ input, nodes, output }) {
  const fields = ({ kind, name, ...rest }) =>
    Object.entries(rest)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key} ${word(value)}`)
      .join(' ');
  return [`input ${input.join(' ')}`, ...nodes.map((n) => `node ${n.kind} ${n.name} ${fields(n)}`), `output ${output}`, 'end'].join('\n');
}
