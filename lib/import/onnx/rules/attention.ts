/** Attention: written as products and a softmax, as one operator, and rotary positions. */
import { item } from '../../../indexing.js';
import { arrange, otherAxes } from '../arrange.js';
import { activationOf, constantOf, type OnnxNode, optionalConstant, type RuleContext, type Scores, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import { Activation, type Atom, atom, BATCH, reshapedAxes } from '../layout.js';
import { onlyFirstOutput, value } from '../results.js';
import { type Constant, elementsOf } from '../tensors.js';

/** Where a mask makes a score small enough for a weight of zero. */
const HIDDEN = -1e3;

export const scaledScores = (scores: Scores, factor: number): Value[] => {
  if (scores.weighted) throw new Unsupported('attention weights that are not changed after the softmax');
  return [{ scores: { ...scores, scale: scores.scale * factor } }];
};

/** A mask of zeros changes nothing; one that hides all later keys makes it causal. */
export function maskedScores(scores: Scores, mask: Constant): Value[] {
  if (scores.weighted) throw new Unsupported('a mask before the softmax');
  if (mask.data.every((x) => x === 0)) return [{ scores }];
  const [queries, keys] = [item(scores.query.shape, scores.query.rank - 2), item(scores.key.shape, scores.key.rank - 1)];
  const [height, width] = [mask.shape.at(-2) ?? 1, mask.shape.at(-1) ?? 1];
  const causal =
    height === queries &&
    width === keys &&
    mask.data.every((x, i) => {
      const [query, key] = [Math.floor(i / width) % height, i % width];
      return key <= query + keys - queries ? x === 0 : x <= HIDDEN;
    });
  if (!causal) throw new Unsupported(`no mask, or one that hides the keys after a query (it is [${mask.shape}])`);
  return [{ scores: { ...scores, causal: true } }];
}

export function attentionWeights(c: RuleContext, scores: Scores): Value[] {
  const rank = scores.query.rank;
  const axis = c.node.int('axis', c.node.opset < 13 ? 1 : -1);
  if (axis !== -1 && axis !== rank - 1) throw new Unsupported(`a softmax over the keys, the last axis (it is over axis ${axis})`);
  if (scores.weighted) throw new Unsupported('one softmax');
  return [{ scores: { ...scores, weighted: true } }];
}

/** query [..., queries, channels] · key [..., channels, keys]: an attention, if a softmax and values follow. */
export function scoresOf(query: Activation, key: Activation): Value[] {
  const [a, b] = [query.exampleShape, key.exampleShape];
  const inner = [a.at(-1), b.at(-2)];
  if (a.length < 2 || a.length !== b.length || inner[0] !== inner[1])
    throw new Unsupported(`two tensors of the same axes before a product ([${query.shape}] and [${key.shape}])`);
  return [{ scores: { query, key, scale: 1, causal: false, weighted: false, turned: false } }];
}

const exchanged = (x: Activation) => x.with({ axes: [...x.axes.slice(0, -2), ...x.axes.slice(-2).reverse()] });

/** The last two axes exchanged: of products, queries are keys then; of weights, they stand behind the values. */
export function turnedScores(scores: Scores, perm: number[]): Value[] {
  const rank = scores.query.rank;
  const swapped = [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2];
  if (perm.join() !== swapped.join()) throw new Unsupported(`the last two axes of an attention's products exchanged (they are [${perm}])`);
  if (scores.weighted) return [{ scores: { ...scores, turned: !scores.turned } }];
  if (scores.causal) throw new Unsupported('a mask behind the exchange of axes');
  return [{ scores: { ...scores, query: exchanged(scores.key), key: exchanged(scores.query) } }];
}

/** The values [..., channels, keys] times turned weights: [..., channels, queries]. */
export function valuesTimesWeights(c: RuleContext, values: Activation, scores: Scores): Value[] {
  if (!scores.turned) throw new Unsupported('weights of an attention before its values, or turned and behind them');
  const [result] = weightedValues(c, { ...scores, turned: false }, exchanged(values));
  return result && 'activation' in result ? value(exchanged(result.activation)) : [result];
}

/** The heads of a tensor, all axes before the last two, as one list of axes. */
function headsOf(x: Activation, last: number[]): number[] {
  return otherAxes(x, last);
}

interface Core {
  query: Activation;
  /** [..., keys, channels] with `keyAxis` the number of the axis of keys. */
  key: Activation;
  keyAxis: number;
  value: Activation;
  scale: number;
  causal: boolean;
}

/** Heads are all axes before the last two; each meets the keys and values of its own, or several meet the same. */
function core(c: RuleContext, { query, key, keyAxis, value: of, scale, causal }: Core): Value[] {
  const rank = query.rank;
  const [queries, keys, channels] = [rank - 2, keyAxis, 2 * rank - 3 - keyAxis];
  const heads = (x: Activation) => headsOf(x, [rank - 2, rank - 1]);
  const count = (x: Activation) => elementsOf(heads(x).map((axis) => item(x.exampleShape, axis)));
  const [all, shared] = [count(query), count(key)];
  if (count(of) !== shared || all % shared) throw new Unsupported(`heads that share keys and values evenly (${all} of queries, ${shared} of keys)`);
  if (!(scale > 0) || scale > 1e6) throw new Unsupported(`a factor above 0 of the products (it is ${scale})`);
  const inputs = [
    arrange(c, query, [[...heads(query), rank - 1], [queries]]),
    arrange(c, key, [[...heads(key), channels], [keys]]),
    arrange(c, of, [[...heads(of), rank - 1], [rank - 2]]),
  ];
  const name = c.build.add('attention', c.node.label, inputs, { heads: all, keyHeads: shared, scale, causal });
  const [length, width] = [item(query.exampleShape, queries), item(of.exampleShape, rank - 1)];
  const own = heads(query);
  const axes = query.axes.map((atoms, axis): Atom[] => {
    if (axis === queries) return atom(1, length);
    if (axis === rank - 1) return atom(0, width);
    const at = own.indexOf(axis);
    const inner = own.slice(at + 1).map((other) => item(query.exampleShape, other));
    return at < 0 ? atoms.filter((a) => a.axis === BATCH) : atom(0, item(query.exampleShape, axis), elementsOf(inner) * width);
  });
  return value(new Activation(name, [all * width, length], axes));
}

/** The weights of an attention times its values [..., keys, channels]. */
export function weightedValues(c: RuleContext, scores: Scores, values: Activation): Value[] {
  if (scores.turned) throw new Unsupported('weights [..., queries, keys] before the values');
  if (!scores.weighted) throw new Unsupported('a softmax between the two products of an attention');
  if (values.rank !== scores.query.rank || item(values.shape, values.rank - 2) !== item(scores.key.shape, scores.key.rank - 1))
    throw new Unsupported(`values for every key ([${values.shape}] for keys of [${scores.key.shape}])`);
  return core(c, { ...scores, keyAxis: scores.key.rank - 1, value: values });
}

/** [batch, positions, heads · channels] as [batch, heads, positions, channels]. */
function withHeads(x: Activation, heads: number): Activation {
  if (x.rank === 4) return x;
  const [batch = 1, positions = 1, hidden = 0] = x.shape;
  const split = x.rank === 3 && heads >= 1 && hidden % heads === 0 ? reshapedAxes(x, [batch, positions, heads, hidden / heads]) : undefined;
  if (!split)
    throw new Unsupported(`[batch, heads, positions, channels], or three axes and a number of heads that divides the last ([${x.shape}], ${heads})`);
  const [b = [], p = [], h = [], d = []] = split;
  return x.with({ axes: [b, h, p, d] });
}

/** The result in three axes, where the file gives the queries so. */
function withoutHeads(x: Activation): Activation {
  const [b = [], h = [], p = [], d = []] = x.axes;
  return x.with({ axes: [b, p, [...h, ...d]] });
}

/** The operator Attention (opset 23), without a cache. */
export function attention(c: RuleContext): Value[] {
  const { node } = c;
  onlyFirstOutput(c);
  const [q, k, v] = [activationOf(c, 0), activationOf(c, 1), activationOf(c, 2)];
  if (c.inputs.slice(4).some((input) => input !== undefined)) throw new Unsupported('keys and values of this input alone (no past)');
  if (node.float('softcap', 0) !== 0) throw new Unsupported('products without a cap (softcap)');
  const heads = node.int('q_num_heads', 0);
  const keyHeads = node.int('kv_num_heads', 0) || heads;
  const [query, key, values] = [withHeads(q, heads), withHeads(k, keyHeads), withHeads(v, keyHeads)];
  const mask = optionalConstant(c, 3, 'a mask');
  const width = item(query.shape, 3);
  const [queries, keys] = [item(query.shape, 2), item(key.shape, 2)];
  const isCausal = node.int('is_causal', 0) !== 0;
  if (isCausal && queries !== keys) throw new Unsupported(`as many queries as keys where it is causal (${queries} and ${keys})`);
  const turned = key.with({ axes: [0, 1, 3, 2].map((axis) => item(key.axes, axis)) });
  let scores: Scores = {
    query,
    key: turned,
    scale: node.float('scale', 0) || 1 / Math.sqrt(width),
    causal: isCausal,
    weighted: false,
    turned: false,
  };
  if (mask) {
    const isBoolean = mask.isInteger; // true: it takes part
    const numbers = isBoolean ? { ...mask, data: Float32Array.from(mask.data, (x) => (x ? 0 : -1e9)) } : mask;
    const [masked] = maskedScores(scores, numbers);
    if (masked && 'scores' in masked) scores = masked.scores;
  }
  const [result] = weightedValues(c, { ...scores, weighted: true }, values);
  if (!result || !('activation' in result)) return [result];
  return value(q.rank === 3 ? withoutHeads(result.activation) : result.activation);
}

/** base^(−2 i / rotated) · position, from the cosines and sines that the file has. @throws Unsupported for other angles */
function rotaryAngles(cos: Constant, sin: Constant, positions: number, pairs: number): { base: number; firstPosition: number } {
  const angle = (position: number, pair: number) => Math.atan2(item(sin.data, position * pairs + pair), item(cos.data, position * pairs + pair));
  const wrap = (x: number) => x - 2 * Math.PI * Math.round(x / (2 * Math.PI));
  // From one position to the next pair 0 turns by one radian, and the others by less.
  const step = (pair: number) => (positions > 1 ? wrap(angle(1, pair) - angle(0, pair)) : 10000 ** (-pair / pairs));
  const firstPosition = Math.max(0, Math.round(angle(0, pairs - 1) / step(pairs - 1)));
  const base = pairs > 1 ? step(1) ** -pairs : 10000;
  for (let position = 0; position < positions; position++) {
    for (let pair = 0; pair < pairs; pair++) {
      const expected = (firstPosition + position) * base ** (-pair / pairs);
      if (!(Math.abs(wrap(angle(position, pair) - expected)) < 1e-3))
        throw new Unsupported('angles of base^(−2i/channels) times the position, one position after the other');
    }
  }
  return { base, firstPosition };
}

/** The rows of a cache [positions, pairs] that the numbers of the positions name. */
function rowsOf(cache: Constant, ids: Constant, positions: number): Constant {
  const [rows = 0, pairs = 0] = cache.shape;
  if (cache.shape.length !== 2 || ids.data.length % positions) throw new Unsupported(`a cache [positions, pairs] (it is [${cache.shape}])`);
  const data = new Float32Array(positions * pairs);
  for (let i = 0; i < ids.data.length; i++) {
    const row = item(ids.data, i);
    if (!Number.isInteger(row) || row < 0 || row >= rows) throw new Unsupported(`positions below ${rows} (one is ${row})`);
    if (row !== item(ids.data, i % positions)) throw new Unsupported('the same positions for every example');
    data.set(cache.data.subarray(row * pairs, (row + 1) * pairs), (i % positions) * pairs);
  }
  return { shape: [positions, pairs], data, isInteger: false };
}

/** One table of [positions, pairs] for all examples. */
function cacheOf(c: RuleContext, index: number, positions: number, pairs: number): Constant {
  const cache = constantOf(c, index, 'cosines and sines');
  const ids = optionalConstant(c, 3, 'positions');
  const table = ids ? rowsOf(cache, ids, positions) : cache;
  const size = positions * pairs;
  if (table.data.length % size || table.data.some((x, i) => i >= size && x !== item(table.data, i % size)))
    throw new Unsupported(`${pairs} angles for each of ${positions} positions, the same for every example (they are [${cache.shape}])`);
  return table;
}

const headCount = (node: OnnxNode, x: Activation) => (x.rank === 4 ? item(x.shape, 1) : node.int('num_heads', 0));

/** The operator RotaryEmbedding (opset 23). */
export function rotaryEmbedding(c: RuleContext): Value[] {
  const { node } = c;
  const given = activationOf(c);
  const x = withHeads(given, headCount(node, given));
  const [, heads = 1, positions = 1, headSize = 1] = x.shape;
  const rotated = node.int('rotary_embedding_dim', 0) || headSize;
  if (rotated % 2 || rotated > headSize) throw new Unsupported(`an even number of at most ${headSize} channels to turn (it is ${rotated})`);
  const [cos, sin] = [cacheOf(c, 1, positions, rotated / 2), cacheOf(c, 2, positions, rotated / 2)];
  const fields = { headSize, rotated, interleaved: node.int('interleaved', 0) !== 0, ...rotaryAngles(cos, sin, positions, rotated / 2) };
  const name = c.build.add('rotary', node.label, [arrange(c, x, [[1, 3], [2]])], fields);
  const axes = [x.axes[0] ?? [], atom(0, heads, headSize), atom(1, positions), atom(0, headSize)];
  const result = new Activation(name, [heads * headSize, positions], axes);
  return value(given.rank === 3 ? withoutHeads(result) : result);
}
