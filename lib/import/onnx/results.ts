/** What rules return: outputs as nodes of the network, with the shapes that the file's program sees. */
import { item } from '../../indexing.js';
import type { RuleContext, Value } from './context.js';
import { Unsupported } from './errors.js';
import type { Activation } from './layout.js';

/** The values of the node's outputs. */
export type Rule = (c: RuleContext) => Value[];

export const value = (activation: Activation): Value[] => [{ activation }];

/** An axis of the tensor, counted from the first. @throws Unsupported for one that is not there */
export function axisWithin(axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) throw new Unsupported(`an axis from ${-rank} to ${rank - 1} (it is ${axis})`);
  return axis < 0 ? axis + rank : axis;
}
/** The same of several, each of which may occur once. */
export function axesWithin(axes: number[], rank: number): number[] {
  const result = axes.map((axis) => axisWithin(axis, rank));
  if (new Set(result).size !== result.length) throw new Unsupported(`axes that differ (they are [${axes}])`);
  return result;
}
/** The attribute `axis`, counted from the first. */
export const axisOf = ({ node }: RuleContext, { rank }: Activation, otherwise: number): number => axisWithin(node.int('axis', otherwise), rank);

export function onlyFirstOutput({ reads, node }: RuleContext): void {
  if (node.proto.output.some((name, i) => i > 0 && name !== '' && reads(i))) throw new Unsupported('nobody who reads its second output');
}

/** Rows and columns, from numbers for every axis of positions: a sequence is an image of one row. */
export function pairOf(values: number[], row: number): [number, number] {
  if (values.length < 1 || values.length > 2) throw new Unsupported(`one or two axes of positions (there are ${values.length})`);
  return values.length === 1 ? [row, item(values, 0)] : [item(values, 0), item(values, 1)];
}

/** Channels, axis 1, and up to two axes of positions, for operators with windows. @returns the sizes of the positions */
export function imageSizes({ shape, exampleShape }: Activation): number[] {
  if (shape.length < 3 || shape.length > 4 || exampleShape[0] !== 1)
    throw new Unsupported(`a batch, channels and one or two axes of positions (the input is [${shape}])`);
  return shape.slice(2);
}
