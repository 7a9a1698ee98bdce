/** Integers in ONNX: values through QuantizeLinear and DequantizeLinear, weights as the codes that they are. */

import { item, present } from '../../indexing.js';
import { type CodeScale, codeScale, type Ranges } from '../calibrate.js';
import { type ExportLayer, type ExportNetwork, readersOf } from '../layers.js';
import type { RuleContext } from './context.js';
import { type OnnxGraph, OnnxType } from './graph.js';

/** Kinds whose values are integers, as docs/integer.md has them; others stay floats. `same`: codes of the input's scale. */
const integerKinds: Record<string, 'own' | 'same'> = {
  conv2d: 'own',
  linear: 'own',
  batchNorm: 'own',
  add: 'own',
  multiply: 'own',
  concat: 'own',
  averagePool: 'own',
  globalAveragePool: 'own',
  relu: 'own',
  clip: 'own',
  sigmoid: 'own',
  tanh: 'own',
  silu: 'own',
  gelu: 'own',
  geluTanh: 'own',
  hardSigmoid: 'own',
  hardSwish: 'own',
  leakyRelu: 'own',
  maxPool: 'same',
  globalMaxPool: 'same',
  flatten: 'same',
  dropout: 'same',
};
/** What a layer does on the way: between it and the layer nothing is rounded. */
const joined: Record<string, true> = { relu: true, clip: true };
const joins: Record<string, true> = {
  conv2d: true,
  linear: true,
  batchNorm: true,
  add: true,
  multiply: true,
  averagePool: true,
  globalAveragePool: true,
};

/** Scale of every value that is an integer, by the name of its node. */
export function codeScales(network: ExportNetwork, ranges: Ranges, order: readonly string[]): Map<string, CodeScale> {
  const places = new Map(order.map((name, i) => [name, i + 1]));
  const readers = readersOf(network);
  const rangeOf = (name: string) => {
    const place = name === 'input' ? 0 : present(places.get(name), `a range of ${name}`);
    return codeScale(item(ranges, 2 * place), item(ranges, 2 * place + 1));
  };
  const scales = new Map([['input', rangeOf('input')]]);
  const readBy = new Map(network.layers.flatMap(({ node }) => node.inputs.map((name) => [name, node] as const)));
  for (const { node, rangeOf: ranged } of network.layers) {
    const how = Object.hasOwn(integerKinds, node.kind) ? integerKinds[node.kind] : undefined;
    const reader = readBy.get(node.name);
    const goesOn = reader && readers.get(node.name) === 1 && Object.hasOwn(joins, node.kind) && Object.hasOwn(joined, reader.kind);
    const before = scales.get(item(node.inputs, 0));
    if (how === undefined || goesOn) continue;
    if (how === 'own') scales.set(node.name, rangeOf(ranged ?? node.name));
    else if (before) scales.set(node.name, before);
  }
  return scales;
}

/** The tensor as integers and back. */
export function rounded(graph: OnnxGraph, tensor: string, { scale, zero }: CodeScale): string {
  const by = [graph.number(scale), graph.constant('zero', [], Uint8Array.of(zero))];
  return graph.add('DequantizeLinear', `${tensor}/value`, [graph.add('QuantizeLinear', `${tensor}/code`, [tensor, ...by]), ...by]);
}

const MOST_BITS = 8;
const isSmall = ({ codes }: ExportLayer, bits: number) => codes?.bits.every((b) => b <= bits) ?? false;

/** Sums that a bias without weights is given as, so that it is not rounded to whole codes. */
const BIAS_SUMS = 2 ** 20;

/** Scales of the weights; a channel without codes has none of its own, and takes one by which its bias is precise. */
export function weightScales(layer: ExportLayer, input: CodeScale | undefined): Float32Array | undefined {
  const { codes, parameters } = layer;
  if (!codes || !input) return codes?.scale;
  const ofBias = (channel: number) => Math.abs(parameters.bias?.[channel] ?? 0) / (input.scale * BIAS_SUMS) || 1;
  return codes.scale.map((s, channel) => (codes.bits[channel] === 0 ? ofBias(channel) : s));
}

/** Two codes a byte, the first in its low half. */
function halves(codes: Int8Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(codes.length / 2));
  codes.forEach((code, i) => {
    bytes[i >> 1] = (bytes[i >> 1] ?? 0) | ((code & 15) << (4 * (i & 1)));
  });
  return bytes;
}

/** Weights as codes with a scale for each output channel; of more than 8 bits, or of none: floats. */
export const codedWeights =
  (int4: boolean, scaleOf: (layer: ExportLayer) => CodeScale | undefined) =>
  (c: RuleContext, shape: number[], data: Float32Array): string => {
    const { graph, name, layer } = c;
    const given = layer.codes;
    const scales = weightScales(layer, scaleOf(layer));
    if (!given || !scales || !isSmall(layer, MOST_BITS)) return graph.constant(`${name}.weight`, shape, data);
    const each = given.codes.length / given.scale.length;
    const codes = Int8Array.from(given.codes);
    const zeros = new Int8Array(given.scale.length);
    const half = int4 && isSmall(layer, 4);
    const lowest = half ? -8 : -128;
    const scale = scales.map((s, channel) => {
      if (!(s < 0)) return s;
      // A norm with a negative factor: −code, or −code − 1 around a zero of −1 where −code is out of range.
      const row = codes.subarray(channel * each, (channel + 1) * each);
      const shift = row.includes(lowest) ? 1 : 0;
      zeros[channel] = -shift;
      row.forEach((code, i) => {
        row[i] = -code - shift;
      });
      return -s;
    });
    const whole = (label: string, axes: number[], values: Int8Array) =>
      half ? graph.constant(label, axes, halves(values), OnnxType.INT4) : graph.constant(label, axes, values);
    const inputs = [
      whole(`${name}.weight`, shape, codes),
      graph.constant(`${name}.scale`, [scale.length], scale),
      whole(`${name}.zero`, [zeros.length], zeros),
    ];
    return c.part('DequantizeLinear', inputs, { axis: 0 });
  };

/** A bias as 32-bit sums: of the scale of the input times that of the weights. */
export const codedBias =
  (scaleOf: (layer: ExportLayer) => CodeScale | undefined) =>
  (c: RuleContext, bias: Float32Array): string => {
    const input = scaleOf(c.layer);
    const given = weightScales(c.layer, input);
    const scale = given && input && isSmall(c.layer, MOST_BITS) ? given.map((s) => Math.abs(s) * input.scale) : undefined;
    const sums = scale && Array.from(bias, (b, i) => Math.floor(b / item(scale, i) + 0.5));
    if (!scale?.every((s) => s > 0) || !sums?.every((b) => Math.abs(b) < 2 ** 31)) return c.graph.constant(`${c.name}.bias`, [bias.length], bias);
    const inputs = [
      c.graph.constant(`${c.name}.bias`, [bias.length], Int32Array.from(sums)),
      c.graph.constant(`${c.name}.biasScale`, [bias.length], scale),
    ];
    return c.part('DequantizeLinear', inputs, { axis: 0 });
  };
