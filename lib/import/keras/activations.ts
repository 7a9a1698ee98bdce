/** Activations by name, and the layers that are nothing else. */
import { Unsupported } from '../onnx/errors.js';
import type { Attributes, LayerContext, Tensor } from './graph.js';

type Rule = (k: LayerContext) => Tensor;

const FUNCTIONS: Record<string, [string, Attributes?]> = {
  relu: ['Relu'],
  sigmoid: ['Sigmoid'],
  tanh: ['Tanh'],
  softmax: ['Softmax', { axis: -1 }],
  log_softmax: ['LogSoftmax', { axis: -1 }],
  elu: ['Elu'],
  selu: ['Selu'],
  softplus: ['Softplus'],
  softsign: ['Softsign'],
  swish: ['Swish'],
  silu: ['Swish'],
  mish: ['Mish'],
  gelu: ['Gelu'],
  exponential: ['Exp'],
  hard_swish: ['HardSwish'],
  hard_silu: ['HardSwish'],
  leaky_relu: ['LeakyRelu', { alpha: { float: 0.2 } }],
};

const UNCHANGED = new Set(['linear']);

/** clip(x + ½ …): its slope was 0.2 up to Keras 2 and is 1/6 since Keras 3. */
const hardSigmoidSlope = (version: number) => (version >= 3 ? 1 / 6 : 0.2);

/** The function of that name, of the file's TensorFlow.js or Keras, applied to a tensor. */
export function activated(k: LayerContext, x: Tensor, given: unknown): Tensor {
  const { config } = (typeof given === 'object' && given !== null ? given : {}) as { config?: unknown };
  const name = typeof given === 'string' ? given : typeof config === 'string' ? config : given === undefined || given === null ? 'linear' : '';
  if (UNCHANGED.has(name)) return x;
  const of = (opType: string, attributes: Attributes = {}, inputs = [x.name]) => ({
    ...x,
    name: k.node(opType, inputs, attributes, k.layer.className === 'Activation' ? '' : name),
  });
  if (name === 'hard_sigmoid') return of('HardSigmoid', { alpha: { float: hardSigmoidSlope(k.version) }, beta: { float: 0.5 } });
  if (name === 'relu6') return of('Clip', {}, [x.name, k.numbers(0), k.numbers(6)]);
  const found = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  if (!found) throw new Unsupported(`an activation that is known (it is ${JSON.stringify(given)})`);
  return of(...found);
}

const relu: Rule = (k) => {
  const x = k.input;
  if (k.number('threshold', 0) !== 0) throw new Unsupported('a threshold of 0');
  const slope = k.number('negative_slope', 0);
  const rises = slope === 0 ? k.node('Relu', [x.name]) : k.node('LeakyRelu', [x.name], { alpha: { float: slope } });
  const most = k.config.max_value;
  if (most === undefined || most === null) return { ...x, name: rises };
  if (slope !== 0) throw new Unsupported('a largest value or a slope below 0, not both');
  return { ...x, name: k.node('Clip', [x.name, k.numbers(0), k.numbers(k.number('max_value', 0))]) };
};

export const activationLayers: Record<string, Rule> = {
  Activation: (k) => activated(k, k.input, k.config.activation),
  ReLU: relu,
  LeakyReLU: (k) => {
    const alpha = k.number('negative_slope', k.number('alpha', 0.3));
    return { ...k.input, name: k.node('LeakyRelu', [k.input.name], { alpha: { float: alpha } }) };
  },
  ELU: (k) => ({ ...k.input, name: k.node('Elu', [k.input.name], { alpha: { float: k.number('alpha', 1) } }) }),
  PReLU: (k) => ({ ...k.input, name: k.node('PRelu', [k.input.name, k.constant(k.weight('alpha'))]) }),
  Softmax: (k) => ({ ...k.input, name: k.node('Softmax', [k.input.name], { axis: k.number('axis', -1) }) }),
};
