// The backend of TensorFlow.js: its own suites, models of tf.layers, gradients, both module kinds.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import t from 'tap';
import '@tensorflow/tfjs-layers';
import { nativeCalls, nativeKernels } from '../dist/tfjs/index.js';
import { notebookModel } from '../scripts/tfjs/notebook.mjs';
import { difference, root } from './support.mjs';

t.test("tfjs-core's operator suites pass, all of them, most on native code", (t) => {
  const { stdout, status } = spawnSync(process.execPath, [join(root, 'scripts/tfjs/operator-suites.mjs')], { encoding: 'utf8' });
  const [, passed, failed] = /^(\d+) passed, (\d+) failed$/m.exec(stdout) ?? [];
  t.equal(status, 0, stdout.slice(-2000));
  t.equal(failed, '0');
  t.ok(passed > 3000, `${passed} passed`);
  const used = /^native: (.+)$/m.exec(stdout)[1];
  for (const kernel of nativeKernels) t.match(used, new RegExp(`\\b${kernel} \\d`), kernel);
  t.end();
});

/** What `of` gives under each of the two backends. */
async function underBoth(of) {
  const results = [];
  for (const backend of ['cpu', 'selfcompress']) {
    await tf.setBackend(backend);
    results.push(await of());
  }
  return results;
}

t.test('a model of tf.layers trains, evaluates and predicts as on the CPU backend', async (t) => {
  const before = nativeCalls();
  const [cpu, ours] = await underBoth(async () => {
    const model = notebookModel(0.25);
    const x = tf.randomUniform([6, 28, 28, 1], 0, 1, 'float32', 7);
    const y = tf.oneHot(tf.tensor1d([0, 1, 2, 3, 4, 9], 'int32'), 10);
    const { history } = await model.fit(x, y, { epochs: 3, batchSize: 3, shuffle: false, verbose: 0 });
    const loss = model.evaluate(x, y).dataSync()[0];
    return { losses: [...history.loss, loss], predictions: model.predict(x).dataSync(), weights: model.getWeights().map((w) => w.dataSync()) };
  });
  t.ok(ours.losses[0] > ours.losses[2], 'it learns');
  t.ok(difference(ours.losses, cpu.losses) < 1e-3, `${ours.losses} against ${cpu.losses}`);
  t.ok(difference(ours.predictions, cpu.predictions) < 5e-3, String(difference(ours.predictions, cpu.predictions)));
  const calls = nativeCalls();
  const kernels = [
    'FusedConv2D',
    'Conv2DBackpropInput',
    'Conv2DBackpropFilter',
    'MaxPool',
    'MaxPoolGrad',
    'FusedBatchNorm',
    'BatchMatMul',
    'Multiply',
    'Sum',
  ];
  for (const kernel of kernels) t.ok((calls[kernel] ?? 0) > (before[kernel] ?? 0), `${kernel} ran natively`);
});

t.test('gradients are those of the CPU backend', async (t) => {
  const scalar = (y) => tf.mean(tf.square(y));
  const column = (f) => tf.tile(tf.slice(tf.reshape(f, [-1, 1]), [0, 0], [100, 1]), [1, 320]);
  const cases = {
    'convolution, stride 2, same': (x, f) => scalar(tf.conv2d(x, f, 2, 'same')),
    'depthwise convolution': (x, f) => scalar(tf.depthwiseConv2d(x, f, 1, 'same')),
    'transposed convolution': (x, f) => scalar(tf.conv2dTranspose(tf.slice(x, [0, 0, 0, 0], [3, 10, 8, 3]), f, [3, 10, 8, 4], 1, 'same')),
    'maximum and average': (x, f) => tf.mul(tf.add(scalar(tf.maxPool(x, 3, 2, 'same')), scalar(tf.avgPool(x, 2, 2, 'valid'))), tf.mean(f)),
    'product of matrices': (x, f) => scalar(tf.matMul(tf.reshape(x, [3, 320]), column(f), false, true)),
  };
  for (const [name, of] of Object.entries(cases)) {
    const [cpu, ours] = await underBoth(() => {
      const x = tf.randomNormal([3, 10, 8, 4], 0, 1, 'float32', 3);
      const f = tf.randomNormal([3, 3, 4, 3], 0, 1, 'float32', 4);
      return tf
        .grads(of)([x, f])
        .map((gradient) => gradient.dataSync());
    });
    for (const i of [0, 1]) t.ok(difference(ours[i], cpu[i]) < 1e-4, `${name}: ${difference(ours[i], cpu[i])}`);
  }
});

t.test('it can be required, and imported beside', (t) => {
  const required = createRequire(import.meta.url)('../dist/tfjs.cjs');
  t.same(required.nativeKernels, nativeKernels);
  t.end();
});
