import { basename } from 'node:path';
import type { AnyDataset } from '../data/dataset.js';
import type { TextDataset } from '../data/text.js';
import { CharacterVocabulary, PeerVocabulary } from '../data/tokenizer.js';
import { isInstance } from '../errors.js';
import type { ModelInfo } from '../model-file/model-file.js';

/** What a model file and a checkpoint say of the data. */
export function modelInfoOf(data: AnyDataset): ModelInfo {
  const { name, classes, classNames, task } = data;
  const outputs = data.outputs?.map(({ size: _, ...output }) => output);
  // Classes and no task are read as classification, which scores of several labels and numbers to predict are not.
  const other = !outputs && (task === 'multiLabel' || task === 'regression');
  const common = { name, classes, classNames, ...(other && { task }), ...(outputs && { outputs }) };
  if (data.input !== 'tokens') return { ...common, resize: data.resize, mean: data.mean, std: data.std };
  const { tokenizer } = data as Partial<TextDataset>;
  const characters = isInstance(tokenizer, CharacterVocabulary) && tokenizer.reserved === 0 ? tokenizer.characters.join('') : undefined;
  const file = isInstance(tokenizer, PeerVocabulary) ? basename(tokenizer.path) : undefined;
  return { ...common, mean: [], std: [], characters, tokenizer: file };
}
