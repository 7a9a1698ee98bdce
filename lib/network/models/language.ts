/** Language models: at every position of a window, the next token is predicted from those up to it. */
import type { NetworkDescription } from '../../binding.js';
import { NetworkBuilder } from '../builder.js';
import { channelsAt, type ModelOptions } from './options.js';
import { addBlock } from './transformer.js';

const HEADS = 4;
const BLOCKS = 4;

/** What the input of a language model is. */
export type TokenInput = { tokens: number };

export interface LanguageModelOptions extends Omit<ModelOptions, 'input'> {
  /** Tokens of a window; `classes` is the size of the vocabulary. */
  input: TokenInput;
  /** `char-lm`: the output layer shares the weights of the embedding. Default false. */
  tied?: boolean | undefined;
}

/**
 * A causal transformer in the form of GPT-2 without biases: 4 blocks of 4 heads on a stream of 128 dimensions (`width` is its
 * factor), learned positions, hidden layers four times as wide.
 */
export function charLm({ input, classes, compress, width, tied }: LanguageModelOptions): NetworkDescription {
  const net = new NetworkBuilder(input);
  const stream = HEADS * channelsAt(width)(128 / HEADS);
  let x = net.add(
    net.embedding('input', { name: 'embedding', dimensions: stream, vocabulary: classes, compress }),
    net.parameter('input', { name: 'positions', channels: stream, compress }),
    'stream',
  );
  for (let i = 1; i <= BLOCKS; i++) x = addBlock(net, x, { name: `block${i}`, stream, heads: HEADS, causal: true, bias: false, compress });
  const normed = net.layerNorm(x, { name: 'norm' });
  if (tied) return net.build(net.unembedding(normed, 'embedding', 'head'));
  return net.build(net.linear(normed, { name: 'head', outFeatures: classes, perPosition: true, bias: false, compress }));
}

/** Two LSTM layers of 256 units over rows of 128 dimensions. */
export function lstmLm({ input, classes, compress, width }: LanguageModelOptions): NetworkDescription {
  const net = new NetworkBuilder(input);
  const at = channelsAt(width);
  let x = net.embedding('input', { name: 'embedding', dimensions: at(128), vocabulary: classes, compress });
  for (const name of ['lstm1', 'lstm2']) x = net.lstm(x, { name, units: at(256), compress });
  return net.build(net.linear(x, { name: 'head', outFeatures: classes, perPosition: true, compress }));
}
