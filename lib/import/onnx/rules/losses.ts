/** Losses with labels that the file fixes: NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss. */
import { item } from '../../../indexing.js';
import { applyAffine, spread } from '../affine.js';
import { pick } from '../arrange.js';
import { activationOf, constantOf, optionalConstant, type RuleContext, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import type { Activation } from '../layout.js';
import { axesWithin, type Rule, value } from '../results.js';
import { type Constant, elementsOf } from '../tensors.js';
import { logSoftmaxOf, scaled } from './activations.js';
import { numbered, runsOf } from './places.js';
import { MEAN, reducedTo } from './reductions.js';

/** Of every label: its factor −weight, 0 where it is ignored, and its class, −1 then. */
function labelsOf(c: RuleContext, x: Activation, labels: Constant, weights: Constant | undefined): { classes: number[]; factors: Float32Array } {
  const count = item(x.shape, 1);
  const ignored = c.node.has('ignore_index') ? c.node.int('ignore_index', 0) : undefined;
  if (weights && weights.data.length !== count) throw new Unsupported(`a weight for each of ${count} classes (they are [${weights.shape}])`);
  const classes = Array.from(labels.data, (label) => {
    if (label === ignored) return -1;
    if (!Number.isInteger(label) || label < 0 || label >= count) throw new Unsupported(`labels below ${count} (one is ${label})`);
    return label;
  });
  return { classes, factors: Float32Array.from(classes, (label) => (label < 0 ? 0 : -(weights?.data[label] ?? 1))) };
}

/** −weight · x at the labels, their sum, or their mean by the weights. x: [batch, classes, ...positions]. */
function likelihood(c: RuleContext, x: Activation): Value {
  const labels = constantOf(c, 1, 'labels');
  const weights = optionalConstant(c, 2, 'weights');
  const shape = x.shape.filter((_, axis) => axis !== 1);
  if (x.rank < 2 || labels.shape.join() !== shape.join())
    throw new Unsupported(`a label for every position of [${x.shape}] (they are [${labels.shape}])`);
  if (x.batchAxis >= 0) throw new Unsupported('labels that are the same for every example');
  const by = c.node.text('reduction', 'mean');
  if (!['none', 'sum', 'mean'].includes(by)) throw new Unsupported(`a reduction of the standard (it is "${by}")`);
  const { classes, factors } = labelsOf(c, x, labels, weights);
  const [outer = 0, run = 0] = runsOf(x.shape);
  const inner = item(runsOf(shape), 0);
  const index = numbered(shape, (_, at) => {
    const label = item(classes, at);
    return label < 0 ? -1 : Math.floor(at / inner) * outer + label * run + (at % inner);
  });
  const picked = pick(c, x, shape, -1, index);
  const each = applyAffine(c, spread(c, picked, { shape, data: factors, isInteger: false }), (scale) => ({ scale, shift: 0 }));
  if (by === 'none') return { activation: each };
  const all = axesWithin(
    shape.map((_, axis) => axis),
    shape.length,
  );
  const mean = reducedTo(c, each, all, MEAN, false);
  const divisor = by === 'sum' ? 1 : -factors.reduce((sum, f) => sum + f, 0);
  if (!(divisor !== 0)) throw new Unsupported('labels with weights that do not add up to 0');
  return { activation: scaled(c, mean, elementsOf(shape) / divisor) };
}

export const negativeLogLikelihood: Rule = (c) => [likelihood(c, activationOf(c))];

/** The second output is log(softmax(x)). */
export const softmaxCrossEntropy: Rule = (c) => {
  const x = activationOf(c);
  if (x.rank < 2) throw new Unsupported(`a batch and classes (the input is [${x.shape}])`);
  const logarithms = logSoftmaxOf(c, x, [1]);
  const isRead = Boolean(c.node.proto.output[1]) && c.reads(1);
  return [c.reads(0) ? likelihood(c, logarithms) : undefined, ...(isRead ? value(logarithms) : [])];
};
