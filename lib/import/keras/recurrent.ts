/** LSTM and GRU of Keras: gates i, f, c, o and z, r, h, one column for each unit. */
import { isPlainObject } from '../../errors.js';
import { item } from '../../indexing.js';
import { Unsupported } from '../onnx/errors.js';
import type { Constant } from '../onnx/tensors.js';
import { type Attributes, LayerContext, type Tensor } from './graph.js';
import type { Config } from './topology.js';

/** [rows, gates · units] as [1, gates · units, rows], the gates in ONNX's order. */
function gatesOf(constant: Constant, gates: number[], what: string): Constant {
  const [rows = 0, columns = 0] = constant.shape;
  const units = columns / gates.length;
  if (constant.shape.length !== 2 || !Number.isInteger(units)) throw new Unsupported(`${gates.length} gates in ${what} (it is [${constant.shape}])`);
  const data = new Float32Array(constant.data.length);
  for (let c = 0; c < columns; c++) {
    const from = item(gates, Math.floor(c / units)) * units + (c % units);
    for (let r = 0; r < rows; r++) data[c * rows + r] = item(constant.data, r * columns + from);
  }
  return { shape: [1, columns, rows], data, isInteger: false };
}

/** [gates · units], or of a GRU that resets after its product two of them, as [1, 2 · gates · units]. */
function biasOf(constant: Constant, gates: number[], columns: number): Constant {
  const both = new Float32Array(2 * columns);
  if (constant.data.length !== columns && constant.data.length !== 2 * columns)
    throw new Unsupported(`a bias of ${columns} (it is [${constant.shape}])`);
  const units = columns / gates.length;
  for (let i = 0; i < constant.data.length; i++) {
    const [half, c] = [Math.floor(i / columns), i % columns];
    both[i] = item(constant.data, half * columns + item(gates, Math.floor(c / units)) * units + (c % units));
  }
  return { shape: [1, 2 * columns], data: both, isInteger: false };
}

interface Kind {
  opType: string;
  /** Which of the file's gates each of ONNX's is. */
  gates: number[];
  more: (k: LayerContext) => Attributes;
}

/** The states at all positions, in their order, or the last one. */
function states(k: LayerContext, { opType, gates, more }: Kind, backwards: boolean, all: boolean): Tensor {
  const functions = [k.text('activation', 'tanh'), k.text('recurrent_activation', 'sigmoid')];
  if (functions.join() !== 'tanh,sigmoid') throw new Unsupported(`the activations tanh and sigmoid (they are ${functions.join(' and ')})`);
  for (const name of ['return_state', 'stateful', 'time_major']) if (k.flag(name, false)) throw new Unsupported(`${name} false`);
  if (k.inputs.length !== 1 || k.input.rank !== 3) throw new Unsupported('one sequence, its state starting at zero');
  const w = gatesOf(k.weight('kernel'), gates, 'kernel');
  const r = gatesOf(k.weight('recurrent_kernel'), gates, 'recurrent_kernel');
  const columns = item(w.shape, 1);
  const weights = [w, r, ...(k.flag('use_bias', true) ? [biasOf(k.weight('bias'), gates, columns)] : [])].map(k.constant);
  const steps = k.node('Transpose', [k.input.name], { perm: [1, 0, 2] }, 'steps');
  const attributes = { hidden_size: columns / gates.length, ...(backwards && { direction: 'reverse' }), ...more(k) };
  const [sequence = '', last = ''] = k.builder.add(k.layer.name, opType, [steps, ...weights], attributes, 2);
  if (!all) return { name: k.node('Squeeze', [last, k.integers(0)], {}, 'last'), rank: 2 };
  const own = k.node('Squeeze', [sequence, k.integers(1)], {}, 'states');
  return { name: k.node('Transpose', [own], { perm: [1, 0, 2] }, 'sequence'), rank: 3 };
}

const recurrent =
  (kind: Kind) =>
  (k: LayerContext): Tensor => {
    const backwards = k.flag('go_backwards', false);
    const all = k.flag('return_sequences', false);
    const result = states(k, kind, backwards, all);
    if (!backwards || !all) return result;
    // Keras returns them in the order in which they were computed, the last position first.
    const inputs = [result.name, ...[-1, -(2 ** 31), 1, -1].map((n) => k.integers(n))];
    return { ...result, name: k.node('Slice', inputs, {}, 'backwards') };
  };

const kinds: Record<string, Kind> = {
  // ONNX has i, o, f, c.
  LSTM: { opType: 'LSTM', gates: [0, 3, 1, 2], more: () => ({}) },
  GRU: {
    opType: 'GRU',
    gates: [0, 1, 2],
    more: (k) => ({ linear_before_reset: Number(k.flag('reset_after', k.weight('bias').shape.length === 2)) }),
  },
};

const MERGES: Record<string, [string, Attributes?]> = { concat: ['Concat', { axis: -1 }], sum: ['Add'], mul: ['Mul'], ave: ['Mean'] };

/** One layer forwards and one backwards; at each position stand the states of both. */
function bidirectional(k: LayerContext): Tensor {
  const inner = (given: unknown): { className: string; config: Config } => {
    const { class_name: className, config } = (isPlainObject(given) ? given : {}) as { class_name?: unknown; config?: unknown };
    if (typeof className !== 'string' || !Object.hasOwn(kinds, className) || !isPlainObject(config))
      throw new Unsupported(`a layer LSTM or GRU for each direction (it is ${JSON.stringify(className)})`);
    return { className, config: config as Config };
  };
  const forward = inner(k.config.layer);
  const backward = k.config.backward_layer ? inner(k.config.backward_layer) : forward;
  if (k.config.backward_layer === undefined && forward.config.go_backwards === true) throw new Unsupported('go_backwards false');
  const one = ({ className, config }: typeof forward, direction: string): Tensor => {
    const weights = new Map(
      [...k.weights].flatMap(([name, value]) => (name.startsWith(`${direction}/`) ? [[name.slice(direction.length + 1), value] as const] : [])),
    );
    const layer = { ...k.layer, name: `${k.layer.name}_${direction}`, className, config };
    const own = new LayerContext(k.builder, layer, k.inputs, weights, k.version);
    return states(own, kinds[className] as Kind, direction === 'backward', own.flag('return_sequences', false));
  };
  const [a, b] = [one(forward, 'forward'), one(backward, 'backward')];
  if (a.rank !== b.rank) throw new Unsupported('return_sequences of both directions, or of none');
  const mode = k.config.merge_mode === undefined ? 'concat' : k.config.merge_mode;
  const merge = typeof mode === 'string' && Object.hasOwn(MERGES, mode) ? MERGES[mode] : undefined;
  if (!merge) throw new Unsupported(`concat, sum, mul or ave as merge_mode (it is ${JSON.stringify(mode)})`);
  const [opType, attributes] = merge;
  return { ...a, name: k.node(opType, [a.name, b.name], attributes) };
}

export const recurrentLayers = {
  ...Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, recurrent(kind)])),
  Bidirectional: bidirectional,
};
