/** Functions that exporters write as several nodes, brought back to one: SiLU, GELU by erf or tanh, hard-swish, layer norm over the last axis. */
import type { NodeProto } from './proto.js';

export interface PatternGraph {
  nodes: NodeProto[];
  /** The number behind a name, if it is one constant number. */
  scalar: (name: string) => number | undefined;
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
  const [product] = node.output;
  if (node.opType !== 'Mul' || product === undefined) return undefined;
  const parts = factorsOf(search, product, 2);
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

/** The last axis as ReduceMean has it, as an attribute or an input. */
function overLast(search: Search, mean: NodeProto | undefined): boolean {
  const axes = mean?.attribute.find(({ name }) => name === 'axes')?.ints;
  const given = mean?.input[1];
  const keeps = mean?.attribute.find(({ name }) => name === 'keepdims')?.i ?? 1;
  const axis = axes ? (axes.length === 1 ? axes[0] : undefined) : given === undefined ? undefined : search.graph.scalar(given);
  return axis === -1 && keeps !== 0;
}

/** (x − mean) / √(mean((x − mean)²) + ε) over the last axis: the division. Scale and shift stay nodes of their own. */
function layerNorm(search: Search, node: NodeProto): NodeProto | undefined {
  const pair = node.opType === 'Div' ? pairOf(node) : undefined;
  if (!pair) return undefined;
  const [centred, deviation] = pair;
  const sub = search.from(centred, 'Sub');
  const sum = search.from(search.from(deviation, 'Sqrt')?.input[0], 'Add');
  const isNumber = (name: string) => search.graph.scalar(name) !== undefined;
  const variance = search.other(sum, isNumber);
  const epsilon = search.graph.scalar(sum?.input.find(isNumber) ?? '');
  const ofSquares = search.from(variance, 'ReduceMean');
  const squared = squareOf(search, ofSquares?.input[0]);
  const again = search.from(squared, 'Sub');
  const [x, subtracted] = (sub && pairOf(sub)) ?? [];
  const mean = search.from(subtracted, 'ReduceMean');
  if (x === undefined || epsilon === undefined || mean?.input[0] !== x || again?.input[0] !== x) return undefined;
  const sameMean = again === sub || search.from(again.input[1], 'ReduceMean')?.input[0] === x;
  if (!sameMean || !overLast(search, mean) || !overLast(search, ofSquares)) return undefined;
  return single('LayerNorm', node, [x], [{ name: 'epsilon', type: 1, f: epsilon, i: 0, floats: [], ints: [], strings: [] }]);
}

/** What is squared, as a power or a product with itself. */
function squareOf(search: Search, name: string | undefined): string | undefined {
  const power = search.from(name, 'Pow');
  if (power) return search.isNumber(2)(power.input[1]) ? power.input[0] : undefined;
  const product = search.from(name, 'Mul');
  return product && product.input[0] === product.input[1] ? product.input[0] : undefined;
}

/** The factors of a product of products. */
function factorsOf(search: Search, name: string, depth: number): string[] {
  const product = search.from(name, 'Mul');
  return product && depth > 0 ? product.input.flatMap((input) => factorsOf(search, input, depth - 1)) : [name];
}

/** x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) · ½ */
function geluTanh(search: Search, node: NodeProto): NodeProto | undefined {
  const [product] = node.output;
  if (node.opType !== 'Mul' || product === undefined) return undefined;
  const parts = factorsOf(search, product, 2);
  const half = parts.findIndex(search.isNumber(0.5));
  const rest = parts.filter((_, i) => i !== half);
  if (half < 0 || rest.length !== 2) return undefined;
  for (const [x, other] of [rest, [...rest].reverse()] as [string, string][]) {
    const tanh = search.other(search.from(other, 'Add'), search.isNumber(1));
    const angle = search.from(tanh, 'Tanh')?.input[0];
    const sum = search.other(search.from(angle, 'Mul'), search.isNumber(Math.sqrt(2 / Math.PI)));
    const cubic = search.other(search.from(sum, 'Add'), (name) => name === x);
    if (cubic === undefined) continue;
    const factors = factorsOf(search, cubic, 3);
    const cubes = factors.filter((name) => search.from(name, 'Pow')?.input[0] === x && search.isNumber(3)(search.from(name, 'Pow')?.input[1]));
    const own = factors.filter((name) => name === x).length;
    const numbers = factors.filter(search.isNumber(0.044715)).length;
    if (numbers === 1 && ((cubes.length === 1 && factors.length === 2) || (own === 3 && factors.length === 4))) return single('GeluTanh', node, [x]);
  }
  return undefined;
}

/** clip(x + 3, 0, 6) */
function clippedOf(search: Search, name: string): string | undefined {
  const clip = search.from(name, 'Clip');
  if (!clip) return undefined;
  const bound = (index: number, attribute: string) => {
    const given = clip.input[index];
    return given ? search.graph.scalar(given) : clip.attribute.find((a) => a.name === attribute)?.f;
  };
  if (bound(1, 'min') !== 0 || bound(2, 'max') !== 6) return undefined;
  return search.other(search.from(clip.input[0], 'Add'), search.isNumber(3));
}

/** x · clip(x + 3, 0, 6) / 6, or x · HardSigmoid(x) with a slope of 1/6. */
function hardSwish(search: Search, node: NodeProto): NodeProto | undefined {
  const pair = node.opType === 'Mul' || node.opType === 'Div' ? pairOf(node) : undefined;
  if (!pair) return undefined;
  const [a, b] = pair;
  const isSixth = search.isNumber(1 / 6);
  if (node.opType === 'Div' || isSixth(a) || isSixth(b)) {
    const product = node.opType === 'Div' ? (search.isNumber(6)(b) ? a : undefined) : isSixth(b) ? a : b;
    const [x, clipped] = (product !== undefined && pairIn(search, product)) || [];
    if (x !== undefined && clipped !== undefined) {
      if (clippedOf(search, clipped) === x) return single('HardSwish', node, [x]);
      if (clippedOf(search, x) === clipped) return single('HardSwish', node, [clipped]);
    }
    return undefined;
  }
  for (const [x, other] of [
    [a, b],
    [b, a],
  ] as [string, string][]) {
    const gate = search.from(other, 'HardSigmoid');
    const of = (name: string, otherwise: number) => gate?.attribute.find((attribute) => attribute.name === name)?.f ?? otherwise;
    if (gate?.input[0] === x && near(of('alpha', 0.2), 1 / 6) && near(of('beta', 0.5), 0.5)) return single('HardSwish', node, [x]);
    const sixth = search.from(other, 'Div');
    const clipped = sixth && search.isNumber(6)(sixth.input[1]) ? sixth.input[0] : search.other(search.from(other, 'Mul'), isSixth);
    if (clipped !== undefined && clippedOf(search, clipped) === x) return single('HardSwish', node, [x]);
  }
  return undefined;
}

function pairIn(search: Search, name: string): [string, string] | undefined {
  const product = search.from(name, 'Mul');
  return product && pairOf(product);
}

const PATTERNS = [silu, gelu, geluTanh, hardSwish, layerNorm];

/** The nodes with every pattern replaced by one node of the domain `selfcompress`. What nobody reads any more is left in. */
export function recognise(graph: PatternGraph): NodeProto[] {
  const search = new Search(graph);
  return graph.nodes.map((node) => PATTERNS.reduce<NodeProto | undefined>((found, pattern) => found ?? pattern(search, node), undefined) ?? node);
}
