/**
 * Convolutions over three axes as convolutions over two: the first axis of positions and the channels are channels together, of which each
 * output sees the planes that its windows reach. The weights of a window stand there once for every plane, zeros between them.
 */
import { item } from '../../../indexing.js';
import { activationOf, constantOf, OnnxNode, optionalConstant, type RuleContext, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import type { Activation } from '../layout.js';
import { value } from '../results.js';
import { type Constant, elementsOf } from '../tensors.js';
import { toShape } from './shape.js';

/** Weights with all repetitions. */
const MOST_WEIGHTS = 2 ** 24;

/** Planes of the input and the output, and which plane of the output an input's plane has a part in through tap k: none below 0. */
export interface Planes {
  from: number;
  to: number;
  target: (plane: number, tap: number) => number;
}

const LISTS = ['strides', 'dilations', 'kernel_shape', 'output_padding', 'output_shape', 'pads'];

/** The node with the attributes of the last two of its three axes. */
function withoutFirstAxis({ proto, index, opset }: OnnxNode): OnnxNode {
  const attribute = proto.attribute.map((given) => {
    if (!LISTS.includes(given.name)) return given;
    const { ints } = given;
    return { ...given, ints: given.name === 'pads' ? [1, 2, 4, 5].map((i) => ints[i] ?? 0) : ints.slice(-2) };
  });
  return new OnnxNode({ ...proto, attribute }, index, opset);
}

/** weight: [a, b, planes, rows, columns], where `isTransposed` says that a are the inputs, else b are; as the two-dimensional one. */
function repeated(weight: Constant, { from, to, target }: Planes, isTransposed: boolean): Constant {
  const [a = 0, b = 0, taps = 0, ...area] = weight.shape;
  const [first, second] = isTransposed ? [from, to] : [to, from];
  const size = elementsOf(area);
  if (a * first * b * second * size > MOST_WEIGHTS)
    throw new Unsupported(`at most ${MOST_WEIGHTS} weights with those of all planes (they are ${a * first}×${b * second}×${size})`);
  const data = new Float32Array(a * first * b * second * size);
  for (let i = 0; i < a; i++) {
    for (let k = 0; k < b; k++) {
      for (let plane = 0; plane < from; plane++) {
        for (let tap = 0; tap < taps; tap++) {
          const at = target(plane, tap);
          if (at < 0) continue;
          const [row, column] = isTransposed ? [i * first + plane, k * second + at] : [i * first + at, k * second + plane];
          const source = ((i * b + k) * taps + tap) * size;
          data.set(weight.data.subarray(source, source + size), (row * b * second + column) * size);
        }
      }
    }
  }
  return { shape: [a * first, b * second, ...area], data, isInteger: false };
}

/** The same operator over the last two axes, by `rule`. */
export function asImages(c: RuleContext, x: Activation, planes: Planes, isTransposed: boolean, rule: (c: RuleContext) => Value[]): Value[] {
  const weight = constantOf(c, 1, 'weights');
  const bias = optionalConstant(c, 2, 'a bias');
  const [batch = 1, channels = 0, , ...positions] = x.shape;
  const flat = toShape(c, x.with({ exclusive: false }), [batch, channels * planes.from, ...positions]);
  const each = bias && {
    shape: [bias.data.length * planes.to],
    data: Float32Array.from({ length: bias.data.length * planes.to }, (_, i) => item(bias.data, Math.floor(i / planes.to))),
    isInteger: false,
  };
  const inputs: Value[] = [{ activation: flat }, { constant: repeated(weight, planes, isTransposed) }, each && { constant: each }];
  const inner: RuleContext = { ...c, node: withoutFirstAxis(c.node), inputs };
  const result = activationOf({ ...inner, inputs: rule(inner) });
  const [, joined = 0, ...rest] = result.shape;
  return value(toShape(c, result, [batch, joined / planes.to, planes.to, ...rest]));
}
