/** Models of other programs: which reader a file is for. */
import { checkPath, readArgument } from '../arguments.js';
import { checkInteger, checkNames, isPlainObject, wrongType, wrongValue } from '../errors.js';
import { readArchive } from './keras/archive.js';
import { readHdf5 } from './keras/hdf5.js';
import { importKeras } from './keras/model.js';
import { readArtifacts, readTfjs } from './keras/tfjs.js';
import { type ImportedModel, importOnnx, type OnnxOptions } from './onnx/model.js';

export type { ImportedModel, ImportReport, TensorReport } from './onnx/model.js';
export type ImportOptions = OnnxOptions;

const MOST_AXES = 16;

const readers: Record<string, (path: string, options: OnnxOptions) => Promise<ImportedModel>> = {
  '.onnx': importOnnx,
  '.json': async (path, options) => importKeras(path, await readTfjs(path), options),
  '.h5': async (path, options) => importKeras(path, await readHdf5(path), options),
  '.keras': async (path, options) => importKeras(path, await readArchive(path), options),
  '.hdf5': async (path, options) => importKeras(path, await readHdf5(path), options),
};
/** Endings of the names of files that hold a whole model. */
export const wholeModelEndings = Object.keys(readers);

/**
 * Network and parameters of another program's file: `.onnx`, a layers model of TensorFlow.js (`model.json`), or a model that Keras
 * saved as an archive (`.keras`) or as HDF5 (`.h5`; both read by the package h5wasm, which is to be installed beside this one). Weights
 * alone (`.safetensors`, `.pth`) are for `loadWeights`.
 * @throws DataError for a damaged file; ImportError for what has no counterpart here
 */
export async function importModel(path: string, given: ImportOptions = {}): Promise<ImportedModel> {
  checkPath(path, 'path');
  const options = readArgument(given, 'options');
  checkNames(options, 'options', ['input', 'output', 'batchAxis']);
  const { input, output, batchAxis }: ImportOptions = options;
  if (output !== undefined && typeof output !== 'string' && !(Array.isArray(output) && output.every((name) => typeof name === 'string')))
    throw wrongType('the name of an output', 'options.output', output);
  checkSizes(input, 'options.input');
  if (batchAxis !== undefined) checkInteger(batchAxis, 'options.batchAxis', -1, MOST_AXES - 1);
  const reader = Object.entries(readers).find(([ending]) => path.endsWith(ending))?.[1];
  if (!reader) throw wrongValue(`a file by the name of ${wholeModelEndings.join(', ')}`, 'path', path);
  return reader(path, options);
}

/** Sizes of the input, or of several by name. */
function checkSizes(given: unknown, argument: string): void {
  if (given === undefined) return;
  if (isPlainObject(given)) {
    for (const [name, sizes] of Object.entries(given)) {
      if (!Array.isArray(sizes)) throw wrongType('[channels, ...positions]', `${argument}.${name}`, sizes);
      checkSizes(sizes, `${argument}.${name}`);
    }
  } else if (Array.isArray(given)) {
    for (const [i, size] of given.entries()) checkInteger(size, `${argument}[${i}]`, 1);
  } else throw wrongType('[channels, ...positions]', argument, given);
}

/** A layers model of TensorFlow.js as its `save` gives it; `name` is what errors call it. */
export const importArtifacts = async (artifacts: Record<string, unknown>, name: string, options: ImportOptions): Promise<ImportedModel> =>
  importKeras(name, readArtifacts(artifacts, name), options);
