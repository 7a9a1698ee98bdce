/** Compiling a network for training, and saying which option is too large when there is no memory for it. */
import { totalmem } from 'node:os';
import { binding, type Distillation, type MemoryReport, type Network, type NetworkDescription, type NetworkOptions } from '../binding.js';
import { bytesText } from '../bytes-text.js';
import { wrongValue } from '../errors.js';
import { layerRules } from './layers.js';
import type { Origin } from './metrics.js';
import type { TrainOptions } from './options.js';

/** A network that is compiled when something is first asked of it, beside the JavaScript thread; and the memory that it takes then. */
export interface Compiled {
  network: Network;
  /** @throws RangeError naming options.batchSize when a step of this size does not fit into memory */
  memory(): Promise<MemoryReport>;
}

export function compileNetwork(
  description: NetworkDescription,
  origin: Origin,
  options: TrainOptions,
  stepsPerEpoch: number,
  distillation?: Distillation,
): Compiled {
  const { device, precision, memoryLimit, loss, penalty, coupling, ema, batchSize } = options;
  const settings: NetworkOptions = {
    device,
    precision,
    memoryLimit,
    loss,
    optimizer: { ...options.optimizer, keepRange: options.bits.keepRange },
    penalty,
    coupling,
    ema,
    idleSteps: Math.min(stepsPerEpoch, 1 << 24),
    exponents: options.bits.exponents,
    batchSize,
    originalWeights: origin.weights,
    layers: layerRules(description, options.layers),
    distillation,
  };
  const network = new binding.Network(description, settings);
  const memory = async () => {
    let report: MemoryReport;
    try {
      report = await network.memory();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_SELFCOMPRESS_MEMORY') throw error;
      throw await tooLarge(description, settings, error);
    }
    // Memory that is promised but not there ends the process when it is touched.
    if (network.backend.startsWith('cpu') && bytesOf(report) > totalmem()) throw await tooLarge(description, settings);
    return report;
  };
  return { network, memory };
}

const bytesOf = (memory: MemoryReport) => memory.parameterBytes + memory.activationBytes;

async function tooLarge(description: NetworkDescription, settings: NetworkOptions, cause?: unknown): Promise<RangeError> {
  const available = settings.device === 'cpu' || settings.device === 'auto' ? `; this machine has ${bytesText(totalmem())}` : '';
  const needed = await needs(description, settings);
  const error = wrongValue(`a batch that fits into memory (${needed}${available})`, 'options.batchSize', settings.batchSize);
  error.cause = cause;
  return error;
}

/** Bytes of a step, which grow by whole blocks of 16 images, from what two small batches need. */
async function needs(description: NetworkDescription, settings: NetworkOptions): Promise<string> {
  const bytesAt = async (batchSize: number) => {
    const network = new binding.Network(description, { ...settings, device: 'cpu', precision: 'fp32', batchSize });
    const total = await network.memory().then(bytesOf, () => Number.NaN);
    await network.dispose();
    return total;
  };
  const [small, large] = [await bytesAt(64), await bytesAt(128)];
  if (!(Number.isFinite(small) && Number.isFinite(large))) return 'even a batch of 128 does not';
  const perImage = (large - small) / 64;
  return `a step of ${settings.batchSize} images needs ${bytesText(small + perImage * (settings.batchSize - 64))}, one of 128 ${bytesText(large)}`;
}
