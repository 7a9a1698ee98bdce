/** Functions that exporters write as several nodes, brought back to one: SiLU, GELU by erf, layer norm over the last axis. */
import type { NodeProto } from './proto.js';

export interface PatternGraph {
  nodes: NodeProto[];
  /** The number behind a name, if it is one constant number. */
  scalar: (name: string) => number | undefined;
  isConstant: (name: string) => boolean;
  opset: number;
}

const near = (a: number | undefined, b: number) => a !== undefined && Math.abs(a - b) < 1e-4 * Math.abs(b);

class Search {
  readonly #producers = new Map<string, NodeProto>();

  constructor(readonly graph: PatternGraph) {
    for (const node of graph.nodes) for (const name of node.output) this.#producers.set(name, node);
  }
  /** The node of that operator whose first output it is. */
  from(name: string | undefined, opType: string): NodeProto | undefined {
    const node = name === undefined ? undefined : this.#producers.get(name);
    return node?.opType === opType && node.output[0] === name ? node : undefined;
  }
  /** The other input of a commutative node, where one of them passes. */
  other(node: NodeProto | undefined, passes: (name: string) => boolean): string | undefined {
    const pair = node && pairOf(node);
    if (!pair) return undefined;
    const [a, b] = pair;
    return passes(b) ? a : passes(a) ? b : undefined;
  }
  isNumber = (value: number) => (name: string | undefined) => name !== undefined && near(this.graph.scalar(name), value);
}

/** The inputs of a node that has two. */
function pairOf({ input: [a, b, ...more] }: NodeProto): [string, string] | undefined {
  return a === undefined || b === undefined || more.length > 0 ? undefined : [a, b];
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
  const pair = node.opType === 'Mul' ? pairOf(node) : undefined;
  if (!pair) return undefined;
  const [a, b] = pair;
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
  const [product] = node.output;
  if (node.opType !== 'Mul' || product === undefined) return undefined;
  const parts = factors(product, 2);
  const half = parts.findIndex(search.isNumber(0.5));
  const [a, b, ...more] = parts.filter((_, i) => i !== half);
  if (half < 0 || a === undefined || b === undefined || more.length > 0) return undefined;
  const orders: [string, string][] = [
    [a, b],
    [b, a],
  ];
  for (const [x, other] of orders) {
    const erf = search.other(search.from(other, 'Add'), search.isNumber(1));
    const scaled = erf === undefined ? undefined : search.from(erf, 'Erf')?.input[0];
    if (scaled === undefined) continue;
    const [above, below] = search.from(scaled, 'Div')?.input ?? [];
    const byRoot = search.isNumber(Math.SQRT2)(below) ? above : undefined;
    if ((byRoot ?? search.other(search.from(scaled, 'Mul'), search.isNumber(Math.SQRT1_2))) === x) return single('Gelu', node, [x]);
  }
  return undefined;
}

/** (x − mean) / √(mean((x − mean)²) + ε): the division. Scale and shift stay nodes of their own. */
function layerNorm(search: Search, node: NodeProto): NodeProto | undefined {
  const pair = node.opType === 'Div' ? pairOf(node) : undefined;
  if (!pair) return undefined;
  const [centred, deviation] = pair;
  const sub = search.from(centred, 'Sub');
  const variance = search.other(search.from(search.from(deviation, 'Sqrt')?.input[0], 'Add'), (name) => search.graph.scalar(name) !== undefined);
  const square = search.from(search.from(variance, 'ReduceMean')?.input[0], 'Pow');
  if (!square || !search.isNumber(2)(square.input[1])) return undefined;
  const again = search.from(square.input[0], 'Sub');
  const [x, subtracted] = (sub && pairOf(sub)) ?? [];
  const mean = search.from(subtracted, 'ReduceMean');
  if (x === undefined || mean?.input[0] !== x || again?.input[0] !== x) return undefined;
  return single('LayerNorm', node, [x]);
}

/** The nodes with every pattern replaced by one node of the domain `selfcompress`. What nobody reads any more is left in. */
export function recognise(graph: PatternGraph): NodeProto[] {
  const search = new Search(graph);
  return graph.nodes.map((node) => silu(search, node) ?? gelu(search, node) ?? layerNorm(search, node) ?? node);
}
