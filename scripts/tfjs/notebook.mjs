// The notebook net as a model of tf.layers, with weights by seed; for the tests and the bench.
import * as layers from '@tensorflow/tfjs-layers';

const normal = (seed) => layers.initializers.randomNormal({ mean: 0, stddev: 0.05, seed });

/** A compiled model for [28, 28, 1] images; the share `width` of its channels. */
export function notebookModel(width = 1) {
  const conv = (filters, kernelSize, seed, more = {}) =>
    layers.layers.conv2d({ filters: Math.round(filters * width), kernelSize, activation: 'relu', kernelInitializer: normal(seed), ...more });
  const model = layers.sequential({
    layers: [
      conv(32, 5, 1, { inputShape: [28, 28, 1] }),
      conv(32, 5, 2),
      layers.layers.batchNormalization(),
      layers.layers.maxPooling2d({ poolSize: 2 }),
      conv(64, 3, 3),
      conv(64, 3, 4),
      layers.layers.batchNormalization(),
      layers.layers.maxPooling2d({ poolSize: 2 }),
      layers.layers.flatten(),
      layers.layers.dense({ units: 10, activation: 'softmax', kernelInitializer: normal(5) }),
    ],
  });
  model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
  return model;
}
