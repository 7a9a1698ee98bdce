/** LSTM and GRU of Keras: gates i, f, c, o and z, r, h, one column for each unit. */
import { item } from '../../indexing.js';
import { Unsupported } from '../onnx/errors.js';
import type { Constant } from '../onnx/tensors.js';
import type { Attributes, LayerContext, Tensor } from './graph.js';

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

const recurrent =
  (opType: string, gates: number[], more: (k: LayerContext) => Attributes = () => ({})) =>
  (k: LayerContext): Tensor => {
    const functions = [k.text('activation', 'tanh'), k.text('recurrent_activation', 'sigmoid')];
    if (functions.join() !== 'tanh,sigmoid') throw new Unsupported(`the activations tanh and sigmoid (they are ${functions.join(' and ')})`);
    for (const name of ['return_state', 'stateful', 'go_backwards', 'time_major']) if (k.flag(name, false)) throw new Unsupported(`${name} false`);
    if (k.inputs.length !== 1 || k.input.rank !== 3) throw new Unsupported('one sequence, its state starting at zero');
    const w = gatesOf(k.weight('kernel'), gates, 'kernel');
    const r = gatesOf(k.weight('recurrent_kernel'), gates, 'recurrent_kernel');
    const columns = item(w.shape, 1);
    const weights = [w, r, ...(k.flag('use_bias', true) ? [biasOf(k.weight('bias'), gates, columns)] : [])].map(k.constant);
    const steps = k.node('Transpose', [k.input.name], { perm: [1, 0, 2] }, 'steps');
    const attributes = { hidden_size: columns / gates.length, ...more(k) };
    const [all = '', last = ''] = k.builder.add(k.layer.name, opType, [steps, ...weights], attributes, 2);
    if (!k.flag('return_sequences', false)) return { name: k.node('Squeeze', [last, k.integers(0)], {}, 'last'), rank: 2 };
    const states = k.node('Squeeze', [all, k.integers(1)], {}, 'states');
    return { name: k.node('Transpose', [states], { perm: [1, 0, 2] }, 'sequence'), rank: 3 };
  };

export const recurrentLayers = {
  // ONNX has i, o, f, c.
  LSTM: recurrent('LSTM', [0, 3, 1, 2]),
  GRU: recurrent('GRU', [0, 1, 2], (k) => ({ linear_before_reset: Number(k.flag('reset_after', k.weight('bias').shape.length === 2)) })),
};
