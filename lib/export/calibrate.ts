/** Ranges of a network's values on data: what integers are scaled by (docs/integer.md). */
import { binding, type NetworkDescription } from '../binding.js';
import { wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { addedNodes } from '../network/added-nodes.js';
import { elements, inspectNetwork } from '../network/description.js';
import type { State } from '../network/initial.js';

/** Lowest and highest value of the network's input and of every node, in the order of the description: [2 · (1 + nodes)]. */
export type Ranges = number[];

/** Values that are looked at between two turns of the event loop. */
const AT_ONCE = 1 << 20;

/** A network whose output is all of its values, one after another. */
function withAllValues(network: NetworkDescription): NetworkDescription {
  const { nodes, add, join } = addedNodes(network, 'values');
  const output = join(network.nodes.map(({ name }) => add({ kind: 'flatten', inputs: [name] })));
  const { outputs: _, ...rest } = network; // they would be parts of another prediction
  return { ...rest, nodes, output };
}

/** Digits that are kept of a range, and so in the file. */
const DIGITS = 3;
/** The number with few digits that is not nearer to zero. */
function outwards(value: number): number {
  if (value === 0) return 0;
  const unit = 10 ** (Math.floor(Math.log10(Math.abs(value))) + 1 - DIGITS);
  return Number((Math.sign(value) * Math.ceil(Math.abs(value) / unit - 1e-9) * unit).toPrecision(DIGITS));
}

/**
 * The ranges on examples [count × input], normalised as in training.
 * @throws RangeError where a value is not finite
 */
export async function calibrate(network: NetworkDescription, state: State, images: Float32Array, count: number): Promise<Ranges> {
  const all = withAllValues(network);
  const { shapes } = inspectNetwork(network);
  const sizes = network.nodes.map(({ name }) => elements(shapes[name] ?? []));
  const total = sizes.reduce((a, b) => a + b, 0);
  const inputSize = elements(network.input);
  const batchSize = Math.max(1, Math.min(count, Math.floor(AT_ONCE / total)));
  const lows = [0, ...sizes.map(() => 0)]; // zero is in every range
  const highs = [...lows];
  const look = (value: number, values: Float32Array) => {
    let low = item(lows, value);
    let high = item(highs, value);
    for (let i = 0; i < values.length; i++) {
      const v = values[i] as number;
      if (v < low) low = v;
      else if (v > high) high = v;
      else if (Number.isNaN(v)) high = v;
    }
    lows[value] = low;
    highs[value] = high;
  };
  const options = { device: 'cpu', loss: { kind: 'meanSquaredError' }, optimizer: { kind: 'sgd' }, batchSize } as const;
  const compiled = new binding.Network(all, options);
  try {
    await compiled.loadState(Object.fromEntries(compiled.parameters.map(({ name }) => [name, state[name] as Float32Array])));
    for (let first = 0; first < count; first += batchSize) {
      const some = Math.min(batchSize, count - first);
      const inputs = images.subarray(first * inputSize, (first + some) * inputSize);
      look(0, inputs);
      const values = await compiled.predict(inputs, some);
      for (let i = 0, at = 0; i < some; i++) {
        sizes.forEach((size, node) => {
          look(node + 1, values.subarray(at, at + size));
          at += size;
        });
      }
    }
  } finally {
    await compiled.dispose();
  }
  const ranges = lows.flatMap((low, i) => [outwards(low), outwards(item(highs, i))]);
  const spoilt = ranges.findIndex((bound) => !Number.isFinite(bound));
  if (spoilt >= 0) {
    const name = spoilt < 2 ? 'the input' : `"${network.nodes[(spoilt >> 1) - 1]?.name}"`;
    throw wrongValue(`examples with finite values of ${name}`, 'options.calibration', ranges[spoilt]);
  }
  return ranges;
}

/** value = scale · (code − zero), codes 0..255 (docs/integer.md). */
export interface CodeScale {
  scale: number;
  zero: number;
}
export function codeScale(low: number, high: number): CodeScale {
  const width = Math.fround((Math.max(high, 0) - Math.min(low, 0)) / 255);
  const scale = width > 0 ? width : 1;
  return { scale, zero: Math.min(255, Math.floor(-Math.min(low, 0) / scale + 0.5)) };
}
