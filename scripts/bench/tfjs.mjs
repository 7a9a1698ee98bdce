// A training step of the plain notebook net against TensorFlow.js, per image. Not among the dependencies:
//   npm install --no-save @tensorflow/tfjs && node scripts/bench/tfjs.mjs [--batch 16]
// Its WebAssembly backend has no gradient of the convolution's weights, and tfjs-node downloads its library when it is
// installed, so the JavaScript backend is the one that can train this net from npm alone.
import { binding } from '../../dist/index.js';
import { scriptOptions } from '../experiments/runs.mjs';
import { median } from './servers.mjs';
import { notebookOfWidth, stepTimer } from './step.mjs';

const batch = Number(scriptOptions({ batch: '16' }).batch);
const tf = await import('@tensorflow/tfjs').catch(() => {
  throw new Error('Expected TensorFlow.js: npm install --no-save @tensorflow/tfjs');
});
await tf.setBackend('cpu');
const layers = [
  tf.layers.conv2d({ inputShape: [28, 28, 1], filters: 32, kernelSize: 5, activation: 'relu' }),
  tf.layers.conv2d({ filters: 32, kernelSize: 5, activation: 'relu' }),
  tf.layers.batchNormalization(),
  tf.layers.maxPooling2d({ poolSize: 2 }),
  tf.layers.conv2d({ filters: 64, kernelSize: 3, activation: 'relu' }),
  tf.layers.conv2d({ filters: 64, kernelSize: 3, activation: 'relu' }),
  tf.layers.batchNormalization(),
  tf.layers.maxPooling2d({ poolSize: 2 }),
  tf.layers.flatten(),
  tf.layers.dense({ units: 10, activation: 'softmax' }),
];
const model = tf.sequential({ layers });
model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
const images = tf.randomNormal([batch, 28, 28, 1]);
const labels = tf.oneHot(
  tf.tensor1d(
    Int32Array.from({ length: batch }, (_, i) => i % 10),
    'int32',
  ),
  10,
);
await model.trainOnBatch(images, labels);

const timer = await stepTimer(notebookOfWidth(1, false));
const ratios = [];
for (let round = 0; round < 3; round++) {
  const start = performance.now();
  await model.trainOnBatch(images, labels);
  const theirs = (performance.now() - start) / 1000 / batch;
  ratios.push(theirs / ((await timer.seconds()) / 512));
}
await timer.dispose();
console.log(
  `training, plain notebook net: ${median(ratios).toFixed(0)} times the images per second of TensorFlow.js ${tf.version.tfjs} (${tf.getBackend()} backend, batch ${batch}; ours: ${binding.info().isa}, ${binding.info().threads} threads, batch 512)`,
);
