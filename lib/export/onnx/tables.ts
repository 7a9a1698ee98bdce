/** Embeddings, the output layers that share their weights, and learned positions. */
import { present } from '../../indexing.js';
import { positionCount, type RuleContext, Unsupported } from './context.js';

/** The weights [rows, channels] of an embedding, which are one tensor for all nodes that take them. */
function table(c: RuleContext, name: string, make: () => string): string {
  return c.graph.once(`table:${name}`, make);
}

/** Of [channels, rows], the columns as rows. */
function transposed(values: Float32Array, channels: number): Float32Array {
  const rows = values.length / channels;
  return Float32Array.from(values, (_, i) => values[(i % channels) * rows + Math.floor(i / channels)] as number);
}
const weightOf = (c: RuleContext) => present(c.parameter('weight'), `a parameter ${c.name}.weight`);

/** Tokens [batch, length] become [batch, channels, length]. */
export function embedding(c: RuleContext): string {
  if (c.isInteger) throw new Unsupported('numbers as the input, which have a range');
  const channels = c.output[0];
  const weights = weightOf(c);
  const rows = table(c, c.name, () => c.graph.constant(`${c.name}.weight`, [weights.length / channels, channels], transposed(weights, channels)));
  return c.last('Transpose', [c.part('Gather', [rows, c.input], { axis: 0 })], { perm: [0, 2, 1] });
}

/** The product of the table and what every position holds. */
export function unembedding(c: RuleContext): string {
  if (c.isInteger) throw new Unsupported('weights of its own');
  const name = present(c.layer.node.inputs[1], 'an embedding');
  const rows = table(c, name, () => {
    throw new Unsupported('its embedding');
  });
  const flat = c.axes().length === 2;
  const columns = flat ? c.input : c.reshaped(c.input, [c.channels, positionCount(c.axes())]);
  if (flat) return c.last('MatMul', [rows, columns]);
  return c.last('Reshape', [c.part('MatMul', [rows, columns]), c.graph.integers([0, ...c.output])]);
}

/** The same for every example: as many as the input has. */
export function parameter(c: RuleContext): string {
  if (c.isInteger) throw new Unsupported('weights that are no values');
  const { graph } = c;
  const values = graph.constant(`${c.name}.weight`, [1, ...c.output], weightOf(c));
  const batch = c.part('Slice', [c.part('Shape', [c.input]), graph.integers([0]), graph.integers([1])]);
  return c.last('Expand', [values, c.part('Concat', [batch, graph.integers(c.output.map(() => 1))], { axis: 0 })]);
}
