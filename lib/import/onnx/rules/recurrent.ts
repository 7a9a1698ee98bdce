/** LSTM and GRU: for each direction a product of the inputs and the recurrence. */
import { item } from '../../../indexing.js';
import { arrange } from '../arrange.js';
import { activationOf, constantOf, optionalConstant, type RuleContext, type Value } from '../context.js';
import { Unsupported } from '../errors.js';
import { Activation, type Atom, atom, BATCH } from '../layout.js';
import type { Rule } from '../results.js';
import type { Constant } from '../tensors.js';

interface Kind {
  name: string;
  /** Which of the file's gates each of a node's is. */
  gates: number[];
  activations: string[];
  /** It has cells beside its hidden states. */
  cells: boolean;
}
/** i, o, f, c → i, f, g, o. */
const LSTM: Kind = { name: 'lstm', gates: [0, 2, 3, 1], activations: ['Sigmoid', 'Tanh', 'Tanh'], cells: true };
/** z, r, h → r, z, n. */
const GRU: Kind = { name: 'gru', gates: [1, 0, 2], activations: ['Sigmoid', 'Tanh'], cells: false };

function checkAttributes(c: RuleContext, kind: Kind, directions: number): void {
  const { node } = c;
  const wanted = Array.from({ length: directions }, () => kind.activations).flat();
  const given = node.strings('activations');
  if (given?.length && given.join() !== wanted.join())
    throw new Unsupported(`the functions ${kind.activations.join(', ')} (they are ${given.join(', ')})`);
  if (node.has('clip')) throw new Unsupported('no clip');
  if (node.int('input_forget', 0) !== 0) throw new Unsupported('a forget gate of its own (input_forget)');
  const lengths = optionalConstant(c, 4, 'lengths');
  const positions = item(activationOf(c).shape, node.int('layout', 0));
  if (lengths?.data.some((n) => n !== positions)) throw new Unsupported('sequences of one length (sequence_lens)');
  for (const [index, what] of [
    [5, 'initial_h'],
    [6, 'initial_c'],
    [7, 'peepholes'],
  ] as const) {
    if (index > 5 && !kind.cells) continue;
    const isSingle = index === 7 && positions === 1;
    if (!isSingle && optionalConstant(c, index, what)?.data.some((x) => x !== 0))
      throw new Unsupported(index === 7 ? `zeros as ${what}, or one position (there are ${positions})` : `zeros as ${what}`);
  }
  const cell = node.proto.output[2];
  if (cell && c.reads(2)) throw new Unsupported('nobody who reads the cells (Y_c)');
}

/** The rows of the gates of one direction, in the order of a node; `from` is where they begin in the direction's rows. */
function rows(of: Constant, direction: number, perDirection: number, from: number, units: number, columns: number, gates: number[]): Float32Array {
  const data = new Float32Array(gates.length * units * columns);
  const run = units * columns;
  for (const [i, gate] of gates.entries()) {
    const at = direction * perDirection * columns + (from + gate * units) * columns;
    data.set(of.data.subarray(at, at + run), i * run);
  }
  return data;
}

/** Inputs [positions, batch, features], or with layout 1 the batch first; outputs [positions, directions, batch, units], or [batch, positions, directions, units]. */
const recurrent =
  (kind: Kind): Rule =>
  (c) => {
    const x = activationOf(c);
    const batchFirst = c.node.int('layout', 0) === 1;
    const [positionAxis, batchAxis] = batchFirst ? [1, 0] : [0, 1];
    if (x.rank !== 3 || item(x.exampleShape, batchAxis) !== 1 || [positionAxis, 2].includes(x.batchAxis))
      throw new Unsupported(`positions, a batch and features, the batch as axis ${batchAxis} (the input is [${x.shape}])`);
    const direction = c.node.text('direction', 'forward');
    const directions = direction === 'bidirectional' ? 2 : 1;
    if (!['forward', 'reverse', 'bidirectional'].includes(direction)) throw new Unsupported(`a direction of the standard (it is "${direction}")`);
    checkAttributes(c, kind, directions);
    const [w, r] = [constantOf(c, 1, 'weights'), constantOf(c, 2, 'weights')];
    const b = optionalConstant(c, 3, 'biases');
    const count = kind.gates.length;
    const units = r.shape[2] ?? 0;
    const features = item(x.shape, 2);
    const shapes = [
      [w.shape, [directions, count * units, features]],
      [r.shape, [directions, count * units, units]],
      [b?.shape ?? [directions, 2 * count * units], [directions, 2 * count * units]],
    ] as const;
    for (const [given, wanted] of shapes)
      if (units < 1 || given.join() !== wanted.join()) throw new Unsupported(`weights of [${wanted}] (they are [${given}])`);
    const node = arrange(c, x, [[2], [positionAxis]]);
    const peepholes = kind.cells ? optionalConstant(c, 7, 'peepholes') : undefined;
    if (peepholes?.data.some((p) => p !== 0)) {
      if (peepholes.shape.join() !== `${directions},${3 * units}`) throw new Unsupported(`peepholes of [${directions},${3 * units}]`);
      const cells = Array.from({ length: directions }, (_, d) => onePosition(c, node, { w, b, peepholes, direction: d, units, features }));
      return outputs(c, x, cells, units, { positionAxis, batchAxis, batchFirst, reverse: direction === 'reverse' });
    }
    const made = Array.from({ length: directions }, (_, d) => {
      const gates = (of: Constant, all: number, from: number, columns: number) => rows(of, d, all, from, units, columns, kind.gates);
      const fields = { outFeatures: count * units, perPosition: true, bias: b !== undefined };
      const inputs = { weight: gates(w, count * units, 0, features), bias: b && gates(b, 2 * count * units, 0, 1) };
      const products = c.build.add('linear', `${c.node.label}_inputs`, [node], fields, inputs);
      const reset = !kind.cells ? { resetFirst: c.node.int('linear_before_reset', 0) === 0 } : {};
      const own = { weight: gates(r, count * units, 0, units), bias: b && gates(b, 2 * count * units, count * units, 1) };
      return c.build.add(kind.name, c.node.label, [products], { reverse: direction === 'reverse' || d === 1, bias: b !== undefined, ...reset }, own);
    });
    return outputs(c, x, made, units, { positionAxis, batchAxis, batchFirst, reverse: direction === 'reverse' });
  };

interface Single {
  w: Constant;
  b: Constant | undefined;
  peepholes: Constant;
  direction: number;
  units: number;
  features: number;
}

/**
 * An LSTM of one position: without states before it, and so without recurrence. Of the peepholes only those of the output gate see
 * something, the new cell: h = σ(o + p · c) · tanh(c) with c = σ(i) · tanh(g). The file's gates are i, o, f, g, its peepholes i, o, f.
 */
function onePosition(c: RuleContext, node: string, { w, b, peepholes, direction, units, features }: Single): string {
  const gate = (index: number, name: string) => {
    const of = (from: number) => b && rows(b, direction, 8 * units, from, units, 1, [index]);
    const [inputs, states] = [of(0), of(4 * units)];
    const bias = inputs && states && inputs.map((x, i) => x + item(states, i));
    const weight = rows(w, direction, 4 * units, 0, units, features, [index]);
    return c.build.add(
      'linear',
      `${c.node.label}_${name}`,
      [node],
      { outFeatures: units, perPosition: true, bias: b !== undefined },
      { weight, bias },
    );
  };
  const of = (kind: string, ...inputs: string[]) => c.build.add(kind, c.node.label, inputs);
  const cell = of('multiply', of('sigmoid', gate(0, 'input')), of('tanh', gate(3, 'cell')));
  const weight = peepholes.data.slice((direction * 3 + 1) * units, (direction * 3 + 2) * units) as Float32Array;
  const fields = { outChannels: units, kernel: [1, 1], groups: units, bias: false, compress: false };
  const seen = c.build.add('conv2d', `${c.node.label}_peephole`, [cell], fields, { weight: Float32Array.from(weight) });
  return of('multiply', of('sigmoid', of('add', gate(1, 'output'), seen)), of('tanh', cell));
}

interface Places {
  positionAxis: number;
  batchAxis: number;
  batchFirst: boolean;
  reverse: boolean;
}

function outputs(c: RuleContext, x: Activation, made: string[], units: number, { positionAxis, batchAxis, batchFirst, reverse }: Places): Value[] {
  const length = item(x.shape, positionAxis);
  const batch: Atom[] = item(x.axes, batchAxis).filter((a) => a.axis === BATCH);
  const [first = '', second] = made;
  const inOrder = (parts: Atom[][]) => (batchFirst ? parts : [item(parts, 1), item(parts, 2), item(parts, 0), item(parts, 3)]);
  const all = (): Activation => {
    const node = second === undefined ? first : c.build.add('concat', c.node.label, made);
    const axes = inOrder([batch, atom(1, length), atom(0, made.length, units), atom(0, units)]);
    return new Activation(node, [made.length * units, length], axes);
  };
  // The last state of each direction: that of the first position where it goes backwards.
  const last = (): Activation => {
    const states = made.map((node, d) => {
      if (length === 1) return node;
      const at = reverse || d === 1 ? 0 : length - 1;
      return c.build.add('slicePositions', `${c.node.label}_last`, [node], { first: [0, at], count: [1, 1] });
    });
    const node = states.length === 1 ? (states[0] as string) : c.build.add('concat', `${c.node.label}_last`, states);
    const parts = [batch, atom(0, made.length, units), atom(0, units)];
    const axes = batchFirst ? parts : [item(parts, 1), item(parts, 0), item(parts, 2)];
    return new Activation(node, [made.length * units, 1], axes);
  };
  const read = (i: number) => Boolean(c.node.proto.output[i]) && c.reads(i);
  return [read(0) ? { activation: all() } : undefined, read(1) ? { activation: last() } : undefined];
}

export const lstm = recurrent(LSTM);
export const gru = recurrent(GRU);
