/** Compiling a network for training, and saying which option is too large when there is no memory for it. */
import { totalmem } from 'node:os';
import { binding, type Network, type NetworkDescription, type NetworkOptions } from '../binding.js';
import { bytesText } from '../bytes-text.js';
import { wrongValue } from '../errors.js';
import type { Origin } from './metrics.js';
import type { TrainOptions } from './options.js';

/** @throws RangeError naming options.batchSize when a step of this size does not fit into memory */
export function compileNetwork(description: NetworkDescription, origin: Origin, options: TrainOptions, stepsPerEpoch: number): Network {
  const { device, precision, memoryLimit, loss, penalty, coupling, batchSize } = options;
  const settings: NetworkOptions = {
    device,
    precision,
    memoryLimit,
    loss,
    optimizer: { ...options.optimizer, keepRange: options.bits.keepRange },
    penalty,
    coupling,
    idleSteps: Math.min(stepsPerEpoch, 1 << 24),
    exponents: options.bits.exponents,
    batchSize,
    originalWeights: origin.weights,
  };
  let network: Network;
  try {
    network = new binding.Network(description, settings);
  } catch (error) {
    if (!/out of memory/i.test((error as Error).message)) throw error;
    throw tooLarge(description, settings, error);
  }
  // Memory that is promised but not there ends the process when it is touched.
  if (network.backend.startsWith('cpu') && bytesOf(network) > totalmem()) {
    void network.dispose();
    throw tooLarge(description, settings);
  }
  return network;
}

const bytesOf = ({ memory }: Network) => memory.parameterBytes + memory.activationBytes;

function tooLarge(description: NetworkDescription, settings: NetworkOptions, cause?: unknown): RangeError {
  const available = settings.device === 'cpu' || settings.device === 'auto' ? `; this machine has ${bytesText(totalmem())}` : '';
  const error = wrongValue(`a batch that fits into memory (${needs(description, settings)}${available})`, 'options.batchSize', settings.batchSize);
  error.cause = cause;
  return error;
}

/** Bytes of a step, which grow by whole blocks of 16 images, from what two small batches need. */
function needs(description: NetworkDescription, settings: NetworkOptions): string {
  const bytesAt = (batchSize: number) => {
    try {
      const network = new binding.Network(description, { ...settings, device: 'cpu', precision: 'fp32', batchSize });
      const total = bytesOf(network);
      void network.dispose();
      return total;
    } catch {
      return Number.NaN;
    }
  };
  const [small, large] = [bytesAt(64), bytesAt(128)];
  if (!(Number.isFinite(small) && Number.isFinite(large))) return 'even a batch of 128 does not';
  const perImage = (large - small) / 64;
  return `a step of ${settings.batchSize} images needs ${bytesText(small + perImage * (settings.batchSize - 64))}, one of 128 ${bytesText(large)}`;
}
