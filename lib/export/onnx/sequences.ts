/** Attention, rotary positions and recurrent layers. */
import { item, present } from '../../indexing.js';
import { positionCount, type RuleContext, sameAxes, Unsupported } from './context.js';

/** Some of a tensor's channels, which has [batch, channels, positions]. */
function channels(c: RuleContext, tensor: string, first: number, count: number): string {
  const { graph } = c;
  return c.part('Slice', [tensor, graph.integers([first]), graph.integers([first + count]), graph.integers([1])]);
}

interface Heads {
  /** Key heads. */
  count: number;
  /** Query heads for each of them. */
  sharing: number;
  size: number;
  valueSize: number;
}

/** Heads of one size: [batch, key heads, query heads of each, channels, positions]. */
function attend(c: RuleContext, [query, key, value]: [string, string, string], { count, sharing, size, valueSize }: Heads, scale: number): string {
  const { graph } = c;
  const [queries, keys] = [positionCount(c.axes(0)), positionCount(c.axes(1))];
  const q = c.part('Transpose', [c.reshaped(query, [count, sharing, size, queries])], { perm: [0, 1, 2, 4, 3] });
  const scaled = c.part('Mul', [q, graph.number(scale)]);
  let scores = c.part('MatMul', [scaled, c.reshaped(key, [count, 1, size, keys])]);
  if (c.fields.causal) {
    const mask = new Float32Array(queries * keys);
    for (let t = 0; t < queries; t++) mask.fill(Number.NEGATIVE_INFINITY, t * keys + t + 1 + keys - queries, (t + 1) * keys);
    scores = c.part('Add', [scores, graph.constant(`${c.name}.mask`, [queries, keys], mask)]);
  }
  const shares = c.part('Transpose', [c.part('Softmax', [scores], { axis: -1 })], { perm: [0, 1, 2, 4, 3] });
  const mixed = c.part('MatMul', [c.reshaped(value, [count, 1, valueSize, keys]), shares]);
  return c.reshaped(mixed, [count * sharing * valueSize, queries]);
}

/** @throws Unsupported where a query sees no key */
export function attention(c: RuleContext): string {
  const [queries, keys] = [positionCount(c.axes(0)), positionCount(c.axes(1))];
  if (c.fields.causal && keys < queries) throw new Unsupported('a key for each query');
  const keyHeads = c.number('keyHeads');
  const sharing = c.number('heads') / keyHeads;
  const sizesOf = (field: string, total: number) => (c.list(field).length ? c.list(field) : Array.from({ length: keyHeads }, () => total / keyHeads));
  const sizes = sizesOf('headSizes', c.axes(1)[0]);
  const valueSizes = sizesOf('valueSizes', c.axes(2)[0]);
  const scale = c.number('scale') || 1 / Math.sqrt(item(sizes, 0));
  const flat = c.inputs.map((tensor, i) => (c.axes(i).length === 2 ? tensor : c.reshaped(tensor, [c.axes(i)[0], positionCount(c.axes(i))])));
  const equal = (values: number[]) => values.every((size) => size === values[0]);
  let result: string;
  if (equal(sizes) && equal(valueSizes)) {
    const heads = { count: keyHeads, sharing, size: item(sizes, 0), valueSize: item(valueSizes, 0) };
    result = attend(c, flat as [string, string, string], heads, scale);
  } else {
    if (sizes.includes(0)) throw new Unsupported('channels in every key head');
    let [query, key, value] = [0, 0, 0];
    const parts = sizes.flatMap((size, k) => {
      const valueSize = item(valueSizes, k);
      const parts: [string, string, string] = [
        channels(c, item(flat, 0), query, size * sharing),
        channels(c, item(flat, 1), key, size),
        channels(c, item(flat, 2), value, valueSize),
      ];
      [query, key, value] = [query + size * sharing, key + size, value + valueSize];
      return valueSize > 0 ? [attend(c, parts, { count: 1, sharing, size, valueSize }, scale)] : [];
    });
    result = c.part('Concat', parts, { axis: 1 });
  }
  return c.last('Reshape', [result, c.graph.integers([0, ...c.output])]);
}

/** x · cos + (x of the other channel of the pair) · (± sin), for each channel and position. */
export function rotary(c: RuleContext): string {
  const [headSize, rotated] = [c.number('headSize'), c.number('rotated')];
  const given = c.list('channels');
  const originals = given.length ? given : Array.from({ length: c.channels }, (_, i) => i);
  const places = new Map(originals.map((original, place) => [original, place]));
  const positions = positionCount(c.axes());
  const [cosines, sines] = [new Float32Array(c.channels * positions).fill(1), new Float32Array(c.channels * positions)];
  const partners = originals.map((original, place) => {
    const within = original % headSize;
    if (within >= rotated) return place;
    const half = rotated / 2;
    const isSecond = c.fields.interleaved ? within % 2 === 1 : within >= half;
    const pair = c.fields.interleaved ? Math.floor(within / 2) : within % half;
    const partner = c.fields.interleaved ? within ^ 1 : isSecond ? within - half : within + half;
    const frequency = Math.fround(c.number('base') ** ((-2 * pair) / rotated));
    for (let t = 0; t < positions; t++) {
      const angle = (c.number('firstPosition') + t) * frequency;
      cosines[place * positions + t] = Math.cos(angle);
      sines[place * positions + t] = isSecond ? Math.sin(angle) : -Math.sin(angle);
    }
    return present(places.get(original - within + partner), 'both channels of each pair');
  });
  const shape = [...c.axes()];
  const turned = c.part('Gather', [c.input, c.graph.integers(partners)], { axis: 1 });
  const terms = [
    c.part('Mul', [c.input, c.graph.constant(`${c.name}.cos`, shape, cosines)]),
    c.part('Mul', [turned, c.graph.constant(`${c.name}.sin`, shape, sines)]),
  ];
  return c.last('Add', terms);
}

/** Order of the gates in ONNX, by their places here. */
const LSTM_GATES = [0, 3, 1, 2]; // i o f c of i f g o
const GRU_GATES = [1, 0, 2]; // z r h of r z n

/**
 * The products of the inputs are the layer before it, so that ONNX's weights of the input bring every gate to its place: ones and
 * zeros.
 */
const recurrent =
  (operator: 'LSTM' | 'GRU', order: number[]) =>
  (c: RuleContext): string => {
    const { graph } = c;
    const gates = order.length;
    const units = c.channels / gates;
    const select = new Float32Array((gates * units) ** 2);
    const weight = present(c.parameter('weight'), `a parameter ${c.name}.weight`);
    const moved = new Float32Array(weight.length);
    const bias = new Float32Array(2 * gates * units);
    order.forEach((from, to) => {
      const rows = weight.subarray(from * units * units, (from + 1) * units * units);
      moved.set(rows, to * units * units);
      const biases = c.parameter('bias')?.subarray(from * units, (from + 1) * units);
      if (biases) bias.set(biases, (gates + to) * units);
      for (let u = 0; u < units; u++) select[(to * units + u) * gates * units + from * units + u] = 1;
    });
    const positions = positionCount(c.axes());
    const sequence = c.axes().length === 2 ? c.input : c.reshaped(c.input, [c.channels, positions]);
    const steps = c.part('Transpose', [sequence], { perm: [2, 0, 1] });
    const inputs = [
      steps,
      graph.constant(`${c.name}.select`, [1, gates * units, gates * units], select),
      graph.constant(`${c.name}.weight`, [1, gates * units, units], moved),
      graph.constant(`${c.name}.bias`, [1, 2 * gates * units], bias),
    ];
    const attributes = {
      hidden_size: units,
      direction: c.fields.reverse ? 'reverse' : 'forward',
      ...(operator === 'GRU' ? { linear_before_reset: c.fields.resetFirst ? 0 : 1 } : {}),
    };
    // [positions, 1, batch, units]
    const states = c.part('Squeeze', [c.part(operator, inputs, attributes), graph.integers([1])]);
    if (sameAxes(c.output, [units, positions])) return c.last('Transpose', [states], { perm: [1, 2, 0] });
    const back = c.part('Transpose', [states], { perm: [1, 2, 0] });
    return c.last('Reshape', [back, graph.integers([0, ...c.output])]);
  };
export const lstm = recurrent('LSTM', LSTM_GATES);
export const gru = recurrent('GRU', GRU_GATES);
