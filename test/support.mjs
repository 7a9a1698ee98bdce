// Shared by the tests: the library as users import it, temporary folders, small data, and a reference in plain JavaScript.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { datasetSteps } from '../dist/data/arrays.js';
import * as library from '../dist/index.js';
import { runNow } from '../dist/pace.js';

export const { binding } = library;
export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const cli = join(root, 'dist', 'cli', 'main.js');

/** A folder that is removed after the test `t`. */
export function temporaryFolder(t) {
  const path = mkdtempSync(join(tmpdir(), 'selfcompress-test-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** `datasetFromArrays` of small data, without a promise. */
export const datasetNow = (options) => runNow(datasetSteps(options));

/** Seeded uniform numbers in [0, 1): mulberry32. */
export function randomNumbers(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function floats(random, count, low = -1, high = 1) {
  return Float32Array.from({ length: count }, () => low + (high - low) * random());
}

/** Images of `classes` kinds that a small network tells apart: a bright square at a place that depends on the class. */
export function toyDataset({ count = 256, size = 12, classes = 4, seed = 1 } = {}) {
  const random = randomNumbers(seed);
  const split = (n) => {
    const images = new Uint8Array(n * size * size);
    const labels = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      labels[i] = Math.floor(random() * classes);
      const top = labels[i] % 2 ? size - 5 : 1;
      const left = labels[i] >= 2 ? size - 5 : 1;
      for (let y = 0; y < size; y++) {
        for (let x = 0; x < size; x++) {
          const inside = y >= top && y < top + 4 && x >= left && x < left + 4;
          images[(i * size + y) * size + x] = Math.floor((inside ? 120 : 0) + 120 * random());
        }
      }
    }
    return { images, labels };
  };
  return datasetNow({ name: 'toy', shape: [1, size, size], classes, train: split(count), test: split(Math.ceil(count / 2)) });
}

/** Convolution, norm, ReLU, a residual connection, pooling, linear: small enough for many steps. */
export function toyNetwork({ compress = true, size = 12, classes = 4, padding = 1 } = {}) {
  const net = new library.NetworkBuilder([1, size, size]);
  const a = net.relu(net.batchNorm(net.conv2d('input', { name: 'conv1', outChannels: 8, kernel: 3, padding, compress }), { name: 'norm1' }));
  const b = net.relu(net.batchNorm(net.conv2d(a, { name: 'conv2', outChannels: 8, kernel: 3, padding: 1, compress }), { name: 'norm2' }));
  const c = net.maxPool(net.add(a, b, 'sum'), { kernel: 2 });
  const d = net.relu(net.conv2d(c, { name: 'conv3', outChannels: 12, kernel: 3, compress }));
  return net.build(net.linear(net.flatten(d), { name: 'linear', outFeatures: classes, compress }));
}

/** What an epoch's record says that the same run says again. */
export const withoutTimes = ({ epochSeconds, imagesPerSecond, ...rest }) => rest;

export const range = (count) => Int32Array.from({ length: count }, (_, i) => i);

/** Largest |a − b| relative to the largest |b|. */
export function difference(a, b) {
  let scale = 1e-3;
  let worst = 0;
  for (const x of b) scale = Math.max(scale, Math.abs(x));
  for (let i = 0; i < b.length; i++) worst = Math.max(worst, Math.abs(a[i] - b[i]) / scale);
  return a.length === b.length ? worst : Number.POSITIVE_INFINITY;
}

export * from '../dist/index.js';
