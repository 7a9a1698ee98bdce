/** Norms. */
import { item } from '../../../indexing.js';
import { applyAffine, channelNumbers, spread } from '../affine.js';
import { channelsOf, laidOut, otherAxes } from '../arrange.js';
import { activationOf, constantOf, optionalConstant, type RuleContext, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import { type Activation, withoutBatch } from '../layout.js';
import { axesWithin, axisOf, onlyFirstOutput, value } from '../results.js';
import { type Constant, elementsOf, floatsOf } from '../tensors.js';

/** The least that a norm takes. */
const epsilonOf = (c: RuleContext) => Math.min(Math.max(c.node.float('epsilon', 1e-5), 1e-12), 1);

export function batchNormalization(c: RuleContext): Value[] {
  const given = activationOf(c);
  if (given.rank < 2) throw new Unsupported(`a batch and channels (the input is [${given.shape}])`);
  if (c.node.int('spatial', 1) === 0) throw new Unsupported('one norm for all positions of a channel (spatial = 0)');
  onlyFirstOutput(c);
  if (c.node.int('training_mode', 0) !== 0) return ofItsOwnStatistics(c, given);
  const x = channelsOf(c, given, [1]);
  const of = (i: number) => channelNumbers(constantOf(c, i, 'scale, shift and statistics'), item(x.shape, 1), 'scale, shift and statistics');
  const parameters = { weight: of(1), bias: of(2), runningMean: of(3), runningVar: of(4) };
  const fields = { epsilon: c.node.float('epsilon', 1e-5), momentum: 1 - c.node.float('momentum', 0.9) };
  return value(x.with({ node: c.build.add('batchNorm', c.node.label, [x.node], fields, parameters), exclusive: true, takesAffine: true }));
}

/** In training mode, of a tensor no axis of which counts examples: means and variances over all axes but the channels. */
function ofItsOwnStatistics(c: RuleContext, x: Activation): Value[] {
  if (c.build.countsExamples) throw new Unsupported('statistics that are not those of the batch (training_mode)');
  const rest = otherAxes(x, [1]);
  const normed = normedOver(c, x, rest, epsilonOf(c));
  const shape = [item(x.shape, 1), ...x.shape.slice(2).map(() => 1)];
  const numbers = (i: number) => spreadOf(shape, channelNumbers(constantOf(c, i, 'scale and shift'), item(x.shape, 1), 'scale and shift'));
  const scaled = applyAffine(c, spread(c, normed, numbers(1)), (scale) => ({ scale, shift: 0 }));
  return value(applyAffine(c, spread(c, scaled, numbers(2)), (shift) => ({ scale: 1, shift })));
}
const spreadOf = (shape: number[], data: Float32Array): Constant => ({ shape, data, isInteger: false });

/** Channels: axis 1; positions: all others. */
function byInstance(c: RuleContext, x: Activation): Activation {
  const rest = otherAxes(x, [1]);
  withoutBatch(x, [1, ...rest]);
  const channels = channelsOf(c, x, [1]);
  // Positions stand for the other axes whatever their order is.
  if (rest.length === 0) throw new Unsupported(`positions (the input is [${x.shape}])`);
  return channels;
}

export function instanceNorm(c: RuleContext): Value[] {
  const x = byInstance(c, activationOf(c));
  const [weight, bias] = [1, 2].map((i) => channelNumbers(constantOf(c, i, 'scale and shift'), item(x.shape, 1), 'scale and shift'));
  const fields = { affine: true, epsilon: epsilonOf(c) };
  return value(x.with({ node: c.build.add('instanceNorm', c.node.label, [x.node], fields, { weight, bias }), exclusive: true, takesAffine: true }));
}

/** (x − mean) / √variance over these axes, for each element of the others: MeanVarianceNormalization. */
export function meanVariance(c: RuleContext): Value[] {
  const x = activationOf(c);
  const axes = axesWithin(c.node.ints('axes') ?? [0, 2, 3], x.rank);
  if (c.build.countsExamples && axes.includes(0)) throw new Unsupported('a mean that is not over the batch, axis 0');
  return value(normedOver(c, x, axes, 1e-9));
}

function normedOver(c: RuleContext, x: Activation, axes: number[], epsilon: number): Activation {
  withoutBatch(x, axes);
  const apart = laidOut(c, x, otherAxes(x, axes), axes, true);
  return apart.with({
    node: c.build.add('instanceNorm', c.node.label, [apart.node], { affine: false, epsilon }),
    exclusive: true,
    takesAffine: false,
  });
}

/** The constant's numbers in the order of the channels that axes of the file make, row by row. */
const inOrder = (constant: Constant, count: number, what: string) => {
  if (constant.data.length === count) return floatsOf(constant);
  if (constant.data.length === 1) return new Float32Array(count).fill(item(constant.data, 0));
  throw new Unsupported(`${count} numbers as ${what} (they are [${constant.shape}])`);
};

/** Over all axes from one on, as channels. */
export const channelNorm =
  (kind: string, hasShift: boolean) =>
  (c: RuleContext): Value[] => {
    const given = activationOf(c);
    const axis = axisOf(c, given, -1);
    onlyFirstOutput(c);
    const axes = Array.from({ length: given.rank - axis }, (_, i) => axis + i);
    const x = channelsOf(c, given, axes);
    const count = elementsOf(axes.map((i) => item(x.exampleShape, i)));
    const scale = optionalConstant(c, 1, 'a scale');
    const weight = scale ? inOrder(scale, count, 'a scale') : new Float32Array(count).fill(1);
    const fields = { epsilon: epsilonOf(c) };
    if (!hasShift) return value(x.with({ node: c.build.add(kind, c.node.label, [x.node], fields, { weight }), exclusive: true, takesAffine: false }));
    const shift = optionalConstant(c, 2, 'a shift');
    const bias = shift ? inOrder(shift, count, 'a shift') : new Float32Array(count);
    return value(x.with({ node: c.build.add(kind, c.node.label, [x.node], fields, { weight, bias }), exclusive: true, takesAffine: true }));
  };

/** Scale and shift: one number for each channel, up to opset 20 one for each group. */
export function groupNorm(c: RuleContext): Value[] {
  const given = activationOf(c);
  if (given.rank < 2) throw new Unsupported(`a batch and channels (the input is [${given.shape}])`);
  withoutBatch(given, [1, ...otherAxes(given, [1])]);
  const x = channelsOf(c, given, [1]);
  const groups = c.node.int('num_groups', 0);
  const channels = item(x.shape, 1);
  if (!(groups >= 1) || channels % groups) throw new Unsupported(`a number of groups that divides ${channels} channels (it is ${groups})`);
  const [weight, bias] = [1, 2].map((index) => {
    const numbers = constantOf(c, index, 'scale and shift');
    if (numbers.data.length !== groups || groups === channels) return channelNumbers(numbers, channels, 'scale and shift');
    return Float32Array.from({ length: channels }, (_, i) => item(numbers.data, Math.floor((i * groups) / channels)));
  });
  const fields = { groups, epsilon: epsilonOf(c) };
  return value(x.with({ node: c.build.add('groupNorm', c.node.label, [x.node], fields, { weight, bias }), exclusive: true, takesAffine: true }));
}
