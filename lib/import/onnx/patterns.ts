/** Functions that exporters write as several nodes, brought back to one: SiLU, GELU by erf, layer norm over the last axis. */
import type { NodeProto } from './proto.js';

export interface PatternGraph {
  nodes: NodeProto[];
  /** The number behind a name, if it is one constant number. */
  scalar: (name: string) => number | undefined;
  isConstant: (name: string) => boolean;
}

const near = (a: number | undefined, b: number) => a !== undefined && Math.abs(a - b) < 1e-4 * Math.abs(b);

class Search {
  readonly #producers = new Map<string, NodeProto>();

  constructor(readonly graph: PatternGraph) {
    for (const node of graph.nodes) for (const name of node.output) this.#producers.set(name, node);
  }
  /** The node of that operator whose first output it is. */
  from(name: string, opType: string): NodeProto | undefined {
    const node = this.#producers.get(name);
    return node?.opType === opType && node.output[0] === name ? node : undefined;
  }
  /** The other input of a commutative node, where one of them passes. */
  other(node: NodeProto | undefined, passes: (name: string) => boolean): string | undefined {
    if (node?.input.length !== 2) return undefined;
    const [a, b] = node.input as [string, string];
    return passes(b) ? a : passes(a) ? b : undefined;
  }
  isNumber = (value: number) => (name: string) => near(this.graph.scalar(name), value);
}

const single = (opType: string, like: NodeProto, input: string[], attribute: NodeProto['attribute'] = []): NodeProto => ({
  ...like,
  input,
  opType,
  domain: 'selfcompress',
  attribute,
});

/** x · sigmoid(x) */
function silu(search: Search, node: NodeProto): NodeProto | undefined {
  if (node.opType !== 'Mul') return undefined;
  const [a, b] = node.input as [string, string];
  const of = (name: string) => search.from(name, 'Sigmoid')?.input[0];
  if (of(b) === a) return single('Silu', node, [a]);
  return of(a) === b ? single('Silu', node, [b]) : undefined;
}

/** x · (1 + erf(x / √2)) · ½, the three factors in any order. */
function gelu(search: Search, node: NodeProto): NodeProto | undefined {
  const factors = (name: string, depth: number): string[] => {
    const mul = search.from(name, 'Mul');
    return mul && depth > 0 ? mul.input.flatMap((input) => factors(input, depth - 1)) : [name];
  };
  if (node.opType !== 'Mul') return undefined;
  const parts = factors(node.output[0]!, 2);
  if (parts.length !== 3) return undefined;
  const half = parts.findIndex(search.isNumber(0.5));
  const rest = parts.filter((_, i) => i !== half);
  if (half < 0) return undefined;
  for (const [x, other] of [rest, [...rest].reverse()] as [string, string][]) {
    const erf = search.other(search.from(other, 'Add'), search.isNumber(1));
    const scaled = erf === undefined ? undefined : search.from(erf, 'Erf')?.input[0];
    if (scaled === undefined) continue;
    const divided = search.from(scaled, 'Div');
    const byRoot = divided && near(search.graph.scalar(divided.input[1]!), Math.SQRT2) ? divided.input[0] : undefined;
    if ((byRoot ?? search.other(search.from(scaled, 'Mul'), search.isNumber(Math.SQRT1_2))) === x) return single('Gelu', node, [x]);
  }
  return undefined;
}

/** (x − mean) / √(mean((x − mean)²) + ε): the division. Scale and shift stay nodes of their own. */
function layerNorm(search: Search, node: NodeProto): NodeProto | undefined {
  if (node.opType !== 'Div') return undefined;
  const [centred, deviation] = node.input as [string, string];
  const sub = search.from(centred, 'Sub');
  const variance = search.other(
    search.from(search.from(deviation, 'Sqrt')?.input[0] ?? '', 'Add'),
    (name) => search.graph.scalar(name) !== undefined,
  );
  const square = search.from(search.from(variance ?? '', 'ReduceMean')?.input[0] ?? '', 'Pow');
  if (!sub || !square || !near(search.graph.scalar(square.input[1]!), 2)) return undefined;
  const again = search.from(square.input[0]!, 'Sub');
  const mean = search.from(sub.input[1]!, 'ReduceMean');
  if (!again || mean?.input[0] !== sub.input[0] || again.input[0] !== sub.input[0]) return undefined;
  return single('LayerNorm', node, [sub.input[0] as string]);
}

/** The nodes with every pattern replaced by one node of the domain `selfcompress`. What nobody reads any more is left in. */
export function recognise(graph: PatternGraph): NodeProto[] {
  const search = new Search(graph);
  return graph.nodes.map((node) => silu(search, node) ?? gelu(search, node) ?? layerNorm(search, node) ?? node);
}
