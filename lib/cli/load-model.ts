/** A trained network, ready for evaluation. */
import { binding, type Device, type LossDescription, type Network } from '../binding.js';
import { type LoadedModel, readTrained } from '../export/source.js';

export type { LoadedModel } from '../export/source.js';
export const loadModel: (path: string) => Promise<LoadedModel> = readTrained;

/** The network ready for evaluation. */
export async function compileModel(
  { network, state }: LoadedModel,
  device: Device,
  loss: LossDescription = { kind: 'crossEntropy' },
  batchSize = 256,
): Promise<Network> {
  const compiled = new binding.Network(network, { device, loss, optimizer: { kind: 'sgd' }, batchSize });
  const names = new Set(compiled.parameters.map(({ name }) => name)); // without moments, and counters of the training
  await compiled.loadState(Object.fromEntries(Object.entries(state).filter(([name]) => names.has(name))));
  return compiled;
}
