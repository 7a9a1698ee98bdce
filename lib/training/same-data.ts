/** Whether a trainer's data are data at all, and those that a run was made with. */
import { type AnyDataset, MOST_EXAMPLES, type Split, type TokenSplit } from '../data/dataset.js';
import { checkInteger, checkObject, isPlainObject, wrongType, wrongValue } from '../errors.js';
import { checkOutputInfo } from '../model-file/model-file.js';
import { elements } from '../network/description.js';
import { checkAxes, checkPartName, MOST_PARTS } from '../network/parts.js';
import type { DataInfo } from './checkpoint.js';
import { differences, type Fingerprint, fingerprintOf } from './fingerprint.js';

/** Enough that nothing below fails on it with an error of its own; the native side checks the arrays. */
export function checkData(data: unknown): asserts data is AnyDataset {
  const { input, shape, length, classes, train, test, validation, inputs, outputs } = (isPlainObject(data) ? data : {}) as Record<string, unknown>;
  const isTokens = input === 'tokens';
  const split = (value: unknown) => isPlainObject(value) && (isTokens ? 'tokens' : 'images') in value && 'count' in value;
  if (!(isTokens || Array.isArray(shape)) || !split(train) || !split(test) || (validation !== undefined && !split(validation))) {
    throw wrongType('a data set, as loadDataset and datasetFromArrays return it,', 'data', data);
  }
  checkInteger(classes, 'data.classes', 0);
  if (inputs !== undefined) checkInputs(inputs, data as Record<string, unknown>);
  if (outputs !== undefined) checkOutputs(outputs);
  for (const [name, given] of Object.entries({ train, test, validation })) {
    if (given !== undefined) checkCount(given as Split | TokenSplit, `data.${name}`, isTokens ? [length] : (shape as unknown[]));
  }
}

function checkList(value: unknown, argument: string): Record<string, unknown>[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MOST_PARTS) throw wrongType(`a list of 1 to ${MOST_PARTS}`, argument, value);
  return Array.from(value, (part, i) => checkObject(part, `${argument}[${i}]`));
}

function checkInputs(value: unknown, { mean, std }: Record<string, unknown>): void {
  const names: string[] = [];
  let channels = 0;
  checkList(value, 'data.inputs').forEach(({ name, axes }, i) => {
    names.push(checkPartName(name, `data.inputs[${i}].name`, names));
    channels += checkAxes(axes, `data.inputs[${i}].axes`)[0];
  });
  for (const [name, numbers] of Object.entries({ mean, std })) {
    if (!Array.isArray(numbers) || numbers.length !== channels)
      throw wrongType(`${channels} numbers, one for each channel of the inputs,`, `data.${name}`, numbers);
  }
}

function checkOutputs(value: unknown): void {
  checkOutputInfo(value, 'data.outputs');
  checkList(value, 'data.outputs').forEach(({ size }, i) => {
    checkInteger(size, `data.outputs[${i}].size`, 1, MOST_EXAMPLES);
  });
}

/** Nothing is made as long as a split's count says before its arrays are that long. */
function checkCount(split: Split | TokenSplit, argument: string, sizes: unknown[]): void {
  const { count } = split;
  checkInteger(count, `${argument}.count`, 1, MOST_EXAMPLES);
  const [field, values] = 'images' in split ? (['images', split.images] as const) : (['tokens', split.tokens] as const);
  if (!ArrayBuffer.isView(values) || !sizes.every(Number.isInteger)) return; // native code says what it wants
  const length = count * elements(sizes as number[]);
  if (values.length !== length) throw wrongValue(`${length} values, those of ${count} examples,`, `${argument}.${field}`, values);
}

/** @returns the fingerprint of `data` */
export async function checkSameData(info: DataInfo, data: AnyDataset): Promise<Fingerprint> {
  const { trainCount, name, fingerprint: expected } = info;
  if (data.train.count !== trainCount) {
    throw wrongValue(
      `the ${trainCount} training images of "${name}" that the checkpoint was made with`,
      'data',
      `${data.train.count} of ${data.name}`,
    );
  }
  const fingerprint = await fingerprintOf(data);
  checkFingerprint(expected, fingerprint, name, data.name);
  return fingerprint;
}

/** @throws RangeError naming the parts that are not those that a run was made with */
export function checkFingerprint(expected: Fingerprint | undefined, found: Fingerprint, expectedName: string, name: string): void {
  const other = expected ? differences(expected, found) : [];
  if (other.length === 0) return;
  throw wrongValue(`the very data "${expectedName}" that the run was made with`, 'data', `${name} with other ${other.join(', ')}`);
}
