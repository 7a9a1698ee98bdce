/** What rules return: outputs as nodes of the network, with the shapes that the file's program sees. */
import { item } from '../../indexing.js';
import { type Activation, type RuleContext, Unsupported, type Value } from './context.js';

/** The values of the node's outputs. */
export type Rule = (c: RuleContext) => Value[];

export const fresh = (node: string, shape: number[]): Value[] => [{ activation: { node, shape, exclusive: true } }];
/** The output of a layer or a norm: a scale and a shift behind it may be joined to its parameters. */
export const freshLayer = (node: string, shape: number[]): Value[] => [{ activation: { node, shape, exclusive: true, takesAffine: true } }];
/** The same elements under another shape. */
export const alias = (x: Activation, shape = x.shape): Value[] => [{ activation: { ...x, shape } }];
/** Batch and channels of an activation. */
export const leading = ({ shape }: Activation): [number, number] => [item(shape, 0), item(shape, 1)];
export const onePosition = (shape: number[]) => [...shape.slice(0, 2), ...shape.slice(2).map(() => 1)];

/** The attribute `axis`, counted from the first. */
export function axisOf({ node }: RuleContext, { shape }: Activation, otherwise: number): number {
  const axis = node.int('axis', otherwise);
  return axis < 0 ? axis + shape.length : axis;
}

export function onlyFirstOutput({ reads, node }: RuleContext): void {
  if (node.proto.output.some((name, i) => i > 0 && name !== '' && reads(i))) throw new Unsupported('nobody who reads its second output');
}

/** Rows and columns, from numbers for every axis of positions: a sequence is an image of one row. */
export function pairOf(values: number[], row: number): [number, number] {
  if (values.length < 1 || values.length > 2) throw new Unsupported(`one or two axes of positions (there are ${values.length})`);
  return values.length === 1 ? [row, item(values, 0)] : [item(values, 0), item(values, 1)];
}
