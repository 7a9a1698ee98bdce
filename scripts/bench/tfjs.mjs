// TensorFlow.js with our backend against its own ones, and against our trainer, on the notebook net; all in turn in one run.
//   node scripts/bench/tfjs.mjs [--batch 64] [--rounds 3]
// Its WebAssembly backend has no gradient of a convolution's weights: it predicts here and does not train. It is not among the
// dependencies: npm install --no-save @tensorflow/tfjs-backend-wasm@4.22.0
import * as tf from '@tensorflow/tfjs-core';
import { binding } from '../../dist/index.js';
import '../../dist/tfjs/index.js';
import { scriptOptions } from '../experiments/runs.mjs';
import { notebookModel } from '../tfjs/notebook.mjs';
import { median } from './servers.mjs';
import { notebookOfWidth, stepTimer } from './step.mjs';

const { batch: batchText, rounds } = scriptOptions({ batch: '64', rounds: '3' });
const batch = Number(batchText);
const hasWasm = await import('@tensorflow/tfjs-backend-wasm').then(
  () => true,
  () => false,
);

/** A model under a backend, and what it trains and predicts on; `images` of them at a time. */
async function setUp(backend, images) {
  await tf.setBackend(backend);
  const model = notebookModel();
  const x = tf.randomUniform([images, 28, 28, 1], 0, 1, 'float32', 1);
  const labels = Int32Array.from({ length: images }, (_, i) => i % 10);
  return { backend, images, model, x, y: tf.oneHot(tf.tensor1d(labels, 'int32'), 10) };
}
/** Seconds an image. */
async function timed({ backend, images }, work) {
  await tf.setBackend(backend);
  await work();
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000 / images;
}
const training = (side) => timed(side, () => side.model.trainOnBatch(side.x, side.y));
const predicting = (side) => timed(side, () => tf.tidy(() => side.model.predict(side.x).dataSync()));

const ours = await setUp('selfcompress', batch);
const cpu = await setUp('cpu', Math.min(batch, 2)); // seconds an image
const wasm = hasWasm ? await setUp('wasm', batch) : undefined;
const timer = await stepTimer(notebookOfWidth(1, false));
const ratios = { fit: [], predict: [], wasm: [], trainer: [] };
for (let round = 0; round < Number(rounds); round++) {
  const fit = await training(ours);
  ratios.fit.push((await training(cpu)) / fit);
  ratios.trainer.push(fit / ((await timer.seconds()) / 512));
  const predict = await predicting(ours);
  ratios.predict.push((await predicting(cpu)) / predict);
  if (wasm) ratios.wasm.push((await predicting(wasm)) / predict);
}
await timer.dispose();
const show = (list) => `${median(list).toFixed(1)} (${list.map((ratio) => ratio.toFixed(1)).join(', ')})`;
console.log(`notebook net of tf.layers, batch ${batch}, ${binding.info().isa}, ${binding.info().threads} threads; times the images a second:`);
console.log(`fit, our backend against the cpu backend: ${show(ratios.fit)}`);
console.log(`predict, our backend against the cpu backend: ${show(ratios.predict)}`);
console.log(wasm ? `predict, our backend against the wasm backend: ${show(ratios.wasm)}` : 'the wasm backend is not installed');
console.log(`our own trainer (batch 512) against fit on our backend: ${show(ratios.trainer)}`);
