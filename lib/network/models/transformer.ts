/** The block that transformers are made of. */
import type { NetworkBuilder } from '../builder.js';

export interface BlockOptions {
  /** What its nodes' names begin with; its result has it as its name. */
  name: string;
  /** Dimensions of the stream. */
  stream: number;
  heads: number;
  causal: boolean;
  bias: boolean;
  compress: boolean | undefined;
}

/** Adds to the stream x what attention, and then a hidden layer four times as wide, make of it, each behind a layer norm. */
export function addBlock(net: NetworkBuilder, x: string, { name, stream, heads, causal, bias, compress }: BlockOptions): string {
  const linear = (from: string, part: string, outFeatures: number) =>
    net.linear(from, { name: `${name}-${part}`, outFeatures, perPosition: true, bias, compress });
  const normed = net.layerNorm(x, { name: `${name}-norm1` });
  const [query, key, value] = ['query', 'key', 'value'].map((part) => linear(normed, part, stream)) as [string, string, string];
  const attended = net.attention(query, key, value, { name: `${name}-attention`, heads, causal });
  const middle = net.add(x, linear(attended, 'projection', stream), `${name}-stream`);
  const hidden = linear(net.layerNorm(middle, { name: `${name}-norm2` }), 'hidden', 4 * stream);
  return net.add(middle, linear(net.gelu(hidden, `${name}-gelu`), 'output', stream), name);
}
