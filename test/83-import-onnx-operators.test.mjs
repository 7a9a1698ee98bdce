// Operators of ONNX that become several nodes here: resizing by matrices, powers, sums and products along axes, elements that the file
// names, pools and convolutions over three axes. ONNX Runtime judges the outputs.
import t from 'tap';
import { behind, float, int64, judged, judgeForms, number, numbers, scalarInt, weights } from './import-support.mjs';
import { node, tensor } from './onnx-writer.mjs';

const image = [1, 6, 8, 5];
const volume = [1, 2, 5, 6, 4];
const one = (operator, attributes = {}, inputs = [], initializers = [], opset = 17, shape = image) =>
  behind(shape, [node(operator, ['c', ...inputs], 'y', attributes)], initializers, opset);
const resized = (attributes, initializers, opset = 19) =>
  behind(
    image,
    [node('Resize', ['c', '', initializers[0] ? 'by' : '', initializers[0] ? '' : 'by'].slice(0, initializers[0] ? 3 : 4), 'y', attributes)],
    [initializers[0] ?? initializers[1]],
    opset,
  );
const scales = (...values) => [numbers('by', ...values)];
const sizes = (...values) => [undefined, int64('by', ...values)];

const forms = {
  'cubic, up': [resized({ mode: 'cubic' }, scales(1, 1, 2, 2)), 'linear'],
  'cubic, down, of the outside nothing': [
    resized({ mode: 'cubic', exclude_outside: 1, cubic_coeff_a: float(-0.5) }, scales(1, 1, 0.6, 0.8)),
    'linear',
  ],
  'cubic, corners aligned': [resized({ mode: 'cubic', coordinate_transformation_mode: 'align_corners' }, sizes(1, 6, 5, 9)), 'linear'],
  'linear with antialiasing': [resized({ mode: 'linear', antialias: 1 }, scales(1, 1, 0.4, 0.6)), 'linear'],
  'cubic with antialiasing': [resized({ mode: 'cubic', antialias: 1 }, scales(1, 1, 0.5, 0.6)), 'linear'],
  'half pixels with symmetric ends': [
    resized({ mode: 'linear', coordinate_transformation_mode: 'half_pixel_symmetric' }, scales(1, 1, 1.4, 2.3)),
    'linear',
  ],
  'not larger than the sizes': [
    resized({ mode: 'linear', keep_aspect_ratio_policy: 'not_larger', axes: [2, 3] }, sizes(20, 7)),
    'resize',
    (network) => network.nodes.at(-1).size.join() === '11,7',
  ],
  'not smaller than the sizes': [
    resized({ mode: 'nearest', keep_aspect_ratio_policy: 'not_smaller', axes: [2, 3] }, sizes(20, 7)),
    'resize',
    (network) => network.nodes.at(-1).size.join() === '20,13',
  ],
  'a volume resized': [behind(volume, [node('Resize', ['c', '', 'by'], 'y', { mode: 'linear' })], [numbers('by', 1, 1, 2, 1.5, 0.5)]), 'linear'],
  'a volume resized as up to opset 10': [
    behind(volume, [node('Resize', ['c', 'by'], 'y', { mode: 'nearest' })], [numbers('by', 1, 1, 1.5, 2.5, 0.5)], 10),
    'linear',
  ],
  'a part of the image': [
    behind(
      image,
      [
        node('Resize', ['c', 'roi', '', 'by'], 'y', {
          mode: 'linear',
          coordinate_transformation_mode: 'tf_crop_and_resize',
          extrapolation_value: float(7),
        }),
      ],
      [numbers('roi', 0, 0, 0.4, 0.1, 1, 1, 1.3, 0.9), int64('by', 1, 6, 6, 4)],
    ),
    'linear',
  ],
  'a power of 5': [one('Pow', {}, ['n'], [number('n', 5)]), 'square'],
  'a power of −3 of what is above 1': [
    behind(image, [node('Abs', ['c'], 'a'), node('Add', ['a', 'one'], 'b'), node('Pow', ['b', 'n'], 'y')], [number('one', 1), number('n', -3)]),
    'reciprocal',
  ],
  'a power of 1.7 of what is above 0': [behind(image, [node('Abs', ['c'], 'a'), node('Pow', ['a', 'n'], 'y')], [number('n', 1.7)]), 'exp'],
  'whole powers for each channel': [one('Pow', {}, ['n'], [tensor('n', [6, 1, 1], Float32Array.of(0, 1, 2, 3, 4, 5))]), 'exp'],
  'powers for each element of what is above 0': [
    behind(
      image,
      [node('Abs', ['c'], 'a'), node('Pow', ['a', 'n'], 'y')],
      [
        tensor(
          'n',
          [8, 5],
          Float32Array.from({ length: 40 }, (_, i) => (i % 7) / 2),
        ),
      ],
    ),
    'exp',
  ],
  'powers of a base': [behind(image, [node('Pow', ['b', 'c'], 'y')], [tensor('b', [6, 1, 1], Float32Array.of(0.5, 1, 2, 3, 1.5, 0.1))]), 'exp'],
  'the smaller of it and numbers': [one('Min', {}, ['v'], [weights('v', 6, 1, 1)]), 'relu'],
  'the larger of numbers and it': [behind(image, [node('Max', ['v', 'c'], 'y')], [weights('v', 6, 1, 1)]), 'relu'],
  'slopes for each element': [one('PRelu', {}, ['s'], [weights('s', 6, 8, 5)]), 'relu'],
  'slopes for each row': [one('PRelu', {}, ['s'], [weights('s', 1, 8, 1)]), 'relu'],
  'a gate with a factor': [one('Swish', { alpha: float(1.7) }, [], [], 24), 'sigmoid'],
  'a soft sign': [one('Softsign'), 'abs'],
  'elu, scaled on both sides': [one('Celu', { alpha: float(2.5) }), 'elu'],
  'a factor behind a norm without parameters': [
    behind(image, [node('MeanVarianceNormalization', ['c'], 'm', { axes: [2, 3] }), node('Mul', ['m', 'v'], 'y')], [weights('v', 6, 1, 1)]),
    'instanceNorm',
  ],
  'products over rows': [one('ReduceProd', { axes: [2] }), 'multiply'],
  'products over channels and columns': [one('ReduceProd', { axes: [1, 3], keepdims: 0 }), 'multiply'],
  'sums up to each place': [one('CumSum', {}, ['a'], [scalarInt('a', 1)]), 'linear'],
  'sums from behind without the place': [one('CumSum', { exclusive: 1, reverse: 1 }, ['a'], [scalarInt('a', -1)]), 'linear'],
  'local response': [one('LRN', { size: 3, alpha: float(0.3), bias: float(1.5) }), 'exp'],
  'local response by a root': [one('LRN', { size: 5, beta: float(0.5) }), 'sqrt'],
  'elements of an axis': [
    one(
      'GatherElements',
      { axis: 3 },
      ['i'],
      [
        tensor(
          'i',
          [1, 6, 8, 2],
          BigInt64Array.from({ length: 96 }, (_, i) => BigInt((i * 7) % 5)),
        ),
      ],
    ),
    'gatherChannels',
  ],
  'rows by their numbers': [
    one('GatherND', { batch_dims: 1 }, ['i'], [tensor('i', [1, 3, 2], BigInt64Array.of(0n, 1n, 5n, 7n, -1n, 2n))]),
    'gatherChannels',
  ],
  'columns where a condition holds': [
    one('Compress', { axis: 2 }, ['on'], [tensor('on', [8], Buffer.from([1, 0, 0, 1, 1, 0, 1, 0]), { type: 9 })]),
    'gatherChannels',
  ],
  'channels in reverse': [one('ReverseSequence', { batch_axis: 0, time_axis: 1 }, ['n'], [int64('n', 4)]), 'gatherChannels'],
  'a product by letters': [one('Einsum', { equation: 'bchw,cd->bdhw' }, ['w'], [weights('w', 6, 4)]), 'linear'],
  'a product by letters, weights first': [
    behind(image, [node('Einsum', ['w', 'c'], 'y', { equation: 'dc,bc...->b...d' })], [weights('w', 4, 6)]),
    'linear',
  ],
  'a sum by letters': [one('Einsum', { equation: 'bchw->bc' }), 'globalAveragePool'],
  'negative log likelihood': [
    {
      inputs: { x: [1, 5, 4] },
      outputs: { y: [] },
      initializers: [weights('w', 5, 5, 1), int64('t0', 3, 1, 4, 2), int64('s', 1, 4), weights('n', 5)],
      nodes: [
        node('Conv', ['x', 'w'], 'c'),
        node('Reshape', ['t0', 's'], 't'),
        node('SoftmaxCrossEntropyLoss', ['c', 't', 'n'], 'y', { ignore_index: 1 }),
      ],
    },
    'log',
  ],
  'a convolution over volumes': [
    one(
      'Conv',
      { strides: [2, 1, 2], pads: [1, 0, 1, 0, 1, 1], dilations: [1, 2, 1] },
      ['w', 'b'],
      [weights('w', 4, 2, 2, 3, 3), weights('b', 4)],
      17,
      volume,
    ),
    'conv2d',
  ],
  'a convolution over volumes in groups': [
    one('Conv', { group: 2, auto_pad: 'SAME_UPPER' }, ['w'], [weights('w', 4, 1, 3, 3, 2)], 17, volume),
    'conv2d',
  ],
  'a transposed convolution over volumes': [
    one(
      'ConvTranspose',
      { strides: [2, 1, 2], pads: [1, 0, 1, 0, 1, 0], output_padding: [1, 0, 1] },
      ['w', 'b'],
      [weights('w', 2, 3, 3, 2, 3), weights('b', 3)],
      17,
      volume,
    ),
    'convTranspose2d',
  ],
  'a transposed convolution over volumes in groups': [
    one('ConvTranspose', { group: 2, strides: [1, 2, 1] }, ['w'], [weights('w', 2, 2, 2, 2, 2)], 17, volume),
    'convTranspose2d',
  ],
  'maxima over volumes': [one('MaxPool', { kernel_shape: [2, 3, 2], strides: [1, 2, 2], pads: [0, 1, 0, 1, 1, 1] }, [], [], 17, volume), 'maxPool'],
  'means over volumes': [
    one('AveragePool', { kernel_shape: [2, 3, 2], strides: [2, 1, 1], pads: [1, 1, 0, 0, 1, 1], ceil_mode: 1 }, [], [], 17, volume),
    'averagePool',
  ],
  'maxima with gaps': [one('MaxPool', { kernel_shape: [3, 2], dilations: [2, 3], pads: [2, 1, 1, 1] }), 'globalMaxPool'],
};

t.test('they give the outputs of ONNX Runtime', judged, (t) => judgeForms(t, forms, 1e-4));
