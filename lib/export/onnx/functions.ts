/** Functions of elements, and arithmetic of two tensors. */
import type { RuleContext } from './context.js';
import { sameAxes } from './context.js';

/** x · Φ(x) = x · (1 + erf(x / √2)) · ½ */
export function gelu(c: RuleContext): string {
  const { graph, input } = c;
  const erf = c.part('Erf', [c.part('Div', [input, graph.number(Math.SQRT2)])]);
  return c.last('Mul', [c.part('Mul', [input, c.part('Add', [erf, graph.number(1)])]), graph.number(0.5)]);
}

/** x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))) */
export function geluTanh(c: RuleContext): string {
  const { graph, input } = c;
  const cube = c.part('Mul', [c.part('Mul', [input, input]), input]);
  const inner = c.part('Add', [input, c.part('Mul', [cube, graph.number(0.044715)])]);
  const tanh = c.part('Tanh', [c.part('Mul', [inner, graph.number(Math.sqrt(2 / Math.PI))])]);
  return c.last('Mul', [c.part('Mul', [input, c.part('Add', [tanh, graph.number(1)])]), graph.number(0.5)]);
}

export const silu = (c: RuleContext): string => c.last('Mul', [c.input, c.part('Sigmoid', [c.input])]);
export const square = (c: RuleContext): string => c.last('Pow', [c.input, c.graph.number(2)]);
export const clip = (c: RuleContext): string => c.last('Clip', [c.input, c.graph.number(c.number('low')), c.graph.number(c.number('high'))]);

export function affine(c: RuleContext): string {
  const scaled = [c.input, c.graph.number(c.number('scale'))];
  return c.number('offset') === 0 ? c.last('Mul', scaled) : c.last('Add', [c.part('Mul', scaled), c.graph.number(c.number('offset'))]);
}

export const prelu = (c: RuleContext): string => c.last('PRelu', [c.input, c.spread('slope')]);

/** The smaller input may be a vector where the other has positions: it gets axes of one position. */
export const arithmetic =
  (operator: 'Add' | 'Sub' | 'Mul' | 'Div') =>
  (c: RuleContext): string => {
    const { output } = c;
    const inputs = c.inputs.map((tensor, i) => {
      const axes = c.axes(i);
      if (axes.length === output.length) return tensor;
      const [channels, ...positions] = axes;
      const count = positions.reduce((a, b) => a * b, 1);
      return c.reshaped(tensor, count === 1 ? [channels, ...output.slice(1).map(() => 1)] : [channels, ...output.slice(1)]);
    });
    return c.last(operator, inputs);
  };

export function softmax(c: RuleContext): string {
  if (c.fields.axis !== 'positions') return c.last('Softmax', [c.input], { axis: 1 });
  if (c.axes().length > 1) return c.last('Softmax', [c.input], { axis: -1 });
  const one = c.part('Softmax', [c.reshaped(c.input, [c.channels, 1])], { axis: -1 });
  return c.last('Reshape', [one, c.graph.integers([0, c.channels])]);
}

/** All elements as one vector. */
export const flatten = (c: RuleContext): string =>
  sameAxes(c.axes(), c.output) ? c.last('Identity', [c.input]) : c.last('Flatten', [c.input], { axis: 1 });

/** The same elements, row by row, as other channels and positions. */
export const reshape = (c: RuleContext): string => c.last('Reshape', [c.input, c.graph.integers([0, ...c.output])]);

/** Nothing is dropped in evaluation. */
export const identity = (c: RuleContext): string => c.last('Identity', [c.input]);
