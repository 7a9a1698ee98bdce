/** Models of other programs: which reader a file is for. */
import { wrongType, wrongValue } from '../errors.js';
import { type ImportedModel, importOnnx, type OnnxOptions } from './onnx/model.js';

export type { ImportedModel, ImportReport } from './onnx/model.js';
export type ImportOptions = Pick<OnnxOptions, 'input' | 'output'>;

/**
 * Network and parameters of another program's file, `.onnx`. Weights alone (`.safetensors`) are for `loadWeights`.
 * @throws DataError for a damaged file; ImportError for what has no counterpart here
 */
export async function importModel(path: string, options: ImportOptions = {}): Promise<ImportedModel> {
  if (typeof path !== 'string') throw wrongType('a path', 'path', path);
  if (!path.endsWith('.onnx')) throw wrongValue('a file by the name of .onnx', 'path', path);
  return importOnnx(path, options);
}
