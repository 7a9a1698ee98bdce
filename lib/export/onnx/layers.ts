/** Convolutions, linear layers, norms and pooling. */
import type { AxesSizes } from '../../binding.js';
import { item, present } from '../../indexing.js';
import { folded, positionCount, type RuleContext, sameAxes } from './context.js';

const pairs = (c: RuleContext, field: string): [number, number] => c.fields[field] as unknown as [number, number];

/** The numbers of a window as ONNX lists them: for one axis where the input is a sequence. */
interface Windows {
  /** For `axes` axes. */
  of: (field: string) => number[];
  pads: number[];
  axes: number;
}
function windows(c: RuleContext, axes: number): Windows {
  const of = (field: string) => pairs(c, field).slice(2 - axes);
  return { of, pads: [...of('padding'), ...of('padding')], axes };
}

/**
 * Runs `make` on the input as an image, or as a sequence where a window has one row; a vector is one pixel.
 * `heights` are the fields that must leave a single row alone.
 */
function asWindows(c: RuleContext, heights: Record<string, number>, make: (input: string, windows: Windows, last: boolean) => string): string {
  const axes = c.axes();
  const oneRow = Object.entries(heights).every(([field, value]) => pairs(c, field)[0] === value);
  const outputRank = c.output.length - 1;
  if (axes.length === 3 && outputRank === 2) return make(c.input, windows(c, 2), true);
  if (axes.length === 2 && outputRank === 1 && oneRow) return make(c.input, windows(c, 1), true);
  const image = c.reshaped(c.input, [c.channels, ...folded(axes)]);
  const shape: AxesSizes = [c.output[0], ...folded(c.output)];
  const result = make(image, windows(c, 2), sameAxes(shape, c.output));
  return sameAxes(shape, c.output) ? result : c.last('Reshape', [result, c.graph.integers([0, ...c.output])]);
}

function weightsAndBias(c: RuleContext, shape: number[], data: Float32Array): string[] {
  const bias = c.parameter('bias');
  const weights = c.how.weights(c, shape, data);
  return bias ? [weights, c.how.bias(c, bias)] : [weights];
}
const weightOf = (c: RuleContext) => present(c.parameter('weight'), `a parameter ${c.name}.weight`);

export function conv2d(c: RuleContext): string {
  const [out, ins] = c.layer.shapes.weight as [number, number];
  return asWindows(c, { kernel: 1, stride: 1, padding: 0 }, (input, { of, pads }, last) => {
    const kernel = of('kernel');
    const attributes = { kernel_shape: kernel, strides: of('stride'), pads, dilations: of('dilation'), group: c.number('groups') };
    const inputs = [input, ...weightsAndBias(c, [out, ins, ...kernel], weightOf(c))];
    return last ? c.last('Conv', inputs, attributes) : c.part('Conv', inputs, attributes);
  });
}

/** Weights here are [out, in / groups, ...]; ONNX has [in, out / groups, ...]. */
export function convTranspose2d(c: RuleContext): string {
  const [out, insOfGroup, ...area] = c.layer.shapes.weight as [number, number, number, number];
  const groups = c.number('groups');
  const places = area[0] * area[1];
  const perGroup = out / groups;
  const given = weightOf(c);
  const data = new Float32Array(given.length);
  for (let o = 0; o < out; o++) {
    const group = Math.floor(o / perGroup);
    for (let i = 0; i < insOfGroup; i++) {
      const from = (o * insOfGroup + i) * places;
      data.set(given.subarray(from, from + places), ((group * insOfGroup + i) * perGroup + (o % perGroup)) * places);
    }
  }
  return asWindows(c, { kernel: 1, stride: 1, padding: 0, outputPadding: 0 }, (input, { of, pads }, last) => {
    const attributes = {
      kernel_shape: of('kernel'),
      strides: of('stride'),
      pads,
      dilations: of('dilation'),
      output_padding: of('outputPadding'),
      group: groups,
    };
    const bias = c.parameter('bias');
    const weights = c.graph.constant(`${c.name}.weight`, [groups * insOfGroup, perGroup, ...of('kernel')], data);
    const inputs = [input, weights, ...(bias ? [c.graph.constant(`${c.name}.bias`, [out], bias)] : [])];
    return last ? c.last('ConvTranspose', inputs, attributes) : c.part('ConvTranspose', inputs, attributes);
  });
}

export function linear(c: RuleContext): string {
  const [out, ins] = c.layer.shapes.weight as [number, number];
  if (!c.fields.perPosition || c.axes().length === 1) {
    const vector = c.axes().length === 1 ? c.input : c.part('Flatten', [c.input], { axis: 1 });
    return c.last('Gemm', [vector, ...weightsAndBias(c, [out, ins], weightOf(c))], { transB: 1 });
  }
  // A convolution with a kernel of one place, which ONNX has for any number of axes.
  const ones = c
    .axes()
    .slice(1)
    .map(() => 1);
  return c.last('Conv', [c.input, ...weightsAndBias(c, [out, ins, ...ones], weightOf(c))], { kernel_shape: ones });
}

export function batchNorm(c: RuleContext): string {
  const inputs = [c.input, c.perChannel('weight', 1), c.perChannel('bias', 0), c.perChannel('runningMean', 0), c.perChannel('runningVar', 1)];
  return c.last('BatchNormalization', inputs, { epsilon: { float: c.number('epsilon') }, momentum: { float: 1 - c.number('momentum') } });
}

/** Over the positions of each channel; the input of a vector has one position. */
export function instanceNorm(c: RuleContext): string {
  const inputs = [c.perChannel('weight', 1), c.perChannel('bias', 0)];
  const attributes = { epsilon: { float: c.number('epsilon') } };
  if (c.axes().length > 1) return c.last('InstanceNormalization', [c.input, ...inputs], attributes);
  const result = c.part('InstanceNormalization', [c.reshaped(c.input, [c.channels, 1]), ...inputs], attributes);
  return c.last('Reshape', [result, c.graph.integers([0, c.channels])]);
}

/**
 * Over the channels of a group and all positions. Groups that are whole are the channels of an InstanceNormalization; where channels were
 * removed, every sum over a group is a product with a matrix that has 1 / divisor where two channels are of one group:
 * variance = mean of (x − m)² + (1 − channels ÷ divisor)·m².
 */
export function groupNorm(c: RuleContext): string {
  const groups = c.number('groups');
  const listed = c.list('sizes');
  const sizes = listed.length ? listed : Array.from({ length: groups }, () => c.channels / groups);
  const divisor = c.number('divisor') || c.channels / groups;
  const { graph } = c;
  const pixels = positionCount(c.axes());
  const epsilon = c.number('epsilon');
  const image = c.reshaped(c.input, [c.channels, pixels]);
  let normed: string;
  if (sizes.every((size) => size === divisor)) {
    const numbers = (of: string, number: number) => graph.constant(`${c.name}.${of}`, [groups], new Float32Array(groups).fill(number));
    const inputs = [c.reshaped(c.input, [groups, divisor * pixels]), numbers('ones', 1), numbers('zeros', 0)];
    normed = c.reshaped(c.part('InstanceNormalization', inputs, { epsilon: { float: epsilon } }), [c.channels, pixels]);
  } else {
    const groupOf = sizes.flatMap((size, group) => new Array<number>(size).fill(group));
    const shares = Float32Array.from({ length: c.channels ** 2 }, (_, i) =>
      groupOf[Math.floor(i / c.channels)] === groupOf[i % c.channels] ? 1 / divisor : 0,
    );
    const matrix = graph.constant(`${c.name}.shares`, [c.channels, c.channels], shares);
    const absent = groupOf.map((group) => 1 - item(sizes, group) / divisor);
    const missing = graph.constant(`${c.name}.missing`, [c.channels, 1], Float32Array.from(absent));
    const mean = (tensor: string) => {
      const sum = c.part('ReduceSum', [tensor, graph.integers([2])], { keepdims: 1 });
      return c.part('Mul', [c.part('MatMul', [matrix, sum]), graph.number(1 / pixels)]);
    };
    const m = mean(image);
    const x = c.part('Sub', [image, m]);
    const squares = mean(c.part('Mul', [x, x]));
    const variance = c.part('Add', [squares, c.part('Mul', [c.part('Mul', [m, m]), missing])]);
    normed = c.part('Div', [x, c.part('Sqrt', [c.part('Add', [variance, graph.number(epsilon)])])]);
  }
  const back = graph.integers([0, ...c.output]);
  if (!c.parameter('weight')) return c.last('Reshape', [normed, back]);
  const scaled = c.part('Mul', [c.part('Reshape', [normed, back]), c.spread('weight')]);
  return c.last('Add', [scaled, c.spread('bias')]);
}

/**
 * Over the channels of every position. Where removed channels count as zeros the sums are divided by `divisor`: the mean square of
 * deviations is then that of the squares less the square of the mean, written so that nothing large is subtracted from what is as large:
 * Σ (x − m)² + (divisor − channels)·m².
 */
const channelNorm =
  (centred: boolean) =>
  (c: RuleContext): string => {
    const divisor = c.number('divisor') || c.channels;
    const epsilon = c.number('epsilon');
    const affine = c.parameter('weight') !== undefined;
    if (centred && divisor === c.channels && c.axes().length === 1) {
      const inputs = [c.input, c.perChannel('weight', 1), c.perChannel('bias', 0)];
      return c.last('LayerNormalization', inputs, { axis: -1, epsilon: { float: epsilon } });
    }
    const { graph } = c;
    const sum = (tensor: string) => c.part('ReduceSum', [tensor, graph.integers([1])], { keepdims: 1 });
    const share = graph.number(1 / divisor);
    let x = c.input;
    let missing: string | undefined;
    if (centred) {
      const mean = c.part('Mul', [sum(x), share]);
      x = c.part('Sub', [x, mean]);
      if (divisor !== c.channels) missing = c.part('Mul', [c.part('Mul', [mean, mean]), graph.number(1 - c.channels / divisor)]);
    }
    let variance = c.part('Mul', [sum(c.part('Mul', [x, x])), share]);
    if (missing) variance = c.part('Add', [variance, missing]);
    const deviation = c.part('Sqrt', [c.part('Add', [variance, graph.number(epsilon)])]);
    if (!affine) return c.last('Div', [x, deviation]);
    const scaled = [c.part('Div', [x, deviation]), c.spread('weight')];
    if (!c.parameter('bias')) return c.last('Mul', scaled);
    return c.last('Add', [c.part('Mul', scaled), c.spread('bias')]);
  };
export const layerNorm = channelNorm(true);
export const rmsNorm = channelNorm(false);

export const pool =
  (operator: 'MaxPool' | 'AveragePool') =>
  (c: RuleContext): string =>
    asWindows(c, { kernel: 1, stride: 1, padding: 0 }, (input, { of, pads }, last) => {
      const more = operator === 'AveragePool' ? { count_include_pad: c.fields.countIncludePad ? 1 : 0 } : {};
      const attributes = { kernel_shape: of('kernel'), strides: of('stride'), pads, ...more };
      return last ? c.last(operator, [input], attributes) : c.part(operator, [input], attributes);
    });

/** A vector has one position already. */
export const globalPool =
  (operator: 'GlobalAveragePool' | 'GlobalMaxPool') =>
  (c: RuleContext): string =>
    c.axes().length > 1 ? c.last(operator, [c.input]) : c.last('Identity', [c.input]);

/** Rows are the second axis from the end, of images alone. */
export function meanPositions(c: RuleContext): string {
  const rank = c.axes().length - 1;
  const axes = [...(c.fields.rows && rank === 2 ? [2] : []), ...(c.fields.columns && rank > 0 ? [rank + 1] : [])];
  const asInput = c.graph.opset >= 18;
  const reduced = () =>
    asInput ? c.part('ReduceMean', [c.input, c.graph.integers(axes)], { keepdims: 1 }) : c.part('ReduceMean', [c.input], { axes, keepdims: 1 });
  const result = axes.length ? reduced() : c.input;
  const shape = c.axes().map((size, axis) => (axes.includes(axis + 1) ? 1 : size));
  return sameAxes(shape, c.output) ? c.last('Identity', [result]) : c.last('Reshape', [result, c.graph.integers([0, ...c.output])]);
}

/** Mean over all channels at each position. */
export function meanChannels(c: RuleContext): string {
  const divisor = c.number('divisor') || c.channels;
  const sum = c.part('ReduceSum', [c.input, c.graph.integers([1])], { keepdims: 1 });
  return c.last('Mul', [sum, c.graph.number(1 / divisor)]);
}
