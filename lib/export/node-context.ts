/** What the rules of every format see of a node. */
import type { AxesSizes } from '../binding.js';
import type { ExportLayer } from './layers.js';

/** Fields of a node, every one with its value. */
export type Fields = Record<string, number | boolean | string | number[]>;

export class NodeContext {
  constructor(readonly layer: ExportLayer) {}

  get name(): string {
    return this.layer.node.name;
  }
  get fields(): Fields {
    return this.layer.node as unknown as Fields;
  }
  number(field: string): number {
    return this.fields[field] as number;
  }
  list(field: string): number[] {
    return (this.fields[field] ?? []) as number[];
  }
  /** Axes of the output, without the batch. */
  get output(): AxesSizes {
    return this.layer.output;
  }
}
