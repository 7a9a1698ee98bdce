/** NumPy's archives .npz: a zip of .npy files. */
import { DataError } from '../errors.js';
import type { Tensor } from './elements.js';
import { readNpyFrom } from './npy.js';
import { readZip } from './zip.js';

/** All arrays of an archive by name. @throws DataError */
export async function readNpz(path: string): Promise<Map<string, Tensor>> {
  const tensors = new Map<string, Tensor>();
  await readZip(path, async (entry, source) => {
    if (!entry.endsWith('.npy')) throw new DataError(`"${entry}" is no array (.npy)`, path);
    const name = entry.slice(0, -4);
    if (tensors.has(name)) throw new DataError(`there are two arrays of the name "${name}"`, path);
    tensors.set(name, await readNpyFrom(source));
  });
  if (tensors.size === 0) throw new DataError('it holds no arrays', path);
  return tensors;
}
