/** Fingerprints of data sets: a run that is resumed on other data of the same size would train on without a word. */
import { webcrypto } from 'node:crypto';
import type { AnyDataset } from '../data/dataset.js';

/** SHA-256 of every part of a data set, in hexadecimal, by the part's name. */
export type Fingerprint = Record<string, string>;

/** Hashed on a thread of the pool, but copied on this one: a part of a millisecond. */
const SLICE_BYTES = 1 << 18;

const hex = (bytes: ArrayBuffer) => Buffer.from(bytes).toString('hex');

/** SHA-256 of the SHA-256s of its slices. */
async function digest(kind: string, bytes: Uint8Array): Promise<string> {
  const sums: Uint8Array[] = [Buffer.from(`${kind} ${bytes.length}\n`)];
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    const slice = bytes.slice(at, at + SLICE_BYTES); // a copy: the digest refuses views of shared memory
    sums.push(new Uint8Array(await webcrypto.subtle.digest('SHA-256', slice)));
  }
  return hex(await webcrypto.subtle.digest('SHA-256', Buffer.concat(sums)));
}

export const digestValues = (values: Uint8Array | Int32Array | Float32Array) =>
  digest(values instanceof Uint8Array ? 'bytes' : values.constructor.name, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));

export const digestJson = (value: unknown) => digest('json', Buffer.from(JSON.stringify(value)));

/** Of shape, classes, normalisation, images or tokens, labels and targets; names and paths do not matter. */
export async function fingerprintOf(data: AnyDataset): Promise<Fingerprint> {
  const { classes, train, test, validation } = data;
  const result: Fingerprint =
    data.input === 'tokens'
      ? { 'length, vocabulary and classes': await digestJson({ length: data.length, vocabulary: data.vocabulary, classes }) }
      : {
          'shape and classes': await digestJson({ shape: data.shape, classes }),
          'mean and std': await digestJson({ mean: data.mean, std: data.std }),
        };
  for (const [name, split] of Object.entries({ train, test, ...(validation && { validation }) })) {
    for (const part of ['images', 'tokens', 'labels', 'targets'] as const) {
      const values = (split as Partial<Record<typeof part, Uint8Array | Int32Array | Float32Array>>)[part];
      if (values) result[`${name}.${part}`] = await digestValues(values);
    }
  }
  return result;
}

/** Names of the parts that differ. */
export function differences(a: Fingerprint, b: Fingerprint): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => a[name] !== b[name]);
}
