/** Functions of elements, arithmetic of two tensors, and operators that move values about. */
import { elements } from '../../network/description.js';
import { type Rule, type RuleContext, type Tensor, Unsupported } from './context.js';

const CHANNELS_LAST = { data_format: 'channels_last' };

/** A layer that treats every element alike, whatever their order. */
const pointwise = (c: RuleContext, className: string, config: Record<string, unknown>): Tensor => ({
  ...c.input,
  axes: c.output,
  layer: c.last(className, [c.input.layer], config),
});

export const activation =
  (name: string): Rule =>
  (c) =>
    pointwise(c, 'Activation', { activation: name });

export const leakyRelu: Rule = (c) => pointwise(c, 'LeakyReLU', { alpha: c.number('slope') });
export const affine: Rule = (c) => pointwise(c, 'Rescaling', { scale: c.number('scale'), offset: c.number('offset') });
export const dropout: Rule = (c) => pointwise(c, 'Dropout', { rate: c.number('probability') });

export const elu: Rule = (c) => {
  if (c.number('alpha') !== 1) throw new Unsupported(`an alpha of 1 (it is ${c.number('alpha')})`);
  return pointwise(c, 'ELU', { alpha: 1 });
};
export const clip: Rule = (c) => {
  if (c.number('low') !== 0) throw new Unsupported(`0 as the smallest value (it is ${c.number('low')})`);
  return pointwise(c, 'ReLU', { max_value: c.number('high') });
};
export const hardSigmoid: Rule = (c) => {
  const [slope, offset] = [c.number('slope'), c.number('offset')];
  if (Math.fround(slope) !== Math.fround(0.2) || offset !== 0.5) throw new Unsupported(`0.2·x + 0.5 (it is ${slope}·x + ${offset})`);
  return pointwise(c, 'Activation', { activation: 'hard_sigmoid' });
};
export const softmax: Rule = (c) => {
  if (c.fields.axis === 'positions' || c.axes().length > 3) throw new Unsupported('an axis of channels');
  return c.result(c.last('Softmax', [c.natural()], { axis: -1 }));
};

/** The smaller input may have a single channel, or a single position. */
export const merge =
  (className: 'Add' | 'Multiply'): Rule =>
  (c) => {
    if (c.inputs.some(({ axes }) => axes.length !== c.output.length)) throw new Unsupported('inputs with as many axes');
    return c.result(
      c.last(
        className,
        c.inputs.map((tensor) => c.natural(tensor)),
      ),
    );
  };

const CONCAT_AXES: Record<string, (rank: number) => number> = { channels: () => -1, rows: () => 1, columns: (rank) => rank - 1 };
export const concat: Rule = (c) => {
  const rank = c.output.length;
  const along = c.fields.axis as string;
  if (c.inputs.some(({ axes }) => axes.length !== rank) || (along === 'rows' && rank !== 3)) throw new Unsupported('images, of rows and columns');
  const inputs = c.inputs.map((tensor) => c.natural(tensor));
  return c.result(c.last('Concatenate', inputs, { axis: CONCAT_AXES[along]?.(rank) ?? -1 }));
};

export const flatten: Rule = (c) => {
  const { layer, axes, flat } = c.input;
  if (axes.length === 1) return c.input;
  return { layer: flat ? layer : c.last('Flatten', [layer]), axes: c.output, flat: flat ?? axes };
};

/** The elements of an example, channels first, as other axes. */
export const reshape: Rule = (c) => c.result(c.channelsFirst(c.natural(), c.axes(), c.output));

/** Output channel i is input channel index[i], or zeros where that is −1: a dense layer of ones and zeros, without a bias. */
function selected(c: RuleContext, index: number[]): Tensor {
  const [ins, out] = [c.axes()[0], index.length];
  const values = new Float32Array(ins * out);
  index.forEach((i, o) => {
    if (i >= 0) values[i * out + o] = 1;
  });
  const config = { units: out, activation: 'linear', use_bias: false, trainable: false };
  return c.result(c.last('Dense', [c.natural()], config, { kernel: { shape: [ins, out], values } }));
}
const range = (count: number, first = 0) => Array.from({ length: count }, (_, i) => first + i);

export const gatherChannels: Rule = (c) => selected(c, c.list('index'));
export const sliceChannels: Rule = (c) => selected(c, range(c.number('count'), c.number('first')));
export const padChannels: Rule = (c) => {
  const none = (field: string) => new Array<number>(c.number(field)).fill(-1);
  return selected(c, [...none('before'), ...range(c.axes()[0]), ...none('after')]);
};
export const channelShuffle: Rule = (c) => {
  const order = c.list('order');
  const [groups, channels] = [c.number('groups'), c.axes()[0]];
  const each = channels / groups;
  return selected(c, order.length ? order : range(channels).map((o) => (o % groups) * each + Math.floor(o / groups)));
};

export const pad: Rule = (c) => {
  if (c.fields.mode !== 'zeros') throw new Unsupported(`padding of zeros (its mode is "${c.fields.mode}")`);
  const [before, after] = [c.list('before'), c.list('after')];
  const padding = before.map((n, i) => [n, after[i] ?? 0]);
  return c.asImage((image) => c.last('ZeroPadding2D', [image], { padding, ...CHANNELS_LAST }));
};

export const slicePositions: Rule = (c) => {
  if (c.list('step').some((s) => s !== 1)) throw new Unsupported('positions next to each other (step)');
  const [first, count] = [c.list('first'), c.list('count')];
  const sizes = [1, ...c.axes().slice(1)].slice(-2);
  const cropping = first.map((f, i) => [f, (sizes[i] as number) - f - (count[i] as number)]);
  return c.asImage((image) => c.last('Cropping2D', [image], { cropping, ...CHANNELS_LAST }));
};

/** Every position several times; linear interpolation between centres is TensorFlow.js's as well. */
export const resize: Rule = (c) => {
  const [channels, ...positions] = c.axes();
  if (positions.length !== 2) throw new Unsupported('an image as its input');
  const size = c.list('size').map((to, i) => to / (positions[i] as number));
  const isPlain = ['scaleHeight', 'scaleWidth'].every((field) => c.number(field) === 0 || size.includes(c.number(field)));
  const repeats = c.fields.mode === 'nearest' && c.fields.coordinates === 'asymmetric' && c.fields.rounding === 'floor' && isPlain;
  if (!repeats || !size.every(Number.isInteger) || elements([channels, ...size]) === 0)
    throw new Unsupported('every position as often as every other (nearest, asymmetric, a whole number of times)');
  return c.result(c.last('UpSampling2D', [c.natural()], { size, interpolation: 'nearest', ...CHANNELS_LAST }));
};
