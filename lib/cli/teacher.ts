/** The network that `selfcompress train --teacher` learns from. */
import type { AnyDataset } from '../data/dataset.js';
import { ofWhole } from '../data/statistics.js';
import { withoutBits } from '../network/description.js';
import type { TrainOptions } from '../training/options.js';
import { renormalised, type Teacher } from '../training/teacher.js';
import { isTokens } from './data.js';
import { UsageError } from './faults.js';
import { isWholeModel, readOriginal } from './import.js';
import { loadModel } from './load-model.js';
import { note } from './voice.js';

/** A run, a model file or another program's whole model, for images as the data have them. */
export async function readTeacher(path: string, data: AnyDataset): Promise<Teacher> {
  if (isWholeModel(path)) {
    const { network, state, text } = await readOriginal(path, data, { width: 1 });
    note(`${path}: ${text}`);
    return { network: withoutBits(network), state };
  }
  const { network, state, info } = await loadModel(path);
  if (isTokens(data)) return { network, state };
  return renormalised({ network, state }, info, { mean: ofWhole(data.mean, data.inputs), std: ofWhole(data.std, data.inputs) });
}

/** Options that are of no use without a teacher, or with a loss that has no labels. @param given by their names as typed */
export function checkTeacherOptions(given: string[], teacher: string | undefined, { loss }: TrainOptions): void {
  if (given.length === 0) return;
  if (teacher === undefined) throw new UsageError(`Expected --teacher RUN or FILE with ${given.join(' and ')} but received none`);
  const kinds = loss.kind === 'sum' ? Object.values(loss.outputs).map(({ kind }) => kind) : [loss.kind];
  if (!kinds.includes('crossEntropy'))
    throw new UsageError(`Expected data with labels for ${given.join(' and ')} but received data whose loss is ${kinds.join(', ')}`);
}
