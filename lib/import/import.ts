/** Models of other programs: which reader a file is for. */
import { checkPath, readArgument } from '../arguments.js';
import { checkInteger, checkNames, wrongType, wrongValue } from '../errors.js';
import { type ImportedModel, importOnnx, type OnnxOptions } from './onnx/model.js';

export type { ImportedModel, ImportReport } from './onnx/model.js';
export type ImportOptions = OnnxOptions;

const MOST_AXES = 16;

/**
 * Network and parameters of another program's file, `.onnx`. Weights alone (`.safetensors`) are for `loadWeights`.
 * @throws DataError for a damaged file; ImportError for what has no counterpart here
 */
export async function importModel(path: string, given: ImportOptions = {}): Promise<ImportedModel> {
  checkPath(path, 'path');
  const options = readArgument(given, 'options');
  checkNames(options, 'options', ['input', 'output', 'batchAxis']);
  const { input, output, batchAxis }: ImportOptions = options;
  if (output !== undefined && typeof output !== 'string') throw wrongType('the name of an output', 'options.output', output);
  if (input !== undefined && !Array.isArray(input)) throw wrongType('[channels, ...positions]', 'options.input', input);
  if (batchAxis !== undefined) checkInteger(batchAxis, 'options.batchAxis', -1, MOST_AXES - 1);
  input?.forEach((size, i) => {
    checkInteger(size, `options.input[${i}]`, 1);
  });
  if (!path.endsWith('.onnx')) throw wrongValue('a file by the name of .onnx', 'path', path);
  return importOnnx(path, options);
}
