/** What a network gives for the examples of a data set. */
import { setImmediate } from 'node:timers/promises';
import { binding, type NetworkDescription } from '../binding.js';
import type { Split } from '../data/dataset.js';
import { examplesOf } from '../export/examples.js';
import { elements, inspectNetwork } from '../network/description.js';
import type { State } from '../network/initial.js';

/** Examples that are normalised between two turns of the event loop, in numbers. */
const AT_ONCE = 1 << 18;

/** Outputs [count × features] in evaluation mode. */
export async function outputsOf(
  { network, state }: { network: NetworkDescription; state: State },
  split: Split,
  normalisation: { mean: number[]; std: number[] },
): Promise<Float32Array> {
  const size = elements(network.input);
  const features = elements(inspectNetwork(network).shapes[network.output] as number[]);
  const batchSize = Math.max(1, Math.min(split.count, Math.floor(AT_ONCE / size)));
  const compiled = new binding.Network(network, { device: 'cpu', loss: { kind: 'meanSquaredError' }, optimizer: { kind: 'sgd' }, batchSize });
  try {
    await compiled.loadState(Object.fromEntries(Object.entries(state).filter(([name]) => !name.includes('/moment'))));
    const outputs = new Float32Array(split.count * features);
    for (let first = 0; first < split.count; first += batchSize) {
      const count = Math.min(batchSize, split.count - first);
      const part = { count, images: split.images.subarray(first * size, (first + count) * size) };
      outputs.set(await compiled.predict(examplesOf(part, network.input, normalisation, count), count), first * features);
      await setImmediate();
    }
    return outputs;
  } finally {
    await compiled.dispose();
  }
}

/** The class of every example: the largest of its outputs, the first of equals. */
export function classesOf(outputs: Float32Array, features: number): Int32Array {
  return Int32Array.from({ length: outputs.length / features }, (_, i) => {
    const row = outputs.subarray(i * features, (i + 1) * features);
    return row.reduce((best, value, k) => (value > (row[best] as number) ? k : best), 0);
  });
}

export function shareOfEqual(a: Int32Array, b: Int32Array): number {
  return a.reduce((equal, value, i) => equal + (value === b[i] ? 1 : 0), 0) / a.length;
}
