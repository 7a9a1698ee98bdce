/** What a rule of the export sees: the node with its parameters, and the graph that grows. */
import type { AxesSizes } from '../../binding.js';
import { item, present } from '../../indexing.js';
import type { ExportLayer } from '../layers.js';
import { NodeContext } from '../node-context.js';
import type { AttributeValue, OnnxGraph } from './graph.js';

/** What ONNX does not have of a node. */
export class Unsupported extends Error {}

/** Weights of a layer as a tensor of the shape given, and its bias: float32, or integers with what makes floats of them. */
export interface Tensors {
  weights: (c: RuleContext, shape: number[], data: Float32Array) => string;
  bias: (c: RuleContext, data: Float32Array) => string;
}
const plainTensors: Tensors = {
  weights: (c, shape, data) => c.graph.constant(`${c.name}.weight`, shape, data),
  bias: (c, data) => c.graph.constant(`${c.name}.bias`, [data.length], data),
};

export class RuleContext extends NodeContext {
  constructor(
    readonly graph: OnnxGraph,
    layer: ExportLayer,
    /** Tensors of the inputs. */
    readonly inputs: string[],
    /** How weights and biases become tensors. */
    readonly how: Tensors = plainTensors,
  ) {
    super(layer);
  }

  /** Whether weights and values are whole numbers. */
  get isInteger(): boolean {
    return this.how !== plainTensors;
  }
  get input(): string {
    return item(this.inputs, 0);
  }
  /** Axes of an input, without the batch. */
  axes(index = 0): AxesSizes {
    return item(this.layer.inputs, index);
  }
  get channels(): number {
    return this.axes()[0];
  }
  parameter(suffix: string): Float32Array | undefined {
    return this.layer.parameters[suffix];
  }
  /** One number for each channel, as a constant of [channels]; `otherwise` where the node has none. */
  perChannel(suffix: string, otherwise: number): string {
    const values = this.parameter(suffix) ?? new Float32Array(this.channels).fill(otherwise);
    return this.graph.constant(`${this.name}.${suffix}`, [values.length], values);
  }
  /** The parameter with axes for the positions, so that it spreads over them. */
  spread(suffix: string): string {
    const values = present(this.parameter(suffix), `a parameter ${this.name}.${suffix}`);
    const shape = [
      values.length,
      ...this.axes()
        .slice(1)
        .map(() => 1),
    ];
    return this.graph.constant(`${this.name}.${suffix}`, shape, values);
  }

  /** A node of the graph that is a part of this one. */
  part(operator: string, inputs: string[], attributes: Record<string, AttributeValue> = {}): string {
    return this.graph.add(operator, `${this.name}/${operator}`, inputs, attributes);
  }
  /** The node of the graph that makes this node's output. */
  last(operator: string, inputs: string[], attributes: Record<string, AttributeValue> = {}): string {
    return this.graph.add(operator, this.name, inputs, attributes);
  }
  /** The batch stays, the other axes become `axes`. */
  reshaped(tensor: string, axes: readonly number[]): string {
    return this.part('Reshape', [tensor, this.graph.integers([0, ...axes])]);
  }
}

export type Rule = (c: RuleContext) => string;

/** Rows and columns as kernels see them: a sequence is one row, a volume's depth and height are one axis. */
export function folded([, ...positions]: AxesSizes): [height: number, width: number] {
  const width = positions.at(-1) ?? 1;
  return [positions.slice(0, -1).reduce((a, b) => a * b, 1), width];
}
export const positionCount = ([, ...positions]: AxesSizes): number => positions.reduce((a, b) => a * b, 1);
export const sameAxes = (a: readonly number[], b: readonly number[]): boolean => a.join() === b.join();
